"""A source and a clock that a test rules, for tests of snapshots."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ff_observe.catalogue.model import Reading
from ff_observe.config.settings import PlatformSettings
from ff_observe.errors import SourceError
from ff_observe.platform.sources.model import Answer
from ff_observe.system.clock import SystemClock

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
READINGS: dict[str, Reading] = {
    "flowfuse_users": {(): 3},
    "flowfuse_teams": {(): 2},
    "flowfuse_instances": {(): 5},
    "flowfuse_devices": {(): 7},
    "flowfuse_teams_by_billing_state": {("active",): 2},
    "flowfuse_trials_by_state": {},
}
PLATFORM = PlatformSettings(
    driver="stub", broker=True, email=True, flowfuse_version="2.33.2", nodejs_version="v20.20.2"
)


class StandingClock(SystemClock):
    """Time goes on when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class ScriptedSource:
    """Answers what the test says. `gate`, if closed, holds a reading until it is opened, or the source is closed."""

    def __init__(self) -> None:
        self.settings: dict[str, object] = {"instanceId": "abc", "setup:initialised": True}
        self.failures: dict[str, str] = {}
        self.readings: dict[str, Reading] = dict(READINGS)
        self.error: Exception | None = None
        self.reads: list[datetime] = []
        self.reading = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.takes: Callable[[], None] = lambda: None
        self.at_once = 0
        self.most_at_once = 0

    def read(self, at: datetime) -> Answer:
        self.reads.append(at)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.reading.set()
        self.gate.wait(60)
        self.takes()
        self.at_once -= 1
        if self.closed:
            raise SourceError("closed")
        if self.error is not None:
            raise self.error
        return Answer(self.settings, self.readings, self.failures)

    def close(self) -> None:
        self.closed = True
        self.gate.set()
