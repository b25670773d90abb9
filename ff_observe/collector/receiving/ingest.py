"""Group commit: concurrent requests share commits, and a ping is acknowledged only after the commit that holds it.

While one batch is being written the next gathers. There is no deliberate delay: a lone ping is committed at once, and
under load more pings share each commit. Everything here runs in the thread of the event loop.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from enum import StrEnum

from ff_observe.collector.store import Ping, StoreError, Writer
from ff_observe.system.clock import Clock
from ff_observe.telemetry import tracing

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a submitted ping."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"


CommitObserver = Callable[[int, float], None]
"""Called after each commit with the number of pings and the seconds it took."""

_Waiting = tuple[Ping | None, "asyncio.Future[Outcome]", tracing.Context | None]
"""A waiting request; without a ping it is a probe. The context is that of its request, where requests are traced."""

PROBE_SECONDS = 10.0
"""How often the store is probed, so that `up` is true also while no pings arrive."""
ABORT_SECONDS = 0.3
"""A write that can be aborted is given up after this time."""

_OUTCOMES = {True: Outcome.STORED, False: Outcome.DUPLICATE}


class Ingest:
    """At most `max_waiting` pings wait; more are refused at once.

    A commit that takes longer than `patience_seconds` has failed for the requests that wait for it, and until it ends,
    either way, pings are refused. After a failure they are refused for `pause_seconds` without trying.
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
        self.up: bool | None = None  # according to the last commit or probe; None before the first
        self._writer = writer
        self._clock = clock
        self._max_waiting = max_waiting
        self._max_batch = max_batch
        self._patience_seconds = patience_seconds
        self._pause_seconds = pause_seconds
        self._on_commit = on_commit
        self._gathered: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self._batch: Sequence[_Waiting] = ()
        self._hangs = False
        self._failing = False
        self._resume_at = 0.0
        self._stopping = False

    def submit(self, ping: Ping | None) -> "asyncio.Future[Outcome]":
        """Returns when the ping is durably stored, recognised as a duplicate, or not stored. None is a probe."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if self._stopping or self._hangs or (self._resume_at and self._clock.monotonic() < self._resume_at):
            future.set_result(Outcome.UNAVAILABLE)
        elif self.waiting >= self._max_waiting:
            future.set_result(Outcome.OVERLOADED)
        else:
            self._gathered.append((ping, future, tracing.here()))
            self.waiting += 1
            if self._writing is None:  # its first step runs after the requests that are ready now
                self._writing = loop.create_task(self._write_gathered(), context=contextvars.Context())
        return future

    async def probe(self) -> bool:
        """Whether the store accepts a durable write right now."""
        return await asyncio.shield(self.submit(None)) is Outcome.DUPLICATE  # it waits also if its client has left

    async def probe_regularly(self) -> None:
        """Keep `up` current until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(PROBE_SECONDS)

    def turn_away(self) -> None:
        """Answer all waiting requests and refuse new ones: the process is about to end, and no longer waits for the
        store."""
        self._stopping = True
        if self._writing is not None:
            self._fail(self._batch)
            self._writer.abort()

    async def stop(self, seconds: float) -> None:
        """Write what is waiting, and close the writer. Raises `TimeoutError` if that takes longer."""
        self._stopping = True
        if not await self._has_written(seconds):
            self.turn_away()
            if not await self._has_written(ABORT_SECONDS):
                self._writer.leave()
                raise TimeoutError("the collector's writer did not stop in time")
        await self._writer.close()

    async def _has_written(self, seconds: float) -> bool:
        """Whether everything has been written, waiting up to `seconds` for it."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=seconds)
        return self._writing is None

    async def _write_gathered(self) -> None:
        try:
            while self._gathered:
                batch, self._gathered = self._gathered[: self._max_batch], self._gathered[self._max_batch :]
                self._batch = batch
                watch = asyncio.get_running_loop().call_later(self._patience_seconds, self._give_up, batch)
                stored = await self._stored(batch)
                watch.cancel()
                self._hangs = False
                self._settle(batch, stored)  # only wakes them: the next batch is started before they continue
        finally:
            self._writing, self._batch = None, ()

    async def _stored(self, batch: Sequence[_Waiting]) -> Sequence[Outcome] | None:
        """The outcome of each ping, None if the batch failed."""
        began = self._clock.monotonic()
        try:
            pings = [ping for ping, _, _ in batch if ping is not None]
            name = "commit" if pings else "probe"
            with tracing.span(name, after=[context for _, _, context in batch], ff_observe__pings=len(pings)):
                fresh = iter(await self._writer.write(pings))
                outcomes = [_OUTCOMES[ping is not None and next(fresh)] for ping, _, _ in batch]
        except Exception as error:
            # Only errors of our own are logged with their text: others may quote a ping.
            reason = str(error) if isinstance(error, StoreError) else type(error).__name__
            log.log(logging.DEBUG if self._failing else logging.WARNING, "pings cannot be stored: %s", reason)
            self._failing = True
            return None
        self._failing = False
        if self._on_commit is not None and pings:
            self._on_commit(len(pings), self._clock.monotonic() - began)
        return outcomes

    def _give_up(self, batch: Sequence[_Waiting]) -> None:
        log.warning("the store has not answered for %.0f s", self._patience_seconds)
        self._hangs = True
        self._fail(batch)
        self._writer.abort()

    def _settle(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome] | None) -> None:
        if outcomes is None:
            self._fail(batch)
            return
        if self.up is False:
            log.info("the store takes pings again")
        self.up = True
        self._resume_at = 0.0
        self._answer(batch, outcomes)

    def _fail(self, batch: Sequence[_Waiting]) -> None:
        """Fail the requests waiting for the next commit too: it would fail as well."""
        failed, self._gathered = [*batch, *self._gathered], []
        self.up = False
        self._resume_at = self._clock.monotonic() + self._pause_seconds
        self._answer(failed, [Outcome.UNAVAILABLE] * len(failed))

    def _answer(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        for (_, future, _), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                self.waiting -= 1
                future.set_result(outcome)
