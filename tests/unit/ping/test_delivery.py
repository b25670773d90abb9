"""Delivery against real servers: every outcome, TLS, proxies, deadlines, and what never shows."""

import logging
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ff_observe.config.secret import Secret
from ff_observe.outputs.ping.delivery import Delivery, Timeouts
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.system.clock import FrozenClock
from tests.real_parts.processes import free_port
from tests.unit.ping.authority import Authority, make_authority
from tests.unit.ping.receivers import (
    Respond,
    answer,
    receiver,
    silent,
    tcp_server,
    trickling,
    tunnel,
    unreachable_port,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BODY = b'{"instanceId":"x"}'
PATIENT = Timeouts(connect=60, read=60, total=120)  # for tests that are not about them


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def delivery(url: str, timeouts: Timeouts = PATIENT) -> Delivery:
    return Delivery(Secret(url), FrozenClock(NOW), timeouts)


def send(url: str, timeouts: Timeouts = PATIENT) -> Outcome:
    return delivery(url, timeouts).send(BODY)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_any_2xx_is_delivered_whatever_the_body(status: int) -> None:
    with receiver(answer(status, b"" if status == 204 else b"<html>not json")) as server:
        assert send(server.url()).result is Result.DELIVERED


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451, 499])
def test_a_4xx_is_given_up(status: int) -> None:
    with receiver(answer(status)) as server:
        outcome = send(server.url())
    assert (outcome.result, outcome.status, outcome.retry_after_seconds) == (Result.REJECTED, status, None)
    assert f"127.0.0.1:{server.port} answered {status}" in outcome.explanation


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiver(answer(200)) as other, receiver(answer(status, Location=other.url())) as server:
        outcome = send(server.url())
        assert (outcome.result, outcome.status) == (Result.REJECTED, status)
        assert "telemetry.url" in outcome.explanation
        assert len(server.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize("status", [408, 429, 500, 501, 502, 503, 504, 599, 600])
def test_what_may_pass_is_to_be_tried_again(status: int) -> None:
    with receiver(answer(status)) as server:
        outcome = send(server.url())
    assert (outcome.result, outcome.status, outcome.retry_after_seconds) == (Result.FAILED, status, None)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(("value", "seconds"), [("120", 120.0), ("Mon, 23 Nov 2026 12:05:00 GMT", 300.0)])
def test_retry_after_is_understood_in_both_forms(status: int, value: str, seconds: float) -> None:
    with receiver(answer(status, Retry_After=value)) as server:
        assert send(server.url()).retry_after_seconds == seconds


def test_the_request_tells_nothing_but_the_body() -> None:
    with receiver(answer(200)) as server:
        send(server.url())
    (request,) = server.requests
    assert request.line == "POST /ping HTTP/1.1"
    assert request.body == BODY
    assert request.headers == {
        "Host": f"127.0.0.1:{server.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
        "User-Agent": "ff-observe",
        "Connection": "close",
    }


def test_a_cookie_is_neither_kept_nor_sent() -> None:
    with receiver(answer(200, Set_Cookie="id=1")) as server:
        sender = delivery(server.url())
        sender.send(BODY)
        sender.send(BODY)
    assert "Cookie" not in server.requests[1].headers


# What real FlowFuse 2.33.2 sent (probes post-userinfo, post-query and post-http-proxy of the recordings).
RECORDED_AUTHORIZATION = "Basic dXNlcjpwYSBzcw=="  # for user:pa%20ss@
RECORDED_QUERY_LINE = "POST /ping?x=1&y=a%20b HTTP/1.1"
RECORDED_PROXY_LINE = "POST http://127.0.0.1:9077/ping HTTP/1.1"


def test_credentials_in_the_url_become_basic_authentication_as_in_flowfuse() -> None:
    with receiver(answer(200)) as server:
        send(server.url(user="user:pa%20ss@"))
    assert server.requests[0].headers["Authorization"] == RECORDED_AUTHORIZATION
    assert "user" not in server.requests[0].line + server.requests[0].headers["Host"]


def test_path_and_query_arrive_as_written_as_in_flowfuse() -> None:
    with receiver(answer(200)) as server:
        send(server.url("/ping?x=1&y=a%20b"))
    assert server.requests[0].line == RECORDED_QUERY_LINE


def test_a_url_without_a_path_asks_for_the_root() -> None:
    with receiver(answer(200)) as server:
        send(server.url(""))
    assert server.requests[0].line == "POST / HTTP/1.1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:9077/ping",
        "ftp://127.0.0.1/ping",
        "https:///",
        "http://[::1/ping",
        "http://127.0.0.1:99999/",
        "%",
    ],
)
def test_an_impossible_url_is_rejected_without_showing_it(url: str) -> None:
    outcome = send(url)
    assert outcome.result is Result.REJECTED
    assert "telemetry.url" in outcome.explanation
    assert not url or url not in outcome.explanation


@pytest.mark.parametrize("host", ["a" * 64 + ".localhost", "xn--\u00fc.localhost", "\u2603.localhost", "\ud800"])
def test_a_host_that_cannot_be_looked_up_is_a_failure(host: str) -> None:
    outcome = send(f"http://{host}/ping")
    assert outcome.result is not Result.DELIVERED
    assert "Error" not in outcome.explanation  # a name in Python is no word for an operator


def test_a_refused_connection_is_a_failure_in_plain_words() -> None:
    port = free_port()
    outcome = send(f"http://127.0.0.1:{port}/ping")
    receiver = f"127.0.0.1:{port}"
    assert outcome == Outcome(Result.FAILED, f"{receiver} could not be reached: Connection refused", None, receiver)


@pytest.mark.parametrize(
    "talk",
    [
        lambda client: None,
        lambda client: client.recv(65536),
        lambda client: client.sendall(b"\x00\xff garbage\r\n\r\n"),
        lambda client: client.sendall(b"HTTP/1.1 banana\r\n\r\n"),
        lambda client: client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"),
        lambda client: client.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200),
    ],
    ids=["closes at once", "reads and closes", "garbage", "status is no number", "another protocol", "many headers"],
)
def test_what_is_no_http_answer_is_a_failure(talk: Callable[[socket.socket], None]) -> None:
    with tcp_server(talk) as (port, _):
        assert send(f"http://127.0.0.1:{port}/ping").result is Result.FAILED


def test_an_endless_body_is_not_read() -> None:
    with tcp_server(trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")) as (port, _):
        assert send(f"http://127.0.0.1:{port}/ping").result is Result.DELIVERED


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_silence_ends_with_the_read_timeout(scheme: str) -> None:
    with tcp_server(silent) as (port, _):
        outcome = send(f"{scheme}://127.0.0.1:{port}/ping", Timeouts(connect=0.2, read=0.2, total=60))
    assert outcome.result is Result.FAILED
    assert "did not answer in time" in outcome.explanation


def test_a_trickling_answer_ends_with_the_total_deadline() -> None:
    with tcp_server(trickling(b"")) as (port, _):
        outcome = send(f"http://127.0.0.1:{port}/ping", Timeouts(connect=60, read=60, total=0.3))
    assert outcome.result is Result.FAILED
    assert "no whole answer within 0.3 s" in outcome.explanation


def test_an_answer_that_the_total_deadline_cut_off_is_none_whatever_its_status() -> None:
    with tcp_server(trickling(b"HTTP/1.1 200 OK\r\nX-Endless: ")) as (port, _):
        outcome = send(f"http://127.0.0.1:{port}/ping", Timeouts(connect=60, read=60, total=1.5))
    assert (outcome.result, outcome.status) == (Result.FAILED, None)
    assert "no whole answer within 1.5 s" in outcome.explanation


def test_connecting_ends_with_the_connect_timeout() -> None:
    with unreachable_port() as port:
        outcome = send(f"http://127.0.0.1:{port}/ping", Timeouts(connect=0.2, read=60, total=60))
    assert outcome.result is Result.FAILED
    assert "did not answer in time" in outcome.explanation


def aborted(url: str, connected: threading.Event | None) -> Outcome:
    """The outcome of a delivery that is aborted once it is under way, long before its own limits."""
    sender = delivery(url, Timeouts(connect=600, read=600, total=600))
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(sender.send(BODY)), daemon=True)
    thread.start()
    if connected is None:
        thread.join(0.2)  # nobody can tell when it hangs in connecting
    else:
        assert connected.wait(60)
    sender.abort()
    thread.join(60)
    assert not thread.is_alive()
    return outcomes[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_hanging_delivery_can_be_aborted(scheme: str) -> None:
    with tcp_server(silent) as (port, connected):
        outcome = aborted(f"{scheme}://127.0.0.1:{port}/ping", connected)
    assert outcome.result is Result.FAILED
    assert "stopping" in outcome.explanation


def test_connecting_can_be_aborted() -> None:
    with unreachable_port() as port:
        outcome = aborted(f"http://127.0.0.1:{port}/ping", None)
    assert "stopping" in outcome.explanation


def test_nothing_is_sent_after_an_abort() -> None:
    with receiver(answer(200)) as server:
        sender = delivery(server.url())
        sender.abort()
        assert sender.send(BODY).result is Result.FAILED
    assert server.requests == []


def test_a_certificate_nobody_vouches_for_is_a_failure_that_says_what_to_do(authority: Authority) -> None:
    with receiver(answer(200), authority.server) as server:
        outcome = send(server.url(scheme="https"))
    assert outcome.result is Result.FAILED
    assert "SSL_CERT_FILE" in outcome.explanation
    assert server.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_is_trusted_where_the_environment_names_it(
    variable: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(authority.certificate))
    with receiver(answer(200), authority.server) as server:
        assert send(server.url(scheme="https")).result is Result.DELIVERED
    assert server.requests[0].body == BODY


def test_a_certificate_for_another_name_is_a_failure(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with receiver(answer(200), authority.server) as server:
        outcome = send(f"https://localhost:{server.port}/ping")
    assert outcome.result is Result.FAILED
    assert "certificate is for another host" in outcome.explanation


def test_a_bundle_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    outcome = send("https://127.0.0.1:1/ping")
    assert outcome.result is Result.FAILED
    assert "No such file" in outcome.explanation


def test_a_proxy_reached_over_tls_is_checked_and_used(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answer(200), authority.server) as proxy:
        monkeypatch.setenv("http_proxy", f"https://127.0.0.1:{proxy.port}")
        assert "not trusted" in send("http://127.0.0.1:9077/ping").explanation
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        assert send("http://127.0.0.1:9077/ping").result is Result.DELIVERED
    assert [request.line for request in proxy.requests] == [RECORDED_PROXY_LINE]


@pytest.mark.parametrize("written", ["http://proxy-user:proxy%20word@127.0.0.1:{}", "127.0.0.1:{}"])
def test_plain_http_goes_through_the_proxy_as_in_flowfuse(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answer(200)) as proxy:
        monkeypatch.setenv("http_proxy", written.format(proxy.port))
        assert send("http://127.0.0.1:9077/ping").result is Result.DELIVERED
    (request,) = proxy.requests
    assert request.line == RECORDED_PROXY_LINE
    authorization = "Basic cHJveHktdXNlcjpwcm94eSB3b3Jk" if "@" in written else None  # printf … | base64
    assert request.headers.get("Proxy-Authorization") == authorization


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answer(200)) as proxy, receiver(answer(200)) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert send(server.url()).result is Result.DELIVERED
        assert proxy.requests == []


def test_https_goes_through_a_tunnel_that_shows_the_proxy_nothing(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with receiver(tunnel) as proxy, receiver(answer(200), authority.server) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://u:p@127.0.0.1:{proxy.port}")
        assert send(server.url(scheme="https", user="name:word@")).result is Result.DELIVERED
    (connect,) = proxy.requests
    assert connect.line == f"CONNECT 127.0.0.1:{server.port} HTTP/1.0" or connect.line.endswith("HTTP/1.1")
    assert connect.headers["Proxy-Authorization"] == "Basic dTpw"
    assert "Authorization" not in connect.headers
    assert server.requests[0].body == BODY
    assert "Proxy-Authorization" not in server.requests[0].headers


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_without_its_password(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answer(407)) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://u:hunter2@127.0.0.1:{proxy.port}")
        outcome = send(f"{scheme}://127.0.0.1:1/ping")
    assert outcome.result is Result.FAILED
    assert f"through the proxy 127.0.0.1:{proxy.port}: the proxy answered 407 Proxy Auth" in outcome.explanation
    assert "hunter2" not in outcome.explanation


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://127.0.0.1:nan", "http://[", "http://"])
def test_an_impossible_proxy_is_a_failure(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    assert send("http://127.0.0.1:1/ping").result is Result.FAILED


@pytest.mark.parametrize(
    "respond",
    [answer(200), answer(302, Location="http://x/"), answer(404), answer(500)],
    ids=["2xx", "3xx", "4xx", "5xx"],
)
def test_no_secret_of_the_url_shows_in_outcomes_or_log(respond: Respond, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="ff_observe")
    with receiver(respond) as server, tcp_server(lambda client: None) as (closing, _):
        for port in (server.port, closing, free_port()):
            outcome = send(f"http://us3r:hunter2@127.0.0.1:{port}/p4th?token=s3same")
            shown = outcome.explanation + repr(outcome) + caplog.text
            assert not any(secret in shown for secret in ("us3r", "hunter2", "p4th", "s3same"))
