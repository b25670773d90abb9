"""Serves one handler on one listening socket, from an event loop in the caller's thread."""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from time import monotonic, time
from typing import Any

from ff_observe.errors import FFObserveError
from ff_observe.http.connection import Connection
from ff_observe.http.exchange import Handler
from ff_observe.http.handshakes import Handshakes
from ff_observe.http.hosts import AllowedHosts
from ff_observe.http.limits import Limits
from ff_observe.http.listening import BACKLOG
from ff_observe.http.places import Places
from ff_observe.http.refusals import Refusals

log = logging.getLogger(__name__)

_BUFFER_BYTES = 64 * 1024
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
        self.handler = handler
        self.limits = limits
        self.tls = tls
        self.refusals = refusals or Refusals()
        self.report = on_fault or _log_fault
        self.hosts: AllowedHosts | None = None
        self.date = b""  # of the `Date` header, the same object for a second
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._open_to_any_host = open_to_any_host
        self.handshakes = Handshakes(limits.connections)
        self.places: Places[Connection] = Places(
            limits.connections, limits.tenure_seconds, lambda: self.handshakes.are_waiting
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.is_stopping = False
        self._empty: asyncio.Event | None = None
        self.graceful_seconds = 1.0

    # Callable from any thread.

    def run(self, listening: socket.socket) -> None:
        """The body of the server's thread: serves until `request_stop`."""
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self.serve(listening))
        except Exception:
            log.exception("the web server failed and is gone")

    def request_stop(self, graceful_seconds: float) -> None:
        """Answers in progress may take this long, then everything is closed."""
        self.graceful_seconds = graceful_seconds
        self.is_stopping = True
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
    def connections(self) -> list[Connection]:
        return self.places.members()

    @property
    def connection_count(self) -> int:
        return len(self.places)

    # On the event loop.

    async def serve(
        self,
        listening: socket.socket,
        on_started: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until `request_stop`; afterwards nothing is open."""
        loop = self._loop = asyncio.get_running_loop()
        self._stop, self._empty = asyncio.Event(), asyncio.Event()
        if self.is_stopping:
            self._stop.set()
        possible = _connections_possible()
        places = min(self.limits.connections, possible * 3 // 4)
        self.places.limit(places, min(_WAITING_PER_PLACE * places, possible - places))
        self._look(loop)
        accepting = await loop.create_server(lambda: Connection(self), sock=listening, backlog=BACKLOG)
        on_started()
        await self._stop.wait()
        accepting.close()
        on_stopping()
        await self._finish()

    async def _finish(self) -> None:
        assert self._empty is not None
        self.handler.stop_waiting()
        for connection in self.connections:
            connection.finish()
        if len(self.places) or self._tasks:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), self.graceful_seconds)
        for connection in self.connections:
            connection.transport.abort()
        for task in self._tasks:
            task.cancel()
        self._looking.cancel()
        await asyncio.sleep(0)  # connections are notified on the next turn of the loop

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Every second: one timer for all connections instead of one for each."""
        self.date = formatdate(time(), usegmt=True).encode("ascii")
        now = monotonic()
        for connection in self.connections:
            connection.close_if_slow(now)
        self._looking = loop.call_later(_LOOK_SECONDS, self._look, loop)

    # Called by connections.

    now = staticmethod(monotonic)

    def left(self, connection: Connection) -> None:
        self.places.leave(connection)
        self.handshakes.ends(connection)
        self._note_if_empty()

    def answers_to(self, host: bytes, method: str, path: str) -> bool:
        """Whether a request with this `Host` header is answered."""
        return self.hosts is None or self.hosts.allows(host) or (method, path) in self._open_to_any_host

    def run_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that the server waits for when it stops, and then cancels."""
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._note_if_empty()

    def _note_if_empty(self) -> None:
        if self.is_stopping and self._empty is not None and not len(self.places) and not self._tasks:
            self._empty.set()

    def tls_context(self) -> ssl.SSLContext | None:
        """The context for a new connection; None, with the reason in the log, if none is available."""
        assert self.tls is not None
        try:
            return self.tls()
        except FFObserveError as error:
            log.warning("%s", error)
            return None


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
