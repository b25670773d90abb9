"""Exports through a proxy, as `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say."""

import logging
from pathlib import Path

import grpc
import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from tests.pace import pace
from tests.real_parts.certificates import make_certificate
from tests.unit.otlp.receivers import export_once, grpc_receiver, tls_receiver
from tests.unit.ping import receivers


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
        timeout = 0.5 * pace().slowness  # the refusal is tried again until then
        assert export_once(OtlpSettings(endpoint=Secret("https://127.0.0.1:9"), timeout_seconds=timeout)) == "failed"
    assert f"through the proxy 127.0.0.1:{proxy.port}: the proxy answered 407 Proxy Auth" in caplog.text
    assert "planted" not in caplog.text
