"""A running bridge: one platform or several and what serves them, started and stopped in order, and reloaded."""

import logging
import random
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from ff_observe.clock import Clock, SystemClock
from ff_observe.config.platforms import ListedPlatform, Platforms
from ff_observe.config.settings import PrometheusSettings, Settings
from ff_observe.errors import FFObserveError
from ff_observe.outputs.ping.schedule import FIRST_PING_SECONDS
from ff_observe.periodic import Schedule
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform_context import working_for
from ff_observe.running_platform import CurrentApp, RunningPlatform, stop_in_parallel
from ff_observe.self_metrics import SelfMetrics
from ff_observe.service import Component, Service
from ff_observe.web.platforms_app import PlatformsApp, ServedPlatform
from ff_observe.wiring import STOP_SECONDS, Process, make_server, secured, web_security
from ff_observe.workers import Workers

if TYPE_CHECKING:
    from ff_observe.http.messages import Application
    from ff_observe.web.security import WebSecurity
    from ff_observe.web.server import WebServer

log = logging.getLogger(__name__)

IDLE_WORKER_SECONDS: Final = 60.0

Given = Settings | Platforms | Mapping[str, Settings]
"""What a bridge is built from: one platform, a list of them, or a map of names to settings."""


class Bridge:
    """The outputs that the settings switch on, running between `start` and `stop`.

    `app` is an ASGI application: of one platform with its status page, `/metrics` and probes; of several with a list
    of all, and each below `/platforms/NAME/`. With `serve` the bridge serves it itself at `url`. `reload` swaps the
    settings: counters, the schedule of the pings and, where the address stays, the listening socket live on.
    """

    def __init__(
        self,
        settings: Given,
        *,
        serve: bool = False,
        listening: Callable[[], "Any"] | None = None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        stop_seconds: float = STOP_SECONDS,
        first_ping_seconds: float = FIRST_PING_SECONDS,
    ) -> None:
        """`listening` gives a socket that listens already, as a service manager hands it over."""
        self.clock = clock or SystemClock()
        self._stop_seconds = stop_seconds
        self._listening = listening
        self._made_with = {"chance": chance, "first_ping_seconds": first_ping_seconds, "stop_seconds": stop_seconds}
        self._members = _Members(settings, self.clock, self._made_with, lambda: self._context.identifies_clients)
        security = web_security(self._members.web)
        self.app = CurrentApp(secured(self._members.app, security), self._members.capture)
        self._context = _CurrentContext(security)
        self._server = self._new_server(self._members.web, self._context) if serve else None
        self._started = False

    @property
    def settings(self) -> Settings:
        """The settings in use by the one platform of the bridge."""
        return self._members.only.settings

    @property
    def snapshots(self) -> Snapshots:
        """Whom to ask for the present moment of the one platform of the bridge."""
        return self._members.only.snapshots

    @property
    def self_metrics(self) -> SelfMetrics:
        """How the bridge of its one platform is doing."""
        return self._members.only.self_metrics

    @property
    def platforms(self) -> Mapping[str, RunningPlatform]:
        """Those that run, by name; empty where the bridge has one platform, without a name."""
        return {name: platform for name, platform in self._members.running.items() if name}

    @property
    def url(self) -> str | None:
        """The URL on this machine; None where another server serves the application."""
        return self._server.url if self._server is not None else None

    @property
    def listens_on(self) -> str | None:
        """The listening address for messages; None where another server serves the application."""
        return self._server.listens_on if self._server is not None else None

    def start(self) -> None:
        """Start all that is on. Raises an `FFObserveError` if a part cannot work at all; then nothing runs. Of several
        platforms, one that cannot work is left out, and says so.

        A bridge can be started once: threads do not restart, and the ping would silently be missed.
        """
        if self._started:
            raise FFObserveError("this bridge was started before: build another one")
        self._started = True
        self._service(self._server, self._members).start()  # the address may be taken: nothing else runs then

    def stop(self) -> None:
        """Stop all within the deadline. Raises an `ExceptionGroup` of what did not stop cleanly. Idempotent."""
        self._service(self._members, self._server).stop()

    def reload(self, settings: Given) -> None:
        """Use other settings from now on. Raises, with the old settings still in use, if they cannot be.

        Of several platforms, those whose settings are as before go on untouched. One whose new settings cannot be used
        keeps the old ones, and says so.
        """
        given = _given(settings)
        if isinstance(given, Settings) is self._members.several:
            raise FFObserveError("a bridge serves one platform, or several by name: start another process")
        web = _web_of(given)
        security = web_security(web)
        server = self._server
        moved = server is not None and _address(web) != _address(self._members.web)
        if server is not None and not moved and _speaks_tls(security) != self._context.exists:
            raise FFObserveError(
                "switching TLS on or off needs a restart, or another telemetry.backend.prometheus.port"
            )
        context = _CurrentContext(security) if moved else self._context
        new_server = self._new_server(web, context) if moved else None
        if new_server is not None:
            new_server.start()
        try:
            undo = self._members.reload(given)
        except BaseException:
            if new_server is not None:
                self._service(new_server).stop()
            raise
        self._server = new_server or server
        self.app.become(secured(self._members.app, security))
        if self._server is not None:
            self._server.allow_hosts(web.allowed_hosts)
        context.become(security)
        self._context = context
        self._service(*undo, server if moved else None).stop()

    def reload_failed(self) -> None:
        """Publish that the file changed and could not be used."""
        self._members.reload_failed()

    def responds(self, within_seconds: float) -> bool:
        """Whether the bridge's own server is alive, by its event loop; True where another server serves it."""
        return self._server is None or self._server.responds(within_seconds)

    def capture(self, error: BaseException, thread_name: str) -> None:
        """Report an error to the outputs of the one platform that take them, as the bridge's own threads do."""
        self._members.capture(error, thread_name)

    def __enter__(self) -> "Bridge":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _new_server(self, web: PrometheusSettings, context: "_CurrentContext") -> "WebServer":
        tls = context.of_moment if context.exists else None
        return make_server(self.app, web, self.clock, tls, self._listening, several=self._members.several)

    def _service(self, *parts: Component | None) -> Service:
        return Service([part for part in parts if part is not None], self.clock, self._stop_seconds)


def build_bridge(settings: Given, **options: Any) -> Bridge:
    """Build a bridge for one platform, or for several by name; see `Bridge` for the options. Nothing is started or
    contacted yet."""
    return Bridge(settings, **options)


class _Members:
    """A component: the platforms of a bridge. One without a name raises its errors; of several, each keeps its own."""

    name = "platforms"

    def __init__(
        self, settings: Given, clock: Clock, made_with: Mapping[str, Any], identifies_clients: Callable[[], bool]
    ) -> None:
        given = _given(settings)
        self._clock = clock
        self._made_with = made_with
        self.web = _web_of(given)
        self.running: dict[str | None, RunningPlatform] = {}
        self._process = Process(clock, identifies_clients=identifies_clients)
        self._is_started = False
        if isinstance(given, Settings):
            self.running[None] = self._new(None, given)
            return
        workers = Workers(idle_seconds=IDLE_WORKER_SECONDS)
        self._process = Process(clock, workers, Schedule(clock, workers), identifies_clients)
        self._list = PlatformsApp(clock, workers)
        self._take(given)

    @property
    def several(self) -> bool:
        """Whether the bridge serves platforms by name."""
        return None not in self.running

    @property
    def only(self) -> RunningPlatform:
        """The one platform of the bridge."""
        if None not in self.running:
            raise FFObserveError("this bridge has several platforms: ask one of `platforms`")
        return self.running[None]

    @property
    def app(self) -> "Application":
        """What answers requests, with the settings of now."""
        return self.running[None].settings_app if None in self.running else self._list

    def start(self) -> None:
        schedule = self._process.schedule
        if schedule is not None:
            schedule.start()
        self._is_started = True
        for name in list(self.running):
            self._start(name)
        self._publish()

    def stop(self, deadline: float) -> None:
        """Raises an `ExceptionGroup` of what did not stop in time."""
        workers, schedule = self._process.workers, self._process.schedule
        if workers is None or schedule is None:
            self.running[None].stop(deadline)
            return
        schedule.stop(deadline)
        errors = stop_in_parallel(list(self.running.values()), self._process, deadline)
        if not workers.stop(max(0.0, deadline - self._clock.monotonic())):
            errors.append(TimeoutError("some readings did not end in time"))
        if errors:
            raise ExceptionGroup("some platforms did not stop cleanly", errors)

    def reload(self, given: Settings | Platforms) -> list[Component]:
        """See `Bridge.reload`; the components that are of no use any more."""
        if isinstance(given, Settings):
            undo = self.only.reload(given)
            self.web = given.prometheus
            return [_Ending(undo)]
        return self._take(given)

    def reload_failed(self) -> None:
        for platform in self.running.values():
            platform.reload_failed()

    def capture(self, error: BaseException, thread_name: str) -> None:
        """To the one platform. What is wrong with the process itself concerns none of several."""
        if None in self.running:
            self.running[None].capture(error, thread_name)

    def _take(self, given: Platforms) -> list[Component]:
        """Have the platforms of the list, and no other; what is of no use any more is returned."""
        self.web = given.web
        self._labels: dict[str, Mapping[str, str]] = {}
        self._problems: dict[str, tuple[str, ...]] = {}
        names = {listed.name for listed in given.platforms}
        ends: list[Component] = [self.running.pop(name) for name in list(self.running) if name not in names]
        for listed in given.platforms:
            self._labels[listed.name] = listed.labels
            try:
                ends += self._take_one(listed)
            except FFObserveError as error:
                self._fails(listed.name, str(error).splitlines())
        self._publish()
        return ends

    def _take_one(self, listed: ListedPlatform) -> list[Component]:
        name, settings = listed.name, listed.settings
        before = self.running.get(name)
        if settings is None:
            self._fails(name, [str(problem) for problem in listed.problems])
            return []
        if before is None:
            self.running[name] = self._new(name, settings)
            if self._is_started:
                self._start(name)
            return []
        if before.settings == settings:
            before.reload_worked()
            return []
        return [_Ending(before.reload(settings))]

    def _fails(self, name: str, problems: list[str]) -> None:
        """One of several has settings that cannot be used: it keeps the old ones, if it has any."""
        with working_for(name):
            for problem in problems:
                log.error("%s", problem)
        if name in self.running:
            self.running[name].reload_failed()
        else:
            self._problems[name] = tuple(problems)

    def _start(self, name: str | None) -> None:
        try:
            self.running[name].start()
        except Exception as error:
            if name is None:
                raise
            del self.running[name]
            known = isinstance(error, FFObserveError)
            with working_for(name):
                log.log(logging.ERROR, "it cannot be started: %s", error, exc_info=None if known else error)
            self._problems[name] = (str(error) if known else f"an unexpected {type(error).__name__}: see the log",)

    def _publish(self) -> None:
        if None in self.running:
            return
        self._list.serve(
            _served(name, self.running.get(name), self._problems.get(name, ()), labels)
            for name, labels in self._labels.items()
        )

    def _new(self, name: str | None, settings: Settings) -> RunningPlatform:
        return RunningPlatform(name, settings, self._process, **self._made_with)


def _served(
    name: str, platform: RunningPlatform | None, problems: tuple[str, ...], labels: Mapping[str, str]
) -> ServedPlatform:
    if platform is None:
        return ServedPlatform(name, labels, problems)
    return ServedPlatform(
        name,
        labels,
        problems,
        platform.app,
        lambda: platform.settings,
        lambda: platform.snapshots,
        platform.self_metrics,
    )


class _Ending:
    """What settings that are no longer in use needed. A component."""

    name = "old settings"

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo = undo

    def start(self) -> None:
        """It runs already."""

    def stop(self, deadline: float) -> None:
        del deadline  # it has one of its own
        self._undo()


class _CurrentContext:
    """TLS of a listening socket, whichever settings are in use."""

    def __init__(self, security: "WebSecurity | None") -> None:
        self._security = security

    @property
    def exists(self) -> bool:
        """Whether there is TLS at all."""
        return _speaks_tls(self._security)

    @property
    def identifies_clients(self) -> bool:
        """Whether each client has to show a password, a token or a certificate."""
        return self._security is not None and self._security.current().identifies_clients

    def become(self, security: "WebSecurity | None") -> None:
        """Use `security` from the next handshake on."""
        self._security = security

    def of_moment(self) -> ssl.SSLContext:
        """The context for a new connection; call it only where TLS is on."""
        assert self._security is not None
        return self._security.context()


def _given(settings: Given) -> Settings | Platforms:
    if isinstance(settings, Settings | Platforms):
        return settings
    listed = tuple(ListedPlatform(name, each) for name, each in settings.items())
    return Platforms(Path(), PrometheusSettings(enabled=True), listed)


def _web_of(given: Settings | Platforms) -> PrometheusSettings:
    return given.prometheus if isinstance(given, Settings) else given.web


def _speaks_tls(security: "WebSecurity | None") -> bool:
    return security is not None and security.tls


def _address(settings: PrometheusSettings) -> tuple[str, int]:
    return settings.host, settings.port
