"""A real OTLP receiver (rotel, HTTP and gRPC), and the sink behind it that decodes what arrived."""

import contextlib
import gzip
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.real_parts.processes import accepts, free_port, running

_MESSAGES: dict[str, tuple[Any, Any]] = {
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


@dataclass
class Sink:
    """What arrived, decoded by the official messages."""

    port: int = 0
    received: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def metrics(self) -> dict[str, dict[str, Any]]:
        """The metrics of the last export by name, as protobuf's JSON shows them."""
        exports = [body for path, body in self.received if path == "/v1/metrics"]
        if not exports:
            return {}
        return {
            metric["name"]: metric
            for resource in exports[-1]["resourceMetrics"]
            for scope in resource["scopeMetrics"]
            for metric in scope["metrics"]
        }

    def resource(self) -> dict[str, str]:
        """The resource attributes of the last export of metrics."""
        return self.resource_of("/v1/metrics")

    def resource_of(self, path: str) -> dict[str, str]:
        """The resource attributes of the last export to `path`."""
        last = [body for came_to, body in list(self.received) if came_to == path][-1]
        (resources,) = [value for key, value in last.items() if key.startswith("resource")]
        attributes = resources[0]["resource"]["attributes"]
        return {attribute["key"]: attribute["value"]["stringValue"] for attribute in attributes}

    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for path, body in list(self.received)
            if path == "/v1/traces"
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def logs(self) -> list[dict[str, Any]]:
        return [
            record
            for path, body in list(self.received)
            if path == "/v1/logs"
            for resource in body["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]


def points(metric: dict[str, Any]) -> dict[tuple[tuple[str, str], ...], float]:
    """The points of a decoded metric: sorted attributes to value."""
    data = metric.get("gauge") or metric["sum"]
    return {
        tuple(
            sorted((attribute["key"], attribute["value"]["stringValue"]) for attribute in point.get("attributes", []))
        ): float(point.get("asInt", point.get("asDouble", 0)))
        for point in data["dataPoints"]
    }


def attributes(of: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a decoded span or log record; a whole number is a string in protobuf's JSON."""
    return {each["key"]: next(iter(each["value"].values())) for each in of["attributes"]}


def _body(handler: http.server.BaseHTTPRequestHandler) -> bytes:
    if "chunked" not in handler.headers.get("transfer-encoding", ""):
        return handler.rfile.read(int(handler.headers.get("content-length", 0)))
    body = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """An HTTP receiver in this process that keeps all it gets."""
    kept = Sink()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = _body(self)
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            request, response = _MESSAGES[self.path]
            message = request()
            message.ParseFromString(body)
            kept.headers.append({name.lower(): value for name, value in self.headers.items()})
            kept.received.append((self.path, MessageToDict(message)))
            answer = response().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(answer)
            self.close_connection = True  # one kept open would hold a thread of this process beyond a test

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.block_on_close = False
    kept.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Receiver:
    """A running rotel; what it receives comes out of `sink`."""

    grpc_url: str
    http_url: str
    sink: Sink


def agent() -> Path:
    """The program. Skips the test where it is not there, or cannot be started."""
    rotel = pytest.importorskip("rotel", reason="needs rotel: wheels for CPython before 3.14 on Linux")
    program = Path(rotel.__file__).parent / "rotel-agent"
    tried = subprocess.run([program, "--version"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"rotel needs Python as a shared library: apt-get install libpython3.11 ({tried.stderr.strip()})")
    return program


@contextlib.contextmanager
def receiver(directory: Path) -> Iterator[Receiver]:
    """Run rotel until the block ends."""
    program = agent()
    grpc_port, http_port = free_port(), free_port()
    with sink() as behind:
        command: list[str | Path] = [
            *(program, "start"),
            *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}", "--otlp-http-endpoint", f"127.0.0.1:{http_port}"),
            *("--exporter", "otlp", "--otlp-exporter-endpoint", behind.url, "--otlp-exporter-protocol", "http"),
            *("--pid-file", "rotel.pid", "--log-file", "rotel.txt"),
        ]
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        with running(command, directory, accepts(http_port), environment=environment):
            yield Receiver(f"http://127.0.0.1:{grpc_port}", f"http://127.0.0.1:{http_port}", behind)
