"""The collector's HTTP answers every stream of requests as uvicorn's own does, and better where that one is wrong."""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_observe.http.exchange import Exchange, settle
from ff_observe.http.limits import Limits
from ff_observe.http.messages import Answer, Receive, Scope, Send
from ff_observe.http.server import Server
from tests.real_parts.collector import in_packets
from tests.real_parts.processes import PATIENCE_SECONDS

Answers = list[tuple[bytes, list[bytes], bytes]]
"""Of each answer its status line, its headers and its body."""

CLOSING = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def _told_back(scope: Scope, receive: Receive, send: Send) -> None:
    """As an ASGI application: answers with what it was asked. Its paths say how: before the body is read, late, as the
    last, not at all."""
    body, more = b"", "unread" not in scope["path"]
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body, more = body + message["body"], message["more_body"]
    await (await _answer(scope, body)).send({**scope, "method": "GET"}, send)


class _ToldBack:
    """The same as a handler of ours."""

    def handle(self, exchange: Exchange) -> None:
        exchange.run(partial(self._answer, exchange))

    async def _answer(self, exchange: Exchange) -> None:
        body: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        if "unread" in exchange.scope["path"]:
            body.set_result(b"")
        else:
            exchange.read(2**30, partial(settle, body))
        whole = await body
        assert whole is not None
        exchange.respond(await _answer(exchange.scope, whole))

    def stop_waiting(self) -> None:
        pass


async def _answer(scope: Scope, body: bytes) -> Answer:
    if "late" in scope["path"]:
        await asyncio.sleep(0.01)
    assert "fault" not in scope["path"]
    headers = [(name, value) for name, value in scope["headers"] if name != b"x-trailer"]  # uvicorn takes it for one
    told = {name: scope[name] for name in ("http_version", "method", "scheme", "path", "root_path")}
    seen = repr((told, scope["raw_path"], scope["query_string"], headers, len(body), body[:9])).encode()
    sent = ((b"content-length", b"%d" % len(seen)), (b"x-method", scope["method"].encode()))
    closing = ((b"connection", b"close"),) if "closing" in scope["path"] else ()
    return Answer(200, (*sent, *closing), seen)


@contextlib.contextmanager
def _serving_by_uvicorn() -> Iterator[int]:
    config = uvicorn.Config(
        _told_back, http="httptools",
        loop="uvloop", ws="none", lifespan="off", log_config=None, interface="asgi3",
        log_level=100, access_log=False, server_header=False, proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


@contextlib.contextmanager
def _serving_by_ours() -> Iterator[int]:
    server = Server(_ToldBack(), Limits(), on_fault=lambda _fault: None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        begun: Future[None] = Future()
        thread = threading.Thread(target=server.run, args=(listening, begun))
        thread.start()
        begun.result(PATIENCE_SECONDS)
        try:
            yield listening.getsockname()[1]
        finally:
            server.request_stop(5)
            thread.join(10)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where uvicorn listens with its own protocol, and where it does with the collector's."""

    stock: int
    ours: int


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    with _serving_by_uvicorn() as stock_port, _serving_by_ours() as our_port:
        yield Ports(stock_port, our_port)


def _answers(received: bytes) -> Answers:
    """Interim ones (100) as well; the date is left out."""
    found: Answers = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        length = re.search(rb"content-length: ([0-9]+)", head)
        size = 0 if length is None or b"x-method: HEAD" in lines else int(length[1])
        headers = sorted(line for line in lines if not line.startswith(b"date: "))
        # A fault's answer is each server's own.
        found.append((status, headers, received[:size]) if b" 500 " not in status else (status, [], b""))
        received = received[size:]
    return found


TARGETS = [
    "/", "/ping", "/unread", "/late", "/closing", "/unread/closing", "/late/closing", "/fault", "/a%2Fb%20%ff%C3%A9",
    "/?q=%00&x", "/#part", "//x", "http://a/ping?x", "http://a:80/late", "/%", "/~;,@!$",
]  # fmt: skip
HEADERS = [
    "Connection: close", "Connection: keep-alive", "Connection: Keep-Alive, close", "Expect: 100-continue",
    "Expect: 200-maybe", "X-Empty:", "x-Case: ä", "Upgrade: h2c", "Accept: */*",
]  # fmt: skip


def _but_for_closing(answer: tuple[bytes, list[bytes], bytes]) -> tuple[bytes, list[bytes], bytes]:
    status, headers, body = answer
    return status, [line for line in headers if line != b"connection: close"], body


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `size` is that of its body, where its `framing` has one."""

    method: str
    target: str
    version: str
    headers: list[str]
    framing: str
    size: int

    @property
    def sent(self) -> bytes:
        """As it is on the wire."""
        lines = [f"{self.method} {self.target} HTTP/{self.version}", "Host: localhost", *self.headers]
        body = b"x" * self.size if self.framing != "none" else b""
        if self.framing == "length":
            lines.append(f"Content-Length: {self.size}")
        elif self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            parts = [part for part in (body[:7], body[7:]) if part]
            body = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX-Trailer: a\r\n\r\n"
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


REQUESTS = st.builds(
    Request,
    st.sampled_from(["GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PROPFIND"]),
    st.sampled_from(TARGETS),
    st.sampled_from(["1.1", "1.1", "1.1", "1.1", "1.0"]),
    st.lists(st.sampled_from(HEADERS), max_size=2),
    st.sampled_from(["none", "length", "chunked"]),
    st.sampled_from([0, 2, 3000, 70_000]),
).filter(lambda request: request.version != "1.0" or "Expect: 100-continue" not in request.headers)
"""uvicorn answers an expectation of HTTP/1.0, which is to be ignored (RFC 9110, 10.1.1)."""


def _sent(requests: list[Request]) -> bytes:
    return b"".join(request.sent for request in requests)


def _packets(sent: bytes, cuts: list[float]) -> list[bytes]:
    places = sorted({0, len(sent), *(int(cut * len(sent)) for cut in cuts)})
    return [sent[begin:end] for begin, end in pairwise(places)]


CUTS = st.lists(st.floats(0, 1), max_size=4)


@settings(max_examples=100, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=4), CUTS)
def test_requests_are_answered_as_uvicorn_answers_them(
    ports: Ports, requests: list[Request], cuts: list[float]
) -> None:
    packets = _packets(_sent(requests) + CLOSING, cuts)
    assert _answers(in_packets(ports.ours, packets)) == _answers(in_packets(ports.stock, packets))


MALFORMED = [
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET /\x7f HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n",
    b"POST /late HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\nno length\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
]
REFUSED = b"This is not an HTTP request.\n"


@settings(max_examples=100, deadline=None)
@given(st.lists(REQUESTS, max_size=3), st.sampled_from(MALFORMED), CUTS)
def test_what_is_malformed_takes_no_earlier_request_its_answer(
    ports: Ports, requests: list[Request], malformed: bytes, cuts: list[float]
) -> None:
    """uvicorn's own answers it at once, and closes: who sent requests before it takes that for the answer to these."""
    earlier = _sent(requests)
    *expected, last = _answers(in_packets(ports.stock, [earlier + CLOSING]))
    if b"/last" not in last[2]:  # an earlier one closed
        expected.append(last)
    answers = _answers(in_packets(ports.ours, _packets(earlier + malformed, cuts)))
    if answers and answers[-1][2] == REFUSED:
        assert answers.pop()[0] == b"HTTP/1.1 400 Bad Request"
    else:
        assert expected
        status, headers, _ = answers[-1]
        assert b"connection: close" in headers or b" 500 " in status  # which closes too, its headers left out here
    assert [_but_for_closing(each) for each in answers] == [_but_for_closing(each) for each in expected]


def test_a_trailer_is_no_header(ports: Ports) -> None:
    """RFC 9110, 6.5.1. What a proxy says of the sender is in the head; the sender may write what it likes after it."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailed = b"2\r\n{}\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    assert b"192.0.2.1" in in_packets(ports.stock, [head + trailed])
    assert b"192.0.2.1" not in in_packets(ports.ours, [head + trailed])


def test_a_request_that_is_malformed_is_answered_once(ports: Ports) -> None:
    """Also where its head alone would do for an answer, which can be under way when the body turns out malformed."""
    head, rest = b"POST /unread HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"no length\r\n"
    ((status, _, _),) = _answers(in_packets(ports.ours, [head + rest]))
    assert status == b"HTTP/1.1 400 Bad Request"
    with socket.create_connection(("127.0.0.1", ports.ours), 5) as client:
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
        client.sendall(rest)
        assert client.recv(65536) == b""
