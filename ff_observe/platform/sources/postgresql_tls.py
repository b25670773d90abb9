"""How a connection to FlowFuse's PostgreSQL is encrypted, and which authorities are trusted.

As in FlowFuse (`forge/db/index.js`, the npm package `pg`): any truthy `db.ssl` verifies chain and host name.
"""

import contextlib
import os
import socket
import ssl
import struct
import tempfile
from collections.abc import Iterator
from typing import Any

from ff_observe.config.pem import problem_with_authority
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.delivery.trust import authorities, explain
from ff_observe.system.presence import is_file

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL, "Message Formats", SSLRequest
_NO_FILE = f"{os.devnull}/none"


@contextlib.contextmanager
def tls_options(database: PostgreSQLDatabase) -> Iterator[dict[str, Any]]:
    """libpq's parameters, valid until the block ends. Raises `OSError` for a missing file of authorities."""
    if not database.ssl:
        yield {}
        return
    # GSSAPI would come first if the user has a ticket, and without a certificate.
    options = {"gssencmode": "disable"}
    if database.accept_any_certificate:
        # libpq would verify against ~/.postgresql/root.crt if no other file were named. A server that is not verified
        # gets no password in clear text.
        yield {**options, "sslmode": "require", "sslrootcert": _NO_FILE, "require_auth": "!password"}
        return
    # libpq in psycopg's wheels has an OpenSSL that looks for the system's authorities elsewhere.
    with _file_of(_trusted(database)) as path:
        yield {**options, "sslmode": "verify-full", "sslrootcert": path}


def explain_refusal(database: PostgreSQLDatabase, seconds: float) -> str | None:
    """Why the server's certificate is refused, which libpq does not report: repeats the handshake with Python's
    `ssl`. None if this handshake works or the server cannot be reached."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=_trusted(database).decode("ascii", "ignore"))  # comments may be in UTF-8
        with socket.create_connection((database.host, database.port), seconds) as raw:
            raw.sendall(_SSL_REQUEST)
            if raw.recv(1) == b"S":
                context.wrap_socket(raw, server_hostname=database.host).close()
    except ssl.SSLCertVerificationError as error:
        return explain(error.verify_message, database.ca_file_from, database.ca_file)
    except (OSError, ValueError):
        return None
    return None


def _trusted(database: PostgreSQLDatabase) -> bytes:
    """The authorities in PEM. A file named for the database is trusted alone, as libpq does with PGSSLROOTCERT."""
    if database.ca_file is not None:
        if (problem := problem_with_authority(database.ca_file)) is not None:
            raise OSError(f"{problem} ({database.ca_file_from} names it)")
        return database.ca_file.read_bytes()
    extra = database.extra_ca_file
    return authorities(*((extra,) if extra is not None and is_file(extra) else ()))


@contextlib.contextmanager
def _file_of(content: bytes) -> Iterator[str]:
    """A temporary file for one connection attempt, in memory if possible: containers may have no writable disk."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("authorities"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
