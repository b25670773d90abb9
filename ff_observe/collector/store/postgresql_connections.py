"""Connections to PostgreSQL, and how another thread interrupts one that waits for an answer."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ff_observe.collector.store.model import StoreError
from ff_observe.config.secret import Secret

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 5
CONNECT_SECONDS_EACH = 2
"""Of several hosts: one that hangs delays a fail-over to the next."""

NOTICES_A_CUT = 140_000
"""The first version of PostgreSQL that ends a statement whose client is gone, instead of computing on."""

COMMON = "-c timezone=UTC -c datestyle=ISO -c client_encoding=UTF8 -c default_transaction_isolation=read\\ committed"
WRITING = f"{COMMON} -c lock_timeout=9s -c statement_timeout=10s -c synchronous_commit=on"
"""A commit is on the disk before it returns."""
READING = f"{COMMON} -c lock_timeout=5s -c statement_timeout=300s -c max_parallel_workers_per_gather=0"
"""A count uses at most one of the server's cores."""
REWRITING = f"{COMMON} -c lock_timeout=2s -c statement_timeout=300s"
"""Pings wait behind a lock that is waited for, for less than their own limit."""
LOCKING = f"{COMMON} -c idle_in_transaction_session_timeout=0"
"""A transaction that does nothing but hold an advisory lock."""
_TRACKED = {"TimeZone": "UTC", "DateStyle": "ISO"}
"""What PgBouncer, which drops the options above, keeps for each client apart once it is set."""


def names_several_hosts(url: Secret) -> bool:
    """Whether the URL says where else the database can be after a fail-over."""
    named = conninfo_to_dict(url.reveal())
    return any("," in str(named.get(name, "")) for name in ("host", "hostaddr", "port"))


def parameters(url: Secret, options: str) -> dict[str, Any]:
    """How to connect: what the URL says, and the settings of every connection. Of several hosts the one that can be
    written to, unless the URL asks for another."""
    several = names_several_hosts(url)
    named = conninfo_to_dict(url.reveal())
    return {
        **({"target_session_attrs": "read-write"} if several else {}),
        **({"hostaddr": ""} if "host" in named else {}),  # PGHOSTADDR would send the password to another host
        **named,
        "autocommit": True,
        "connect_timeout": CONNECT_SECONDS_EACH if several else CONNECT_SECONDS,
        "application_name": "ff-observe-collector",
        "options": options,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 30,
    }


def connect(url: Secret, options: str) -> Connection:
    """A blocking connection. It leaves no prepared statement to others behind a pooler."""
    connection = psycopg.connect(**parameters(url, options), prepare_threshold=None)
    for name, value in _TRACKED.items():
        if not (connection.info.parameter_status(name) or "").startswith(value):
            connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    if connection.info.server_version >= NOTICES_A_CUT:
        with contextlib.suppress(psycopg.errors.InvalidParameterValue):  # a server on Windows cannot
            connection.execute("SET client_connection_check_interval = '1s'")
    return connection


def cut(connection: Connection | AsyncConnection) -> None:
    """Fail a call that waits for the server. Not by a cancel request, which a server that hangs would not answer
    either."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
        ours.shutdown(socket.SHUT_RDWR)


class Interruption:
    """On request, cuts all connections in use, in any thread, and all later ones."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()  # once closed, another connection could have got its number

    @contextlib.contextmanager
    def of(self, connection: Connection) -> Iterator[None]:
        """The connection can be interrupted while the block lasts."""
        with self._lock:
            self._connections.add(connection)
            if self.requested.is_set():
                cut(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.remove(connection)

    def request(self) -> None:
        with self._lock:
            self.requested.set()
            for connection in self._connections:
                cut(connection)


@contextlib.contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Raise psycopg's errors as `StoreError`, with their type alone: their text may quote values or a password."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL could not {what}: {kind(error)}") from None


def kind(error: psycopg.Error) -> str:
    """What may be said of an error: see `failing_as`."""
    if isinstance(error, psycopg.OperationalError) and not error.sqlstate:
        return "it cannot be reached, or does not let this user into this database"
    state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    return f"{type(error).__name__}{state}"
