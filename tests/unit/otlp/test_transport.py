"""How exports travel: TLS with a private authority, headers, compression, gRPC, and what the standard variables say."""

import builtins
import http.server
import logging
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.clock import SystemClock
from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.errors import FFObserveError
from ff_observe.outputs.otlp import session
from ff_observe.outputs.otlp.choice import destinations
from ff_observe.outputs.otlp.component import OtlpMetrics
from ff_observe.outputs.otlp.resource import SpeakingResource
from ff_observe.self_metrics import SelfMetrics
from tests.real_parts.certificates import make_certificate
from tests.real_parts.otlp import sink
from tests.real_parts.processes import wait_until
from tests.unit.otlp.faulty import Still
from tests.unit.ping import receivers

CLOCK = SystemClock()


def export_once(settings: OtlpSettings, variables: Mapping[str, str] | None = None) -> str:
    """Export until the outcome of one is known; returns it."""
    metrics = SelfMetrics()
    destination = destinations(settings, variables or {})["metrics"]
    otlp = OtlpMetrics(destination, SpeakingResource("ff-observe", "test"), Still(), metrics, CLOCK, 60)

    def outcome() -> str | None:
        counted = metrics.readings()[OTLP_EXPORTS.name]
        return next((labels[0] for labels, number in counted.items() if number), None)

    otlp.start()
    try:
        return wait_until(outcome, "an export")
    finally:
        otlp.stop(CLOCK.monotonic() + 5)


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_headers_and_compression_of_the_file_are_used(compression: str) -> None:
    headers = (("Authorization", Secret("Basic planted")), ("X-Scope-OrgID", Secret("tenant")))
    with sink() as receiver:
        settings = OtlpSettings(endpoint=Secret(receiver.url), headers=headers, compression=compression)
        assert export_once(settings) == "delivered"
        sent = receiver.headers[-1]
    assert sent["authorization"] == "Basic planted"
    assert sent["x-scope-orgid"] == "tenant"
    assert sent.get("content-encoding", "none") == compression


def test_headers_of_the_variables_are_sent_along_and_those_of_the_file_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=variable,x-other=kept%20as%20is")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "")
    with sink() as receiver:
        settings = OtlpSettings(endpoint=Secret(receiver.url), headers=(("Api-Key", Secret("file")),))
        assert export_once(settings) == "delivered"
        sent = receiver.headers[-1]
    assert (sent["api-key"], sent["x-other"]) == ("file", "kept as is")


def test_credentials_of_a_netrc_are_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("default login somebody password planted\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with sink() as receiver:
        assert export_once(OtlpSettings(endpoint=Secret(receiver.url))) == "delivered"
        assert "authorization" not in receiver.headers[-1]
        told = OtlpSettings(endpoint=Secret(receiver.url), headers=(("Authorization", Secret("Bearer ours")),))
        assert export_once(told) == "delivered"
        assert receiver.headers[-1]["authorization"] == "Bearer ours"
        in_url = OtlpSettings(endpoint=Secret(receiver.url.replace("//", "//our:own@")))
        assert export_once(in_url) == "delivered"
        assert receiver.headers[-1]["authorization"] == "Basic b3VyOm93bg=="


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


def test_a_private_authority_is_trusted_when_named_and_only_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with tls_receiver(tmp_path) as (url, authority):
        assert export_once(OtlpSettings(endpoint=Secret(url), certificate=authority)) == "delivered"
        variable = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority)}
        assert export_once(OtlpSettings(endpoint=Secret(url)), variable) == "delivered"
        with caplog.at_level(logging.WARNING):
            assert export_once(OtlpSettings(endpoint=Secret(url), timeout_seconds=2)) == "failed"
    assert "its certificate is not trusted" in caplog.text
    assert "telemetry.backend.otlp.certificate" in caplog.text


def shown(directory: Path) -> dict[str, str]:
    """The variables that name a certificate to show, which `make_certificate` has written."""
    return {
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(directory / "certificate.pem"),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(directory / "key.pem"),
    }


def test_a_receiver_that_asks_for_a_certificate_is_shown_it(tmp_path: Path) -> None:
    with tls_receiver(tmp_path, asks_for_a_certificate=True) as (url, authority):
        settings = OtlpSettings(endpoint=Secret(url), certificate=authority, timeout_seconds=0.5)
        assert export_once(settings, shown(tmp_path)) == "delivered"
        assert export_once(settings) == "failed"


def test_grpc_shows_a_certificate_to_a_receiver_that_asks_for_it(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    pair = (key.read_bytes(), certificate.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], certificate.read_bytes(), require_client_auth=True)
    with grpc_receiver(credentials) as (_, port):
        settings = OtlpSettings(
            endpoint=Secret(f"https://127.0.0.1:{port}"), protocol="grpc", certificate=certificate, timeout_seconds=0.5
        )
        assert export_once(settings, shown(tmp_path)) == "delivered"
        assert export_once(settings) == "failed"


@pytest.fixture
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "grpc_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxy_from_outside")
def test_plain_http_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with receivers.receiver(receivers.answer(200)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://somebody:planted@127.0.0.1:{proxy.port}")
        assert export_once(OtlpSettings(endpoint=Secret("http://otlp.example.com:4318"))) == "delivered"
    [request] = proxy.requests
    assert request.line == "POST http://otlp.example.com:4318/v1/metrics HTTP/1.1"
    assert request.headers["Proxy-Authorization"] == "Basic c29tZWJvZHk6cGxhbnRlZA=="


@pytest.mark.usefixtures("no_proxy_from_outside")
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_tls_goes_through_a_tunnel_of_the_proxy_unless_an_exception_is_made(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    (tmp_path / "http").mkdir()
    with (
        receivers.receiver(receivers.tunnel) as proxy,
        grpc_receiver(credentials) as (_, port),
        tls_receiver(tmp_path / "http") as (url, authority),
    ):
        endpoint = url if protocol == "http/protobuf" else f"https://127.0.0.1:{port}"
        authority = authority if protocol == "http/protobuf" else certificate
        settings = OtlpSettings(endpoint=Secret(endpoint), protocol=protocol, certificate=authority)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        assert export_once(settings) == "delivered"
        assert [request.line.split()[:2] for request in proxy.requests] == [["CONNECT", endpoint.split("//")[1]]]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert export_once(settings) == "delivered"
        assert len(proxy.requests) == 1


@pytest.mark.usefixtures("no_proxy_from_outside")
def test_a_proxy_that_refuses_is_told_from_a_receiver_that_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with receivers.receiver(receivers.answer(407)) as proxy, caplog.at_level(logging.WARNING):
        monkeypatch.setenv("https_proxy", f"http://somebody:planted@127.0.0.1:{proxy.port}")
        assert export_once(OtlpSettings(endpoint=Secret("https://127.0.0.1:9"), timeout_seconds=0.5)) == "failed"
    assert "through the proxy: Tunnel connection failed: 407" in caplog.text
    assert "planted" not in caplog.text


@pytest.mark.parametrize(
    ("preference", "temporality"), [("", "CUMULATIVE"), ("delta", "DELTA"), ("LowMemory", "CUMULATIVE")]
)
def test_counters_are_sums_or_differences_as_the_variable_prefers(
    preference: str, temporality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    with sink() as receiver:
        assert export_once(OtlpSettings(endpoint=Secret(receiver.url))) == "delivered"
        sums = [metric["sum"] for metric in receiver.metrics().values() if "sum" in metric]
    assert sums
    assert all(each["isMonotonic"] for each in sums)
    assert {each["aggregationTemporality"] for each in sums} == {f"AGGREGATION_TEMPORALITY_{temporality}"}


class GrpcReceiver(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self) -> None:
        self.metadata: list[dict[str, str]] = []

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


def test_grpc_takes_headers_however_they_are_spelled() -> None:
    with grpc_receiver() as (receiver, port):
        settings = OtlpSettings(
            endpoint=Secret(f"http://127.0.0.1:{port}"), protocol="grpc", headers=(("Api-Key", Secret("planted")),)
        )
        assert export_once(settings) == "delivered"
    assert receiver.metadata[-1]["api-key"] == "planted"


def test_grpc_trusts_a_private_authority_when_named(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    with grpc_receiver(credentials) as (_, port):
        endpoint = Secret(f"https://127.0.0.1:{port}")
        assert export_once(OtlpSettings(endpoint=endpoint, protocol="grpc", certificate=certificate)) == "delivered"
        assert export_once(OtlpSettings(endpoint=endpoint, protocol="grpc", timeout_seconds=0.5)) == "failed"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_an_authority_of_the_whole_system_is_trusted(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(session, "_trust", [])  # read once in a process
    (tmp_path / "http").mkdir()
    with (
        grpc_receiver(grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])) as (_, port),
        tls_receiver(tmp_path / "http") as (url, authority),
    ):
        if protocol == "http/protobuf":
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        endpoint = url if protocol == "http/protobuf" else f"https://127.0.0.1:{port}"
        assert export_once(OtlpSettings(endpoint=Secret(endpoint), protocol=protocol, timeout_seconds=2)) == "delivered"


def test_grpc_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    really_import = builtins.__import__

    def import_without_grpc(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "grpc":
            raise ImportError(name)
        return really_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", import_without_grpc)
    with pytest.raises(FFObserveError, match=r"pip install 'ff-observe\[grpc\]'"):
        export_once(OtlpSettings(enabled=True, protocol="grpc"))
