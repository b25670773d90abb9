"""A time limit for blocking calls of a database library."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

_REPEAT_SECONDS = 0.05
"""Between two calls of `abort` until the block ends: a call that was about to begin was not hit."""


class TimeLimit:
    """Calls `abort` from a separate thread if the block takes longer than `seconds`: `with limit: …`.

    One thread watches all limits of the process. It starts with the first use and sleeps until a deadline could have
    passed, so that entering and leaving the block costs next to nothing (starting a thread each time was a tenth of a
    small snapshot). It ends when the last limit is closed.
    """

    def __init__(self, seconds: float, abort: Callable[[], None]) -> None:
        self.seconds = seconds
        self.abort = abort
        self.deadline: float | None = None
        self.expired = False

    def __enter__(self) -> None:
        self.expired = False
        self.deadline = time.monotonic() + self.seconds
        _WATCH.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.deadline = None

    def restart(self) -> None:
        """Within the block: as much time again."""
        self.deadline = time.monotonic() + self.seconds

    def close(self) -> None:
        """No longer watch this limit; the next use begins it again."""
        _WATCH.remove(self)


class _Watch:
    """The thread that watches the limits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: frozenset[TimeLimit] = frozenset()
        self._ended: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def add(self, limit: TimeLimit) -> None:
        if limit in self._limits:
            return
        with self._lock:
            shorter = not self._limits or limit.seconds < min(each.seconds for each in self._limits)
            self._limits |= {limit}
            if shorter:  # the thread there is, if any, sleeps for too long
                self._restart()

    def remove(self, limit: TimeLimit) -> None:
        thread = None
        with self._lock:
            self._limits -= {limit}
            if not self._limits and self._ended is not None:
                self._ended.set()
                thread, self._thread, self._ended = self._thread, None, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _restart(self) -> None:
        if self._ended is not None:
            self._ended.set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._ended,), name="database time limit", daemon=True)
        self._thread.start()

    def _run(self, ended: threading.Event) -> None:
        limits = self._limits
        pause = min((each.seconds for each in limits), default=_REPEAT_SECONDS)
        while not ended.wait(pause):
            limits = self._limits
            now = time.monotonic()
            pause = min([each.seconds for each in limits] or [_REPEAT_SECONDS])
            for limit in limits:
                deadline = limit.deadline
                if deadline is None:
                    continue
                if deadline <= now:
                    limit.expired = True
                    limit.abort()
                pause = min(pause, max(_REPEAT_SECONDS, deadline - now))


_WATCH = _Watch()
