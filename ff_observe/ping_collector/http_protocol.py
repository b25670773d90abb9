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
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ff_observe.ping_collector.acceptance import Reason, Refusal
from ff_observe.ping_collector.exchange import Exchange
from ff_observe.ping_collector.responses import error_bytes

_SILENT = logging.Logger("ff_observe.ping_collector.http", level=sys.maxsize)

MOST_PIPELINED = 256
"""How many requests of one connection may wait for the answers to earlier ones: one read can bring ten thousand, each
a hundred times larger in memory than on the wire."""

RefusalObserver = Callable[[Reason], None]
ClosingObserver = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """A request has `request_seconds` to arrive in full, however it trickles; idle connections live `idle_seconds`.
    Of an answer, something must be taken every `request_seconds`."""

    request_seconds: float = 10.0
    idle_seconds: float = 10.0
    head_bytes: int = 32 * 1024
    request_bytes: int = 512 * 1024  # on the wire: the largest body in chunks of one byte each fits
    connections: int = 15_000


class _TooManyError(Exception):
    """Ends the parsing of what was read."""


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
        self._limits = limits
        self._on_refusal = on_refusal
        self._on_closing = on_closing
        self._begun = 0
        self._bytes = 0
        self._in_head = True
        self._is_idle = False
        self._is_refused = False
        self._answering: RequestResponseCycle | None = None
        self._unsent = 0
        self._unsent_since = 0.0
        self.arriving_since: float | None = None
        """Since when (monotonic) a request is awaited or arriving; None while one is complete and being answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        super().connection_made(transport)
        self.arriving_since = time.monotonic()
        if len(self.connections) > self._limits.connections:
            self._on_closing("too_many")
            closed = self._one_that_waits()
            self.connections.discard(closed)
            closed.transport.abort()

    def _one_that_waits(self) -> "LimitedProtocol":
        """A connection that waits for its other end; this one if all others are being answered. Closing the newest
        instead would leave out everybody while somebody holds as many as there may be."""
        for other in self.connections:
            if isinstance(other, LimitedProtocol) and other is not self and other._waits():
                return other
        return self

    def _waits(self) -> bool:
        """For its request to arrive, or for its answer to be taken."""
        return self._unsent > 0 or (self.arriving_since is not None and not self.transport.is_closing())

    def data_received(self, data: bytes) -> None:
        between = self.arriving_since is None or self._is_idle or not self._begun
        begun = self._begun
        super().data_received(data)
        if self._begun - begun > between:
            return  # the bytes of earlier requests are in `data` too; this one's are counted from the next on
        self._bytes += len(data)
        if self._bytes > (self._limits.head_bytes if self._in_head else self._limits.request_bytes):
            self._refuse(Refusal(Reason.TOO_LARGE))

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._begun += 1
        self._bytes = 0
        self._in_head = True
        self._is_idle = False
        self.arriving_since = time.monotonic()

    def on_headers_complete(self) -> None:
        """As uvicorn does it, less what there is none of here: upgrades, a root path, a state of the application."""
        before = self.cycle
        is_next = before is None or before.response_complete
        if not is_next and len(self.pipeline) == MOST_PIPELINED:
            self._refuse(Refusal(Reason.OVERLOADED))
            raise _TooManyError
        http_version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": http_version,
            "method": self.parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
        }
        self._in_head = False
        self.headers = []  # a trailer is no header (RFC 9110, 6.5.1): any sender may write one behind a proxy's
        self.cycle = Exchange(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            False,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            http_version != "1.0" and self.parser.should_keep_alive(),
            self.on_response_complete,
        )
        if is_next:
            self._begin(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _begin(self, exchange: RequestResponseCycle) -> None:
        self._answering = exchange
        task = self.loop.create_task(exchange.run_asgi(self.app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_message_complete(self) -> None:
        if self.cycle.response_complete:  # it was answered before its body came
            self._await_next()
            return
        self.arriving_since = None
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """The next request of a pipeline begins. Where there is none, `close_if_slow` waits for one instead of a timer
        for each answer."""
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._begin(self.pipeline.pop()[0])
            return
        self.flow.resume_reading()
        if self.arriving_since is None:
            self._await_next()

    def _await_next(self) -> None:
        self._is_idle = True
        self.arriving_since = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._answering is not None:  # uvicorn tells the last of a pipeline only
            self._answering.disconnected = True
        self.pipeline.clear()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as everything else is answered: with JSON."""
        self._refuse(Refusal(Reason.MALFORMED_HTTP))

    def close_if_slow(self, now: float) -> None:
        """Close the connection if its request does not arrive, or its answer is not taken, in time."""
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif unsent and now - self._unsent_since >= self._limits.request_seconds:
            self._on_closing("too_slow")
            self.transport.abort()
        if self.arriving_since is None or self.transport.is_closing():
            return
        waited = now - self.arriving_since
        if self._is_idle:
            if waited >= self._limits.idle_seconds:
                self.transport.close()
        elif waited >= self._limits.request_seconds:
            self._on_closing("too_slow")
            if self._begun:
                self._refuse(Refusal(Reason.TOO_SLOW))
            else:
                self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, unless an answer is under way, and close. Where earlier requests are still to be answered the last of
        these answers closes, and what is refused gets none: it would be taken for theirs (RFC 9112, 9.3.2)."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._on_refusal(refusal.reason)
        refused, earlier = self._refused_and_earlier()
        if earlier is not None and not earlier.response_complete:
            earlier.keep_alive = False
            self.flow.pause_reading()
            return
        if refused is None or not refused.response_started:
            body = error_bytes(refusal)
            status = HTTPStatus(refusal.status)
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _refused_and_earlier(self) -> tuple[RequestResponseCycle | None, RequestResponseCycle | None]:
        """The exchange of the request that is arriving, None if its head is, and the one before that."""
        if self._in_head or self.arriving_since is None:
            return None, self.cycle
        if not self.pipeline:
            return self.cycle, None
        refused, _ = self.pipeline.popleft()
        return refused, self.pipeline[0][0] if self.pipeline else self._answering


async def close_slow_connections(state: ServerState, interval_seconds: float = 1.0) -> None:
    """Looks at all connections again and again: one timer for all instead of one for each."""
    while True:
        await asyncio.sleep(interval_seconds)
        now = time.monotonic()
        for connection in list(state.connections):
            if isinstance(connection, LimitedProtocol):
                connection.close_if_slow(now)
