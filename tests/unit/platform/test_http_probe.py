"""Whether FlowFuse itself answers: told apart from error pages, other applications, silence and floods."""

import contextlib
import http.client
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ff_observe.platform.sources import http_probe
from ff_observe.platform.sources.http_probe import HttpProbe
from ff_observe.platform.sources.model import HttpAnswer
from tests.fakes import FakeClock
from tests.real_parts.certificates import make_certificate
from tests.unit.ping.receivers import Respond, answer, receiver, silent, tcp_server, trickling

RECORDED = (Path(__file__).parents[2] / "data" / "http" / "flowfuse-2.4.0-settings.json").read_bytes()
SETTINGS = answer(200, RECORDED, content_type="application/json; charset=utf-8")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy; the tests of the limit set their own."""
    monkeypatch.setattr(http_probe, "LIMIT_SECONDS", 60.0)


@contextlib.contextmanager
def probing(base_url: str) -> Iterator[HttpProbe]:
    probe = HttpProbe(base_url)
    try:
        yield probe
    finally:
        probe.close(10)


def asked(base_url: str) -> HttpAnswer:
    """One question and its answer."""
    with probing(base_url) as probe:
        probe.ask()
        return probe.answer()


@pytest.mark.parametrize(
    ("base", "path"),
    [("", ""), ("/", ""), ("/api/v1/settings", ""), ("/api/v1/settings/", ""), ("/FLOW-X/", "/FLOW-X")],
)
def test_flowfuse_is_up_when_it_answers_with_its_public_settings(base: str, path: str) -> None:
    with receiver(SETTINGS) as flowfuse:
        answered = asked(flowfuse.url(base))
    assert answered.up
    assert answered.problem is None
    assert answered.seconds is not None
    assert answered.seconds > 0
    assert [request.line for request in flowfuse.requests] == [f"GET {path}/api/v1/settings HTTP/1.1"]


def test_the_question_holds_nothing_but_the_name_of_ff_observe(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, and no way through a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with receiver(SETTINGS) as flowfuse:
        assert asked(flowfuse.url("", user="forge:planted-secret@")).up
    (request,) = flowfuse.requests
    assert request.headers == {
        "Host": f"127.0.0.1:{flowfuse.port}",
        "Accept-Encoding": "identity",
        "Accept": "application/json",
        "User-Agent": "ff-observe",
        "Connection": "close",
    }
    assert request.body == b""


def test_a_probe_that_has_not_asked_can_be_closed() -> None:
    with probing("http://127.0.0.1:1") as probe:
        assert probe.latest() is None


@pytest.mark.parametrize(
    "settings",
    [b'{"features":{}}', b'{"user:signup":false}', b'{"features":{},"x":"' + b"x" * 2**17 + b'"}'],
    ids=["one", "another", "in several parts"],
)
def test_one_setting_of_flowfuse_suffices(settings: bytes) -> None:
    with receiver(answer(200, settings)) as flowfuse:
        assert asked(flowfuse.url("")).up


SOMETHING_ELSE = "answers with something other than FlowFuse's settings, as another application or a proxy would"


@pytest.mark.parametrize(
    ("respond", "problem"),
    [
        (answer(200, b"<!doctype html><title>FlowFuse</title>", content_type="text/html"), SOMETHING_ELSE),
        (answer(200, b'{"status":"ok"}', content_type="application/json"), SOMETHING_ELSE),
        (answer(200, b'"features"'), SOMETHING_ELSE),
        (answer(200, b"[" * 100_000), SOMETHING_ELSE),
        (answer(200, b'{"features":{},"x":"' + b"x" * 2**19 + b'"}'), SOMETHING_ELSE),
        (answer(502, b"<h1>Bad Gateway</h1>"), "answers with status 502"),
        (answer(503, RECORDED), "answers with status 503"),
        (answer(401, b'{"code":"unauthorized","error":"unauthorized"}'), "answers with status 401"),
        (answer(204), "answers with status 204"),
    ],
    ids=["web page", "another API", "text", "deep", "flood", "proxy", "maintenance", "login", "nothing"],
)
def test_what_is_not_flowfuses_answer_is_not_its_life(respond: Respond, problem: str) -> None:
    with receiver(respond) as other:
        answered = asked(other.url(""))
    assert not answered.up
    assert answered.problem == problem


def redirecting(*targets: str, status: int = 301) -> Respond:
    """Redirects to one after the other, then answers as FlowFuse."""
    left = list(targets)

    def respond(handler: BaseHTTPRequestHandler) -> None:
        (answer(status, b"", location=left.pop(0)) if left else SETTINGS)(handler)

    return respond


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_host_is_followed(status: int) -> None:
    with receiver(redirecting("/flowfuse/settings?x=1", status=status)) as flowfuse:
        assert asked(flowfuse.url("")).up
    assert flowfuse.requests[1].line == "GET /flowfuse/settings?x=1 HTTP/1.1"


@pytest.mark.parametrize("target", ["http://localhost:{port}/", "//localhost:{port}/", "ftp://127.0.0.1:{port}/"])
def test_no_other_host_is_asked(target: str) -> None:
    with receiver(SETTINGS) as other:
        with receiver(redirecting(target.replace("{port}", str(other.port)))) as flowfuse:
            assert asked(flowfuse.url("")).problem == "redirects elsewhere (status 301)"
        assert other.requests == []


@pytest.mark.parametrize("respond", [redirecting(*["/api/v1/settings"] * 9), answer(301)], ids=["itself", "nowhere"])
def test_redirects_come_to_an_end(respond: Respond) -> None:
    with receiver(respond) as flowfuse:
        assert asked(flowfuse.url("")).problem == "redirects without end"
    assert [request.line for request in flowfuse.requests] == ["GET /api/v1/settings HTTP/1.1"] * 3


@pytest.mark.parametrize(
    ("url", "shown", "problem"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1", "refuses connections"),
        ("http://ff-observe.invalid/x", "http://ff-observe.invalid", "cannot be found: its name is not resolved"),
        ("http://a@b@\udc80/", "http://\\udc80", "gives no usable answer (Unicode"),
    ],
)
def test_what_cannot_be_reached_is_down_and_says_why(
    url: str, shown: str, problem: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unresolved(*_: object, **__: object) -> object:
        raise socket.gaierror("not known")

    if "invalid" in url:
        monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    answered = asked(url)
    assert not answered.up
    assert (answered.problem or "").startswith(problem)
    assert caplog.messages == [f"FlowFuse at {shown} {answered.problem}"]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://flowfuse.test:3000", ("flowfuse.test", 3000)),
        ("https://flowfuse.test", ("flowfuse.test", 443)),
        ("http:///", ("", 80)),
    ],
)
def test_a_connection_that_is_not_made_in_time_is_given_up(
    url: str, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[object, object]] = []

    def unreachable(to: object, timeout: object, *_: object) -> None:
        begun.append((to, timeout))
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", unreachable)
    assert asked(url) == HttpAnswer(None, "gave no complete answer within 60 s")
    assert begun == [(address, 60.0)]


def test_a_probe_that_is_closed_gives_up_its_request() -> None:
    received = threading.Event()

    def hanging(client: socket.socket) -> None:
        while client.recv(65536):
            received.set()

    with tcp_server(hanging) as (port, _), probing(f"http://127.0.0.1:{port}") as probe:
        probe.ask()
        assert received.wait(20)
        probe.close(20)
        assert "http probe" not in {thread.name for thread in threading.enumerate()}


def test_a_connection_that_is_lost_already_can_be_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, http_probe.__name__)
    connection = http.client.HTTPConnection("127.0.0.1")
    with probing("http://127.0.0.1:1") as probe, monkeypatch.context() as patch, socket.socket() as connection.sock:
        patch.setattr(probe, "_connection", connection)
        probe.close(0)
    assert caplog.messages == ["the connection of the HTTP probe is closed already"]


DRIPPING = trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
HEADERS_WITHOUT_END = trickling(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200)


@pytest.mark.parametrize("talk", [silent, DRIPPING], ids=["silent", "dripping"])
def test_a_flowfuse_that_hangs_is_down_after_the_limit(
    talk: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_probe, "LIMIT_SECONDS", 0.2)
    with tcp_server(talk) as (port, _):
        assert asked(f"http://127.0.0.1:{port}") == HttpAnswer(None, "gave no complete answer within 0.2 s")


def test_a_flood_of_headers_is_no_answer() -> None:
    with tcp_server(HEADERS_WITHOUT_END) as (port, _):
        assert asked(f"http://127.0.0.1:{port}") == HttpAnswer(None, "gives no usable answer (HTTPException)")


def test_a_question_that_hangs_in_the_resolver_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_probe, "LIMIT_SECONDS", 0.05)
    go_on = threading.Event()
    resolving: list[None] = []

    def resolve(*_: object, **__: object) -> object:
        resolving.append(None)
        go_on.wait(20)
        raise socket.gaierror("not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with probing("http://flowfuse.test") as probe:
        for _ in range(3):
            probe.ask()
            (thread,) = [thread for thread in threading.enumerate() if thread.name == "http probe"]
            assert thread.daemon, "no resolver holds up the end of the process"
            assert probe.answer().problem == "gave no complete answer within 0.05 s"
        assert len(resolving) == 1
        probe.close(0)
        assert thread.is_alive(), "it is not waited for"
        go_on.set()
        probe.close(10)
        probe.ask()
        assert probe.answer().problem == "cannot be found: its name is not resolved"


def test_a_certificate_that_cannot_be_verified_is_down_and_one_that_can_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    with receiver(SETTINGS, server) as flowfuse:
        url = flowfuse.url("", scheme="https")
        assert "has a certificate that cannot be verified (" in (asked(url).problem or "")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert asked(url).up
        with receiver(redirecting(url)) as plain:
            assert asked(plain.url("")).up


def test_the_log_says_once_that_and_why_flowfuse_is_down_and_that_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = [answer(502)] * 2 + [SETTINGS] * 2

    def respond(handler: BaseHTTPRequestHandler) -> None:
        answers.pop(0)(handler)

    with receiver(respond) as flowfuse, probing(flowfuse.url("", user="forge:planted-secret@")) as probe:
        for _ in range(4):
            probe.ask()
            probe.answer()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", f"FlowFuse at http://127.0.0.1:{flowfuse.port} answers with status 502"),
        ("INFO", "FlowFuse answers over HTTP again"),
    ]


def test_the_latest_answer_is_forgotten_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(http_probe, "time", clock)
    with receiver(SETTINGS) as flowfuse, probing(flowfuse.url("")) as probe:
        assert probe.latest() is None
        probe.ask()
        answered = probe.answer()
        assert answered.seconds == 0
        assert probe.latest() is answered
        clock.advance(59)
        assert probe.latest() is answered
        clock.advance(1)
        assert probe.latest() is None


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.integers(100, 999), st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_any_other_answer_is_a_problem_and_no_error(status: int, body: bytes) -> None:
    try:
        http_probe._check(status, body)
        accepted = True
    except http_probe._NotAliveError:
        accepted = False
    assert not accepted or (status == 200 and json.loads(body).keys() & {"features", "user:signup"})
