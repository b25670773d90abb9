"""The server's bounds over real connections, with an application that answers as it is told."""

import asyncio
import contextlib
import socket
import ssl
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ff_observe.http.limits import Limits
from ff_observe.http.messages import render_head
from ff_observe.http.refusals import Closing
from ff_observe.http.server import Server
from tests.real_parts.certificates import make_certificate
from tests.real_parts.collector import in_packets, raw
from tests.real_parts.processes import PATIENCE_SECONDS, wait_until
from tests.unit.http.serving import LARGE, LAST, REQUEST, SMALL, Counted, Told, Transport, serving, statuses


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_another_name_gets_a_clear_421_and_nothing_else() -> None:
    with serving() as (_, port):
        asked = [LAST.replace(b"localhost", host) for host in (b"attacker.example", b"127.0.0.1:80", b"localhost")]
        refused, *answered = [raw(port, request) for request in asked]
        assert statuses(refused) == [421]
        assert b"allowed_hosts" in refused
        assert b"small" not in refused
        assert [statuses(each) for each in answered] == [[200], [200]]


def test_two_names_are_malformed() -> None:
    with serving() as (_, port):
        assert statuses(raw(port, b"GET /now HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")) == [400]


def test_every_answer_forbids_sniffing_and_referring() -> None:
    with serving() as (_, port):
        for request in (LAST, b"nonsense\r\n\r\n", LAST.replace(b"localhost", b"attacker.example")):
            answer = raw(port, request)
            assert b"\r\nx-content-type-options: nosniff\r\n" in answer
            assert b"\r\nreferrer-policy: no-referrer\r\n" in answer


@pytest.mark.parametrize("head", [b"X: y\r\n" * 101, b"X: " + b"y" * 40_000 + b"\r\n"], ids=["many", "large"])
@pytest.mark.parametrize("ends", [b"", b"\r\n"], ids=["no end", "whole"])
def test_too_many_or_too_large_headers_are_refused(head: bytes, ends: bytes) -> None:
    with serving() as (_, port):
        assert statuses(in_packets(port, [b"GET /now HTTP/1.1\r\nHost: localhost\r\n" + head + ends])) == [431]


def test_too_many_trailers_are_refused() -> None:
    body = b"POST /later HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    with serving() as (_, port):
        assert statuses(in_packets(port, [body, b"X: y\r\n" * 102])) == [431]


def test_as_many_headers_as_allowed_are_taken() -> None:
    with serving() as (_, port):
        assert statuses(raw(port, LAST[:-2] + b"X: y\r\n" * 98 + b"\r\n")) == [200]


def test_one_read_begins_no_more_requests_than_may_wait() -> None:
    limits = Limits(idle_seconds=0.2)
    with serving(limits) as (_, port):
        assert statuses(raw(port, (limits.pipelined + 1) * REQUEST)) == (limits.pipelined + 1) * [200]
        received = statuses(in_packets(port, [1000 * REQUEST]))
        assert received in ([*(limits.pipelined + 1) * [200], 503], received[: limits.pipelined + 1])


def test_no_answer_is_begun_before_the_last_has_left() -> None:
    with serving() as (server, port), socket.socket() as client:
        client.settimeout(PATIENCE_SECONDS)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)  # Linux would let it grow beyond an answer
        client.connect(("127.0.0.1", port))
        client.sendall(4 * REQUEST.replace(b"/now", b"/large"))
        assert client.recv(1) == b"H"
        (connection,) = server.connections
        wait_until(lambda: len(connection.waiting) == 3, "the others to be read")
        received = 1
        head = render_head(SMALL.status, SMALL.headers, b"Sat, 01 Jan 2000 00:00:00 GMT", keep_alive=True)
        whole = 4 * (len(head) + len(LARGE.body))
        while received < whole - 4 * 100:
            received += len(client.recv(2**20))
        wait_until(lambda: not connection.waiting, "all to be answered")


def test_a_question_whose_asker_is_gone_is_dropped() -> None:
    app = Told()
    with serving(handler=app) as (_, port):
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(REQUEST.replace(b"/now", b"/never"))
            wait_until(lambda: app.begun == 1, "the request to be begun")
        wait_until(lambda: app.ended == 1, "the request to be dropped")


def test_connections_that_wait_for_an_answer_keep_nobody_out() -> None:
    app = Told()
    with serving(Limits(connections=3, tenure_seconds=0), handler=app) as (_, port), contextlib.ExitStack() as held:
        for begun in range(1, 11):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            client.sendall(REQUEST.replace(b"/now", b"/never"))
            wait_until(partial(app.has_begun, begun), "the request to be begun")
            assert statuses(raw(port, LAST)) == [200]
        assert app.begun - app.ended <= 3


def test_who_waits_for_a_place_is_answered_when_one_of_the_same_address_leaves() -> None:
    with serving(Limits(connections=1, tenure_seconds=3600)) as (server, port):
        with socket.create_connection(("127.0.0.1", port), 5) as first:
            wait_until(lambda: server.connections, "the first to be accepted")
            with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as second:
                second.sendall(LAST)
                wait_until(lambda: server.connection_count == 2, "the second to wait")
                for _ in range(100):
                    first.sendall(REQUEST)
                    assert statuses(first.recv(65536)) == [200]
                second.setblocking(False)
                with pytest.raises(BlockingIOError):
                    second.recv(1)
                second.settimeout(PATIENCE_SECONDS)
                first.close()
                assert statuses(second.recv(65536)) == [200]
        wait_until(lambda: server.connection_count == 0, "both to be forgotten")


def test_another_address_does_not_wait_for_a_place() -> None:
    with (
        serving(Limits(connections=2, tenure_seconds=3600)) as (server, port),
        contextlib.ExitStack() as held,
    ):
        for _ in range(5):
            held.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        wait_until(lambda: server.connection_count == 5, "all to be accepted")
        other = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS, source_address=("127.0.0.2", 0))
        held.enter_context(other)
        other.sendall(LAST)
        assert statuses(other.recv(65536)) == [200]


def test_who_waits_for_a_place_does_not_delay_the_stop() -> None:
    with serving(Limits(connections=1, tenure_seconds=3600)) as (server, port), contextlib.ExitStack() as held:
        clients = [held.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(3)]
        wait_until(lambda: server.connection_count == 3, "all to be accepted")
        server.request_stop(3600)
        for client in clients:
            client.settimeout(PATIENCE_SECONDS)
            assert client.recv(1) == b""


def test_who_has_waited_for_a_place_as_long_as_for_a_request_is_one_too_many_and_not_slow() -> None:
    refusals = Counted()

    async def wait() -> None:
        server = Server(Told(), Limits(connections=1, tenure_seconds=3600, request_seconds=10), refusals=refusals)
        placed, held = server.accepted(), server.accepted()
        transports = [Transport(), Transport()]
        for connection, transport in zip((placed, held), transports, strict=True):
            connection.connection_made(transport)
        assert held.arriving_since is not None
        held.close_if_slow(held.arriving_since + 9.9)
        assert [transport.aborted for transport in transports] == [False, False]
        held.close_if_slow(held.arriving_since + 10)
        assert [transport.aborted for transport in transports] == [False, True]

    asyncio.run(wait())
    assert refusals.closings == [Closing.TOO_MANY]


def test_who_was_accepted_just_before_the_stop_does_not_delay_it() -> None:
    server, transport = Server(Told(), Limits()), Transport()
    server.request_stop(3600)
    server.accepted().connection_made(transport)
    assert transport.aborted
    assert server.connection_count == 0


def test_a_silent_connection_costs_no_tls(tls: ssl.SSLContext) -> None:
    with serving(context=tls) as (server, port), socket.create_connection(("127.0.0.1", port), 5):
        wait_until(lambda: server.connections, "the connection to be accepted")
        assert [connection._tls for connection in server.connections] == [None]


def test_handshakes_that_stand_still_make_room_for_others(tls: ssl.SSLContext, tmp_path: Path) -> None:
    trusting = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    outgoing = ssl.MemoryBIO()
    begun = trusting.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        begun.do_handshake()
    hello = outgoing.read()
    with serving(Limits(connections=3, tenure_seconds=0), tls) as (server, port), contextlib.ExitStack() as held:
        for _ in range(8):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            client.sendall(hello)
            assert client.recv(1) == b"\x16"  # the server's part of the handshake
        wait_until(lambda: server.connection_count <= 3, "the others to be gone")
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(2 * REQUEST + LAST)
            received = b""
            while part := client.recv(65536):
                received += part
        assert statuses(received) == [200, 200, 200]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 100_000])
def test_what_is_no_tls_is_cut_off(tls: ssl.SSLContext, sent: bytes) -> None:
    with serving(context=tls) as (_, port), contextlib.suppress(ConnectionError):
        assert b"HTTP/" not in raw(port, sent)


def test_a_large_request_may_follow_the_handshake_at_once(tls: ssl.SSLContext, tmp_path: Path) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    session = trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with serving(context=tls) as (_, port), socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as client:
        done = False
        while not done:
            try:
                session.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
                incoming.write(client.recv(65536))
        body = 300_000 * b"x"
        session.write(LAST.replace(b"GET", b"POST")[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        client.sendall(outgoing.read())  # with the end of the handshake before it
        received = b""
        while part := client.recv(65536):
            incoming.write(part)
        incoming.write_eof()
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while part := session.read(65536):
                received += part
    assert statuses(received) == [200]


def test_answers_larger_than_a_record_arrive_whole_through_tls(tls: ssl.SSLContext, tmp_path: Path) -> None:
    trusting = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    with (
        serving(context=tls) as (_, port),
        socket.create_connection(("127.0.0.1", port), 20) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(LAST.replace(b"/now", b"/large"))
        received = bytearray()
        while part := client.recv(2**20):
            received += part
    assert received.endswith(b"\r\n\r\n" + LARGE.body)


def test_the_open_files_of_the_process_bound_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (128, 4096))
    with serving(replace(Limits(), connections=10_000)) as (server, port):
        assert statuses(raw(port, LAST)) == [200]
        with contextlib.ExitStack() as held:
            for _ in range(100):
                held.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            wait_until(lambda: server.connection_count == 64, "as many as there are files for to be kept")


def test_a_server_responds_unless_its_event_loop_is_blocked_or_gone() -> None:
    assert not Server(Told(), Limits()).responds(0.0)  # it has not begun
    with serving() as (server, port):
        assert statuses(raw(port, LAST)) == [200]
        assert server.responds(PATIENCE_SECONDS)
        block = threading.Event()
        assert server._loop is not None
        server._loop.call_soon_threadsafe(block.wait)
        assert not server.responds(0.01)
        block.set()
        assert server.responds(PATIENCE_SECONDS)
    assert not server.responds(0.0)
