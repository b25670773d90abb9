"""One export to real receivers: behind TLS, and over gRPC."""

import http.server
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.config.settings import OtlpSettings
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.real_parts.certificates import make_certificate
from tests.real_parts.processes import wait_until
from tests.unit.otlp.watching import CLOCK, exporting_metrics


def export_once(settings: OtlpSettings, variables: Mapping[str, str] | None = None) -> str:
    """Export until the outcome of one is known; returns it."""
    metrics = SelfMetrics()
    otlp = exporting_metrics(settings, metrics, variables or {})

    def outcome() -> str | None:
        counted = metrics.readings()[OTLP_EXPORTS.name]
        return next((labels[0] for labels, number in counted.items() if number), None)

    otlp.start()
    try:
        return wait_until(outcome, "an export")
    finally:
        otlp.stop(CLOCK.monotonic() + 5)


@contextmanager
def tls_receiver(directory: Path, *, asks_for_a_certificate: bool = False) -> Iterator[tuple[str, Path]]:
    """A receiver behind TLS whose authority nobody knows; its address, and the authority."""
    certificate, key = make_certificate(directory)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up: expected
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if asks_for_a_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", certificate
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class GrpcReceiver(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self) -> None:
        self.metadata: list[dict[str, str | bytes]] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the protocol
        self.metadata.append({item.key: item.value for item in context.invocation_metadata()})
        return metrics_service_pb2.ExportMetricsServiceResponse()


@contextmanager
def grpc_receiver(credentials: "grpc.ServerCredentials | None" = None) -> Iterator[tuple[GrpcReceiver, int]]:
    receiver = GrpcReceiver()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add: Any = metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server
    add(receiver, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield receiver, port
    finally:
        server.stop(0).wait(5)
