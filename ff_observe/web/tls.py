"""The TLS context that a web configuration asks for."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.web.web_config import TLS, TlsServerConfig, WebConfig

_VERIFY: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSION: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


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
    # A password, though none is known: without it OpenSSL would ask on the terminal, and wait.
    _using(config, "cert_file", lambda: context.load_cert_chain(tls.cert_file, tls.key_file, password=""))
    if tls.client_ca_file is not None:
        _using(config, "client_ca_file", lambda: context.load_verify_locations(cafile=tls.client_ca_file))
    context.verify_mode = _VERIFY[tls.client_auth_type]
    return context


def _refuse_unreadable(config: WebConfig, tls: TlsServerConfig) -> None:
    """OpenSSL opens files by itself, and would wait for ever on a pipe."""
    files: dict[str, Path | None] = {
        "cert_file": tls.cert_file,
        "key_file": tls.key_file,
        "client_ca_file": tls.client_ca_file,
    }
    problems: list[Problem] = []
    for name, path in files.items():
        try:
            if path is not None:
                read_text(path)
        except UnreadableFileError as error:
            problems.append(config.problem(f"{TLS}.{name}", f"the file it names cannot be used: {error}"))
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
