"""A running bridge: starts and stops its parts in order, and swaps them when the settings change."""

import random
import ssl
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ff_observe.catalogue import bridge as names
from ff_observe.clock import Clock, SystemClock
from ff_observe.config.settings import PrometheusSettings, Settings
from ff_observe.errors import FFObserveError
from ff_observe.outputs import OUTPUTS, statuses
from ff_observe.outputs.ping.schedule import FIRST_PING_SECONDS
from ff_observe.periodic import ErrorSink
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.redaction import Redactor
from ff_observe.self_metrics import SelfMetrics
from ff_observe.service import Component, Service
from ff_observe.web.status.memory import Memory
from ff_observe.wiring import STOP_SECONDS, Parts, lasting_components, make_server

if TYPE_CHECKING:
    from ff_observe.http.messages import Answer, Application
    from ff_observe.web.security import WebSecurity
    from ff_observe.web.server import WebServer


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
        first_ping_seconds: float = FIRST_PING_SECONDS,
    ) -> None:
        self.clock = clock or SystemClock()
        self.self_metrics = SelfMetrics(clock=self.clock)
        self._memory = Memory()
        self._stop_seconds = stop_seconds
        self._parts = self._new_parts(settings, None)
        self.app = _CurrentApp(self._parts.app, self.capture)
        self._context = _CurrentContext(self._parts.security)
        self._lasting = lasting_components(self._parts.context(self.capture, chance, first_ping_seconds))
        self._server = self._new_server(settings, self._context) if serve else None
        self._started = False

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._parts.platform.settings

    @property
    def snapshots(self) -> Snapshots:
        """The source of snapshots for the present moment."""
        return self._parts.platform.snapshots

    @property
    def url(self) -> str | None:
        """The URL on this machine; None where another server serves the application."""
        return self._server.url if self._server is not None else None

    @property
    def listens_on(self) -> str | None:
        """The listening address for messages; None where another server serves the application."""
        return self._server.listens_on if self._server is not None else None

    def start(self) -> None:
        """Start all that is on. Raises an `FFObserveError` if a part cannot work at all; then nothing runs.

        A bridge can be started once: threads do not restart, and the ping would silently be missed.
        """
        if self._started:
            raise FFObserveError("this bridge was started before: build another one")
        self._started = True
        self._settings_in_use()
        self.self_metrics.process_started()
        self._service(*self._parts.components, self._server, *self._lasting).start()

    def stop(self) -> None:
        """Stop everything within the deadline. Raises an `ExceptionGroup` of what did not stop cleanly. Idempotent."""
        self._service(*self._parts.components, self._server, *self._lasting).stop()

    def reload(self, settings: Settings) -> None:
        """Switch to other settings. Raises, keeping the old settings in use, if they cannot be applied."""
        parts = self._new_parts(settings, self._parts.redactor)
        if settings.database == self.settings.database:
            parts.platform.snapshots.instance_id = self.snapshots.instance_id
        server = self._server
        moved = server is not None and _address(settings.prometheus) != _address(self.settings.prometheus)
        if server is not None and not moved and _speaks_tls(parts.security) != _speaks_tls(self._parts.security):
            raise FFObserveError(
                "switching TLS on or off needs a restart, or another telemetry.backend.prometheus.port"
            )
        context = _CurrentContext(parts.security) if moved else self._context
        new_server = self._new_server(settings, context) if moved else None
        old = self._service(*self._parts.components, server if moved else None)
        self._service(*parts.components, new_server).start()
        self._parts = parts
        self._server = new_server or server
        self.app.become(parts.app)
        if self._server is not None:
            self._server.allow_hosts(settings.prometheus.allowed_hosts)
        context.become(parts.security)
        self._context = context
        for component in self._lasting:
            component.reconfigure(settings, parts.platform.snapshots)
        self._settings_in_use()
        old.stop()

    def reload_failed(self) -> None:
        """Publish that the file has changed and cannot be used."""
        self.self_metrics.set(names.CONFIG_RELOAD_SUCCESS, 0.0)
        self._parts.watch.look_again()

    def responds(self, within_seconds: float) -> bool:
        """Whether the bridge's own server is alive, by its event loop; True where another server serves it."""
        return self._server is None or self._server.responds(within_seconds)

    def capture(self, error: BaseException, thread_name: str) -> None:
        """Report an error to the outputs that take errors, as the bridge's own threads do."""
        self._parts.capture(error, thread_name)

    def __enter__(self) -> "Bridge":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _new_server(self, settings: Settings, context: "_CurrentContext") -> "WebServer":
        return make_server(self.app, settings.prometheus, self.clock, context.of_moment if context.exists else None)

    def _service(self, *parts: Component | None) -> Service:
        return Service([part for part in parts if part is not None], self.clock, self._stop_seconds)

    def _new_parts(self, settings: Settings, before: Redactor | None) -> Parts:
        return Parts(settings, self.clock, self.self_metrics, self._publish_outputs, self._memory, before)

    def _settings_in_use(self) -> None:
        self.self_metrics.set(names.CONFIG_RELOAD_SUCCESS, 1.0)
        self._publish_outputs(self.settings, None)
        self._parts.watch.begin()

    def _publish_outputs(self, settings: Settings, snapshot: Snapshot | None) -> None:
        """Publish which outputs are on for the platform in `snapshot`."""
        if settings is not self.settings:
            return  # from a snapshot that was in progress when the settings changed
        on = {output.name: status.on for output, status in statuses(settings, snapshot) if status.on is not None}
        self.self_metrics.replace(names.OUTPUT_ENABLED, {(name,): float(value) for name, value in on.items()})
        if snapshot is None:
            self.self_metrics.keep_deliveries({output.name for output in OUTPUTS if on.get(output.name) is not False})


def build_bridge(settings: Settings, **options: Any) -> Bridge:
    """Build a bridge for a platform; see `Bridge` for the options. Nothing is started or contacted yet."""
    return Bridge(settings, **options)


class _CurrentApp:
    """The ASGI application of the bridge, whichever settings are in use. Its errors are reported."""

    def __init__(self, app: "Application", on_error: ErrorSink) -> None:
        self._app = app
        self._on_error = on_error

    def become(self, app: "Application") -> None:
        """Answer with `app` from the next request on."""
        self._app = app

    def stop_waiting(self) -> None:
        """See `BridgeApp.stop_waiting`."""
        self._app.stop_waiting()

    def answer_now(self, scope: Any) -> "Answer | None":
        """See `Application.answer_now`."""
        return self._app.answer_now(scope)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Must be a coroutine function: servers recognise an ASGI 3 application by that.
        try:
            await self._app(scope, receive, send)
        except OSError:  # the client has disconnected (ASGI, "Send - send event")
            raise
        except Exception as error:
            self._on_error(error, threading.current_thread().name)
            raise


class _CurrentContext:
    """TLS of a listening socket, whichever settings are in use."""

    def __init__(self, security: "WebSecurity | None") -> None:
        self._security = security

    @property
    def exists(self) -> bool:
        """Whether there is TLS at all."""
        return _speaks_tls(self._security)

    def become(self, security: "WebSecurity | None") -> None:
        """Use `security` from the next handshake on."""
        self._security = security

    def of_moment(self) -> ssl.SSLContext:
        """The context for a new connection; call it only where TLS is on."""
        assert self._security is not None
        return self._security.context()


def _speaks_tls(security: "WebSecurity | None") -> bool:
    return security is not None and security.tls


def _address(settings: PrometheusSettings) -> tuple[str, int]:
    return settings.host, settings.port
