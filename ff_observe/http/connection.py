"""HTTP/1.1 on one connection, with bounds on everything that the client can make it hold.

Nothing here logs: a message about a connection could contain the client's address.
"""

import asyncio
from collections import deque
from time import monotonic
from urllib.parse import unquote

import httptools

from ff_observe.http.channel import Channel
from ff_observe.http.exchange import Exchange, Handler
from ff_observe.http.messages import Answer, render_head
from ff_observe.http.refusals import Closing, Problem
from ff_observe.http.shared import Shared

_DISCARDING_SECONDS = 2.0  # of what comes from a client that has its last answer
_MUCH_BODY = 64 * 1024  # of a body that is not being read: beyond this, reading pauses


class _RefusedError(Exception):
    """Ends the parsing of received data."""


class Connection(Channel):
    """Handles requests one after another."""

    def __init__(self, shared: Shared, handler: Handler) -> None:
        super().__init__(shared)
        self._limits = shared.limits
        self._handler = handler
        self.arriving_since: float | None = monotonic()
        """When the present wait for a request began; None while one is complete and being answered."""
        self.waiting: deque[Exchange] = deque()
        """Requests waiting for their turn, the newest last."""
        self.placed_at = 0.0
        self._parser: httptools.HttpRequestParser | None = None
        self._newest: Exchange | None = None
        self._current: Exchange | None = None
        self._url = b""
        self._without_upgrade = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._begun = 0
        self._most_begun = 0
        self._bytes = 0
        self._in_head = True
        self._is_idle = False
        self._is_refused = False
        self._writing_paused = False
        self._unsent = 0
        self._unsent_since = 0.0
        self._ended_at = 0.0

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.shared.is_stopping:  # accepted before it, and too late for `finish`
            self.transport.abort()
            return
        self.shared.places.enter(self)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._current is None and not self.is_closing:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.left(self)
        self._parser = None
        for exchange in (self._current, self._newest):
            if exchange is None or exchange.disconnected:
                continue
            exchange.disconnected = True
            exchange.notify()
            # A ping that has arrived is stored anyway; a query needs no answer any more.
            if exchange.task is not None and exchange.scope["method"] in ("GET", "HEAD"):
                exchange.task.cancel()
        self.waiting.clear()

    def take(self, data: memoryview) -> None:
        if self._is_refused or self.is_closing:
            return
        if self._parser is None:
            self._parser = self._new_parser()
        between = self.arriving_since is None or self._is_idle or not self._begun
        begun = self._begun
        self._most_begun = begun + self._limits.pipelined + 1
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.refuse(Problem.MALFORMED)
            return
        if len(self._headers) > self._limits.headers:
            self.refuse(Problem.HEAD_TOO_LARGE)
            return
        if self._begun - begun > between:
            return  # the bytes of earlier requests are in `data` too; this one's are counted from the next call on
        self._bytes += len(data)
        if self._in_head and self._bytes > self._limits.head_bytes:
            self.refuse(Problem.HEAD_TOO_LARGE)
        elif self._bytes > self._limits.request_bytes:
            self.refuse(Problem.BODY_TOO_LARGE)

    def _feed(self, data: memoryview | bytes) -> None:
        while self._parser is not None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._without_upgrade:  # CONNECT: what follows is no request of ours, and the answer closes
                    self._is_refused = True
                    return
                # The parser takes what follows for the other protocol. We speak none: the request is one like any
                # other, with its body (RFC 9110, 7.8).
                data, self._without_upgrade = self._without_upgrade + bytes(data[upgrade.args[0] :]), b""
                self._begun -= 1
                self._parser = self._new_parser()
            else:
                return

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def on_message_begin(self) -> None:
        if self.is_closing:
            raise _RefusedError  # nothing that follows the last answer is handled (RFC 9112, 9.6)
        self._url = b""
        self._headers = []
        self._begun += 1
        self._bytes = 0
        self._in_head = True
        self._is_idle = False
        self.arriving_since = self.shared.now()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        is_next = self._current is None and not self.waiting and not self._writing_paused
        if len(self.waiting) >= self._limits.pipelined or self._begun > self._most_begun:
            self._refuse_here(Problem.TOO_MANY_PIPELINED)
        headers = self._headers
        hosts: list[bytes] = []
        expects_continue = False
        size = len(self._url)
        for name, value in headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts.append(value)
            elif name == b"expect":
                expects_continue = expects_continue or value.lower() == b"100-continue"
        if len(headers) > self._limits.headers or size > self._limits.head_bytes:
            self._refuse_here(Problem.HEAD_TOO_LARGE)
        if len(hosts) > 1:
            self._refuse_here(Problem.MALFORMED)  # RFC 9112, 3.2
        parser = self._parser
        assert parser is not None
        version = parser.get_http_version()
        method = parser.get_method().decode("ascii")
        if parser.should_upgrade() and method != "CONNECT":
            kept = b"".join(b"%b: %b\r\n" % header for header in headers if header[0] != b"upgrade")
            self._without_upgrade = b"%b %b HTTP/%b\r\n%b\r\n" % (method.encode(), self._url, version.encode(), kept)
            return
        url = httptools.parse_url(self._url)
        raw_path = url.path
        path = raw_path.decode("ascii")
        if "%" in path:
            path = unquote(path)
        scope = {
            "http_version": version,
            "method": method,
            "scheme": "http" if self.shared.tls is None else "https",
            "path": path,
            "raw_path": raw_path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": headers,
            "client": self.client,
        }
        self._headers = []  # a trailer is no header (RFC 9110, 6.5.1): any sender may write one behind a proxy's
        self._in_head = False
        allowed = self.shared.answers_to(hosts[0] if hosts else b"", method, path)
        exchange = self._newest = Exchange(
            self,
            scope,
            keep_alive=version != "1.0" and parser.should_keep_alive() and not parser.should_upgrade(),
            expects_continue=expects_continue and version != "1.0",  # RFC 9110, 10.1.1
            refused=None if allowed else Problem.WRONG_HOST,
        )
        if is_next:
            self._begin(exchange)
        else:
            self.pause_reading()
            self.waiting.append(exchange)

    def on_body(self, body: bytes) -> None:
        exchange = self._newest
        if exchange is None or exchange.complete:
            return
        exchange.body += body
        exchange.notify()
        if len(exchange.body) > _MUCH_BODY and not exchange.is_being_read:
            self.pause_reading()

    def on_message_complete(self) -> None:
        exchange = self._newest
        if self._without_upgrade:
            return
        if exchange is None or exchange.complete:  # it was answered before its body arrived
            self._await_next()
            return
        self.arriving_since = None
        exchange.more_body = False
        exchange.notify()
        if self._current is not None:
            self.shared.places.is_busy(self)

    # Called by exchanges.

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        if exchange.refused is not None:
            self.shared.refusals.refused(exchange.refused)
            exchange.respond(self.shared.refusals.answer(exchange.refused))
        else:
            exchange.begin(self._handler)

    def complete(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        """Send the answer to the current request, and continue with the next."""
        exchange.complete = True
        exchange.notify()
        self.write(head, b"" if exchange.scope["method"] == "HEAD" else body)
        self._current = None
        if not exchange.keep_alive:
            if exchange.more_body or self._is_refused:
                self._end()
            else:
                self.close()
        elif not self._writing_paused:
            self._go_on()
        else:
            self.shared.places.waits(self)

    def _go_on(self) -> None:
        """Begin the next pipelined request; if there is none, read or wait for one."""
        if self.is_closing:
            return
        if self.waiting:
            exchange = self.waiting.popleft()
            if exchange.more_body:
                self.arriving_since = self.shared.now()  # until now it waited for us
                self.shared.places.waits(self)
            else:
                self.shared.places.is_busy(self)
            self._begin(exchange)
            return
        self.resume_reading()
        if self.arriving_since is None:
            self._await_next()
        else:
            self.shared.places.waits(self)

    def _await_next(self) -> None:
        self._is_idle = True
        self.arriving_since = self.shared.now()
        self.shared.places.waits(self)

    # Bounds.

    def finish(self) -> None:
        """Close after the answers in progress."""
        if self._newest is None or self._newest.complete:
            self.close()
        else:
            self._newest.keep_alive = False

    def release(self) -> None:
        self.arriving_since = self.shared.now()  # until now it waited for us
        super().release()

    def displace(self) -> None:
        if not self.is_ended:
            self.shared.refusals.closed(Closing.TOO_MANY)
        self.transport.abort()

    def close_if_slow(self, now: float) -> None:
        """Close the connection if its request does not arrive, or its answer is not read, in time."""
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif unsent and now - self._unsent_since >= self._limits.request_seconds:
            self.shared.refusals.closed(Closing.TOO_SLOW)
            self.transport.abort()
            return
        if self.is_ended:
            if not unsent and now - max(self._ended_at, self._unsent_since) >= _DISCARDING_SECONDS:
                self.transport.abort()
            return
        if self.arriving_since is None or self.transport.is_closing() or self.waiting:
            return
        waited = now - self.arriving_since
        if self.is_held:
            if waited >= self._limits.request_seconds:
                self.displace()
        elif self._is_idle:
            if waited >= self._limits.idle_seconds:
                self.close()
        elif waited >= self._limits.request_seconds:
            self.shared.refusals.closed(Closing.TOO_SLOW)
            if self._begun:
                self.refuse(Problem.TOO_SLOW)
            else:
                self.transport.abort()

    def refuse(self, problem: Problem) -> None:
        """Send a refusal, unless an answer is in progress, and close.

        If earlier requests are still to be answered, the last of these answers closes, and the refused request gets
        none: it would be taken for theirs (RFC 9112, 9.3.2).
        """
        if self._is_refused or self.is_closing:
            return
        self._is_refused = True
        self.shared.refusals.refused(problem)
        refused, earlier = self._refused_and_earlier()
        if earlier is not None and not earlier.complete:
            earlier.keep_alive = False
            self.pause_reading()
            return
        if refused is None or not refused.complete:
            answer: Answer = self.shared.refusals.answer(problem)
            self.write(render_head(answer.status, answer.headers, self.shared.date, keep_alive=False), answer.body)
            if refused is not None:
                refused.complete = True
        self._end()

    def _end(self) -> None:
        self.end()
        self._ended_at = self.shared.now()

    def _refuse_here(self, problem: Problem) -> None:
        self.refuse(problem)
        raise _RefusedError

    def _refused_and_earlier(self) -> tuple[Exchange | None, Exchange | None]:
        """The exchange of the request that is arriving, None if its head still is, and the one before it."""
        if self._in_head or self.arriving_since is None:
            return None, self._newest
        if not self.waiting:
            return self._newest, None
        refused = self.waiting.pop()
        return refused, self.waiting[-1] if self.waiting else self._current
