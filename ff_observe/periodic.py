"""One named, stoppable thread that runs a task at times that the task itself chooses."""

import logging
import threading
from collections.abc import Callable

from ff_observe.clock import Clock

log = logging.getLogger(__name__)

ErrorSink = Callable[[BaseException, str], None]
"""Receives an error that a thread survived, with the thread's name. Backend Sentry is one."""


class Periodic:
    """Runs `task` in a thread; the task returns the seconds until its next run, None to end.

    An error in the task does not end the thread: it continues after `retry_seconds`. Of consecutive errors of one type,
    only the first is logged and handed to `on_error`, so that a lasting fault floods neither. `on_stop` is called when
    the thread is asked to stop, to interrupt a task that is waiting for something else.
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
    ) -> None:
        self.name = name
        self._task = task
        self._clock = clock
        self._first_after = first_after
        self._retry_seconds = retry_seconds
        self._on_error = on_error
        self._on_stop = on_stop
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing: type[Exception] | None = None

    def start(self) -> None:
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
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(max(0.0, deadline - self._clock.monotonic()))
        if thread.is_alive():
            raise TimeoutError(f"the thread {self.name!r} did not stop in time")

    def _run(self) -> None:
        wait: float | None = self._first_after
        while wait is not None and not self._clock.wait(self._stopped, wait):
            try:
                wait = self._task()
            except Exception as error:
                self._report(error)
                wait = self._retry_seconds
            else:
                if self._failing is not None:
                    log.info("%s works again", self.name)
                    self._failing = None

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
