"""A web configuration file → `WebConfig`, with every problem and its place.

The format is that of Prometheus' exporter-toolkit (github.com/prometheus/exporter-toolkit, docs/web-configuration.md),
so that a file written for other exporters serves here too. What cannot be honoured is refused, never ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from ff_observe.config import kinds
from ff_observe.config.kinds import Kind, WrongValueError
from ff_observe.config.nodes import Map, Node, Place, Scalar, Sequence, child
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.secret import Secret
from ff_observe.config.yaml_core import YAMLError, parse
from ff_observe.errors import ConfigurationError, Problem

T = TypeVar("T")

TLS: Final = "tls_server_config"
HTTP: Final = "http_server_config"
HEADERS: Final = f"{HTTP}.headers"
USERS: Final = "basic_auth_users"

HIGHEST_COST: Final = 18
"""Of a bcrypt hash: some ten seconds of computing, the time Prometheus waits for a scrape."""

_HASH: Final = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}", re.ASCII)

CIPHER_SUITES: Final[Mapping[str, str | None]] = {
    **{
        f"TLS_ECDHE_{key}_WITH_{suite}": f"ECDHE-{key}-{name}"
        for key in ("ECDSA", "RSA")
        for suite, name in (
            ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
            ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
            ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
            ("AES_128_CBC_SHA", "AES128-SHA"),
            ("AES_256_CBC_SHA", "AES256-SHA"),
        )
    },
    "TLS_AES_128_GCM_SHA256": None,
    "TLS_AES_256_GCM_SHA384": None,
    "TLS_CHACHA20_POLY1305_SHA256": None,
}
"""Names of the format → OpenSSL's. None for the suites of TLS 1.3, which cannot be chosen (in Go neither)."""

CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

_VERIFYING: Final = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
CLIENT_AUTH_TYPES: Final = ("NoClientCert", *_VERIFYING)
"""In the order of what they demand."""

_NOT_VERIFYING: Final = ("RequestClientCert", "RequireAnyClientCert")

_NOT_SUPPORTED: Final = {
    f"{TLS}.cert": "a certificate inside the file is not supported; write it to a file and name that in cert_file",
    f"{TLS}.key": "a key inside the file is not supported; write it to a file and name that in key_file",
    f"{TLS}.client_ca": "an authority inside the file is not supported; write it to a file named in client_ca_file",
    f"{TLS}.client_allowed_sans": "not supported here; let the authority in client_ca_file sign only who may scrape",
    "rate_limit": "not supported here, and not needed: however many scrape, the database is asked once",
}
_TLS_KEYS: Final = (
    *("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "max_version"),
    *("cipher_suites", "curve_preferences", "prefer_server_cipher_suites"),
)
_HEADER_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
"""The headers that may be set, with the values they may have (empty: any)."""


@dataclass(frozen=True, slots=True)
class TlsServerConfig:
    """`tls_server_config`. Names of cipher suites and of the curve are OpenSSL's."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth_type: str = "NoClientCert"
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] | None = None  # empty: none of TLS 1.2
    curve: str | None = None
    prefer_server_cipher_suites: bool = True


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What a web configuration file says. `users` are bcrypt hashes by name; `headers` go into every answer."""

    file: Path
    tls: TlsServerConfig | None = None
    users: Mapping[str, Secret] = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)

    def problem(self, key: str, message: str) -> Problem:
        """A problem with the value of `key` (dotted), found in using it."""
        place = self.places.get(key, Place(0, 0))
        return Problem(str(self.file), place.line, place.column, key, message)


def read_web_config(file: Path) -> WebConfig:
    """The file's content; the files it names are not opened. Raises `ConfigurationError` with every problem."""
    try:
        tree = parse(read_text(file))
    except UnreadableFileError as error:
        raise _wrong(file, Place(error.line, error.column), str(error)) from None
    except YAMLError as error:
        raise _wrong(file, error.place, str(error)) from None
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        return WebConfig(file)
    if not isinstance(tree, Map):
        raise _wrong(file, tree.place, f"found {kinds.describe(tree, secret=True)}; write a map: {TLS}, {USERS}, …")
    reader = _Reader(file, tree)
    config = WebConfig(file, reader.tls(), reader.users(), reader.headers(), reader.places)
    reader.check_names("", tree, (TLS, HTTP, USERS))
    if reader.problems:
        raise ConfigurationError(tuple(sorted(reader.problems)))
    return config


def _wrong(file: Path, place: Place, message: str) -> ConfigurationError:
    return ConfigurationError((Problem(str(file), place.line, place.column, "", message),))


class _Reader:
    """Takes the sections out of the tree, and gathers every problem on the way."""

    def __init__(self, file: Path, tree: Map) -> None:
        self._file = file
        self._tree = tree
        self.problems: list[Problem] = []
        self.places: dict[str, Place] = {}

    def tls(self) -> TlsServerConfig | None:
        section = self._section(self._tree, TLS)
        if section is None:
            return None
        self.check_names(TLS, section, _TLS_KEYS)
        cert, key = (self._path_needed(section, name) for name in ("cert_file", "key_file"))
        authority = self._path(section, "client_ca_file")
        client_auth_type = self._client_auth_type(section, authority)
        versions = kinds.choice("TLS12", "TLS13")
        lowest = self._value(section, TLS, "min_version", versions) or "TLS12"
        highest = self._value(section, TLS, "max_version", versions) or "TLS13"
        if lowest > highest:
            self._problem(f"{TLS}.min_version", "min_version is above max_version: no client could connect")
        suites = self._cipher_suites(section, highest)
        curve = self._curve(section)
        prefer = self._value(section, TLS, "prefer_server_cipher_suites", kinds.BOOLEAN)
        if cert is None or key is None:
            return None
        return TlsServerConfig(
            cert, key, authority, client_auth_type, lowest, highest, suites, curve, prefer is not False
        )

    def users(self) -> Mapping[str, Secret]:
        section = self._section(self._tree, USERS)
        found: dict[str, Secret] = {}
        for number, (name, entry) in enumerate((section.entries if section else {}).items(), 1):
            key = f"{USERS}.{name if re.fullmatch('[A-Za-z0-9_.@-]{1,40}', name, re.ASCII) else f'(user {number})'}"
            self.places[key] = entry.value.place
            if not name or ":" in name or not name.isprintable():
                self._problem(key, "the name of a user must not be empty, nor hold a colon or a control character")
            text = entry.value.value if isinstance(entry.value, Scalar) else None
            match = _HASH.fullmatch(text) if isinstance(text, str) else None
            if match is None:
                self._problem(
                    key, "write a bcrypt hash ($2y$…), never the password; make one with: htpasswd -nBC 10 NAME"
                )
            elif not 4 <= int(match["cost"]) <= HIGHEST_COST:
                self._problem(key, f"the cost of the hash, its second number, must be from 4 to {HIGHEST_COST}")
            else:
                found[name] = Secret(str(text))
        return found

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        http = self._section(self._tree, HTTP)
        if http is None:
            return ()
        self.check_names(HTTP, http, ("http2", "headers"))
        self._value(http, HTTP, "http2", kinds.BOOLEAN)  # a permission: HTTP/1.1, spoken here, is always allowed
        section = self._section(http, HEADERS)
        if section is None:
            return ()
        self.check_names(HEADERS, section, tuple(_HEADER_VALUES))
        found: list[tuple[bytes, bytes]] = []
        for name, allowed in _HEADER_VALUES.items():
            value = self._value(section, HEADERS, name, kinds.choice(*allowed) if allowed else kinds.TEXT)
            if value is None:
                continue
            if not kinds.is_header_value(value):
                self._problem(f"{HEADERS}.{name}", "the value of a header is one line of ASCII")
            else:
                found.append((name.lower().encode("ascii"), value.strip().encode("ascii")))
        return tuple(found)

    def check_names(self, section: str, node: Map, known: tuple[str, ...]) -> None:
        """Note every key of a section that is not among the known."""
        for number, (name, entry) in enumerate(node.entries.items(), 1):
            if name in known:
                continue
            shown = name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,39}", name) else f"(key {number})"
            dotted = f"{section}.{shown}" if section else shown
            message = _NOT_SUPPORTED.get(dotted, f"unknown key; known here: {', '.join(known)}")
            self.problems.append(Problem(str(self._file), entry.place.line, entry.place.column, dotted, message))

    def _client_auth_type(self, section: Map, authority: Path | None) -> str:
        key = f"{TLS}.client_auth_type"
        node = child(section, "client_auth_type")
        if isinstance(node, Scalar) and node.value in _NOT_VERIFYING:
            self.places[key] = node.place
            self._problem(key, f"this lets in any certificate, which protects nothing: write {_VERIFYING[1]}")
            return "NoClientCert"
        chosen = self._value(section, TLS, "client_auth_type", kinds.choice(*CLIENT_AUTH_TYPES))
        if chosen in _VERIFYING and authority is None and child(section, "client_ca_file") is None:
            self._problem(key, "name in client_ca_file the authority that signs the clients' certificates")
        if authority is not None and chosen in (None, "NoClientCert") and not self._is_wrong(key):
            self._problem(
                f"{TLS}.client_ca_file",
                f"without effect, as no client is asked: add 'client_auth_type: {_VERIFYING[1]}'",
            )
        return chosen or "NoClientCert"

    def _cipher_suites(self, section: Map, highest: str) -> tuple[str, ...] | None:
        chosen = self._names(section, "cipher_suites", tuple(CIPHER_SUITES))
        if not chosen:
            return None
        suites = tuple(name for suite in chosen if (name := CIPHER_SUITES[suite]) is not None)
        if not suites and highest == "TLS12":
            self._problem(f"{TLS}.cipher_suites", "all of these are of TLS 1.3, which max_version forbids")
        return suites

    def _curve(self, section: Map) -> str | None:
        chosen = self._names(section, "curve_preferences", tuple(CURVES))
        if len(chosen) > 1:
            self._problem(f"{TLS}.curve_preferences", "an order of several is not supported here: keep one, or none")
        return CURVES[chosen[0]] if chosen else None

    def _names(self, section: Map, name: str, known: tuple[str, ...]) -> list[str]:
        """A list of words of a closed set."""
        node, key = child(section, name), f"{TLS}.{name}"
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return []
        self.places[key] = node.place
        if not isinstance(node, Sequence):
            self._problem(key, "write a list: one line '- NAME' for each")
            return []
        found = []
        for item in node.items:
            if isinstance(item, Scalar) and item.value in known:
                found.append(str(item.value))
            else:
                self._add(item.place, key, f"found {kinds.describe(item, secret=False)}; known are: {', '.join(known)}")
        return found

    def _path(self, section: Map, name: str) -> Path | None:
        text = self._value(section, TLS, name, kinds.FILE_PATH)
        return self._file.parent / text if text else None

    def _path_needed(self, section: Map, name: str) -> Path | None:
        path = self._path(section, name)
        key = f"{TLS}.{name}"
        if path is None and not self._is_wrong(key):
            self._add(self.places.get(key, self.places[TLS]), key, "missing: TLS needs a cert_file and a key_file")
        return path

    def _section(self, parent: Map, dotted: str) -> Map | None:
        """A map that says something; an empty one, or none, is as absent."""
        node = child(parent, dotted.rpartition(".")[2])
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return None
        self.places[dotted] = node.place
        if not isinstance(node, Map):
            self._problem(
                dotted, f"found {kinds.describe(node, secret=True)}; write a map: the keys below it, indented"
            )
            return None
        return node if node.entries else None

    def _value(self, section: Map, dotted: str, name: str, kind: Kind[T]) -> T | None:
        node, key = child(section, name), f"{dotted}.{name}"
        if node is None:
            return None
        self.places[key] = node.place
        try:
            return kind.read(node)
        except WrongValueError as error:
            self._problem(key, f"found {_described(node, key)}; {error}")
            return None

    def _problem(self, key: str, message: str) -> None:
        self._add(self.places.get(key, Place(0, 0)), key, message)

    def _add(self, place: Place, key: str, message: str) -> None:
        self.problems.append(Problem(str(self._file), place.line, place.column, key, message))

    def _is_wrong(self, key: str) -> bool:
        return any(problem.key == key for problem in self.problems)


def _described(node: Node, key: str) -> str:
    """What was found; not the text where somebody may have put a key instead of its file."""
    return kinds.describe(node, secret=key.endswith("_file"))
