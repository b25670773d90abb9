"""Validates PEM files at start-up instead of on the first failing connection."""

from pathlib import Path


def problem_with_authority(certificate: Path) -> str | None:
    """The problem with a file of trusted authorities; None if there is none."""
    import ssl  # as slow to import as all of the configuration, and rarely needed

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        return f"{certificate} holds no certificate in PEM"
    except OSError as error:
        return f"{certificate} cannot be read: {error.strerror}"
    return None


def problem_with_pair(certificate: Path | None, key: Path | None) -> str | None:
    """The problem with a client certificate and its key; None if there is none, or neither is named."""
    import ssl

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        return "a certificate and its key go together (one file may hold both: name it twice)"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError):
        return f"{certificate} and {key} are no certificate and its unencrypted key in PEM"
    except OSError as error:
        return f"{certificate} or {key} cannot be read: {error.strerror}"
    return None
