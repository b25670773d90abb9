"""A server on a port of its own, and an application for it that answers as it is told."""

import asyncio
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from ff_observe.http.application import Application
from ff_observe.http.exchange import Exchange, Handler
from ff_observe.http.hosts import AllowedHosts
from ff_observe.http.limits import Limits
from ff_observe.http.messages import Answer, Scope, text
from ff_observe.http.refusals import Closing, Refusals
from ff_observe.http.server import Server

LARGE = text(200, "x" * 2**24)  # more than anything between two sockets can hold
SMALL = text(200, "small")
REQUEST = b"GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /now HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Told(Application):
    """`/now` and `/large` are answered at once, other paths by a task when `release` was called."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0

    def has_begun(self, requests: int) -> bool:
        return self.begun == requests

    def answer_now(self, scope: Scope) -> Answer | None:
        return {"/now": SMALL, "/large": LARGE}.get(scope["path"])

    async def answer(self, scope: Scope) -> Answer:
        self.begun += 1
        try:
            never: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            return await never
        finally:
            self.ended += 1

    def stop_waiting(self) -> None:
        pass


class By:
    """A handler that is one function."""

    def __init__(self, handle: Callable[[Exchange], None]) -> None:
        self.handle = handle

    def stop_waiting(self) -> None:
        pass


class Counted(Refusals):
    """Keeps which connections were closed, and why."""

    def __init__(self) -> None:
        super().__init__()
        self.closings: list[Closing] = []

    def closed(self, closing: Closing) -> None:
        self.closings.append(closing)


@contextlib.contextmanager
def serving(
    limits: Limits | None = None,
    context: ssl.SSLContext | None = None,
    handler: Handler | None = None,
    on_fault: Callable[[BaseException], None] | None = None,
) -> Iterator[tuple[Server, int]]:
    server = Server(
        handler or Told(),
        limits or Limits(),
        tls=None if context is None else lambda: context,
        on_fault=on_fault,
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        server.allow_hosts(AllowedHosts("127.0.0.1"))
        thread = threading.Thread(target=server.run, args=(listening, Future()), daemon=True)
        thread.start()
        try:
            yield server, port
        finally:
            server.request_stop(0.1)
            thread.join(10)
            assert not thread.is_alive()


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 ([0-9]{3}) ", received)]


class Transport(asyncio.Transport):
    """Of a client that reads everything at once."""

    aborted = closed = ended = False
    unsent = 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def abort(self) -> None:
        self.aborted = True
