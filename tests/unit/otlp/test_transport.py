"""How exports travel: TLS with a private authority, headers, compression, gRPC, and what the standard variables say."""

import builtins
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.errors import FFObserveError
from tests.real_parts.certificates import make_certificate
from tests.real_parts.otlp import sink
from tests.unit.otlp.receivers import export_once, grpc_receiver, tls_receiver
from tests.unit.otlp.watching import CLOCK


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
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=variable,x-other=kept%20as%20is"}
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "")
    with sink() as receiver:
        settings = OtlpSettings(endpoint=Secret(receiver.url), headers=(("Api-Key", Secret("file")),))
        assert export_once(settings, variables) == "delivered"
        sent = receiver.headers[-1]
    assert (sent["api-key"], sent["x-other"]) == ("file", "kept as is")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_headers_of_the_process_are_not_sent_where_a_platform_has_its_own(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=of-the-process")
    for variables in ({}, {"OTEL_EXPORTER_OTLP_HEADERS": "x-scope-orgid=acme"}):
        with sink() as http, grpc_receiver() as (grpc_server, port):
            url = http.url if protocol == "http/protobuf" else f"http://127.0.0.1:{port}"
            assert export_once(OtlpSettings(endpoint=Secret(url), protocol=protocol), variables) == "delivered"
            sent = http.headers[-1] if protocol == "http/protobuf" else grpc_server.metadata[-1]
        assert "api-key" not in sent
        assert ("x-scope-orgid" in sent) is bool(variables)


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


def test_a_private_authority_is_trusted_when_named_and_only_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with tls_receiver(tmp_path) as (url, authority):
        began = CLOCK.monotonic()
        assert export_once(OtlpSettings(endpoint=Secret(url), certificate=authority)) == "delivered"
        enough = 2 + 5 * (CLOCK.monotonic() - began)  # for a handshake, also on a busy machine
        variable = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority)}
        assert export_once(OtlpSettings(endpoint=Secret(url)), variable) == "delivered"
        with caplog.at_level(logging.WARNING):
            assert export_once(OtlpSettings(endpoint=Secret(url), timeout_seconds=enough)) == "failed"
    assert "its certificate is not trusted" in caplog.text
    assert "telemetry.backend.otlp.certificate" in caplog.text


def shown(directory: Path) -> dict[str, str]:
    """The variables that name a certificate to show, which `make_certificate` has written."""
    return {
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(directory / "certificate.pem"),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(directory / "key.pem"),
    }


def test_a_receiver_that_asks_for_a_certificate_is_shown_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_receiver(tmp_path, asks_for_a_certificate=True) as (url, authority):
        settings = OtlpSettings(endpoint=Secret(url), certificate=authority)
        assert export_once(settings, shown(tmp_path)) == "delivered"
        for variable, path in shown(tmp_path).items():  # of the process: this platform has other variables
            monkeypatch.setenv(variable, path)
        assert export_once(replace(settings, timeout_seconds=0.5)) == "failed"


def test_grpc_shows_a_certificate_to_a_receiver_that_asks_for_it(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    pair = (key.read_bytes(), certificate.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], certificate.read_bytes(), require_client_auth=True)
    with grpc_receiver(credentials) as (_, port):
        settings = OtlpSettings(endpoint=Secret(f"https://127.0.0.1:{port}"), protocol="grpc", certificate=certificate)
        assert export_once(settings, shown(tmp_path)) == "delivered"
        assert export_once(replace(settings, timeout_seconds=0.5)) == "failed"


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


def test_grpc_takes_headers_however_they_are_spelled() -> None:
    with grpc_receiver() as (receiver, port):
        settings = OtlpSettings(
            endpoint=Secret(f"http://127.0.0.1:{port}"), protocol="grpc", headers=(("Api-Key", Secret("planted")),)
        )
        assert export_once(settings) == "delivered"
    assert receiver.metadata[-1]["api-key"] == "planted"


def test_grpc_sends_a_binary_header_as_bytes() -> None:
    with grpc_receiver() as (receiver, port):
        settings = OtlpSettings(endpoint=Secret(f"http://127.0.0.1:{port}"), protocol="grpc")
        assert export_once(settings, {"OTEL_EXPORTER_OTLP_HEADERS": "token-bin=planted"}) == "delivered"
    assert receiver.metadata[-1]["token-bin"] == b"planted"


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
    (tmp_path / "http").mkdir()
    with (
        grpc_receiver(grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])) as (_, port),
        tls_receiver(tmp_path / "http") as (url, authority),
    ):
        if protocol == "http/protobuf":
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        endpoint = url if protocol == "http/protobuf" else f"https://127.0.0.1:{port}"
        assert export_once(OtlpSettings(endpoint=Secret(endpoint), protocol=protocol)) == "delivered"


def test_grpc_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    really_import = builtins.__import__

    def import_without_grpc(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "grpc":
            raise ImportError(name)
        return really_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", import_without_grpc)
    with pytest.raises(FFObserveError, match=r"pip install 'ff-observe\[grpc\]'"):
        export_once(OtlpSettings(enabled=True, protocol="grpc"))
