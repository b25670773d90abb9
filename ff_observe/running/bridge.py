"""A running bridge: its platforms and the server before them, started and stopped in order, and reloaded."""

import os
import random
import ssl
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ff_observe.config.public import is_loopback
from ff_observe.config.settings import PrometheusSettings, Settings
from ff_observe.errors import FFObserveError
from ff_observe.http.application import Application
from ff_observe.http.messages import Answer, Scope, text
from ff_observe.lifecycle.service import Component, Service
from ff_observe.outputs.ping.schedule import FIRST_PING_SECONDS
from ff_observe.platform.snapshots import Snapshots
from ff_observe.running.platform import CurrentApp, RunningPlatform
from ff_observe.running.platforms import Given, RunningPlatforms, one_or_several, web_of
from ff_observe.running.wiring import STOP_SECONDS, make_server, secured, web_security
from ff_observe.system.clock import Clock, SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.status.describe import Audience

if TYPE_CHECKING:
    from ff_observe.web.security import WebSecurity
    from ff_observe.web.server import WebServer


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
        made_with = {"chance": chance, "first_ping_seconds": first_ping_seconds, "stop_seconds": stop_seconds}
        self._platforms = RunningPlatforms(settings, self.clock, made_with, self._audience)
        security = web_security(self._platforms.web)
        self.app = CurrentApp(secured(self._platforms.app, security), self._platforms.capture)
        self._context = _CurrentContext(security)
        self._server = self._new_server(self._platforms.web, self._context) if serve else None
        self._asked_at = [(self._platforms.web.host, self._context)]
        self._started = False
        self._is_forked = False

    @property
    def settings(self) -> Settings:
        """The settings in use by the one platform of the bridge."""
        return self._platforms.only.settings

    @property
    def snapshots(self) -> Snapshots:
        """Whom to ask for the present moment of the one platform of the bridge."""
        return self._platforms.only.snapshots

    @property
    def self_metrics(self) -> SelfMetrics:
        """How the bridge of its one platform is doing."""
        return self._platforms.only.self_metrics

    @property
    def platforms(self) -> Mapping[str, RunningPlatform]:
        """Those that run, by name; empty where the bridge has one platform, without a name."""
        return {name: platform for name, platform in self._platforms.running.items() if name}

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
        if hasattr(os, "register_at_fork"):  # not on Windows
            leave = weakref.WeakMethod(self._leave_to_parent)
            os.register_at_fork(after_in_child=lambda: None if (found := leave()) is None else found())
        self._service(self._server, self._platforms).start()  # the address may be taken: nothing else runs then

    def stop(self) -> None:
        """Stop all within the deadline. Raises an `ExceptionGroup` of what did not stop cleanly. Idempotent.

        In a process forked since the start it does nothing: all that is open there belongs to the parent's bridge.
        """
        if self._is_forked:
            return
        self._service(self._platforms, self._server).stop()

    def reload(self, settings: Given) -> None:
        """Use other settings from now on. Raises, with the old settings still in use, if they cannot be.

        Of several platforms, those whose settings are as before go on untouched. One whose new settings cannot be used
        keeps the old ones, and says so.
        """
        given = one_or_several(settings)
        if isinstance(given, Settings) is self._platforms.several:
            raise FFObserveError("a bridge serves one platform, or several by name: start another process")
        web = web_of(given)
        security = web_security(web)
        server = self._server
        moved = server is not None and _address(web) != _address(self._platforms.web)
        if server is not None and not moved and _speaks_tls(security) != self._context.exists:
            raise FFObserveError(
                "switching TLS on or off needs a restart, or another telemetry.backend.prometheus.port"
            )
        context = _CurrentContext(security) if moved else self._context
        new_server = self._new_server(web, context) if moved else None
        asked_at = [(web.host, context)]
        if new_server is not None:
            self._asked_at += asked_at  # until the old server has stopped, both are asked
        try:
            if new_server is not None:
                new_server.start()
            undo = self._platforms.reload(given)
        except BaseException:
            if new_server is not None:
                self._service(new_server).stop()
                self._asked_at.pop()
            raise
        self._server = new_server or server
        self.app.become(secured(self._platforms.app, security))
        if self._server is not None:
            self._server.allow_hosts(web.allowed_hosts)
        context.become(security)
        self._context = context
        try:
            self._service(*undo, server if moved else None).stop()
        finally:
            self._asked_at = asked_at

    def reload_failed(self) -> None:
        """Publish that the file changed and could not be used."""
        self._platforms.reload_failed()

    def responds(self, within_seconds: float) -> bool:
        """Whether the bridge's own server is alive, by its event loop; True where another server serves it."""
        return self._server is None or self._server.responds(within_seconds)

    def capture(self, error: BaseException, thread_name: str) -> None:
        """Report an error to the outputs of the one platform that take them, as the bridge's own threads do."""
        self._platforms.capture(error, thread_name)

    def __enter__(self) -> "Bridge":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _leave_to_parent(self) -> None:
        """Use nothing that was open when this process was forked."""
        self._is_forked = True
        self.app.become(_InParent())

    def _audience(self) -> Audience:
        """Of all places where the bridge can be asked at present."""
        found = {self._audience_at(*place) for place in self._asked_at}
        return next(each for each in Audience if each in found)

    def _audience_at(self, host: str, context: "_CurrentContext") -> Audience:
        serves = self._server is not None
        if context.identifies_clients(over_tls=serves):
            return Audience.IDENTIFIED
        return Audience.THIS_MACHINE if serves and is_loopback(host) else Audience.ANYONE

    def _new_server(self, web: PrometheusSettings, context: "_CurrentContext") -> "WebServer":
        tls = context.of_moment if context.exists else None
        return make_server(self.app, web, self.clock, tls, self._listening, several=self._platforms.several)

    def _service(self, *parts: Component | None) -> Service:
        return Service([part for part in parts if part is not None], self.clock, self._stop_seconds)


def build_bridge(settings: Given, **options: Any) -> Bridge:
    """Build a bridge for one platform, or for several by name; see `Bridge` for the options. Nothing is started or
    contacted yet."""
    return Bridge(settings, **options)


class _InParent(Application):
    """Answers in a forked process: a reading there would share the sessions that the parent's bridge reads over."""

    def answer_now(self, scope: Scope) -> Answer:
        return text(503, "the bridge runs in the process that this one was forked from: start it after forking")

    async def answer(self, scope: Scope) -> Answer:
        return self.answer_now(scope)

    def stop_waiting(self) -> None:
        """No request waits."""


class _CurrentContext:
    """TLS of a listening socket, whichever settings are in use."""

    def __init__(self, security: "WebSecurity | None") -> None:
        self._security = security

    @property
    def exists(self) -> bool:
        """Whether there is TLS at all."""
        return _speaks_tls(self._security)

    def identifies_clients(self, *, over_tls: bool) -> bool:
        """Whether each client has to show a password, a token or, `over_tls`, a certificate."""
        return self._security is not None and self._security.current().identifies_clients(over_tls=over_tls)

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
