"""Hand-made snapshots and providers of them, for tests of the HTTP edge."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ff_observe.catalogue.model import Reading
from ff_observe.config.settings import PlatformSettings, PrometheusSettings, Settings, SQLiteDatabase
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import Installation, Licence, OperatingSystem
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.app import BridgeApp
from ff_observe.web.status.describe import Audience, StatusSource
from ff_observe.web.status.memory import Memory
from ff_observe.web.status_page import StatusPage

MOMENT = datetime(2026, 11, 23, 12, 0, 17, 515000, tzinfo=UTC)
HOSTILE = 'Team "A"\\n\n<b>ü 🚀</b>\t\r'
READINGS: Mapping[str, Reading] = {
    "flowfuse_up": {(): 1.0},
    "flowfuse_license_expiry_timestamp_seconds": {(): 1_900_000_000.0},
    "flowfuse_platform_info": {("2.33.2", "", "docker"): 1.0},
    "flowfuse_users": {(): 7},
    "flowfuse_teams_by_type": {("starter",): 2, (HOSTILE,): 1},
    "flowfuse_instances_by_state": {("running",): 3, ("suspended",): 0},
}


def snapshot(
    readings: Mapping[str, Reading] = READINGS,
    *,
    up: bool = True,
    failures: Mapping[str, str] | None = None,
    licence: Licence | None = None,
    licence_problem: str | None = None,
    duration_seconds: float = 0.012,
) -> Snapshot:
    installation = Installation(
        initialised=True if up else None,
        telemetry_allowed=True if up else None,
        flowfuse_version="2.33.2",
        licence=licence,
        licence_problem=licence_problem,
    )
    return Snapshot(MOMENT, duration_seconds, up, installation, readings, failures or {})


@dataclass
class Provider:
    """Gives `now` at once where there is one, else `later` once released. Counts how often the database was asked."""

    now: Snapshot | None = None
    later: Snapshot = field(default_factory=snapshot)
    asked: int = 0
    error: Exception | None = None
    released: bool = False
    _waiting: "list[Future[Snapshot]]" = field(default_factory=list)

    def fresh(self) -> Snapshot | None:
        return self.now

    def request(self) -> "Future[Snapshot]":
        self.asked += 1
        asked: Future[Snapshot] = Future()
        self._waiting.append(asked)
        if self.released or self.error is not None:
            self.release()
        return asked

    def release(self) -> None:
        """The database answers, now and from now on."""
        self.released = True
        while self._waiting:
            if self.error is not None:
                self._waiting.pop().set_exception(self.error)
            else:
                self._waiting.pop().set_result(self.later)

    def unanswered(self, after_seconds: float) -> Snapshot:
        return snapshot({"flowfuse_up": {(): 0.0}, "flowfuse_platform_info": {("2.33.2", "", "docker"): 1.0}}, up=False)


def settings(prometheus: PrometheusSettings | None = None, **more: Any) -> Settings:
    """Those of a platform with the driver docker; `more` are fields of `Settings`."""
    return Settings(
        Path("/opt/flowforge"),
        **{
            "file": Path("/opt/flowforge/etc/flowforge.yml"),
            "database": SQLiteDatabase(Path("/opt/flowforge/var/forge.db")),
            "platform": PlatformSettings(driver="docker"),
            "prometheus": prometheus or PrometheusSettings(enabled=True),
            **more,
        },
    )


def app(
    provider: Provider,
    prometheus: PrometheusSettings | None = None,
    self_metrics: SelfMetrics | None = None,
    **more: Any,
) -> BridgeApp:
    return app_of(provider, source(settings(prometheus, **more), self_metrics))


def source(settings: Settings, self_metrics: SelfMetrics | None = None, memory: Memory | None = None) -> StatusSource:
    """What the status of a platform is made of, without a past of its own."""
    return StatusSource(
        settings, self_metrics or SelfMetrics(), OperatingSystem("Linux", "6.1.0", "x64"), memory or Memory()
    )


def app_of(provider: Provider, made: StatusSource, audience: Audience = Audience.THIS_MACHINE) -> BridgeApp:
    """The HTTP edge, as `audience` sees it."""
    return BridgeApp(provider, made.self_metrics, made.settings.prometheus, StatusPage(made, lambda: audience))
