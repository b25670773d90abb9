"""A time limit for blocking calls of a database library."""

import threading
import time
from collections.abc import Callable
from types import TracebackType


class TimeLimit:
    """Calls `abort` from a separate thread if the block takes longer than `seconds`: `with limit: …`.

    The thread starts with the first use and sleeps until a deadline could have passed, so that entering and leaving the
    block costs next to nothing (starting a thread each time was a tenth of a small snapshot). `close` ends it.
    """

    def __init__(self, seconds: float, abort: Callable[[], None]) -> None:
        self._seconds = seconds
        self._abort = abort
        self._deadline: float | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.expired = False

    def __enter__(self) -> None:
        self.expired = False
        self._deadline = time.monotonic() + self._seconds
        if self._thread is None:
            self._closed.clear()
            self._thread = threading.Thread(target=self._watch, name="database time limit", daemon=True)
            self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._deadline = None

    def close(self) -> None:
        """End the thread; the next use starts it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._closed.set()
            thread.join()

    def _watch(self) -> None:
        pause = self._seconds
        while not self._closed.wait(pause):
            deadline = self._deadline
            left = self._seconds if deadline is None else deadline - time.monotonic()
            if left <= 0:
                self.expired = True
                self._abort()
                left = 0.05  # repeated until the block ends: `abort` may miss a call that is about to begin
            pause = left
