"""Serves the bridge's ASGI application over HTTP in one thread of its own."""

import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ff_observe.clock import Clock
from ff_observe.errors import FFObserveError, what_to_change_to_listen
from ff_observe.web.messages import Application

if TYPE_CHECKING:
    from ff_observe.web.uvicorn_server import UvicornServer

log = logging.getLogger(__name__)

BACKLOG = 2048
MOST_GRACEFUL_SECONDS = 1.0  # for answers under way when stopped; the rest of the deadline is for other parts

_REACHED_AT = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nothing is bound here
"""All addresses, and one of this machine's among them."""


class WebServer:
    """A component. The address is bound in `start()`, which fails at once if it cannot be."""

    name = "web server"

    def __init__(
        self,
        app: Application,
        host: str,
        port: int,
        clock: Clock,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """`tls` is asked for the context of each new connection; without it they are plain."""
        self._app = app
        self._host = host
        self._port = port
        self._clock = clock
        self._tls = tls
        self._server: UvicornServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port asked for; once started, where that was 0, the one the system chose."""
        return self._port

    @property
    def url(self) -> str:
        """Where this machine finds it, without a slash at the end."""
        host = _REACHED_AT.get(self._host, self._host)
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://[{host}]:{self._port}" if ":" in host else f"{scheme}://{host}:{self._port}"

    @property
    def listens_on(self) -> str:
        """Its URL, or in words that it listens on all addresses."""
        if self._host not in _REACHED_AT:
            return self.url
        kind = " IPv4" if self._host == "0.0.0.0" else ""  # noqa: S104  # nothing is bound here
        return f"{'http' if self._tls is None else 'https'} on all{kind} addresses, port {self._port}"

    def start(self) -> None:
        """Listen, then serve. Raises `FFObserveError` if the address cannot be listened on."""
        listening = listen(self._host, self._port)
        self._port = listening.getsockname()[1]
        from ff_observe.web.uvicorn_server import UvicornServer  # heavy; here the address is known to be good

        self._server = UvicornServer(self._app, self._tls)
        self._thread = threading.Thread(
            target=self._server.run_until_told, args=(listening,), name=self.name, daemon=True
        )
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Let answers under way go out for a moment, then close everything.

        Raises `TimeoutError` if that takes beyond `deadline`; the thread, a daemon, then ends with the process.
        """
        if self._server is None or self._thread is None:
            return
        left_seconds = max(0.0, deadline - self._clock.monotonic())
        self._server.tell_to_stop(min(MOST_GRACEFUL_SECONDS, left_seconds / 2))
        self._thread.join(left_seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"the thread {self.name!r} did not stop in time")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `FFObserveError` saying what to change."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise FFObserveError(
            f"cannot listen on {host}:{port}: {reason}; {what_to_change_to_listen(error, port)} "
            "(telemetry.backend.prometheus.host and .port in flowforge.yml)"
        ) from error
