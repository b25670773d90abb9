"""An OTLP receiver over gRPC that misbehaves as a test wants."""

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from tests.unit.otlp.faulty import Receiver

Behaviour = Callable[["FaultyGrpc", bytes, Any], bytes]
"""Gives the answer to a request, or ends the call by its context."""


class FaultyGrpc(Receiver[Behaviour]):
    """One that speaks gRPC. While `hangs_up` is set, no connection is let through to it."""

    def __init__(self) -> None:
        super().__init__(take)
        self.hangs_up = False

    def recover(self) -> None:
        self.hangs_up = False
        super().recover()

    def handle(self, request: bytes, context: Any) -> bytes:
        self.asked += 1
        return self.behaviour(self, request, context)


@contextlib.contextmanager
def faulty_grpc(port: int = 0) -> Iterator[FaultyGrpc]:
    """A receiver until the block ends."""
    state = FaultyGrpc()
    with _behind_a_door(state, _serving(state), port), contextlib.ExitStack() as cleanup:
        cleanup.callback(state.let_go.set)
        yield state


def _serving(state: FaultyGrpc) -> "tuple[grpc.Server, int]":
    server = grpc.server(futures.ThreadPoolExecutor(8))
    export: Any = grpc.unary_unary_rpc_method_handler(state.handle)  # without a serializer: bytes come in, bytes go out
    service = "opentelemetry.proto.collector.metrics.v1.MetricsService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": export}),))
    return server, server.add_insecure_port("127.0.0.1:0")


@contextlib.contextmanager
def _behind_a_door(state: FaultyGrpc, serving: "tuple[grpc.Server, int]", port: int) -> Iterator[None]:
    server, inner_port = serving

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            near: socket.socket = self.request
            if state.hangs_up:
                near.recv(10)
                return
            with socket.create_connection(("127.0.0.1", inner_port)) as far, contextlib.suppress(OSError):
                _relay(near, far)

    class Doors(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = False  # joined when it closes

    server.start()
    doors = Doors(("127.0.0.1", port), Door)
    state.port = doors.server_address[1]
    thread = threading.Thread(target=doors.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.stop(0).wait(5)
        doors.shutdown()
        thread.join()
        doors.server_close()


def _relay(near: socket.socket, far: socket.socket) -> None:
    other = {near: far, far: near}
    while True:
        for source in select.select([near, far], [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            other[source].sendall(data)


def take(state: FaultyGrpc, request: bytes, context: Any) -> bytes:
    ExportMetricsServiceRequest().ParseFromString(request)
    state.arrived += 1
    return ExportMetricsServiceResponse().SerializeToString()


def hang(state: FaultyGrpc, request: bytes, context: Any) -> bytes:
    state.let_go.wait(20)
    return b""


def busy(state: FaultyGrpc, request: bytes, context: Any) -> bytes:
    return _ask_for_a_pause(context, seconds=30)


def busy_for_a_moment(state: FaultyGrpc, request: bytes, context: Any) -> bytes:
    state.behaviour = take
    return _ask_for_a_pause(context, seconds=0)


def _ask_for_a_pause(context: Any, *, seconds: int) -> bytes:
    pause = RetryInfo()
    pause.retry_delay.seconds = seconds
    context.set_trailing_metadata((("google.rpc.retryinfo-bin", pause.SerializeToString()),))
    context.abort(grpc.StatusCode.UNAVAILABLE, "too much to do")
    raise AssertionError  # abort has raised


def refuse(state: FaultyGrpc, request: bytes, context: Any) -> bytes:
    return refuse_because(context, "who are you")


def refuse_because(context: Any, reason: str) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, reason)
    raise AssertionError  # abort has raised


def answer_nonsense(state: FaultyGrpc, request: bytes, context: Any) -> bytes:
    return b"\xff\xff\xff"


def take_a_part(state: FaultyGrpc, request: bytes, context: Any) -> bytes:
    partial = ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too many labels")
    return ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
