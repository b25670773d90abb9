"""Repeats the checks in a running bridge, in a thread of its own, when their result is requested."""

import contextvars
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Final

from ff_observe.clock import Clock
from ff_observe.problems import Finding
from ff_observe.workers import Workers

EVERY_SECONDS: Final = 60.0


class Examination:
    """A component. Runs nothing until its findings are requested."""

    name = "examination"

    def __init__(self, examine: Callable[[], Sequence[Finding]], clock: Clock, workers: Workers | None = None) -> None:
        """`workers` run the examinations of several platforms; without them each runs in its own thread."""
        self._examine = examine
        self._clock = clock
        self._lock = threading.Lock()  # for the three below
        self._under_way: Future[tuple[Finding, ...]] | None = None
        self._begun = False
        self._shares_workers = workers is not None
        self._workers = workers or Workers()
        self._latest: tuple[tuple[Finding, ...], float] | None = None  # and the monotonic time of their end
        self._stopped = False

    def start(self) -> None:
        """Nothing to do: the first request starts the examination."""

    def stop(self, deadline: float) -> None:
        """Wait for an examination in progress; start no other."""
        with self._lock:
            self._stopped = True
            asked = self._under_way if self._begun else None
        seconds = max(0.0, deadline - self._clock.monotonic())
        if not self._shares_workers:
            done = self._workers.finish(seconds)
        else:
            done = asked is None or not wait([asked], seconds).not_done
        if not done:
            raise TimeoutError("the examination did not end in time")

    def findings(self) -> tuple[Finding, ...]:
        """The last findings, at once; if they are older than `EVERY_SECONDS`, a new examination starts."""
        self.request()
        latest = self._latest
        return () if latest is None else latest[0]

    def request(self) -> "Future[tuple[Finding, ...]]":
        """Findings not older than `EVERY_SECONDS`. `asyncio.wrap_future` makes the future awaitable."""
        with self._lock:
            latest = self._latest
            if latest is not None and self._clock.monotonic() < latest[1]:
                return _done(latest[0])
            if self._stopped:
                return _done(() if latest is None else latest[0])
            if self._under_way is not None:
                return self._under_way
            asked: Future[tuple[Finding, ...]] = Future()
            run = contextvars.copy_context().run  # its log lines name the platform that is examined
            if not self._workers.submit("examination", partial(run, self._run, asked), waits=True):
                return _done(() if latest is None else latest[0])
            self._under_way = asked
            return asked

    def _run(self, asked: "Future[tuple[Finding, ...]]") -> None:
        found: tuple[Finding, ...] = ()
        with self._lock:
            self._begun = not self._stopped
        try:
            if self._begun:
                found = tuple(self._examine())
        finally:
            with self._lock:
                self._begun = False
                self._latest = (found, self._clock.monotonic() + EVERY_SECONDS)
                self._under_way = None
            asked.set_result(found)


def _done(found: tuple[Finding, ...]) -> "Future[tuple[Finding, ...]]":
    future: Future[tuple[Finding, ...]] = Future()
    future.set_result(found)
    return future
