"""The ping thread on a platform, a clock and a receiver that a test rules."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from ff_observe.catalogue.model import Reading
from ff_observe.config.settings import Settings
from ff_observe.outputs.ping.component import CorePing
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.fakes import FakeClock, FakeRandom
from tests.unit.outputs.examples import context
from tests.unit.ping.receivers import Receiver, answer
from tests.unit.ping.samples import settings

DAY = 86_400.0
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SIX_IN_THE_EVENING = 18 * 3600.0  # of the day, the time of the platform in `samples`
NEXT_DAY = DAY + SIX_IN_THE_EVENING - 12 * 3600
"""From `START` to the first ping after the one of the start."""


class Platform:
    """Stands in for `Snapshots`: says what it is told to say, and counts how often it is asked."""

    def __init__(self, says: Snapshot) -> None:
        self.says: Snapshot | Exception = says
        self.asked = 0

    def current(self) -> Snapshot:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class Bridge:
    """A core ping and everything around it, on a fake clock, with a real receiver that keeps the times of arrival."""

    def __init__(self, clock: FakeClock, platform: Platform, metrics: SelfMetrics, disk: Path | None) -> None:
        self.clock, self.platform, self.metrics, self.disk = clock, platform, metrics, disk
        self.arrived: list[datetime] = []
        self.true: list[datetime] = []  # the same by a clock that nobody sets
        self.status: Callable[[int], tuple[int, dict[str, str]]] = lambda number: (200, {})
        self.errors: list[BaseException] = []
        self.ends: list[bool] = []  # of each day's ping: whether it was delivered
        self.server: Receiver
        self.pings: list[CorePing] = []
        self._began = clock.monotonic()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        self.arrived.append(self.clock.now())
        self.true.append(START + timedelta(seconds=self.clock.monotonic() - self._began))
        status, headers = self.status(len(self.arrived))
        answer(status, b"", **headers)(handler)

    def settings(self, told: Settings | None = None) -> Settings:
        """As told, with the disk of this bridge."""
        told = told or settings(self.server.url())
        return replace(told, ping=replace(told.ping, state_directory=self.disk))

    def start(self, *chances: float, told: Settings | None = None) -> CorePing:
        ping = CorePing(
            context(
                *(self.settings(told), self.platform, self.clock, self.metrics),
                chance=FakeRandom(chances or [0.75]),
                on_error=lambda error, name: self.errors.append(error),
                on_ping=self.ends.append,
            )
        )
        self.pings.append(ping)
        ping.start()
        self.clock.await_waiters(1)
        return ping

    def stop(self) -> None:
        for ping in self.pings:
            ping.stop(self.clock.monotonic() + 5)
        self.pings.clear()

    def seconds(self) -> list[float]:
        """When pings arrived, in seconds since the start."""
        return [(moment - START).total_seconds() for moment in self.arrived]

    def sample(self, name: str) -> Reading | None:
        return self.metrics.readings().get(name)
