"""Builds the parts from the settings: the only module that knows every class. `bridge.py` runs them."""

import contextlib
import os
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ff_observe.config.environment import read_environment
from ff_observe.config.public import is_loopback, open_to_all
from ff_observe.config.settings import Database, OtlpSettings, PostgreSQLDatabase, PrometheusSettings, Settings
from ff_observe.doctor.examination import Examination
from ff_observe.doctor.model import Subject, run_checks
from ff_observe.doctor.serving import Scrapes
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.http.application import Application
from ff_observe.lifecycle.periodic import ErrorSink, Schedule
from ff_observe.lifecycle.service import Component
from ff_observe.lifecycle.workers import Workers
from ff_observe.outputs import OUTPUTS, statuses
from ff_observe.outputs.model import Context, LastingComponent
from ff_observe.outputs.otlp import output as otlp
from ff_observe.outputs.ping.outcome import PingSink
from ff_observe.outputs.ping.schedule import FIRST_PING_SECONDS
from ff_observe.platform.audit_counters import AuditCounters
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.audit_log import AuditLog
from ff_observe.platform.sources.counting import Queryable
from ff_observe.platform.sources.http_probe import HttpProbe
from ff_observe.platform.sources.installation import InstalledVersions, installed_versions, operating_system
from ff_observe.platform.sources.locks import Locks
from ff_observe.problems import Finding
from ff_observe.running.audit_state import AuditState
from ff_observe.system.clock import Clock, SystemClock
from ff_observe.telemetry.platform_context import current_platform
from ff_observe.telemetry.redaction import Redactor, known_secrets
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.app import BridgeApp
from ff_observe.web.server import CONNECTIONS_OF_SEVERAL, LIMITS, WebServer
from ff_observe.web.status.describe import Audience, StatusSource
from ff_observe.web.status.memory import Memory
from ff_observe.web.status.watch import Watch
from ff_observe.web.status_page import StatusPage

if TYPE_CHECKING:
    from ff_observe.platform.sources.postgresql import PostgreSQLSource
    from ff_observe.platform.sources.sqlite_process import GuardedSQLiteSource
    from ff_observe.web.security import WebSecurity

STOP_SECONDS = 5.0
EXAMINATION_SECONDS = 3.0
"""How long an examination waits for the platform's database. It must be over before `STOP_SECONDS`."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An accessible platform: what the one-shot commands need, and the basis of a bridge."""

    settings: Settings
    clock: Clock
    self_metrics: SelfMetrics
    versions: InstalledVersions
    snapshots: Snapshots


@contextlib.contextmanager
def open_platform(
    settings: Settings, clock: Clock | None = None, *, asks_flowfuse: bool = False, counts_events: bool = False
) -> Iterator[Platform]:
    """A platform to query, until the block ends: its database, with `counts_events` its audit log too, and with
    `asks_flowfuse` FlowFuse itself. Nothing runs in the background."""
    clock = clock or SystemClock()
    probe_url = settings.prometheus.probe_url if asks_flowfuse else None
    platform = _platform(
        settings, installed_versions(settings), clock, SelfMetrics(), probe_url, counts_events=counts_events
    )
    platform.self_metrics.process_started()
    try:
        yield platform
    finally:
        platform.snapshots.stop(clock.monotonic() + STOP_SECONDS)


@contextlib.contextmanager
def open_queryable(settings: Settings) -> Iterator[Queryable]:
    """The platform's database for single statements, until the block ends."""
    source = _source(settings)
    try:
        yield source
    finally:
        source.close()


@dataclass(frozen=True, slots=True)
class Process:
    """What all platforms of a process share. One platform has neither pool nor schedule: its tasks and its snapshots
    have their own threads. `audience`: who can ask for their status."""

    clock: Clock
    workers: Workers | None = None
    schedule: Schedule | None = None
    audience: Callable[[], Audience] = lambda: Audience.ANYONE


class Parts:
    """All parts of a platform's bridge that are rebuilt when the settings change."""

    def __init__(
        self,
        settings: Settings,
        process: Process,
        self_metrics: SelfMetrics,
        on_snapshot: Callable[[Settings, Snapshot], None],
        memory: Memory,
        before: Redactor | None = None,
    ) -> None:
        """`before` is the `redactor` of the previous settings, whose secrets may still occur in an error."""
        self.redactor = (before or Redactor()).with_secrets(known_secrets(settings))
        versions = installed_versions(settings)
        versions.flowfuse()  # so that Sentry has it before the first snapshot; each of these looks it up again
        self.platform = _platform(
            settings,
            versions,
            process.clock,
            self_metrics,
            settings.prometheus.probe_url,
            self.capture,
            self._snapshot_taken,
            workers=process.workers,
            counts_events=True,
        )
        self._on_snapshot = partial(on_snapshot, settings)
        self._process = process
        # The page shows an examination that watches the app it is part of.
        source = StatusSource(
            settings,
            self_metrics,
            operating_system(),
            memory,
            lambda: self.examination.findings(),  # noqa: PLW0108 - made below
            current_platform(),
        )
        self.watch = Watch(source, self.platform.snapshots, process.clock, self.capture, process.schedule)
        app = _app(self.platform, process, source)
        self.examination = _examination(self.platform, app, process)
        self.app = app
        context = self.context()
        built = [
            output.build(context)
            for output, status in statuses(settings, None)
            if output.build is not None and status.on
        ]
        self._error_sinks = [components.on_error for components in built if components.on_error is not None]
        self._ping_sinks = [components.on_ping for components in built if components.on_ping is not None]
        # Sinks before producers: an error while starting is reported, a span of the first snapshot is kept.
        self.components: list[Component] = [
            *(sink for components in built for sink in components.sinks),
            self.platform.snapshots,
            self.examination,
            self.watch,
            *(producer for components in built for producer in components.producers),
        ]

    def context(
        self,
        on_error: ErrorSink | None = None,
        chance: random.Random | None = None,
        first_ping_seconds: float = FIRST_PING_SECONDS,
        on_ping: PingSink | None = None,
    ) -> Context:
        """The context of outputs. `on_error` and `on_ping` replace what these parts do with errors and pings."""
        platform = self.platform
        return Context(
            platform.settings,
            platform.snapshots,
            lambda: platform.versions.flowfuse_known,
            operating_system(),
            platform.self_metrics,
            platform.clock,
            on_error or self.capture,
            self.redactor,
            chance,
            first_ping_seconds,
            locks_in,
            self._process.schedule,
            on_ping or self.ping_ended,
        )

    def _snapshot_taken(self, snapshot: Snapshot) -> None:
        self._on_snapshot(snapshot)
        self.watch.observe(snapshot)

    def capture(self, error: BaseException, thread_name: str) -> None:
        """Pass an error of a thread to the outputs that report errors."""
        for sink in self._error_sinks:
            sink(error, thread_name)

    def ping_ended(self, delivered: bool) -> None:
        """Pass the end of a day's ping to the outputs that report it."""
        for sink in self._ping_sinks:
            sink(delivered)


def locks_in(database: Database) -> Callable[[str], Locks] | None:
    """See `Context.locks_in`."""
    if not isinstance(database, PostgreSQLDatabase):
        return None
    from ff_observe.platform.sources.postgresql_locks import AdvisoryLocks

    return partial(AdvisoryLocks, database)


def lasting_components(context: Context) -> list[LastingComponent]:
    """The components that outlive a reload."""
    return [output.build_lasting(context) for output in OUTPUTS if output.build_lasting is not None]


def collector_signals(secrets: object, clock: Clock) -> list[Component]:
    """The collector's traces (and logs), sent by the standard variables; `secrets` are its settings."""
    environment = read_environment(os.environ)
    if environment.otel_sdk_disabled or not environment.otlp_endpoint_named:
        return []
    from ff_observe.outputs.otlp.choice import destinations

    general = bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
    chosen = destinations(OtlpSettings(), os.environ, ("traces", "logs"), traces_by_default=general)
    if not chosen:
        return []
    component = otlp.import_component()
    from ff_observe.outputs.otlp.resource import ServiceResource

    resource = ServiceResource("ff-observe-collector", environment.name)
    return [component.OtlpSignals(chosen, resource, None, clock, Redactor(known_secrets((secrets, environment))))]


def _platform(
    settings: Settings,
    versions: InstalledVersions,
    clock: Clock,
    self_metrics: SelfMetrics,
    probe_url: str | None,
    on_error: ErrorSink | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    workers: Workers | None = None,
    *,
    counts_events: bool,
) -> Platform:
    source = _source(settings)
    snapshots = Snapshots(
        source,
        settings.platform,
        clock,
        self_metrics,
        versions,
        audit=_audit_counters(source, settings, clock) if counts_events else None,
        probe=HttpProbe(probe_url) if probe_url is not None else None,
        on_error=on_error,
        on_snapshot=on_snapshot,
        workers=workers,
    )
    return Platform(settings, clock, self_metrics, versions, snapshots)


def _audit_counters(source: Queryable, settings: Settings, clock: Clock) -> AuditCounters:
    directory = settings.ping.state_directory
    memory = AuditState(directory, clock, settings.ping.ledger_named_in) if directory is not None else None
    return AuditCounters(AuditLog(source), clock, memory)


def _source(settings: Settings) -> "PostgreSQLSource | GuardedSQLiteSource":
    if isinstance(settings.database, PostgreSQLDatabase):
        from ff_observe.platform.sources.postgresql import PostgreSQLSource

        return PostgreSQLSource(settings.database)
    from ff_observe.platform.sources.sqlite_process import GuardedSQLiteSource

    return GuardedSQLiteSource(settings.database.path)


def _app(platform: Platform, process: Process, source: StatusSource) -> BridgeApp:
    page = StatusPage(source, process.audience)
    return BridgeApp(platform.snapshots, platform.self_metrics, platform.settings.prometheus, page)


def _examination(platform: Platform, app: BridgeApp, process: Process) -> Examination:
    scrapes = Scrapes(lambda: app.scrapes_answered, platform.clock)

    def examine() -> list[Finding]:
        from ff_observe.doctor.machine import MACHINE
        from ff_observe.doctor.platform import PLATFORM

        snapshot = platform.snapshots.current(EXAMINATION_SECONDS)
        subject = Subject(platform.settings, platform.clock, platform.versions, snapshot)
        return run_checks((*MACHINE, *PLATFORM, scrapes.check), subject)

    return Examination(examine, platform.clock, process.workers)


def secured(app: Application, security: "WebSecurity | None") -> Application:
    """`app` behind `security`, where there is any."""
    if security is None:
        return app
    from ff_observe.web.secured_app import SecuredApp

    return SecuredApp(app, security)


def web_security(prometheus: PrometheusSettings) -> "WebSecurity | None":
    """The security of the HTTP edge; None, at no cost, if nothing secures it. Raises `ConfigurationError` if its
    files cannot be used, or secure nothing although everybody can connect."""
    if prometheus.web_config_file is None and prometheus.bearer_token_file is None:
        return None
    from ff_observe.web.security import WebSecurity

    security = WebSecurity(prometheus.web_config_file, prometheus.bearer_token_file)
    if not security.secures and not (is_loopback(prometheus.host) or prometheus.allow_public):
        file = str(prometheus.web_config_file)
        message = f"neither TLS nor users are configured here, and {open_to_all(prometheus.host)}"
        raise ConfigurationError((Problem(file, 0, 0, "", message),))
    return security


def make_server(
    app: Application,
    settings: PrometheusSettings,
    clock: Clock,
    tls: Callable[[], ssl.SSLContext] | None,
    listening: Callable[[], socket.socket] | None = None,
    *,
    several: bool = False,
) -> WebServer:
    """The server for `app`, if the settings want it, or on the socket that `listening` returns. That of `several`
    platforms accepts a connection for the scrapes of each."""
    limits = replace(LIMITS, connections=CONNECTIONS_OF_SEVERAL) if several else LIMITS
    return WebServer(app, settings.host, settings.port, clock, tls, settings.allowed_hosts, listening, limits)
