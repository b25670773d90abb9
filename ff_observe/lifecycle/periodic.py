"""Tasks that run at times they choose themselves: each in its own thread, or many on one schedule."""

import contextvars
import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from ff_observe.lifecycle.workers import Workers
from ff_observe.system.clock import Clock

log = logging.getLogger(__name__)

ErrorSink = Callable[[BaseException, str], None]
"""Receives an error that a thread survived, with the thread's name. Backend Sentry is one."""

_LONGEST_PAUSE_SECONDS = 3600.0
_NO_THREAD_SECONDS = 5.0


class Schedule:
    """The moments of many tasks in one thread, which hands those that are due to the workers. A component."""

    name = "schedule"

    def __init__(self, clock: Clock, workers: Workers) -> None:
        self._clock = clock
        self._workers = workers
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, Periodic]] = []
        self._order = itertools.count()
        self._changed = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Have no other task run; those under way are not waited for."""
        self._stopped = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - self._clock.monotonic()))

    def later(self, task: "Periodic", seconds: float) -> None:
        """Have `task` run once after that time."""
        with self._lock:
            heapq.heappush(self._due, (self._clock.monotonic() + seconds, next(self._order), task))
        self._changed.set()

    def _run(self) -> None:
        while not self._stopped:
            self._changed.clear()
            due, pause = self._take()
            for task in due:
                if not self._workers.submit(task.name, task.run_once, waits=True):
                    self.later(task, _NO_THREAD_SECONDS)
            self._clock.wait(self._changed, pause)

    def _take(self) -> tuple[list["Periodic"], float]:
        """The tasks that are due, and the seconds until the next is."""
        due: list[Periodic] = []
        with self._lock:
            now = self._clock.monotonic()
            while self._due and self._due[0][0] <= now:
                due.append(heapq.heappop(self._due)[2])
            return due, min(self._due[0][0] - now, _LONGEST_PAUSE_SECONDS) if self._due else _LONGEST_PAUSE_SECONDS


class Periodic:
    """Runs `task`, which returns the seconds until its next run, None to end: on `schedule` if there is one, else in
    its own thread. Never twice at the same time.

    An error in the task does not end it: it runs again after `retry_seconds`. Of consecutive errors of one type, only
    the first is logged and handed to `on_error`, so that a lasting fault floods neither. `on_stop` is called at the
    stop, to interrupt a task that is waiting for something else.
    """

    def __init__(
        self,
        name: str,
        task: Callable[[], float | None],
        clock: Clock,
        *,
        first_after: float = 0.0,
        retry_seconds: float = 60.0,
        on_error: ErrorSink | None = None,
        on_stop: Callable[[], None] | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.name = name
        self._task = task
        self._clock = clock
        self._first_after = first_after
        self._retry_seconds = retry_seconds
        self._on_error = on_error
        self._on_stop = on_stop
        self._schedule = schedule
        self._context = contextvars.copy_context()
        self._stopped = threading.Event()
        self._running = threading.Lock()  # held by a run on the schedule
        self._thread: threading.Thread | None = None
        self._failing: type[Exception] | None = None

    def start(self) -> None:
        if self._schedule is not None:
            self._context = contextvars.copy_context()
            self._schedule.later(self, self._first_after)
            return
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """For stopping several at once: `stop` does this too, but waits for its thread."""
        self._stopped.set()

    def stop(self, deadline: float) -> None:
        """Raises `TimeoutError` if the task does not return in time; its thread, a daemon, then ends with the
        process."""
        self.request_stop()
        if self._on_stop is not None:
            self._on_stop()
        if self._thread is threading.current_thread():
            return
        left_seconds = max(0.0, deadline - self._clock.monotonic())
        if self._thread is not None and self._schedule is None:
            self._thread.join(left_seconds)
            is_back = not self._thread.is_alive()
        else:
            is_back = self._running.acquire(timeout=left_seconds)
            if is_back:
                self._running.release()
        if not is_back:
            raise TimeoutError(f"the thread {self.name!r} did not stop in time")

    def run_once(self) -> None:
        """One run on the schedule, in a thread of the workers."""
        with self._running:
            self._thread = threading.current_thread()
            wait = None if self._stopped.is_set() else self._context.run(self._step)
            self._thread = None
        if wait is not None and self._schedule is not None and not self._stopped.is_set():
            self._schedule.later(self, wait)

    def _run(self) -> None:
        wait: float | None = self._first_after
        while wait is not None and not self._clock.wait(self._stopped, wait):
            wait = self._step()

    def _step(self) -> float | None:
        try:
            wait = self._task()
        except Exception as error:
            self._report(error)
            return self._retry_seconds
        if self._failing is not None:
            log.info("%s works again", self.name)
            self._failing = None
        return wait

    def _report(self, error: Exception) -> None:
        if type(error) is self._failing:
            log.debug("%s failed again; next try in %.0f s", self.name, self._retry_seconds, exc_info=error)
            return
        self._failing = type(error)
        log.error("%s failed; next try in %.0f s", self.name, self._retry_seconds, exc_info=error)
        if self._on_error is not None:
            try:
                self._on_error(error, self.name)
            except Exception:
                log.exception("%s: the error could not be reported", self.name)
