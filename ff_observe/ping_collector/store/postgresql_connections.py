"""Connections to PostgreSQL, and how another thread ends what waits for its answer."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg

from ff_observe.config.secret import Secret

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 5


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
