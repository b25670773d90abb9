"""A pool of threads that jobs share, bounded unless jobs hang: one that hangs gives its place to another thread."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

MOST: Final = 16
MOST_THREADS: Final = 64
SLOW_SECONDS: Final = 2.0
"""A job that runs longer waits for something outside (a database that hangs): its thread no longer counts."""

Job = Callable[[], None]


@dataclass(slots=True)
class _Running:
    since: float
    waits: bool


class Workers:
    """At most `most` threads are at work at a time, besides those whose job is slow, and no more than `MOST_THREADS`
    in all.

    Jobs that wait for other jobs (`waits=True`) take at most half of the places, so that those others find one. A
    thread without work ends after `idle_seconds`. Callers bound what one platform may have under way.
    """

    def __init__(self, most: int = MOST, *, idle_seconds: float = 0.0, slow_seconds: float = SLOW_SECONDS) -> None:
        self._most = most
        self._most_waiting = max(1, most // 2)
        self._idle_seconds = idle_seconds
        self._slow_seconds = slow_seconds
        self._changed = threading.Condition()
        self._jobs: deque[tuple[str, Job]] = deque()
        self._waiting_jobs: deque[tuple[str, Job]] = deque()
        self._running: dict[threading.Thread, _Running] = {}
        self._free: set[threading.Thread] = set()  # started or idle, without a job so far
        self._watching: threading.Thread | None = None
        self._stopped = False
        self._state = StateLog(log)

    def submit(self, name: str, job: Job, *, waits: bool = False, first: bool = False) -> bool:
        """Run `job` in a thread, which is called `name` meanwhile, with `first` before all that waits for one.

        Returns whether it will be: not after `stop`, nor where there is no thread and the system refuses to start one.
        """
        with self._changed:
            if self._stopped:
                return False
            jobs = self._waiting_jobs if waits else self._jobs
            (jobs.appendleft if first else jobs.append)((name, job))
            self._provide()
            if not self._free and not self._running:
                jobs.remove((name, job))
                return False
            self._changed.notify_all()
            return True

    def finish(self, seconds: float) -> bool:
        """Wait for the threads that are there, `seconds` in all. Returns whether no job is under way any more."""
        until = time.monotonic() + seconds
        with self._changed:
            threads = {*self._running, *self._free, *({self._watching} if self._watching else ())}
        for thread in threads - {threading.current_thread()}:
            thread.join(max(0.0, min(seconds, until - time.monotonic())))
        with self._changed:
            return not self._running.keys() - {threading.current_thread()}

    def stop(self, seconds: float) -> bool:
        """Begin no other job, and wait for those under way: see `finish`."""
        with self._changed:
            self._stopped = True
            self._jobs.clear()
            self._waiting_jobs.clear()
            self._changed.notify_all()
        return self.finish(seconds)

    # with the lock held

    def _provide(self) -> None:
        """Have a thread for each job that may begin; where a job finds no place, watch for others that become slow."""
        room = max(0, self._most_waiting - self._quick(waits=True))
        may_begin = len(self._jobs) + min(room, len(self._waiting_jobs))
        while (
            len(self._free) < may_begin
            and len(self._free) + self._quick() < self._most
            and len(self._free) + len(self._running) < MOST_THREADS
        ):
            started = self._started(threading.Thread(target=self._work, name="worker", daemon=True))
            if started is None:
                break
            self._free.add(started)
        if self._watching is None and len(self._jobs) + len(self._waiting_jobs) > len(self._free):
            self._watching = self._started(threading.Thread(target=self._watch, name="workers", daemon=True))

    def _started(self, thread: threading.Thread) -> threading.Thread | None:
        """None where the system has no thread to give: one that runs already takes the job then."""
        try:
            thread.start()
        except RuntimeError as error:
            self._state.failing(f"work has to wait: {error}")
            return None
        self._state.working("threads can be started again")
        return thread

    def _quick(self, *, waits: bool = False) -> int:
        """How many threads are at work on a job that is not slow (one that waits for others)."""
        since = time.monotonic() - self._slow_seconds
        return sum(running.since > since and (running.waits or not waits) for running in self._running.values())

    def _next(self) -> tuple[str, Job, bool] | None:
        if self._quick() >= self._most:
            return None
        if self._jobs:
            return *self._jobs.popleft(), False
        if self._waiting_jobs and self._quick(waits=True) < self._most_waiting:
            return *self._waiting_jobs.popleft(), True
        return None

    # in threads of their own

    def _work(self) -> None:
        thread = threading.current_thread()
        while (found := self._wait_for_job(thread)) is not None:
            thread.name, job = found
            try:
                job()
            except BaseException:  # the thread goes on to other jobs
                log.exception("%s failed", thread.name)
            finally:
                thread.name = "worker"
                with self._changed:
                    del self._running[thread]
                    self._free.add(thread)
                    self._provide()

    def _wait_for_job(self, thread: threading.Thread) -> tuple[str, Job] | None:
        until = time.monotonic() + self._idle_seconds
        with self._changed:
            while True:
                found = None if self._stopped else self._next()
                if found is not None:
                    self._free.discard(thread)
                    self._running[thread] = _Running(time.monotonic(), found[2])
                    return found[0], found[1]
                left = until - time.monotonic()
                if self._stopped or left <= 0:
                    self._free.discard(thread)
                    self._provide()
                    return None
                self._changed.wait(left)

    def _watch(self) -> None:
        """While jobs wait for a place: look whether one of those under way became slow."""
        with self._changed:
            while (self._jobs or self._waiting_jobs) and not self._stopped:
                self._changed.wait(self._slow_seconds / 4)
                self._provide()
                self._changed.notify_all()
            self._watching = None
