"""TLS, users and token from the files that the settings name, read again as soon as one of them has changed.

As in Prometheus' exporter-toolkit no restart and no signal is needed: each request and each handshake checks whether
the files have changed, which takes microseconds. An invalid new file changes nothing, and neither does one that secures
less: a file that is truncated while it is being written is often valid. To remove protection, use SIGHUP or a restart.
"""

import logging
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.secret import Secret
from ff_observe.errors import ConfigurationError, FFObserveError, Problem
from ff_observe.http.messages import Answer
from ff_observe.http.messages import text as text_answer
from ff_observe.web.authentication import Authenticator
from ff_observe.web.web_config import (
    CLIENT_AUTH_TYPES,
    HEADERS,
    TLS,
    USERS,
    TlsServerConfig,
    WebConfig,
    read_web_config,
)

log = logging.getLogger(__name__)

LARGEST_TOKEN_FILE: Final = 4096  # bytes

_VERIFY: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSION: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

_Signature = tuple[int, int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class Security:
    """The security in force at a moment. `context` is None without TLS, `unauthorized` answers requests that are
    denied."""

    config: WebConfig
    token: Secret | None
    token_is_whole: bool
    authenticator: Authenticator
    context: ssl.SSLContext | None
    unauthorized: Answer

    def identifies_clients(self, *, over_tls: bool) -> bool:
        """Whether a request that is allowed has shown a password, the token or, `over_tls` of ours, a certificate."""
        tls = self.config.tls if over_tls else None
        return not self.authenticator.is_open or (tls is not None and tls.client_auth_type == CLIENT_AUTH_TYPES[-1])


class WebSecurity:
    """The security that the files describe. Raises `ConfigurationError` if they cannot be used, only when it is
    created."""

    def __init__(self, web_config_file: Path | None, bearer_token_file: Path | None) -> None:
        self._web_config_file = web_config_file
        self._bearer_token_file = bearer_token_file
        self._watched: dict[Path, _Signature] = {}
        self._failing = False
        self._current = self._read()

    @property
    def tls(self) -> bool:
        """Whether connections are TLS. Constant: re-reading never turns a plain listener into a TLS one or vice
        versa."""
        return self._current.context is not None

    @property
    def secures(self) -> bool:
        """Whether there is TLS, a user or a token: response headers alone do not authenticate."""
        return self.tls or not self._current.authenticator.is_open

    def context(self) -> ssl.SSLContext:
        """The context for a new connection; call it only if there is TLS."""
        context = self.current().context
        if context is None:
            raise FFObserveError("no TLS is configured")
        return context

    def current(self) -> Security:
        for path, signature in self._watched.items():
            if _signature(path) != signature:
                self._read_again()
                break
        return self._current

    def _read_again(self) -> None:
        try:
            new = self._read(self._current)
            if (new.context is None) is self.tls:
                # The listening socket uses either, and clients are configured for it.
                raise FFObserveError(f"{self._web_config_file}: switching TLS on or off needs a restart")  # noqa: TRY301 - reported like any other
            if missing := taken_away(self._current, new):
                names = " and ".join(missing)
                raise FFObserveError(  # noqa: TRY301 - as above
                    f"{self._web_config_file or self._bearer_token_file}: {names} secured more before; if the file is "
                    "complete and means it, send SIGHUP or restart"
                )
        except FFObserveError as error:
            level = logging.DEBUG if self._failing else logging.WARNING
            self._failing = True
            for line in (*str(error).splitlines(), "the old web configuration stays in use"):
                log.log(level, "%s", line)
            return
        self._current = new
        self._failing = False
        log.info("the web configuration was read again")

    def _read(self, previous: Security | None = None) -> Security:
        """Read everything; the files to watch are recorded first, so that a change while reading is noticed later."""
        files = [path for path in (self._web_config_file, self._bearer_token_file) if path is not None]
        watched = {path: _signature(path) for path in files}
        self._watched = {**{path: _signature(path) for path in self._watched}, **watched}
        config = WebConfig(Path()) if self._web_config_file is None else read_web_config(self._web_config_file)
        if config.tls is not None:
            watched |= {path: _signature(path) for path in config.tls.files.values()}
        self._watched = watched
        if config.users and find_spec("bcrypt") is None:
            message = "users need the package bcrypt: pip install 'ff-observe[web-auth]'"
            raise ConfigurationError((config.problem(USERS, message),))
        token, token_is_whole = (None, True) if self._bearer_token_file is None else read_token(self._bearer_token_file)
        context = None if config.tls is None else server_context(config, config.tls)
        authenticator = Authenticator(config.users, token, previous.authenticator if previous else None)
        unauthorized = text_answer(401, "Show a user and password, or a token.", *authenticator.challenges())
        return Security(config, token, token_is_whole, authenticator, context, unauthorized)


def taken_away(old: Security, new: Security) -> list[str]:
    """The keys of `old` that `new` lacks or weakens."""
    found = []
    if new.authenticator.is_open and not old.authenticator.is_open:
        found.append(USERS)
    if (
        old.token is not None
        and new.token is not None
        and not new.token_is_whole
        and len(new.token.reveal()) < len(old.token.reveal())
    ):
        found.append("the token")
    before, after = old.config.tls, new.config.tls
    if before is not None and after is not None:
        if CLIENT_AUTH_TYPES.index(after.client_auth_type) < CLIENT_AUTH_TYPES.index(before.client_auth_type):
            found.append(f"{TLS}.client_auth_type")
        if after.min_version < before.min_version:
            found.append(f"{TLS}.min_version")
        if before.cipher_suites is not None and after.cipher_suites is None:
            found.append(f"{TLS}.cipher_suites")
        if before.curve is not None and after.curve is None:
            found.append(f"{TLS}.curve_preferences")
    if {name for name, _ in old.config.headers} - {name for name, _ in new.config.headers}:
        found.append(HEADERS)
    return found


def read_token(file: Path) -> tuple[Secret, bool]:
    """The token in a file, without surrounding white space, and whether its line is terminated.

    Raises `ConfigurationError`; never shows the token.
    """
    try:
        text = read_text(file, LARGEST_TOKEN_FILE)
    except UnreadableFileError as error:
        raise ConfigurationError((Problem(str(file), error.line, error.column, "", str(error)),)) from None
    token = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token, re.ASCII):  # RFC 6750, 2.1
        message = "the file must hold one token of the characters A-Z a-z 0-9 - . _ ~ + / and nothing else"
        raise ConfigurationError((Problem(str(file), 0, 0, "", message),))
    return Secret(token), text.endswith("\n")


def server_context(config: WebConfig, tls: TlsServerConfig) -> ssl.SSLContext:
    """A context with everything loaded. Raises `ConfigurationError` for files that cannot be used."""
    _refuse_unreadable(config, tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSION[tls.min_version], _VERSION[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    if tls.cipher_suites:
        _using(config, "cipher_suites", lambda: context.set_ciphers(":".join(tls.cipher_suites or ())))
    elif tls.cipher_suites is not None:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if tls.curve is not None:
        curve = tls.curve
        _using(config, "curve_preferences", lambda: context.set_ecdh_curve(curve))
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    # With an empty password: without one OpenSSL would prompt on the terminal, and wait.
    _using(config, "cert_file", lambda: context.load_cert_chain(tls.cert_file, tls.key_file, password=""))
    if tls.client_ca_file is not None:
        _using(config, "client_ca_file", lambda: context.load_verify_locations(cafile=tls.client_ca_file))
    context.verify_mode = _VERIFY[tls.client_auth_type]
    return context


def _refuse_unreadable(config: WebConfig, tls: TlsServerConfig) -> None:
    """OpenSSL opens files by itself, and would wait for ever on a pipe."""
    problems: list[Problem] = []
    for key, path in tls.files.items():
        try:
            read_text(path)
        except UnreadableFileError as error:
            problems.append(config.problem(key.path, f"the file it names cannot be used: {error}"))
    if problems:
        raise ConfigurationError(tuple(sorted(problems)))


def _using(config: WebConfig, name: str, load: Callable[[], object]) -> None:
    try:
        load()
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise ConfigurationError((config.problem(f"{TLS}.{name}", _explained(name, error)),)) from None


def _explained(name: str, error: Exception) -> str:
    reason = (getattr(error, "reason", None) or "").replace("_", " ").lower()
    if name in ("cipher_suites", "curve_preferences"):
        return "the TLS library of this Python does not offer this"
    if reason == "key values mismatch":
        return "cert_file and key_file do not belong together: the key is not that of the certificate"
    because = f" ({reason})" if reason else ""
    if name == "client_ca_file":
        return f"the file it names holds no certificate in PEM form{because}"
    return f"cert_file must hold a certificate, and key_file its key without password, both in PEM form{because}"


def _signature(path: Path) -> _Signature:
    """Changes if the file does, also if it is replaced (as Kubernetes does); None if it does not exist."""
    try:
        found = os.stat(path)  # noqa: PTH116 - some ten times per second, and three times as fast
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
