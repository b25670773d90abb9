"""The last answer of a connection arrives, though the client is still sending (RFC 9112, 9.6)."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from ff_observe.http.limits import Limits
from ff_observe.http.server import Server
from tests.real_parts.certificates import make_certificate
from tests.real_parts.collector import raw
from tests.real_parts.processes import PATIENCE_SECONDS
from tests.unit.http.serving import REQUEST, SMALL, By, Counted, Told, Transport, serving, statuses

POST = b"POST /never HTTP/1.1\r\nHost: localhost\r\n"
BODY = 2**21 * b"x"  # more than the server takes, less than it discards
REFUSED = {
    "the body": (413, POST + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)),
    "the head": (431, POST + b"X: %b\r\n\r\n" % BODY),
    "the whole": (400, b"nonsense\r\n\r\n" + BODY),
}


READING = By(lambda exchange: exchange.read(2**30, lambda _body: exchange.respond(SMALL)))


@pytest.mark.parametrize(("status", "sent"), REFUSED.values(), ids=REFUSED)
def test_a_client_that_sends_all_before_it_reads_gets_the_refusal(status: int, sent: bytes) -> None:
    with serving(handler=READING) as (_, port):
        for _ in range(20):
            assert statuses(raw(port, sent)) == [status]


def test_a_client_that_sends_all_before_it_reads_gets_the_refusal_through_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=certificate)
    status, sent = REFUSED["the body"]
    with (
        serving(context=context, handler=READING) as (_, port),
        socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(sent)
        received = b""
        while part := client.recv(65536):
            received += part
    assert statuses(received) == [status]


def test_nothing_behind_a_refusal_is_handled() -> None:
    app = Told()
    with serving(handler=app) as (_, port):
        received = raw(port, b"nonsense\r\n\r\n" + 100 * REQUEST.replace(b"/now", b"/never"))
        assert statuses(received) == [400]
        assert app.begun == 0


def test_a_client_that_never_ends_is_cut_off() -> None:
    with serving() as (_, port), socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as client:
        client.sendall(b"nonsense\r\n\r\n")
        with pytest.raises(ConnectionError):
            client.sendall(2**26 * b"x")  # more than the server discards and all buffers between


@pytest.mark.parametrize("unsent", [False, True], ids=["read", "unread"])
def test_a_client_that_has_its_last_answer_has_two_seconds_to_close(unsent: bool) -> None:
    refusals = Counted()

    async def wait() -> None:
        server = Server(Told(), Limits(), refusals=refusals)
        connection, transport = server.accepted(), Transport()
        connection.connection_made(transport)
        transport.unsent = 100 if unsent else 0
        connection.take(memoryview(b"nonsense\r\n\r\n"))
        assert (transport.ended, transport.closed) == (True, False)
        ended_at = connection._ended_at
        connection.close_if_slow(ended_at + 1.9)
        assert not transport.aborted
        if unsent:  # it begins to read at last: the two seconds are counted from then on
            connection.close_if_slow(ended_at + 9)
            transport.unsent = 0
            ended_at += 9.5
            connection.close_if_slow(ended_at)
            connection.close_if_slow(ended_at + 1.9)
            assert not transport.aborted
        connection.close_if_slow(ended_at + 2)
        assert transport.aborted

    asyncio.run(wait())
    assert refusals.closings == []


def test_an_expectation_of_http_1_0_is_ignored() -> None:
    """RFC 9110, 10.1.1: its clients do not know interim answers."""
    request = b"POST /x HTTP/1.0\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
    newer = request.replace(b" HTTP/1.0\r\n", b" HTTP/1.1\r\nConnection: close\r\n")
    with serving(handler=READING) as (_, port):
        assert statuses(raw(port, request)) == [200]
        assert statuses(raw(port, newer)) == [100, 200]
