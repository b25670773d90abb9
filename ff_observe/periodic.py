"""One named, stoppable thread that runs a task at the moments the task itself asks for."""

import logging
import threading
from collections.abc import Callable

from ff_observe.clock import Clock

log = logging.getLogger(__name__)

ErrorSink = Callable[[BaseException, str], None]
"""Told of every error a thread swallowed, with the thread's name. Backend Sentry is one."""


class Periodic:
    """Runs `task` in a thread; the task returns the seconds until it wants to run again, None to end.

    An error in the task is logged and handed to `on_error`; the thread goes on after `retry_seconds`.
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
    ) -> None:
        self.name = name
        self._task = task
        self._clock = clock
        self._first_after = first_after
        self._retry_seconds = retry_seconds
        self._on_error = on_error
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Raises `TimeoutError` if the task is not back in time; its thread, a daemon, then ends with the process."""
        self._stopped.set()
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
                log.exception("%s failed; next try in %.0f s", self.name, self._retry_seconds)
                if self._on_error is not None:
                    self._on_error(error, self.name)
                wait = self._retry_seconds
