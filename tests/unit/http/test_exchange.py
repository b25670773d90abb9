"""Requests and their answers as handlers meet them, over real connections."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from functools import partial

import pytest

from ff_observe.http.exchange import Exchange, settle, settle_from_thread
from ff_observe.http.limits import Limits
from ff_observe.http.messages import Answer, text
from ff_observe.http.server import Server
from tests.real_parts.collector import in_packets, raw
from tests.real_parts.processes import wait_until
from tests.unit.http.serving import LAST, REQUEST, By, Told, Transport, serving, statuses


def faulty(exchange: Exchange) -> None:
    """Fails at once at `/now`, later at `/later`, and forgets to answer anywhere else."""

    async def later() -> None:
        if exchange.scope["path"] == "/later":
            raise ValueError("planted later")

    if exchange.scope["path"] == "/now":
        raise ValueError("planted at once")
    exchange.run(later)


@pytest.mark.parametrize(("path", "reported"), [(b"/now", "at once"), (b"/later", "later"), (b"/else", "")])
def test_who_gets_no_answer_is_answered_by_the_server_and_the_fault_reported(path: bytes, reported: str) -> None:
    faults: list[str] = []
    with serving(handler=By(faulty), on_fault=lambda error: faults.append(str(error))) as (_, port):
        assert statuses(raw(port, REQUEST.replace(b"/now", path) + LAST)) == [500]  # and the connection is closed
    assert faults == ([f"planted {reported}"] if reported else [])


def measure(exchange: Exchange, most_bytes: int = 200_000) -> None:
    """Answers with the length of the body, or of the part that is more than `most_bytes`."""

    def answer(body: bytes | None) -> None:
        exchange.respond(text(200 if exchange.more_body else 201, "nothing" if body is None else f"{len(body)}"))

    exchange.read(most_bytes, answer)


@pytest.mark.parametrize("size", [0, 1, 150_000, 200_000])
def test_a_body_is_read_whole_up_to_what_its_reader_takes(size: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    with serving(handler=By(measure)) as (_, port):
        received = in_packets(port, [head, b"x" * (size // 2), b"x" * (size - size // 2)])
    assert statuses(received) == [201]
    assert received.endswith(b"\r\n\r\n%d\n" % size)


def test_no_more_of_a_body_is_read_than_its_reader_takes() -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 400000\r\n\r\n"
    with serving(handler=By(measure)) as (_, port):
        received = in_packets(port, [head, b"x" * 200_001])
    assert statuses(received) == [200]
    assert received.endswith(b"\r\n\r\n200001\n")


EXPECTING = b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def measure_in_two_parts(exchange: Exchange) -> None:
    """Reads on after it had more than a byte."""
    exchange.read(1, lambda _: measure(exchange, 1))


def test_a_client_is_asked_once_for_the_body_that_it_holds_back() -> None:
    with (
        serving(handler=By(measure_in_two_parts)) as (_, port),
        socket.create_connection(("127.0.0.1", port), 5) as client,
    ):
        client.sendall(EXPECTING)
        received = b""
        while len(received) < len(CONTINUE):
            received += client.recv(65536)
        client.sendall(b"ab")
        client.sendall(b"cd")
        client.shutdown(socket.SHUT_WR)
        while part := client.recv(65536):
            received += part
    assert received.startswith(CONTINUE + b"HTTP/1.1 20")
    assert statuses(received)[0] == 100
    assert received.count(b"HTTP/1.1") == 2


class Answering(By):
    """Answers each request; what is then asked of it is recorded."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(self.answer)
        self.answers = answers
        self.bodies: list[bytes | None] = []
        self.is_being_read: list[bool] = []

    def answer(self, exchange: Exchange) -> None:
        for answer in self.answers:
            exchange.respond(answer)
        exchange.read(9, self.bodies.append)
        self.is_being_read.append(exchange.is_being_read)


def test_an_answered_request_is_neither_answered_nor_read_again() -> None:
    handler = Answering(text(403, "no"), text(200, "yes"))
    with serving(handler=handler) as (_, port):
        assert statuses(raw(port, EXPECTING + b"body" + LAST)) == [403, 403]
    assert handler.bodies == [None, None]
    assert handler.is_being_read == [False, False]


def test_an_answer_says_whether_the_connection_stays_and_it_does() -> None:
    closing = Answer(200, ((b"content-length", b"0"), (b"connection", b"close")), b"")
    with serving(handler=Answering(text(200, "stays"))) as (_, port):
        first, _, second = raw(port, REQUEST + LAST).partition(b"stays\n")
    assert (b"connection: close" in first, b"connection: close" in second) == (False, True)
    with serving(handler=Answering(closing)) as (_, port):
        assert raw(port, REQUEST + REQUEST).count(b"connection: close") == 1


async def after_much(exchange: Exchange) -> None:
    """Reads a body once so much of it is there that reading has paused."""
    while len(exchange.body) <= 64 * 1024:
        await asyncio.sleep(0)
    body: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    exchange.read(400_000, body.set_result)
    exchange.respond(text(200, f"{len(await body or b'')}"))


async def later(exchange: Exchange) -> None:
    await asyncio.sleep(0)
    exchange.respond(text(200, "later"))


def in_a_task(answer: Callable[[Exchange], Coroutine[None, None, None]]) -> By:
    return By(lambda exchange: exchange.run(partial(answer, exchange)))


def test_reading_resumes_for_a_body_that_is_read_late() -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 400000\r\n\r\n"
    with serving(handler=in_a_task(after_much)) as (_, port):
        assert raw(port, head + b"x" * 400_000, seconds=20).endswith(b"\r\n\r\n400000\n")


def test_a_client_that_begins_its_next_request_waits_as_others_do() -> None:
    """One byte of it does not make a connection busy, which is displaced after all that wait for their clients."""
    limits = Limits(connections=3, tenure_seconds=0)
    with serving(limits, handler=in_a_task(later)) as (server, port), contextlib.ExitStack() as held:
        clients = [held.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(3)]
        for client, sent in zip(clients, (REQUEST + b"G", REQUEST + b"G", REQUEST), strict=True):
            client.sendall(sent)
            assert statuses(client.recv(65536)) == [200]
        assert statuses(raw(port, LAST)) == [200]
        wait_until(lambda: server.connection_count == 2, "one to be displaced")
        clients[2].sendall(REQUEST)
        assert statuses(clients[2].recv(65536)) == [200]


def test_a_request_has_its_time_from_the_answer_to_the_one_before() -> None:
    """Until then the server itself does not read on."""

    async def pipeline() -> tuple[bool, bool]:
        app = Told()
        server = Server(app, Limits(request_seconds=10))
        connection, transport = server.accepted(), Transport()
        connection.connection_made(transport)
        connection.take(
            memoryview(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /x HTTP/1.1\r\nHost: localhost\r\n")
        )
        connection.take(memoryview(b"Content-Length: 9\r\n\r\n{"))
        assert connection.arriving_since is not None
        connection.close_if_slow(connection.arriving_since + 1000)
        first = connection._current
        assert first is not None
        first.respond(text(200, "late"))
        before = transport.ended
        connection.close_if_slow(connection.arriving_since + 10)
        for task in server._shared.tasks:
            task.cancel()
        return before, transport.ended

    assert asyncio.run(pipeline()) == (False, True)


def test_what_is_settled_stays_so() -> None:
    async def settling() -> tuple[int, bool]:
        settled, cancelled = (asyncio.get_running_loop().create_future() for _ in range(2))
        cancelled.cancel()
        for result in (1, 2):
            settle(settled, result)
            settle(cancelled, result)
        return await settled, cancelled.cancelled()

    assert asyncio.run(settling()) == (1, True)


def test_what_a_thread_settles_is_settled_in_its_loop_unless_that_is_closed() -> None:
    async def settling() -> tuple[int, "asyncio.Future[int]"]:
        settled, late = (asyncio.get_running_loop().create_future() for _ in range(2))
        await asyncio.to_thread(settle_from_thread, settled, 1)
        async with asyncio.timeout(10):
            return await settled, late

    result, late = asyncio.run(settling())
    settle_from_thread(late, 2)
    assert (result, late.done()) == (1, False)
