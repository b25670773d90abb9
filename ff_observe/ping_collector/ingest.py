"""Lets concurrent requests share commits: a ping is acknowledged after the commit that holds it, and never before.

The event loop gathers pings; one thread writes what has gathered while the loop gathers the next. Nothing waits on
purpose: a lone ping is committed at once, and the busier it is the more pings share a commit.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum

from ff_observe import tracing
from ff_observe.clock import Clock
from ff_observe.ping_collector.store import Ping, StoreError, Writer

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a ping that was handed in."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"


CommitObserver = Callable[[int, float], None]
"""Told of each commit: how many pings it held, and the seconds it took."""

_Waiting = tuple[Ping | None, "asyncio.Future[Outcome]", tracing.Context | None]
"""Who waits: without a ping it is a probe. The context is that of its request, where requests are traced."""

_OUTCOMES = {True: Outcome.STORED, False: Outcome.DUPLICATE}


class Ingest:
    """Group commit. `start`, `submit`, `probe` and `stop` belong to the event loop's thread.

    At most `max_waiting` pings wait; more are turned away at once. A commit that takes longer than `patience_seconds`
    has failed for those who wait for it, and until it ends, however it does, pings are turned away. They are for
    `pause_seconds` after a failure, too, without trying.
    """

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        *,
        max_waiting: int = 10_000,
        max_batch: int = 1_000,
        patience_seconds: float = 10.0,
        pause_seconds: float = 0.5,
        on_commit: CommitObserver | None = None,
    ) -> None:
        self.waiting = 0
        self.up: bool | None = None  # None until the first commit or failure
        self._writer = writer
        self._clock = clock
        self._max_waiting = max_waiting
        self._max_batch = max_batch
        self._patience_seconds = patience_seconds
        self._pause_seconds = pause_seconds
        self._on_commit = on_commit
        self._gathered: list[_Waiting] = []
        self._handoff: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._busy = False
        self._hangs = False
        self._flush_is_due = False
        self._resume_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=self._write_batches, name="collector-writer", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Write what is waiting, end the thread. Raises `TimeoutError` if it is not back in time."""
        self._stopping = True
        if self._thread is None:
            return
        self._handoff.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._writer.abort()
            raise TimeoutError("the collector's writer did not stop in time")

    def submit(self, ping: Ping | None) -> "asyncio.Future[Outcome]":
        """Done when the ping is durably stored, recognised as a duplicate, or not stored. None is a probe."""
        future: asyncio.Future[Outcome] = self._loop.create_future()
        if self._stopping or self._hangs or (self._resume_at and self._clock.monotonic() < self._resume_at):
            future.set_result(Outcome.UNAVAILABLE)
        elif self.waiting >= self._max_waiting:
            future.set_result(Outcome.OVERLOADED)
        else:
            self._gathered.append((ping, future, tracing.here()))
            self.waiting += 1
            if not self._flush_is_due and not self._busy:
                self._flush_is_due = True
                self._loop.call_soon(self._flush)  # after the requests that are ready now
        return future

    async def probe(self) -> bool:
        """Whether the store takes a durable write right now."""
        return await self.submit(None) is Outcome.DUPLICATE

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._busy or not self._gathered:
            return
        batch, self._gathered = self._gathered[: self._max_batch], self._gathered[self._max_batch :]
        self._busy = True
        self._watch = self._loop.call_later(self._patience_seconds, self._give_up, batch)
        self._handoff.put(batch)

    def _give_up(self, batch: Sequence[_Waiting]) -> None:
        log.warning("the store has not answered for %.0f s", self._patience_seconds)
        self._hangs = True
        self._fail(batch)
        self._fail_gathered()
        self._writer.abort()

    def _finish(self, batch: Sequence[_Waiting], stored: Sequence[Outcome] | None) -> None:
        """Back in the loop's thread, with the outcome of each ping, or None if the batch failed."""
        if self._watch is not None:
            self._watch.cancel()
        self._busy = self._hangs = False
        if stored is None:
            self._fail(batch)
            self._fail_gathered()
        else:
            if self.up is False:
                log.info("the store takes pings again")
            self.up = True
            self._resume_at = 0.0
            self._settle(batch, stored)
        self._flush()

    def _fail_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._fail(gathered)

    def _fail(self, batch: Sequence[_Waiting]) -> None:
        self.up = False
        self._resume_at = self._clock.monotonic() + self._pause_seconds
        self._settle(batch, [Outcome.UNAVAILABLE] * len(batch))

    def _settle(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        for (_, future, _), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                self.waiting -= 1
                future.set_result(outcome)

    def _write_batches(self) -> None:
        failing = False
        while (batch := self._handoff.get()) is not None:
            stored: list[Outcome] | None = None
            began = self._clock.monotonic()
            try:
                with tracing.span("commit", after=[context for _, _, context in batch], ff_observe__pings=len(batch)):
                    fresh = iter(self._writer.write([ping for ping, _, _ in batch if ping is not None]))
                    stored = [_OUTCOMES[ping is not None and next(fresh)] for ping, _, _ in batch]
            except Exception as error:
                # Only what is ours to say: the text of any other error might quote a ping.
                reason = str(error) if isinstance(error, StoreError) else type(error).__name__
                log.log(logging.DEBUG if failing else logging.WARNING, "pings cannot be stored: %s", reason)
            failing = stored is None
            if stored is not None and self._on_commit is not None:
                self._on_commit(len(stored), self._clock.monotonic() - began)
            with contextlib.suppress(RuntimeError):  # the loop is closed: stopped before the store answered
                self._loop.call_soon_threadsafe(self._finish, batch, stored)
        self._writer.close()
