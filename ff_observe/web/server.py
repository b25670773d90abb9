"""Serves the bridge's ASGI application over HTTP in one thread of its own."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from ff_observe.errors import FFObserveError, what_to_change_to_listen
from ff_observe.http.application import Application
from ff_observe.http.limits import Limits
from ff_observe.system.clock import Clock
from ff_observe.web.local import REACHED_AT, local_url

if TYPE_CHECKING:
    from ff_observe.http.server import Server

MOST_GRACEFUL_SECONDS = 1.0  # for answers in progress at the stop; the rest of the deadline is for other parts

LIMITS: Final = Limits(
    request_seconds=10.0,
    idle_seconds=75.0,  # longer than the usual scrape interval, so that Prometheus keeps its connection
    head_bytes=16 * 1024,
    request_bytes=64 * 1024,  # no request here has a body
    connections=512,
)

CONNECTIONS_OF_SEVERAL: Final = 4096
"""Where several platforms are served: Prometheus may keep a connection for each."""

ALLOWED_HOSTS_KEY: Final = "telemetry.backend.prometheus.allowed_hosts in flowforge.yml"


class WebServer:
    """A component. The address is bound in `start()`, which fails at once if that is impossible."""

    name = "web server"

    def __init__(
        self,
        app: Application,
        host: str,
        port: int,
        clock: Clock,
        tls: Callable[[], ssl.SSLContext] | None = None,
        allowed_hosts: Sequence[str] = (),
        listening: Callable[[], socket.socket] | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        """`tls` returns the context of each new connection; without it connections are plain. `listening` returns a
        socket that listens already, in place of `host` and `port`."""
        self._app = app
        self._host = host
        self.port = port  # once started, if that was 0, the one the system chose
        self._clock = clock
        self._tls = tls
        self._allowed_hosts = tuple(allowed_hosts)
        self._given = listening
        self._limits = limits
        self._listening_on = host
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The URL on this machine, without a slash at the end."""
        return local_url(self._host, self.port, tls=self._tls is not None)

    @property
    def listens_on(self) -> str:
        """The URL, or a description of listening on all addresses."""
        if self._host not in REACHED_AT:
            return self.url
        kind = " IPv4" if self._host == "0.0.0.0" else ""  # noqa: S104  # nothing is bound here
        return f"{'http' if self._tls is None else 'https'} on all{kind} addresses, port {self.port}"

    def start(self) -> None:
        """Listen, then serve. Raises `FFObserveError` if the address cannot be listened on, or not be served."""
        listening = self._given() if self._given is not None else listen(self._host, self.port)
        self._listening_on, self.port = listening.getsockname()[:2]
        from ff_observe.http.listening import reason
        from ff_observe.http.refusals import Refusals
        from ff_observe.http.server import Server  # heavy; here the address is known to be good

        self._server = Server(self._app, self._limits, tls=self._tls, refusals=Refusals(ALLOWED_HOSTS_KEY))
        self.allow_hosts(self._allowed_hosts)
        begun: Future[None] = Future()
        self._thread = threading.Thread(target=self._server.run, args=(listening, begun), name=self.name, daemon=True)
        self._thread.start()
        try:
            begun.result()
        except OSError as error:  # such as too many open files
            raise FFObserveError(f"cannot serve {self.url}: {reason(error)}") from error

    def responds(self, within_seconds: float) -> bool:
        return self._server is not None and self._server.responds(within_seconds)

    def allow_hosts(self, names: Sequence[str]) -> None:
        """Answer to these names as well, besides those of `AllowedHosts`, from the next request on."""
        from ff_observe.http.hosts import AllowedHosts

        self._allowed_hosts = tuple(names)
        if self._server is not None:
            self._server.allow_hosts(AllowedHosts(self._listening_on, names))

    def stop(self, deadline: float) -> None:
        """Let answers in progress finish for a moment, then close everything.

        Raises `TimeoutError` if that takes beyond `deadline`; the thread, a daemon, then ends with the process.
        """
        if self._server is None or self._thread is None:
            return
        left_seconds = max(0.0, deadline - self._clock.monotonic())
        self._server.request_stop(min(MOST_GRACEFUL_SECONDS, left_seconds / 2))
        self._thread.join(left_seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"the thread {self.name!r} did not stop in time")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `FFObserveError` saying what to change."""
    from ff_observe.http import listening

    try:
        return listening.listen(host, port)
    except OSError as error:
        raise FFObserveError(
            f"cannot listen on {host}:{port}: {listening.reason(error)}; {what_to_change_to_listen(error, port)} "
            "(telemetry.backend.prometheus.host and .port in flowforge.yml)"
        ) from error
