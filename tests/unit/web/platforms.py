"""Hand-made snapshots and providers of them, for tests of the HTTP edge."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ff_observe.config.explain import OutputStatus
from ff_observe.config.settings import PrometheusSettings
from ff_observe.self_metrics import SelfMetrics
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import Installation, Licence, Reading
from ff_observe.web.app import BridgeApp
from ff_observe.web.status_page import StatusPage, standard_links

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
) -> Snapshot:
    installation = Installation(
        initialised=True if up else None,
        flowfuse_version="2.33.2",
        licence=licence,
        licence_problem=licence_problem,
    )
    return Snapshot(MOMENT, 0.012, up, installation, readings, failures or {})


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


OUTPUTS = (
    OutputStatus("prometheus", True, "telemetry.backend.prometheus.enabled is true"),
    OutputStatus("backend sentry", False, "no <dsn> & no more"),
)
PING = OutputStatus("core ping", True, "a licence is loaded")


def app(
    provider: Provider,
    settings: PrometheusSettings | None = None,
    self_metrics: SelfMetrics | None = None,
    ping: OutputStatus = PING,
) -> BridgeApp:
    settings = settings or PrometheusSettings(enabled=True)
    page = StatusPage(lambda: OUTPUTS, lambda _snapshot: ping, "docker", standard_links(settings))
    return BridgeApp(provider, self_metrics or SelfMetrics(), settings, page)
