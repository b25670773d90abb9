"""The collector's limits on time, size and number of connections, over real HTTP."""

import contextlib
import re
import socket
from dataclasses import replace

import pytest

from ff_observe.collector import app
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.http.limits import Limits
from tests.real_parts.collector import collecting, in_packets, raw, sample, send
from tests.real_parts.processes import wait_until
from tests.unit.collector.pings import body


def test_more_connections_than_allowed_are_closed(settings: CollectorSettings) -> None:
    with collecting(replace(settings, limits=Limits(connections=3, tenure_seconds=0))) as running:
        held = [socket.create_connection(("127.0.0.1", running.port), 5) for _ in range(5)]

        def closed() -> int:
            count = 0
            for each in held:
                each.settimeout(0.05)
                try:
                    count += each.recv(1) == b""
                except TimeoutError:
                    continue
                except ConnectionError:
                    count += 1
            return count

        assert wait_until(closed, "connections to be closed") == 2
        for each in held:
            each.close()


def test_whoever_holds_all_connections_keeps_nobody_out(settings: CollectorSettings) -> None:
    with (
        collecting(replace(settings, limits=Limits(connections=50, tenure_seconds=0))) as running,
        contextlib.ExitStack() as held,
    ):
        for _ in range(100):
            held.enter_context(socket.create_connection(("127.0.0.1", running.port), 5))
        for index in range(20):
            assert send(running.port, body(f"{index}")).status == 200
        closed = "ff_observe_collector_connections_closed_total"
        assert (sample(running.port, closed, reason="too_many") or 0) > 50


def test_a_request_that_trickles_in_is_ended_with_an_answer(settings: CollectorSettings) -> None:
    with collecting(replace(settings, limits=Limits(request_seconds=0.3))) as running:
        for begun in (
            b"POST /ping HTTP/1.1\r\nHos",
            b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
        ):
            assert raw(running.port, begun).startswith(b"HTTP/1.1 408 ")
        for begun in (b"", b"\r\n"):
            assert raw(running.port, begun) == b""
        assert sample(running.port, "ff_observe_collector_connections_closed_total", reason="too_slow") == 4
        refused = "ff_observe_collector_pings_refused_total"
        assert sample(running.port, refused, reason="too_slow") == 2
        assert sample(running.port, refused, reason="incomplete") in (0, None)  # none is counted twice


def test_a_connection_that_idles_after_an_answer_is_closed_and_none_of_the_slow(settings: CollectorSettings) -> None:
    sent = body()
    request = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent)
    with collecting(replace(settings, limits=Limits(idle_seconds=0.3, request_seconds=60))) as running:
        assert raw(running.port, request).count(b"HTTP/1.1 200 OK") == 1
        assert raw(running.port, 3 * request).count(b"HTTP/1.1 200 OK") == 3
        assert sample(running.port, "ff_observe_collector_connections_closed_total", reason="too_slow") == 0


def test_a_request_that_begins_on_an_idle_connection_has_the_time_of_any_other(settings: CollectorSettings) -> None:
    sent = body()
    request = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent)
    with collecting(replace(settings, limits=Limits(idle_seconds=60, request_seconds=0.3))) as running:
        received = raw(running.port, request + request[:30])
        assert [received.count(b"HTTP/1.1 %d " % status) for status in (200, 408)] == [1, 1]


def test_a_body_that_comes_after_its_answer_leaves_the_connection_idle(settings: CollectorSettings) -> None:
    """Or whoever sends it so would hold the connection without end."""
    request = b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
    with (
        collecting(replace(settings, limits=Limits(idle_seconds=0.3, request_seconds=60))) as running,
        socket.create_connection(("127.0.0.1", running.port), 5) as client,
    ):
        for _ in range(2):
            client.sendall(request)
            assert client.recv(65536).startswith(b"HTTP/1.1 405 ")
            client.sendall(b"{}")
        assert client.recv(65536) == b""


def test_a_request_that_was_answered_is_not_answered_again_when_it_trickles_in(settings: CollectorSettings) -> None:
    request = b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"
    with collecting(replace(settings, limits=Limits(request_seconds=0.3))) as running:
        assert re.findall(rb"HTTP/1.1 ([0-9]{3}) ", raw(running.port, request)) == [b"405"]


@pytest.mark.usefixtures("large_answer")
def test_an_answer_that_is_not_taken_holds_no_connection(
    settings: CollectorSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with collecting(replace(settings, limits=Limits(request_seconds=0.3, idle_seconds=60))) as running:
        client = _that_takes_nothing(running.port)
        closed = "ff_observe_collector_connections_closed_total"
        wait_until(lambda: sample(running.port, closed, reason="too_slow") == 1, "the connection to be closed")
        assert (sample(running.port, "ff_observe_collector_connections") or 0) < 2  # that of the question
        client.close()
    assert caplog.text == ""


@pytest.mark.usefixtures("large_answer")
def test_whoever_takes_no_answers_keeps_nobody_out(settings: CollectorSettings) -> None:
    with collecting(replace(settings, limits=Limits(request_seconds=60, idle_seconds=60, connections=2))) as running:
        held = [_that_takes_nothing(running.port) for _ in range(2)]
        wait_until(lambda: _is_served(running.port), "others to be served")
        for each in held:
            each.close()


@pytest.fixture
def large_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/openapi.json` is more than anything between two sockets can hold."""
    monkeypatch.setattr(app, "document", lambda: "x" * 2**24)


def _that_takes_nothing(port: int) -> socket.socket:
    """A connection on which answers are on their way and not read."""
    client = socket.create_connection(("127.0.0.1", port), 5)
    client.sendall(2 * b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.recv(1) == b"H"  # the first is on its way, and the second waits for it
    return client


def _is_served(port: int) -> bool:
    try:
        return send(port, body()).status == 200
    except ConnectionError:
        return False


def test_a_flood_of_requests_on_one_connection_is_not_read_ahead(settings: CollectorSettings) -> None:
    """Each takes a hundred times more memory than its bytes, and one read can bring ten thousand."""
    request = b"POST / HTTP/1.1\r\n\r\n"
    with collecting(settings) as running, socket.create_connection(("127.0.0.1", running.port), 5) as client:
        waiting: list[int] = []
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                client.sendall(10_000 * request)
                waiting += [len(each.waiting) for each in running._server.connections]
        assert max(waiting, default=0) <= Limits().pipelined
        assert send(running.port, body()).status == 200


def test_many_requests_at_once_are_answered_and_those_too_many_can_be_sent_again(settings: CollectorSettings) -> None:
    request = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with collecting(replace(settings, limits=Limits(idle_seconds=0.3))) as running:
        most = Limits().pipelined + 1
        for sent, answered in ((most, most), (most + 1, most)):
            answers = raw(running.port, sent * request)
            assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"HTTP/1.1 ") == answered
            assert answers.count(b"connection: close") == sent - answered
        assert sample(running.port, "ff_observe_collector_pings_refused_total", reason="overloaded") == 1


def test_the_size_of_a_request_is_its_own(collector: Collector) -> None:
    """Not that of the one before, whose head and body came together with its beginning."""
    sent = body(x="x" * 60_000)
    request = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent)
    last = request.replace(b"Host: localhost", b"Connection: close")
    packets = [request[:10], request[10:] + request[:10], request[10:] + last[:10], last[10:]]
    assert re.findall(rb"HTTP/1.1 ([0-9]{3}) ", in_packets(collector.port, packets)) == 3 * [b"200"]


def test_a_head_without_end_is_refused(collector: Collector) -> None:
    received = _flooded(collector.port, b"POST /ping HTTP/1.1\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n", 20_000)
    assert received == b"" or received.startswith(b"HTTP/1.1 413 ")


def test_chunks_without_end_are_refused(collector: Collector) -> None:
    head = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    received = _flooded(collector.port, head + b"1\r\n{\r\n0\r\n", b"X-Trailer: " + b"x" * 1000 + b"\r\n", 20_000)
    assert received == b"" or received.startswith(b"HTTP/1.1 4")


def _flooded(port: int, head: bytes, part: bytes, times: int) -> bytes:
    """What comes back while more and more is sent; nothing if the connection was reset first."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        try:
            client.sendall(head)
            for _ in range(times):
                client.sendall(part)
        except ConnectionError:
            pass
        else:
            raise AssertionError("all of it was taken")
        try:
            return client.recv(1000)
        except ConnectionError:
            return b""
