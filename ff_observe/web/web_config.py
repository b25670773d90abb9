"""Reads a web configuration file into `WebConfig`, reporting every problem with its place.

The format is that of Prometheus' exporter-toolkit (github.com/prometheus/exporter-toolkit, docs/web-configuration.md),
so that a file written for other exporters works here too. Unsupported settings are refused, never ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ff_observe.config import kinds
from ff_observe.config.key import FileKeys, Key, declared, filled_by
from ff_observe.config.kind import Kind, WrongValueError, refuse
from ff_observe.config.known_keys import check_keys
from ff_observe.config.nodes import Map, Node, Place, Scalar
from ff_observe.config.reader import Reader, read_tree
from ff_observe.config.secret import Secret
from ff_observe.errors import Problem

TLS: Final = "tls_server_config"
HTTP: Final = "http_server_config"
HEADERS: Final = f"{HTTP}.headers"
USERS: Final = "basic_auth_users"

HIGHEST_COST: Final = 18
"""The cost of a bcrypt hash: some ten seconds of computation, the time Prometheus waits for a scrape."""

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
"""Names of the format → OpenSSL's. None for the suites of TLS 1.3, which cannot be chosen (nor in Go)."""

CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

_VERIFYING: Final = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
CLIENT_AUTH_TYPES: Final = ("NoClientCert", *_VERIFYING)
"""From the least strict to the strictest."""

_NOT_VERIFYING: Final = ("RequestClientCert", "RequireAnyClientCert")

_NOT_SUPPORTED: Final = {
    f"{TLS}.cert": "a certificate inside the file is not supported; write it to a file and name that in cert_file",
    f"{TLS}.key": "a key inside the file is not supported; write it to a file and name that in key_file",
    f"{TLS}.client_ca": "an authority inside the file is not supported; write it to a file named in client_ca_file",
    f"{TLS}.client_allowed_sans": "not supported here; let the authority in client_ca_file sign only who may scrape",
    "rate_limit": "not supported here, and not needed: however many scrape, the database is asked once",
}


def _users(node: Node) -> Mapping[str, Secret] | None:
    if isinstance(node, Scalar) and node.value is None:
        return None
    if not isinstance(node, Map):
        raise WrongValueError("write a map: one line 'NAME: HASH' for each user")
    users: dict[str, Secret] = {}
    mistakes: list[WrongValueError] = []
    for number, (name, entry) in enumerate(node.entries.items(), 1):
        try:
            users[name] = _user(name, entry.value)
        except WrongValueError as error:
            shown = name if re.fullmatch("[A-Za-z0-9_.@-]{1,40}", name, re.ASCII) else f"(user {number})"
            mistakes.append(WrongValueError(str(error), entry.value.place, shown))
    refuse(mistakes)
    return users


def _user(name: str, node: Node) -> Secret:
    if not name or ":" in name or not name.isprintable():
        raise WrongValueError("the name of a user must not be empty, nor hold a colon or a control character")
    text = node.value if isinstance(node, Scalar) else None
    match = _HASH.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise WrongValueError("write a bcrypt hash ($2y$…), never the password; make one with: htpasswd -nBC 10 NAME")
    if not 4 <= int(match["cost"]) <= HIGHEST_COST:
        raise WrongValueError(f"the cost of the hash, its second number, must be from 4 to {HIGHEST_COST}")
    return Secret(match.string)


def _client_auth_type(node: Node) -> str | None:
    if isinstance(node, Scalar) and node.value in _NOT_VERIFYING:
        raise WrongValueError(f"this lets in any certificate, which protects nothing: write {_VERIFYING[1]}")
    return kinds.choice(*CLIENT_AUTH_TYPES).read(node)


_VERSIONS: Final = kinds.choice("TLS12", "TLS13")

CERT_FILE = Key(f"{TLS}.cert_file", kinds.PATH, "Certificate in PEM, with its chain; needed for TLS.")
KEY_FILE = Key(f"{TLS}.key_file", kinds.PATH, "Its key in PEM, without password; needed for TLS.")
CLIENT_CA_FILE = Key(f"{TLS}.client_ca_file", kinds.PATH, "Authority in PEM that signs the clients' certificates.")
CLIENT_AUTH_TYPE = Key(
    f"{TLS}.client_auth_type",
    Kind(" or ".join(f"`{word}`" for word in CLIENT_AUTH_TYPES), _client_auth_type),
    "Whether clients show a certificate; all but the first need `client_ca_file`.",
    default="NoClientCert",
)
MIN_VERSION = Key(f"{TLS}.min_version", _VERSIONS, "Lowest version of TLS.", default="TLS12")
MAX_VERSION = Key(f"{TLS}.max_version", _VERSIONS, "Highest version of TLS.", default="TLS13")
SUITES = Key(
    f"{TLS}.cipher_suites",
    kinds.words(CIPHER_SUITES),
    "Cipher suites of TLS 1.2. If all named are of TLS 1.3, TLS 1.2 is off.",
    otherwise="OpenSSL's",
)
CURVE_PREFERENCES = Key(f"{TLS}.curve_preferences", kinds.words(CURVES), "One curve.", otherwise="OpenSSL's")
PREFER_SERVER_CIPHER_SUITES = Key(
    f"{TLS}.prefer_server_cipher_suites",
    kinds.BOOLEAN,
    "Whether the server's order of cipher suites counts, not the client's.",
    default=True,
)
HTTP2 = Key(f"{HTTP}.http2", kinds.BOOLEAN, "Accepted and not used: HTTP/1.1 is spoken.")
BASIC_AUTH_USERS = Key(
    USERS,
    Kind("map of bcrypt hashes by name", _users),
    f"Users with the hash of their password: `$2a$`, `$2b$` or `$2y$` with a cost up to {HIGHEST_COST}.",
    secret=True,
)
HEADER_KEYS: Final = tuple(
    Key(f"{HEADERS}.{name}", kind, "Sent with every answer.")
    for name, kind in (
        ("Content-Security-Policy", kinds.HEADER_VALUE),
        ("X-Frame-Options", kinds.choice("deny", "sameorigin")),
        ("X-Content-Type-Options", kinds.choice("nosniff")),
        ("X-XSS-Protection", kinds.HEADER_VALUE),
        ("Strict-Transport-Security", kinds.HEADER_VALUE),
    )
)
WEB_CONFIG: Final = FileKeys((*declared(globals()), *HEADER_KEYS), refused=_NOT_SUPPORTED)


@dataclass(frozen=True, slots=True)
class TlsServerConfig:
    """`tls_server_config`. Names of cipher suites and of the curve are OpenSSL's."""

    cert_file: Path = filled_by(CERT_FILE, required=True)
    key_file: Path = filled_by(KEY_FILE, required=True)
    client_ca_file: Path | None = filled_by(CLIENT_CA_FILE)
    client_auth_type: str = filled_by(CLIENT_AUTH_TYPE)
    min_version: str = filled_by(MIN_VERSION)
    max_version: str = filled_by(MAX_VERSION)
    cipher_suites: tuple[str, ...] | None = None  # empty: none of TLS 1.2
    curve: str | None = None
    prefer_server_cipher_suites: bool = filled_by(PREFER_SERVER_CIPHER_SUITES)

    @property
    def files(self) -> Mapping[Key[Any], Path]:
        """The files that are named, by their keys."""
        named = {CERT_FILE: self.cert_file, KEY_FILE: self.key_file, CLIENT_CA_FILE: self.client_ca_file}
        return {key: file for key, file in named.items() if file is not None}


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The content of a web configuration file. `users` are bcrypt hashes by name; `headers` are added to every
    answer."""

    file: Path
    tls: TlsServerConfig | None = None
    users: Mapping[str, Secret] = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)

    def problem(self, key: str, message: str) -> Problem:
        """A problem with the value of `key` (dotted), found while using it."""
        place = self.places.get(key, Place(0, 0))
        return Problem(str(self.file), place.line, place.column, key, message)


def read_web_config(file: Path) -> WebConfig:
    """The file's content; the files it names are not opened. Raises `ConfigurationError` with every problem."""
    tree = read_tree(file)
    if tree is None:
        return WebConfig(file)
    reader = Reader(file, tree, WEB_CONFIG, file.parent)
    config = read_sections(reader, file)
    reader.problems += check_keys(reader)
    reader.finish()
    return config


def read_sections(reader: Reader, file: Path) -> WebConfig:
    """The values of the reader's file. The reader collects problems, and which keys were read."""
    reader.value(HTTP2)  # a permission: HTTP/1.1 is always allowed
    return WebConfig(
        file,
        tls=_tls(reader) if reader.section(TLS) else None,
        users=reader.value(BASIC_AUTH_USERS) or {},
        headers=tuple(
            (key.path.rpartition(".")[2].lower().encode("ascii"), value.strip().encode("ascii"))
            for key in HEADER_KEYS
            if (value := reader.value(key)) is not None
        ),
        places={key.path: reader.place(key.path) for key in WEB_CONFIG.keys},
    )


def _tls(reader: Reader) -> TlsServerConfig:
    suites, curves = reader.value(SUITES), reader.value(CURVE_PREFERENCES) or ()
    tls = reader.fill(
        TlsServerConfig,
        cipher_suites=tuple(name for suite in suites if (name := CIPHER_SUITES[suite])) if suites else None,
        curve=CURVES[curves[0]] if curves else None,
    )
    for key, path in ((CERT_FILE, tls.cert_file), (KEY_FILE, tls.key_file)):
        _require(reader, key, path is not None, "missing: TLS needs a cert_file and a key_file")
    _require(
        reader,
        CLIENT_AUTH_TYPE,
        tls.client_auth_type not in _VERIFYING or tls.client_ca_file is not None or reader.is_wrong(CLIENT_CA_FILE),
        "name in client_ca_file the authority that signs the clients' certificates",
    )
    _require(
        reader,
        CLIENT_CA_FILE,
        tls.client_ca_file is None or tls.client_auth_type in _VERIFYING or reader.is_wrong(CLIENT_AUTH_TYPE),
        f"without effect, as no client is asked: add 'client_auth_type: {_VERIFYING[1]}'",
    )
    too_high = "min_version is above max_version: no client could connect"
    _require(reader, MIN_VERSION, tls.min_version <= tls.max_version, too_high)
    _require(
        reader,
        SUITES,
        tls.cipher_suites != () or tls.max_version != "TLS12",
        "all of these are of TLS 1.3, which max_version forbids",
    )
    _require(reader, CURVE_PREFERENCES, len(curves) < 2, "an order of several is not supported here: keep one, or none")
    return tls


def _require(reader: Reader, key: Key[Any], holds: bool, otherwise: str) -> None:
    """Note a violated rule between keys, unless the value itself is already wrong."""
    if not holds and not reader.is_wrong(key):
        reader.problem(key.path, otherwise)
