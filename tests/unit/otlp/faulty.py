"""An OTLP receiver over HTTP that misbehaves as a test wants, and a platform on which nothing ever happens."""

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Generic, TypeVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import Installation

INSTANCE_ID = "af60f42a-fc6c-4f34-b050-6d89fcb458dc"


class Still:
    """A platform on which nothing ever happens."""

    def __init__(self) -> None:
        self.asked = 0

    def current(self) -> Snapshot:
        self.asked += 1
        return Snapshot(
            datetime(2026, 11, 23, tzinfo=UTC),
            0.01,
            True,
            Installation(instance_id=INSTANCE_ID),
            {"flowfuse_users": {(): 9}},
        )


Behaviour = Callable[["Request"], None]


B = TypeVar("B")


class Receiver(Generic[B]):
    """Receives exports as it is told to. `arrived` counts those it took whole."""

    def __init__(self, take: B) -> None:
        self.behaviour = self._take = take
        self.asked = 0
        self.arrived = 0
        self.let_go = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def recover(self) -> None:
        """Take everything from now on, and let go what hangs."""
        self.behaviour = self._take
        self.let_go.set()


class Faulty(Receiver[Behaviour]):
    """One that speaks HTTP."""

    def __init__(self) -> None:
        super().__init__(take)


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faulty: Faulty

    def do_POST(self) -> None:
        self.faulty.asked += 1
        self.faulty.behaviour(self)
        self.close_connection = True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer; a header `retry_after` is sent as `retry-after`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # joined when it closes
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is what these tests are about."""


@contextlib.contextmanager
def faulty(port: int = 0) -> Iterator[Faulty]:
    """A receiver until the block ends."""
    state = Faulty()
    server = _Server(("127.0.0.1", port), type("Handler", (Request,), {"faulty": state}))
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def take(request: Request) -> None:
    ExportMetricsServiceRequest().ParseFromString(request.body())
    answer = ExportMetricsServiceResponse().SerializeToString()
    request.reply(200, answer, content_type="application/x-protobuf")
    request.faulty.arrived += 1


def hang(request: Request) -> None:
    request.faulty.let_go.wait(20)


def drip(request: Request) -> None:
    """A byte every now and then, for ever: no single read times out."""
    request.body()
    request.send_response(200)
    request.send_header("content-length", "1000000")
    request.end_headers()
    with contextlib.suppress(OSError):
        while not request.faulty.let_go.wait(0.02):
            request.wfile.write(b"x")


def busy(request: Request) -> None:
    request.body()
    request.reply(503, retry_after="30")


def busy_for_a_moment(request: Request) -> None:
    request.body()
    request.faulty.behaviour = take
    request.reply(503, retry_after="0")


def drop(request: Request) -> None:
    request.rfile.read(10)
    request.connection.shutdown(socket.SHUT_RDWR)


def garble(request: Request) -> None:
    request.body()
    request.wfile.write(b"\x00\xff not HTTP\r\n\r\n")


def answer_nonsense(request: Request) -> None:
    request.body()
    request.reply(200, b"\xff\xff\xff", content_type="application/x-protobuf")


def answer_a_page(request: Request) -> None:
    request.body()
    request.reply(200, b"<html>Please log in</html>", content_type="text/html; charset=utf-8")


def answer_at_length(request: Request) -> None:
    request.body()
    request.reply(200, b"x" * 100_000)


def redirect(request: Request) -> None:
    request.body()
    request.reply(307, location=f"http://127.0.0.1:{request.faulty.port}/elsewhere")


def reject(request: Request) -> None:
    request.body()
    request.reply(400)


def take_a_part(request: Request) -> None:
    request.body()
    partial = ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too many labels")
    answer = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    request.reply(200, answer, content_type="application/x-protobuf")
