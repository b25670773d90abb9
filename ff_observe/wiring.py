"""Settings → parts: the only module that knows every class. How they live together is told in `bridge.py`."""

import contextlib
import importlib
import os
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from ff_observe.clock import Clock, SystemClock
from ff_observe.config.environment import read_environment
from ff_observe.config.explain import OutputStatus, explain_outputs, otlp_status
from ff_observe.config.settings import OtlpSettings, PostgreSQLDatabase, PrometheusSettings, Settings
from ff_observe.errors import FFObserveError
from ff_observe.outputs.backend_sentry import BackendSentry
from ff_observe.outputs.ping.component import CorePing
from ff_observe.outputs.ping.consent import decide
from ff_observe.outputs.ping.schedule import FIRST_AFTER_SECONDS
from ff_observe.periodic import ErrorSink
from ff_observe.redaction import Redactor, known_secrets
from ff_observe.self_metrics import SelfMetrics
from ff_observe.service import Component
from ff_observe.snapshots import Snapshot, Snapshots
from ff_observe.sources.http_probe import HttpProbe
from ff_observe.sources.installation import InstalledVersions, operating_system
from ff_observe.sources.model import Source
from ff_observe.web.app import BridgeApp
from ff_observe.web.messages import Application
from ff_observe.web.server import WebServer
from ff_observe.web.status_page import StatusPage, standard_links

if TYPE_CHECKING:
    from ff_observe.web.security import WebSecurity

STOP_SECONDS = 5.0
FIRST_PING_SECONDS = FIRST_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that can be asked: what the one-shot commands need, and the ground of a bridge."""

    settings: Settings
    clock: Clock
    self_metrics: SelfMetrics
    versions: InstalledVersions
    snapshots: Snapshots


@contextlib.contextmanager
def open_platform(settings: Settings, clock: Clock | None = None, *, asks_flowfuse: bool = False) -> Iterator[Platform]:
    """A platform to ask, until the block ends: its database, and with `asks_flowfuse` FlowFuse itself. Nothing runs in
    the background."""
    clock = clock or SystemClock()
    probe_url = settings.prometheus.probe_url if asks_flowfuse else None
    platform = _platform(settings, installed_versions(settings), clock, SelfMetrics(), probe_url)
    platform.self_metrics.process_started(clock.now())
    try:
        yield platform
    finally:
        platform.snapshots.stop(clock.monotonic() + STOP_SECONDS)


class Parts:
    """All of a bridge that is made anew when the settings change."""

    def __init__(
        self, settings: Settings, clock: Clock, self_metrics: SelfMetrics, before: Redactor | None = None
    ) -> None:
        """`before` is the `redactor` of the settings before these, whose secrets may still be in an error."""
        self.redactor = (before or Redactor()).with_secrets(known_secrets(settings))
        versions = installed_versions(settings)
        versions.flowfuse()  # known to Sentry before the first snapshot; each of these looks again
        self.sentry = BackendSentry(settings, lambda: versions.flowfuse_known, self_metrics, clock, self.redactor)
        probe_url = settings.prometheus.probe_url
        self.platform = _platform(settings, versions, clock, self_metrics, probe_url, self.sentry.capture)
        self.security = _security(settings.prometheus)
        self.app = _app(self.platform, self.security)
        sinks, producers = self._otlp()
        # Sinks before producers: an error while starting is reported, a span of the first snapshot is kept.
        self.components: list[Component] = [self.sentry, *sinks, self.platform.snapshots, *producers]

    def _otlp(self) -> tuple[list[Component], list[Component]]:
        """Sinks of traces and logs, and the export of metrics: both without parts where OTLP is off."""
        platform, settings = self.platform, self.platform.settings
        if not otlp_status(settings).on:
            return [], []
        from ff_observe.outputs.otlp.choice import destinations, interval_seconds

        chosen = destinations(settings.otlp, os.environ)
        interval = interval_seconds(settings.otlp, os.environ)
        component = _otlp_component()
        from ff_observe.outputs.otlp.resource import SpeakingResource

        snapshots = platform.snapshots
        resource = SpeakingResource("ff-observe", settings.environment.name, lambda: snapshots.instance_id)
        sinks: list[Component] = []
        producers: list[Component] = []
        if "traces" in chosen or "logs" in chosen:
            sinks.append(
                component.OtlpSignals(
                    chosen,
                    resource,
                    platform.self_metrics,
                    platform.clock,
                    self.redactor,
                    with_tracebacks=settings.backend_sentry.dsn is None,
                )
            )
        if "metrics" in chosen:
            producers.append(
                component.OtlpMetrics(
                    chosen["metrics"],
                    resource,
                    snapshots,
                    platform.self_metrics,
                    platform.clock,
                    interval,
                    on_error=self.sentry.capture,
                )
            )
        return sinks, producers


def _otlp_component() -> ModuleType:
    """Raises `FFObserveError` for a variable that OpenTelemetry reads while it is imported and cannot use."""
    try:
        return importlib.import_module("ff_observe.outputs.otlp.component")
    except ValueError as error:
        raise FFObserveError(f"OTLP: a variable of OpenTelemetry cannot be used: {error}") from None


def check_otlp(settings: Settings) -> None:
    """Raises `ConfigurationError` if OTLP is on and the variables it takes the rest from cannot be used."""
    if otlp_status(settings).on:
        from ff_observe.outputs.otlp.choice import destinations, interval_seconds

        destinations(settings.otlp, os.environ)
        interval_seconds(settings.otlp, os.environ)


def collector_signals(secrets: object, clock: Clock) -> list[Component]:
    """Where the collector's traces (and logs) go by the standard variables; `secrets` are its settings."""
    environment = read_environment(os.environ)
    if environment.otel_sdk_disabled or not environment.otlp_endpoint_named:
        return []
    from ff_observe.outputs.otlp.choice import destinations

    general = bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
    chosen = destinations(OtlpSettings(), os.environ, traces_by_default=general)
    if "traces" not in chosen and "logs" not in chosen:
        return []
    component = _otlp_component()
    from ff_observe.outputs.otlp.resource import SpeakingResource

    resource = SpeakingResource("ff-observe-collector", environment.name)
    return [component.OtlpSignals(chosen, resource, None, clock, Redactor(known_secrets((secrets, environment))))]


def installed_versions(settings: Settings) -> InstalledVersions:
    """What can be known of the platform's versions without its database."""
    flowfuse_url = settings.platform.base_url if settings.prometheus.flowfuse_enabled else None
    return InstalledVersions(settings.home, settings.platform, settings.environment, flowfuse_url)


def _platform(
    settings: Settings,
    versions: InstalledVersions,
    clock: Clock,
    self_metrics: SelfMetrics,
    probe_url: str | None,
    on_error: ErrorSink | None = None,
) -> Platform:
    snapshots = Snapshots(
        _source(settings),
        settings.platform,
        clock,
        self_metrics,
        versions,
        probe=HttpProbe(probe_url) if probe_url is not None else None,
        on_error=on_error,
    )
    return Platform(settings, clock, self_metrics, versions, snapshots)


def _source(settings: Settings) -> Source:
    if isinstance(settings.database, PostgreSQLDatabase):
        from ff_observe.sources.postgresql import PostgreSQLSource

        return PostgreSQLSource(settings.database)
    from ff_observe.sources.sqlite import SQLiteSource

    return SQLiteSource(settings.database.path)


def _app(platform: Platform, security: "WebSecurity | None") -> Application:
    settings = platform.settings

    def ping(snapshot: Snapshot) -> OutputStatus:
        decision = decide(snapshot, settings)
        return OutputStatus("core ping", decision.allowed, decision.explanation)

    page = StatusPage(
        lambda: [output for output in explain_outputs(settings) if output.name != "ping"],  # which has its own place
        ping,
        settings.platform.driver,
        standard_links(settings.prometheus),
    )
    app = BridgeApp(platform.snapshots, platform.self_metrics, settings.prometheus, page)
    if security is None:
        return app
    from ff_observe.web.secured_app import SecuredApp

    return SecuredApp(app, security)


def check_web_security(settings: Settings) -> None:
    """Raises `ConfigurationError` if the files that secure the HTTP edge cannot be used."""
    _security(settings.prometheus)


def _security(settings: PrometheusSettings) -> "WebSecurity | None":
    """What secures the HTTP edge; None, at no cost, where nothing does."""
    if settings.web_config_file is None and settings.bearer_token_file is None:
        return None
    from ff_observe.web.security import WebSecurity

    return WebSecurity(settings.web_config_file, settings.bearer_token_file)


def make_ping(
    platform: Platform,
    *,
    chance: random.Random | None,
    on_error: ErrorSink,
    first_after_seconds: float = FIRST_PING_SECONDS,
) -> CorePing:
    """The thread that sends the ping."""
    return CorePing(
        platform.settings,
        platform.snapshots,
        operating_system(),
        platform.self_metrics,
        platform.clock,
        chance=chance,
        on_error=on_error,
        first_after_seconds=first_after_seconds,
    )


def make_server(
    app: Application, settings: PrometheusSettings, clock: Clock, tls: Callable[[], ssl.SSLContext] | None
) -> WebServer:
    """The server for `app` where the settings want it."""
    return WebServer(app, settings.host, settings.port, clock, tls)
