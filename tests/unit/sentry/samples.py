"""Backend Sentry on its own: settings, a clock that can be turned, and the component with what a test asks of it."""

import time
from dataclasses import replace
from pathlib import Path

from ff_observe.catalogue.bridge import SENTRY_EVENTS
from ff_observe.config.environment import read_environment
from ff_observe.config.secret import Secret
from ff_observe.config.settings import (
    BackendSentrySettings,
    PlatformSettings,
    PostgreSQLDatabase,
    Settings,
)
from ff_observe.outputs.sentry.component import BackendSentry
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.real_parts.processes import wait_until
from tests.unit.outputs.examples import context

VERSION = "2.33.2"
PASSWORD = "planted-database-password"


class Time(SystemClock):
    """The real clock, and an offset that a test can turn."""

    def __init__(self) -> None:
        self.offset = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.offset


def settings(dsn: str | None, **variables: str) -> Settings:
    return Settings(
        home=Path("/opt/flowforge"),
        file=Path("/opt/flowforge/etc/flowforge.yml"),
        database=PostgreSQLDatabase(password=Secret(PASSWORD)),
        platform=PlatformSettings(license=Secret("planted-licence-0123456789")),
        backend_sentry=BackendSentrySettings(Secret(dsn) if dsn else None),
        environment=read_environment(variables),
    )


def monitored(dsn: str, **variables: str) -> Settings:
    """The settings with a monitor for the daily ping."""
    told = settings(dsn, **variables)
    return replace(told, backend_sentry=replace(told.backend_sentry, monitor="daily-ping"))


def another_error(number: int) -> Exception:
    """An error of a type of its own, so that it is no repetition."""
    kind: type[Exception] = type(f"Error{number}", (Exception,), {})
    return kind("planted")


class Bridge:
    """A started component with what a test asks of it."""

    def __init__(self, told: Settings, version: str | None = VERSION) -> None:
        self.clock = Time()
        self.metrics = SelfMetrics()
        self.version = version
        self.sentry = BackendSentry(
            context(told, None, self.clock, self.metrics, flowfuse_version=lambda: self.version)
        )

    def __enter__(self) -> "Bridge":
        self.sentry.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.sentry.stop(self.clock.monotonic() + 5)

    def counted(self) -> tuple[float, float]:
        values = self.metrics.readings()[SENTRY_EVENTS.name]
        return values["captured",], values["dropped",]

    def wait_for(self, events: int) -> None:
        """Until the fate of so many events is known."""
        wait_until(lambda: sum(self.counted()) >= events, f"the fate of {events} events")


def provoke(sentry: BackendSentry, error: Exception, thread: str = "core ping") -> None:
    try:
        raise error
    except type(error) as raised:
        sentry.capture(raised, thread)
