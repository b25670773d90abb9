"""The only module that asks the operating system for the time, so that tests can control it."""

import functools
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")  # proc(5); the same in every container of a machine


class Clock(Protocol):
    """Wall time, monotonic time and interruptible waiting."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes backwards."""

    def since_boot(self) -> float:
        """Seconds since the machine started, including time asleep. Comparable between processes of one `boot`."""

    @property
    def boot(self) -> str:
        """Identifies this start of the machine; empty where the system does not provide it, and nothing can be
        compared."""

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        """Wait up to `seconds`, or until `stopped` is set. Returns whether it is set."""


class SystemClock:
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def since_boot(self) -> float:
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    @functools.cached_property
    def boot(self) -> str:
        try:
            return _BOOT_ID.read_text("ascii").strip()
        except (OSError, ValueError):
            return ""

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        return stopped.wait(seconds)


class FrozenClock(SystemClock):
    """Wall time is fixed at one moment (`--at`); waiting and monotonic time are real."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment.astimezone(UTC)

    def now(self) -> datetime:
        return self._moment
