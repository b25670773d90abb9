"""Time, chance, threads and open files as tests own them: a clock that moves only when told to, a chosen die."""

import contextlib
import os
import random
import resource
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_POLL_SECONDS = 0.005
"""How often a waiting thread looks at its stop event (set without notice), in real time."""

_PATIENCE_SECONDS = 120.0
"""How long a woken thread may work, in real time, before the test fails."""


@dataclass(eq=False)
class _Waiter:
    due: float
    thread: threading.Thread = field(default_factory=threading.current_thread)
    fired: bool = False


class FakeClock:
    """A `Clock` for threads under test. Time stands still but for `advance`, `suspend` and `adjust`.

    A thread that was seen waiting is followed: after it is woken, time stands still until it waits again or ends.
    """

    def __init__(self, now: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC), monotonic: float = 1000.0) -> None:
        self._start = now.astimezone(UTC)
        self._monotonic_start = monotonic
        self._monotonic = monotonic
        self._shift = timedelta()
        self._asleep = 0.0
        self.boot = "a boot of the fake machine"
        self._changed = threading.Condition()
        self._waiters: list[_Waiter] = []
        self._working: set[threading.Thread] = set()

    # Read without the lock, a million times by some tests: of what is read, one thing changes at a time.

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._monotonic - self._monotonic_start) + self._shift

    def monotonic(self) -> float:
        return self._monotonic

    def since_boot(self) -> float:
        return self._monotonic + self._asleep

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        with self._changed:
            if stopped.is_set() or seconds <= 0:
                return stopped.is_set()
            waiter = _Waiter(self._monotonic + seconds)
            self._waiters.append(waiter)
            self._working.discard(waiter.thread)
            self._changed.notify_all()
            while not waiter.fired and not stopped.is_set():
                self._changed.wait(_POLL_SECONDS)
            if not waiter.fired:
                self._waiters.remove(waiter)
            return stopped.is_set()

    def advance(self, seconds: float) -> None:
        """Let time pass. Each waiter wakes at its own moment, in order, and alone (the first to wait first)."""
        with self._changed:
            target = self._monotonic + seconds
            self._settle()
            while due := [waiter for waiter in self._waiters if waiter.due <= target]:
                waiter = min(due, key=lambda each: each.due)
                self._monotonic = waiter.due
                self._waiters.remove(waiter)
                self._working.add(waiter.thread)
                waiter.fired = True
                self._changed.notify_all()
                self._settle()
            self._monotonic = target

    def adjust(self, seconds: float) -> None:
        """Set the wall clock forward or back; monotonic time goes on as if nothing had happened."""
        with self._changed:
            self._shift += timedelta(seconds=seconds)

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: wall time passes, and monotonic time, as on Linux, does not."""
        self.adjust(seconds)
        with self._changed:
            self._asleep += seconds

    def await_waiters(self, count: int) -> None:
        """Wait (in real time) until `count` threads wait: after starting a thread, before the first `advance`."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self._waiters) >= count, _PATIENCE_SECONDS)
            assert arrived, f"{len(self._waiters)} of {count} threads wait"

    def _settle(self) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while self._working:
            self._changed.wait(_POLL_SECONDS)
            self._working = {thread for thread in self._working if thread.is_alive()}
            names = sorted(thread.name for thread in self._working)
            assert time.monotonic() < give_up, f"woken and neither waiting again nor ended: {names}"


class FakeRandom(random.Random):
    """Throws the given values (each from 0 up to 1) in turn, and the last of them for ever."""

    def __init__(self, values: Iterable[float]) -> None:
        super().__init__(0)
        self._values = list(values)

    def random(self) -> float:
        return self._values.pop(0) if len(self._values) > 1 else self._values[0]


@contextlib.contextmanager
def no_more_threads() -> Iterator[None]:
    """The system refuses to start threads, as at a limit of processes: each asks for more memory than has addresses."""
    before = threading.stack_size(1 << 48)
    try:
        yield
    finally:
        threading.stack_size(before)


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no further file until the block ends."""
    free = os.open("/", os.O_RDONLY)
    os.close(free)
    with _limited(resource.RLIMIT_NOFILE, free):
        yield


@contextlib.contextmanager
def full_disk(largest: int = 1) -> Iterator[None]:
    """Let this process write no file beyond so many bytes: a write that would exceed them is cut short, the next one
    fails (EFBIG)."""
    with _limited(resource.RLIMIT_FSIZE, largest):
        yield


@contextlib.contextmanager
def _limited(kind: int, limit: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)
