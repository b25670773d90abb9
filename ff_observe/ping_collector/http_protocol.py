"""HTTP/1.1 of uvicorn, with the limits that a service open to anyone needs: on time, on size, on connections.

Nothing here logs: what uvicorn would say about a connection can hold the address of its other end.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ff_observe.ping_collector.acceptance import Reason, Refusal
from ff_observe.ping_collector.responses import error_bytes

_SILENT = logging.Logger("ff_observe.ping_collector.http", level=sys.maxsize)

RefusalObserver = Callable[[Reason], None]
ClosingObserver = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """A request has `request_seconds` to arrive in full, however it trickles; idle connections live `idle_seconds`."""

    request_seconds: float = 10.0
    idle_seconds: float = 10.0
    head_bytes: int = 32 * 1024
    request_bytes: int = 512 * 1024  # on the wire: the largest body in chunks of one byte each fits
    connections: int = 15_000


class _WholeAnswers:
    """Holds the head of an answer back until its body comes: one write (and packet) instead of two."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """An answer without a body (to HEAD) is complete, too."""
        head, self._head = self._head, b""
        self._transport.write(head)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self.flush()
        self._transport.close()


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
        on_refusal: RefusalObserver,
        on_closing: ClosingObserver,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _SILENT
        self.access_log = False
        self._limits = limits
        self._on_refusal = on_refusal
        self._on_closing = on_closing
        self._begun = 0
        self._bytes = 0
        self._in_head = True
        self.arriving_since: float | None = None
        """Since when (monotonic) a request is awaited or arriving; None while one is complete and being answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        super().connection_made(transport)
        self._whole_answers = _WholeAnswers(transport)
        self.arriving_since = time.monotonic()
        if len(self.connections) > self._limits.connections:
            self._on_closing("too_many")
            self._one_that_waits().transport.abort()

    def _one_that_waits(self) -> "LimitedProtocol":
        """A connection whose request has not arrived; this one if all others are being answered. Closing the newest
        instead would leave out everybody while somebody holds as many as there may be."""
        for other in self.connections:
            if isinstance(other, LimitedProtocol) and other is not self and other._waits():
                return other
        return self

    def _waits(self) -> bool:
        return self.arriving_since is not None and not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if self.arriving_since is None and idle:
            self.arriving_since = time.monotonic()
        begun = self._begun
        super().data_received(data)
        if self._begun - begun > idle:
            return  # the bytes of earlier requests are in `data` too; this one's are counted from the next on
        self._bytes += len(data)
        if self._bytes > (self._limits.head_bytes if self._in_head else self._limits.request_bytes):
            self._refuse(Refusal(Reason.TOO_LARGE))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun += 1
        self._bytes = 0
        self._in_head = True
        self.arriving_since = time.monotonic()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.transport = self._whole_answers  # type: ignore[assignment]  # all of a transport that it uses

    def on_message_complete(self) -> None:
        self.arriving_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._whole_answers.flush()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as everything else is answered: with JSON."""
        self._refuse(Refusal(Reason.MALFORMED_HTTP))

    def close_if_slow(self, now: float) -> None:
        """Close the connection if its request does not arrive in time."""
        if self.arriving_since is None or now - self.arriving_since < self._limits.request_seconds:
            return
        if not self.transport.is_closing():
            self._on_closing("too_slow")
            if self._begun and not (self.cycle and self.cycle.response_complete):
                self._refuse(Refusal(Reason.TOO_SLOW))
            else:
                self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, unless an answer is under way, and close."""
        if self.transport.is_closing():
            return
        self._on_refusal(refusal.reason)
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            body = error_bytes(refusal)
            status = HTTPStatus(refusal.status)
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + body)
        self.transport.close()


async def close_slow_connections(state: ServerState, interval_seconds: float = 1.0) -> None:
    """Looks at all connections again and again: one timer for all instead of one for each."""
    while True:
        await asyncio.sleep(interval_seconds)
        now = time.monotonic()
        for connection in list(state.connections):
            if isinstance(connection, LimitedProtocol):
                connection.close_if_slow(now)
