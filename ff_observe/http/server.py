"""Serves one handler on one listening socket, from an event loop in the caller's thread."""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from email.utils import formatdate
from time import monotonic, time
from typing import cast

from ff_observe.http.connection import Connection
from ff_observe.http.exchange import Handler
from ff_observe.http.hosts import AllowedHosts
from ff_observe.http.limits import Limits
from ff_observe.http.listening import BACKLOG
from ff_observe.http.refusals import Refusals
from ff_observe.http.shared import Shared

log = logging.getLogger(__name__)

_SPARE_FILES = 64  # open files other than connections: databases, logs, exports
_WAITING_PER_PLACE = 8  # one that waits takes little more than an open file
_LOOK_SECONDS = 1.0


class Server:
    """`open_to_any_host` are methods and paths that are answered for any `Host` header."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        refusals: Refusals | None = None,
        on_fault: Callable[[BaseException], None] | None = None,
        open_to_any_host: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self._handler = handler
        self._shared = Shared(limits, tls, refusals or Refusals(), on_fault or _log_fault, open_to_any_host)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._graceful_seconds = 1.0

    # Callable from any thread.

    def run(self, listening: socket.socket, begun: Future[None]) -> None:
        """The body of the server's thread: serves until `request_stop`. `begun` is done once it serves, or cannot."""
        try:
            with listening, asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self.serve(listening, lambda: begun.set_result(None)))
        except Exception as error:
            if not begun.done():
                begun.set_exception(error)
            else:
                log.exception("the web server failed and is gone")

    def request_stop(self, graceful_seconds: float) -> None:
        """Answers in progress may take this long, then everything is closed."""
        self._graceful_seconds = graceful_seconds
        self._shared.is_stopping = True
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has already stopped
                self._loop.call_soon_threadsafe(self._stop.set)

    def responds(self, within_seconds: float) -> bool:
        """Whether the event loop runs what it is given: False while it is blocked, and when it has not begun or has
        ended."""
        ran = threading.Event()
        if self._loop is None:
            return False
        try:
            self._loop.call_soon_threadsafe(ran.set)
        except RuntimeError:  # it is closed
            return False
        return ran.wait(within_seconds)

    @property
    def is_stopping(self) -> bool:
        """Whether `request_stop` was called."""
        return self._shared.is_stopping

    def allow_hosts(self, hosts: AllowedHosts) -> None:
        """Refuse requests with another `Host` header from now on."""
        self._shared.hosts = hosts

    @property
    def connections(self) -> list[Connection]:
        return cast("list[Connection]", self._shared.places.members())  # `accepted` made them

    @property
    def connection_count(self) -> int:
        return len(self._shared.places)

    # On the event loop.

    async def serve(
        self,
        listening: socket.socket,
        on_started: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until `request_stop`; afterwards nothing is open."""
        loop = self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self.is_stopping:
            self._stop.set()
        possible = _connections_possible()
        places = min(self._shared.limits.connections, possible * 3 // 4)
        self._shared.places.limit(places, min(_WAITING_PER_PLACE * places, possible - places))
        self._look(loop)
        accepting = await loop.create_server(self.accepted, sock=listening, backlog=BACKLOG)
        on_started()
        await self._stop.wait()
        accepting.close()
        on_stopping()
        await self._finish()

    def accepted(self) -> Connection:
        """A new connection, without its transport so far."""
        return Connection(self._shared, self._handler)

    async def _finish(self) -> None:
        self._handler.stop_waiting()
        for connection in self.connections:
            connection.finish()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._shared.empty(), self._graceful_seconds)
        for connection in self.connections:
            connection.transport.abort()
        for task in self._shared.tasks:
            task.cancel()
        self._looking.cancel()
        await asyncio.sleep(0)  # connections are notified on the next turn of the loop

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Every second: one timer for all connections instead of one for each."""
        self._shared.date = formatdate(time(), usegmt=True).encode("ascii")
        now = monotonic()
        for connection in self.connections:
            connection.close_if_slow(now)
        self._looking = loop.call_later(_LOOK_SECONDS, self._look, loop)


def loop_factory() -> "Callable[[], asyncio.AbstractEventLoop] | None":
    """uvloop where there is one (not on Windows), else asyncio's own choice."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def _connections_possible() -> int:
    """As many as open files allow, minus those that the rest of the process needs."""
    try:
        import resource
    except ImportError:  # Windows
        return 10_000
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(16, soft - _SPARE_FILES)


def _log_fault(error: BaseException) -> None:
    log.error("a request could not be answered", exc_info=error)
