"""Connections to PostgreSQL, and how another thread ends what waits for its answer."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg

from ff_observe.collector.store.model import StoreError
from ff_observe.config.secret import Secret

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 5

COMMON = "-c timezone=UTC -c client_encoding=UTF8 -c default_transaction_isolation=read\\ committed"
WRITING = f"{COMMON} -c lock_timeout=9s -c statement_timeout=10s -c synchronous_commit=on"
"""A commit is on the disk before it returns."""
READING = f"{COMMON} -c lock_timeout=5s -c statement_timeout=300s -c max_parallel_workers_per_gather=0"
"""A count takes one of the server's cores at most."""


def parameters(options: str) -> dict[str, Any]:
    """What every connection has, whatever the URL says."""
    return {
        "autocommit": True,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "ff-observe-collector",
        "options": options,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 30,
    }


def connect(url: Secret, options: str) -> Connection:
    """A connection that blocks."""
    return psycopg.connect(url.reveal(), **parameters(options))


def cut(connection: Connection | AsyncConnection) -> None:
    """Have what waits for the server fail. No cancel request: who does not answer would not answer that either."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
        ours.shutdown(socket.SHUT_RDWR)


class Interruption:
    """Cuts connections in use in any thread, once it is requested: those there are, and those that come."""

    def __init__(self) -> None:
        self.requested = False
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()  # a connection that is closed meanwhile could have left its number to another

    @contextlib.contextmanager
    def of(self, connection: Connection) -> Iterator[None]:
        """The connection can be interrupted while the block lasts."""
        with self._lock:
            self._connections.add(connection)
            if self.requested:
                cut(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.remove(connection)

    def request(self) -> None:
        with self._lock:
            self.requested = True
            for connection in self._connections:
                cut(connection)


@contextlib.contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Raise psycopg's errors as `StoreError`, with their kind alone: their text may quote values or a password."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL could not {what}: {_kind(error)}") from None


def _kind(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.OperationalError) and not error.sqlstate:
        return "it cannot be reached, or does not let this user into this database"
    state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    return f"{type(error).__name__}{state}"
