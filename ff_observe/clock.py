"""The one place that asks the operating system for the time, so that tests can own it."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and interruptible waiting."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        """Wait up to `seconds`, or until `stopped` is set. Returns whether it is set."""


class SystemClock:
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        return stopped.wait(seconds)


class FrozenClock(SystemClock):
    """Wall time stands still at one moment (`--at`); waiting and monotonic time are real."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment.astimezone(UTC)

    def now(self) -> datetime:
        return self._moment
