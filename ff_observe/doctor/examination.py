"""Repeats the checks in a running bridge, in a thread of its own, when their result is requested."""

import contextvars
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ff_observe.lifecycle.workers import Workers
from ff_observe.problems import Finding
from ff_observe.system.clock import Clock

EVERY_SECONDS: Final = 60.0


class Examination:
    """A component. Runs nothing until its findings are requested."""

    name = "examination"

    def __init__(self, examine: Callable[[], Sequence[Finding]], clock: Clock, workers: Workers | None = None) -> None:
        """`workers` run the examinations of several platforms; without them each runs in its own thread."""
        self._examine = examine
        self._clock = clock
        self._shares_workers = workers is not None
        self._workers = workers or Workers()
        self._changed = threading.Condition()  # for those below
        self._requested = False
        self._under_way = False
        self._stopped = False
        self._latest: tuple[Finding, ...] = ()
        self._ended: float | None = None  # the monotonic time

    def start(self) -> None:
        """Nothing to do: the first request starts the examination."""

    def stop(self, deadline: float) -> None:
        """Wait for an examination in progress; start no other."""
        seconds = max(0.0, deadline - self._clock.monotonic())
        with self._changed:
            self._stopped = True
            done = self._changed.wait_for(lambda: not self._under_way, seconds if self._shares_workers else 0.0)
        if not self._shares_workers:
            done = self._workers.finish(seconds)
        if not done:
            raise TimeoutError("the examination did not end in time")

    def findings(self) -> tuple[Finding, ...]:
        """The last findings, at once; if they are older than `EVERY_SECONDS`, a new examination starts."""
        with self._changed:
            is_fresh = self._ended is not None and self._clock.monotonic() < self._ended + EVERY_SECONDS
            if not (is_fresh or self._requested or self._stopped):
                run = contextvars.copy_context().run  # its log lines name the platform that is examined
                self._requested = self._workers.submit("examination", partial(run, self._run), waits=True)
            return self._latest

    def _run(self) -> None:
        with self._changed:
            if self._stopped:
                return
            self._under_way = True
        found: tuple[Finding, ...] = ()
        try:
            found = tuple(self._examine())
        finally:
            with self._changed:
                self._latest, self._ended = found, self._clock.monotonic()
                self._requested = self._under_way = False
                self._changed.notify_all()
