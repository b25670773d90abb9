"""What all connections of a server share."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Protocol

from ff_observe.errors import FFObserveError
from ff_observe.http.handshakes import Handshake, Handshakes
from ff_observe.http.hosts import AllowedHosts
from ff_observe.http.limits import Limits
from ff_observe.http.places import Candidate, Places
from ff_observe.http.refusals import Refusals

log = logging.getLogger(__name__)

_BUFFER_BYTES = 64 * 1024


class Member(Candidate, Handshake, Protocol):
    """An open connection."""

    transport: asyncio.Transport

    def finish(self) -> None:
        """Close after the answers in progress."""

    def close_if_slow(self, now: float) -> None:
        """Close the connection if its request does not arrive, or its answer is not read, in time."""


class Shared:
    """For one event loop; `hosts` and `is_stopping` may be set by any thread."""

    now = staticmethod(monotonic)

    def __init__(
        self,
        limits: Limits,
        tls: Callable[[], ssl.SSLContext] | None,
        refusals: Refusals,
        report: Callable[[BaseException], None],
        open_to_any_host: frozenset[tuple[str, str]],
    ) -> None:
        self.limits = limits
        self.tls = tls
        self.refusals = refusals
        self.report = report
        self.hosts: AllowedHosts | None = None
        self.is_stopping = False
        self.date = b""
        """The value of a `Date` header, the same object for a second."""
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.handshakes = Handshakes(limits.connections)
        self.places: Places[Member] = Places(
            limits.connections, limits.tenure_seconds, lambda: self.handshakes.are_waiting
        )
        self.tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._open_to_any_host = open_to_any_host

    def left(self, connection: Member) -> None:
        self.places.leave(connection)
        self.handshakes.ends(connection)
        self._note_if_empty()

    def answers_to(self, host: bytes, method: str, path: str) -> bool:
        """Whether a request with this `Host` header is answered."""
        return self.hosts is None or self.hosts.allows(host) or (method, path) in self._open_to_any_host

    def run_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that the server waits for when it stops, and then cancels."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def tls_context(self) -> ssl.SSLContext | None:
        """The context for a new connection; None, with the reason in the log, if none is available."""
        assert self.tls is not None
        try:
            return self.tls()
        except FFObserveError as error:
            log.warning("%s", error)
            return None

    async def empty(self) -> None:
        """Wait until there is no connection and no task, once the server is stopping."""
        self._note_if_empty()
        await self._empty.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._note_if_empty()

    def _note_if_empty(self) -> None:
        if self.is_stopping and not len(self.places) and not self.tasks:
            self._empty.set()
