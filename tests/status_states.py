"""A platform in every state its status page has to show, with a day behind it: for tests in a browser and pictures."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from ff_observe.catalogue import bridge
from ff_observe.catalogue.model import Reading
from ff_observe.config.secret import Secret
from ff_observe.config.settings import (
    BackendSentrySettings,
    OtlpSettings,
    PingSettings,
    PlatformSettings,
    PostgreSQLDatabase,
    PrometheusSettings,
    Settings,
)
from ff_observe.doctor.model import Subject, run_checks
from ff_observe.doctor.platform import PLATFORM
from ff_observe.http.application import Application
from ff_observe.http.messages import Answer, Scope
from ff_observe.outputs.ping.ledger import Ledger
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.platform import facts as platform_facts
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.model import Answer as DatabaseAnswer
from ff_observe.platform.sources.model import HttpAnswer, Installation, Licence
from ff_observe.problems import Finding
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.app import BridgeApp
from ff_observe.web.server import WebServer
from ff_observe.web.status.describe import Audience, StatusSource
from ff_observe.web.status.memory import Memory
from ff_observe.web.status.watch import Watch
from tests.fakes import FakeClock
from tests.unit.web.platforms import Provider, app_of, source

NOW = datetime(2026, 11, 23, 14, 12, 30, tzinfo=UTC)
INSTANCE_ID = "4f1c2a9e-7d3b-4a55-9c0e-2b8f6d1e3a70"
HOSTILE = '<img src=x onerror="document.title=1">\u202e</h3>`&amp;"\''

COUNTS: Mapping[str, int] = {
    "users": 84,
    "admins": 3,
    "invitations": 6,
    "teams": 12,
    "instances": 143,
    "devices": 1286,
    "snapshots": 2931,
    "templates": 9,
    "stacks": 4,
    "library_entries": 212,
    "blueprints": 7,
    "shared_library_entries": 31,
    "team_broker_clients": 58,
    "remote_brokers": 3,
}
LICENCE = Licence(
    "8e7d0c1b-55aa-4c19-9f1e-0d9a3b7c6e21",
    "EE",
    "enterprise",
    NOW + timedelta(days=212),
    MappingProxyType({"users": 150, "teams": 50, "instances": 1600, "mqtt_clients": 100}),
)
SETTINGS = Settings(
    Path("/opt/flowforge"),
    file=Path("/opt/flowforge/etc/flowforge.yml"),
    database=PostgreSQLDatabase("postgres", 5432, "ff_observe", Secret("planted-secret"), "flowforge"),
    platform=PlatformSettings(driver="kubernetes", broker=True, file_store=True, email=True),
    prometheus=PrometheusSettings(enabled=True, probe_url="http://forge:3000"),
    otlp=OtlpSettings(endpoint=Secret("http://otel-collector:4318")),
    backend_sentry=BackendSentrySettings(dsn=Secret("https://key@sentry.example/1")),
)


class World:
    """A platform with its settings, what it answers now, and the bridge on it."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock(NOW - timedelta(days=1))
        self.self_metrics = SelfMetrics(clock=self.clock)
        self.memory = Memory()
        self.settings = replace(SETTINGS, ping=PingSettings(ledger=directory / "pings.jsonl"))
        self.counts = dict(COUNTS)
        self.team_type = "enterprise"
        self.licence: Licence | None = LICENCE
        self.initialised = True
        self.instance_id: str | None = INSTANCE_ID
        self.database: str | None = None  # why it does not answer
        self.http = HttpAnswer(0.021)

    def snapshot(self) -> Snapshot:
        """The platform at this moment."""
        now = self.clock.now()
        installation = Installation(flowfuse_version="2.33.2", nodejs_version="v20.19.5")
        name = platform_facts.platform_id(self.instance_id)
        if self.database is not None:
            readings = platform_facts.liveness(database=False, http=self.http)
            failures = {f"flowfuse_{name}": self.database for name in self.counts}
            return Snapshot(now, 2.0, False, installation, readings, failures, self.http, platform_id=name)
        installation = replace(
            installation,
            instance_id=self.instance_id,
            initialised=self.initialised,
            telemetry_allowed=True,
            licence=self.licence,
        )
        answer = DatabaseAnswer({}, self._readings(), {})
        readings = {
            **platform_facts.liveness(database=True, http=self.http),
            **platform_facts.readings(answer, installation, self.settings.platform),
        }
        return Snapshot(now, 0.0084, True, installation, readings, {}, self.http, platform_id=name)

    def source(self) -> StatusSource:
        return replace(source(self.settings, self.self_metrics, self.memory), examined=self._examined)

    def _examined(self) -> list[Finding]:
        """What doctor says of the snapshot; the database, the machine and the network are not there to be examined."""
        versions = InstalledVersions(self.settings.home, self.settings.platform, self.settings.environment)
        subject = Subject(self.settings, self.clock, versions, self.snapshot())
        return run_checks([check for check in PLATFORM if check.id != "role"], subject)

    def look(self) -> None:
        """The bridge takes a snapshot."""
        snapshot = self.snapshot()
        watch = Watch(self.source(), Provider(snapshot), self.clock)
        watch.begin()
        watch.observe(snapshot)

    def live_through_a_day(self, quarters: int = 1) -> None:
        """Until `NOW`, with work by day, a database that was away at night, and the ping of the day; read every so many
        quarters of an hour."""
        final = dict(self.counts)
        for quarter in range(0, 96, quarters):
            hour, earlier = (NOW - timedelta(days=1)).hour + quarter / 4, 95 - quarter
            self.counts = {
                **final,
                "users": final["users"] - final["users"] * (earlier > 55) // 80,
                "instances": final["instances"] - final["instances"] * (earlier // 24 + (quarter % 7 == 0)) // 140,
                "devices": final["devices"] - final["devices"] * (earlier // 5 + quarter * 7 % 5) // 1200,
                "snapshots": final["snapshots"] - final["snapshots"] * earlier // 1000,
                "library_entries": final["library_entries"] - final["library_entries"] * (earlier // 20) // 200,
            }
            self.database = "the server closed the connection unexpectedly" if 26 <= hour < 27 else None
            if quarter == 40 and self.initialised and self.settings.ping.enabled:
                self.send_ping()
            self.look()
            self.clock.advance(900 * quarters)
        self.counts = final
        self.self_metrics.replace(bridge.PING_NEXT, {(): (NOW + timedelta(hours=10)).timestamp()})
        self.self_metrics.set(bridge.CONFIG_RELOAD_SUCCESS, 1.0)
        self.self_metrics.delivery("otlp", None, "metrics")
        self.self_metrics.delivery("otlp", None, "logs")

    def send_ping(self) -> None:
        """The ping of the moment is delivered, and recorded."""
        assert self.settings.ping.ledger is not None
        body = self.source().status(self.snapshot(), audience=Audience.IDENTIFIED).ping.body
        assert body is not None
        outcome = Outcome(Result.DELIVERED, "", 204, "ping.example:443")
        Ledger(self.settings.ping.ledger, self.clock).append(outcome, body.encode())

    def _readings(self) -> dict[str, Reading]:
        counts = self.counts
        devices, instances, teams = counts["devices"], counts["instances"], counts["teams"]
        return {
            **{f"flowfuse_{name}": {(): value} for name, value in counts.items()},
            "flowfuse_instances_by_state": {("running",): instances - instances // 12, ("suspended",): instances // 12},
            "flowfuse_devices_by_mode": {("autonomous",): devices - devices // 30, ("developer",): devices // 30},
            "flowfuse_devices_by_last_seen": {
                ("day",): devices - devices // 20,
                ("week",): devices // 20 - devices // 50,
                ("never",): devices // 50,
            },
            "flowfuse_teams_by_type": {("starter",): teams - teams // 3, (self.team_type,): teams // 3},
        }


def all_well(_world: World) -> None:
    """Nothing is wrong."""


def database_down(world: World) -> None:
    world.database = "cannot connect to postgres:5432: connection refused"


def flowfuse_down(world: World) -> None:
    world.http = HttpAnswer(None, "refuses connections")


def licence_over(world: World) -> None:
    assert world.licence is not None
    limits = MappingProxyType({**world.licence.limits, "users": 80, "instances": 1500})
    world.licence = replace(world.licence, limits=limits)


def unlicensed_at_the_limit(world: World) -> None:
    world.licence = None
    world.counts |= {"users": 5, "teams": 2, "instances": 3, "devices": 1}


def expired(world: World) -> None:
    assert world.licence is not None
    world.licence = replace(world.licence, expires_at=NOW - timedelta(days=9))


def opted_out(world: World) -> None:
    world.licence = None
    world.counts |= {"users": 3, "teams": 2, "instances": 3, "devices": 1}
    world.settings = replace(world.settings, ping=replace(world.settings.ping, enabled=False))


def not_initialised(world: World) -> None:
    world.licence = None
    world.initialised = False
    world.counts = dict.fromkeys(world.counts, 0)


def rejected_reload(world: World) -> None:
    world.self_metrics.set(bridge.CONFIG_RELOAD_SUCCESS, 0.0)


def failing_otlp(world: World) -> None:
    world.self_metrics.delivery("otlp", "otel-collector:4318 refuses connections", "metrics")


def hostile(world: World) -> None:
    """Everything that comes from the database is hostile."""
    world.team_type = HOSTILE
    world.licence = replace(LICENCE, type=HOSTILE, tier=HOSTILE)
    world.database = None
    world.http = HttpAnswer(None, HOSTILE)


STATES: Mapping[str, Callable[[World], None]] = {
    "all-well": all_well,
    "database-down": database_down,
    "flowfuse-down": flowfuse_down,
    "licence-over": licence_over,
    "unlicensed-at-the-limit": unlicensed_at_the_limit,
    "licence-expired": expired,
    "opted-out": opted_out,
    "not-initialised": not_initialised,
    "rejected-reload": rejected_reload,
    "failing-otlp": failing_otlp,
}


LASTING = (unlicensed_at_the_limit, opted_out, not_initialised, hostile)
"""States that a platform is in all day."""


def in_state(change: Callable[[World], None], directory: Path, quarters: int = 1) -> tuple[World, BridgeApp]:
    """A platform that is in a state after a day that was read every so many quarters of an hour, and its HTTP edge."""
    world = World(directory)
    if change in LASTING:
        change(world)
    world.live_through_a_day(quarters)
    change(world)
    world.look()
    return world, app_of(Provider(world.snapshot()), world.source(), Audience.IDENTIFIED)


class Switch(Application):
    """One application after another, for one server."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def answer(self, scope: Scope) -> Answer:
        return await self.app.answer(scope)

    def answer_now(self, scope: Scope) -> Answer | None:
        return self.app.answer_now(scope)

    def stop_waiting(self) -> None:
        self.app.stop_waiting()


@contextlib.contextmanager
def served(app: Application) -> Iterator[tuple[str, Switch]]:
    """A server that shows `app` first, its address, and what it shows."""
    switch = Switch(app)
    server = WebServer(switch, "127.0.0.1", 0, SystemClock())
    server.start()
    try:
        yield server.url, switch
    finally:
        server.stop(time.monotonic() + 5)
