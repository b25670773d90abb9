"""Settings → Bridge: the only module that knows every class."""

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ff_observe.catalogue import bridge as names
from ff_observe.clock import Clock, SystemClock
from ff_observe.config.explain import OutputStatus, explain_outputs, otlp_status
from ff_observe.config.settings import PostgreSQLDatabase, PrometheusSettings, Settings
from ff_observe.outputs.backend_sentry import BackendSentry
from ff_observe.outputs.ping.component import CorePing
from ff_observe.outputs.ping.consent import decide
from ff_observe.outputs.ping.schedule import FIRST_AFTER_SECONDS
from ff_observe.self_metrics import SelfMetrics
from ff_observe.service import Component, Service
from ff_observe.snapshots import Snapshot, Snapshots
from ff_observe.sources.installation import InstalledVersions, operating_system
from ff_observe.sources.model import Source
from ff_observe.web.app import BridgeApp
from ff_observe.web.server import WebServer
from ff_observe.web.status_page import StatusPage, standard_links

STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that can be asked: what the one-shot commands need, and the ground of a bridge."""

    settings: Settings
    clock: Clock
    self_metrics: SelfMetrics
    versions: InstalledVersions
    snapshots: Snapshots


@contextlib.contextmanager
def open_platform(settings: Settings, clock: Clock | None = None) -> Iterator[Platform]:
    """A platform to ask, until the block ends. Nothing runs in the background."""
    clock = clock or SystemClock()
    platform = _platform(settings, clock, SelfMetrics())
    try:
        yield platform
    finally:
        platform.snapshots.stop(clock.monotonic() + STOP_SECONDS)


class Bridge:
    """The outputs that the settings switch on, running between `start` and `stop`.

    `app` is an ASGI application with the status page, `/metrics` and probes; with `serve` the bridge serves it itself
    at `url`. `reload` swaps the settings: counters, the schedule of the ping and, where the address stays, the
    listening socket live on.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        serve: bool = False,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        stop_seconds: float = STOP_SECONDS,
        first_ping_seconds: float = FIRST_AFTER_SECONDS,
    ) -> None:
        self.clock = clock or SystemClock()
        self.self_metrics = SelfMetrics()
        self._stop_seconds = stop_seconds
        self._parts = _Parts(settings, self.clock, self.self_metrics)
        self.app = _CurrentApp(self._parts.app)
        self.ping = CorePing(
            settings,
            self._parts.platform.snapshots,
            operating_system(),
            self.self_metrics,
            self.clock,
            chance=chance,
            on_error=self._capture,
            first_after_seconds=first_ping_seconds,
        )
        self._server = self._new_server(settings) if serve else None

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._parts.platform.settings

    @property
    def snapshots(self) -> Snapshots:
        """Whom to ask for the present moment of the platform."""
        return self._parts.platform.snapshots

    @property
    def url(self) -> str | None:
        """Where the bridge serves itself; None where its application is served by somebody else."""
        return self._server.url if self._server is not None else None

    def start(self) -> None:
        """Start all that is on. Raises an `FFObserveError` if a part cannot work at all; then nothing runs."""
        self._tell_of_settings(reloaded=True)
        self.self_metrics.process_started(self.clock.now())
        parts: list[Component] = [*self._parts.components, *([self._server] if self._server else []), self.ping]
        Service(parts, self.clock, self._stop_seconds).start()

    def stop(self) -> None:
        """Stop all within the deadline. Raises an `ExceptionGroup` of what did not stop cleanly. Idempotent."""
        parts: list[Component] = [*self._parts.components, *([self._server] if self._server else []), self.ping]
        Service(parts, self.clock, self._stop_seconds).stop()

    def reload(self, settings: Settings) -> None:
        """Use other settings from now on. Raises, with the old settings still in use, if they cannot be."""
        parts = _Parts(settings, self.clock, self.self_metrics)
        server = self._server
        moved = server is not None and _address(settings.prometheus) != _address(self.settings.prometheus)
        new_server = self._new_server(settings) if moved else None
        old = Service(
            [*self._parts.components, *([server] if moved and server else [])], self.clock, self._stop_seconds
        )
        Service([*parts.components, *([new_server] if new_server else [])], self.clock, self._stop_seconds).start()
        self._parts = parts
        self._server = new_server or server
        self.app.become(parts.app)
        self.ping.reconfigure(settings, parts.platform.snapshots)
        self._tell_of_settings(reloaded=True)
        old.stop()

    def reload_failed(self) -> None:
        """Tell, in the metrics, that the file changed and could not be used."""
        self._tell_of_settings(reloaded=False)

    def __enter__(self) -> "Bridge":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _capture(self, error: BaseException, thread_name: str) -> None:
        self._parts.sentry.capture(error, thread_name)

    def _new_server(self, settings: Settings) -> WebServer:
        return WebServer(self.app, settings.prometheus.host, settings.prometheus.port, self.clock)

    def _tell_of_settings(self, *, reloaded: bool) -> None:
        self.self_metrics.set(names.CONFIG_RELOAD_SUCCESS, float(reloaded))
        on: dict[tuple[str, ...], float] = {
            (output.name.replace(" ", "_"),): float(output.on) for output in explain_outputs(self.settings)
        }
        self.self_metrics.replace(names.OUTPUT_ENABLED, on)


def build_bridge(settings: Settings, **options: Any) -> Bridge:
    """A bridge for a platform; see `Bridge` for the options. Starts nothing and asks nobody yet."""
    return Bridge(settings, **options)


class _Parts:
    """All of a bridge that is made anew when the settings change."""

    def __init__(self, settings: Settings, clock: Clock, self_metrics: SelfMetrics) -> None:
        self.platform = _platform(settings, clock, self_metrics)
        self.sentry = BackendSentry(settings, self.platform.versions.flowfuse(), self_metrics, clock)
        self.app = _app(self.platform)
        # Sinks before producers: an error while starting is reported, a span of the first snapshot is kept.
        self.components: list[Component] = [self.sentry, *self._otlp_signals(), self.platform.snapshots]
        self.components += self._otlp_metrics()

    def _otlp_signals(self) -> list[Component]:
        settings = self.platform.settings
        if not otlp_status(settings).on:
            return []
        from ff_observe.outputs.otlp.choice import choose_protocols

        protocols = choose_protocols(settings.otlp, os.environ)
        if set(protocols) == {"metrics"}:
            return []
        from ff_observe.outputs.otlp.component import OtlpSignals

        return [OtlpSignals(settings.otlp, protocols, self.platform.clock, settings.environment.name)]

    def _otlp_metrics(self) -> list[Component]:
        settings = self.platform.settings
        if not otlp_status(settings).on:
            return []
        from ff_observe.outputs.otlp.choice import choose_protocols
        from ff_observe.outputs.otlp.component import OtlpMetrics, interval_seconds

        return [
            OtlpMetrics(
                settings.otlp,
                choose_protocols(settings.otlp, os.environ)["metrics"],
                self.platform.snapshots,
                self.platform.self_metrics,
                self.platform.clock,
                settings.environment.name,
                interval_seconds(settings.otlp, os.environ),
                on_error=self.sentry.capture,
            )
        ]


class _CurrentApp:
    """The ASGI application of the bridge, whichever settings it runs with at the moment."""

    def __init__(self, app: BridgeApp) -> None:
        self._app = app

    def become(self, app: BridgeApp) -> None:
        """Answer by `app` from the next request on."""
        self._app = app

    def stop_waiting(self) -> None:
        """See `BridgeApp.stop_waiting`."""
        self._app.stop_waiting()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # A coroutine function: servers tell an ASGI 3 application from older ones by that.
        await self._app(scope, receive, send)


def installed_versions(settings: Settings) -> InstalledVersions:
    """What can be known of the platform's versions without its database."""
    return InstalledVersions(settings.home, settings.platform, settings.environment)


def _platform(settings: Settings, clock: Clock, self_metrics: SelfMetrics) -> Platform:
    versions = installed_versions(settings)
    snapshots = Snapshots(_source(settings), settings.platform, clock, self_metrics, versions)
    return Platform(settings, clock, self_metrics, versions, snapshots)


def _source(settings: Settings) -> Source:
    if isinstance(settings.database, PostgreSQLDatabase):
        from ff_observe.sources.postgresql import PostgreSQLSource

        return PostgreSQLSource(settings.database)
    from ff_observe.sources.sqlite import SQLiteSource

    return SQLiteSource(settings.database.path)


def _app(platform: Platform) -> BridgeApp:
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
    return BridgeApp(platform.snapshots, platform.self_metrics, settings.prometheus, page)


def _address(settings: PrometheusSettings) -> tuple[str, int]:
    return settings.host, settings.port
