"""uvicorn with httptools and uvloop, bounded: how long and how large a request may be, how many there may be.

Imported only when something is served: it costs 100 ms and 15 MiB.
"""

import asyncio
import logging
import socket
import ssl
from asyncio import Transport
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ff_observe.web.handshake import Handshake
from ff_observe.web.messages import Application

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 1024  # beyond it a request is answered with 503
KEEP_ALIVE_SECONDS = 75  # longer than the usual scrape interval, so that Prometheus keeps its connection
REQUEST_SECONDS = 10.0  # from its first to its last byte: nothing here takes more than a few headers
MOST_REQUEST_BYTES = 64 * 1024
_TICKS_BETWEEN_LOOKS = 10  # of 0.1 s


class BoundedProtocol(HttpToolsProtocol):
    """One connection. uvicorn itself lets a request take for ever and be of any size (its limits are for h11)."""

    receiving_since: float | None = None
    _received_bytes = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self.receiving_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        if self.receiving_since is None:
            self.receiving_since = self.loop.time()
        self._received_bytes += len(data)
        if self._received_bytes > MOST_REQUEST_BYTES:
            self.transport.close()
            return
        super().data_received(data)

    def on_message_complete(self) -> None:
        self.receiving_since = None
        self._received_bytes = 0
        super().on_message_complete()


class UvicornServer(uvicorn.Server):
    """Serves `app` on a socket that already listens, without signal handlers, until told to stop."""

    def __init__(self, app: Application, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        self._app = app
        self._handshakes: set[Handshake] = set()
        # uvloop goes on reading while `connection_made` says to pause, and the first bytes of TLS would be lost.
        self._loop_factory = _loop_factory() if tls is None else None
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http=BoundedProtocol if tls is None else self._behind(tls),  # type: ignore[arg-type]  # see there
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.ERROR,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=socket.SOMAXCONN,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
            )
        )

    def run_until_told(self, listening: socket.socket) -> None:
        """The body of the server's thread."""
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._serve_and_close(listening))
        except Exception:
            log.exception("the web server failed and is gone")

    def tell_to_stop(self, graceful_seconds: float) -> None:
        """From any thread: answers under way may take so long, then everything is closed."""
        self.config.timeout_graceful_shutdown = graceful_seconds  # type: ignore[assignment]  # given to wait_for
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_BETWEEN_LOOKS == 0:
            self._close_the_slow(asyncio.get_running_loop().time() - REQUEST_SECONDS)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop_waiting()
        self._break_off_handshakes()
        await super().shutdown(sockets)

    def _behind(self, tls: Callable[[], ssl.SSLContext]) -> Callable[..., Handshake]:
        """What uvicorn calls for each connection as it would call the class of a protocol."""

        def accepted(**of_uvicorn: Any) -> Handshake:
            return Handshake(tls, partial(BoundedProtocol, **of_uvicorn), self._handshakes)

        return accepted

    def _break_off_handshakes(self) -> None:
        for handshake in list(self._handshakes):
            handshake.break_off()

    def _close_the_slow(self, before: float) -> None:
        for connection in list(self.server_state.connections):
            if (
                isinstance(connection, BoundedProtocol)
                and connection.receiving_since is not None
                and connection.receiving_since < before
            ):
                connection.transport.close()

    async def _serve_and_close(self, listening: socket.socket) -> None:
        await self.serve(sockets=[listening])
        self._break_off_handshakes()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # connections learn of their end on the next turn of the loop


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """uvloop where there is one (not on Windows), else asyncio's own choice."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
