"""Requests and their answers as handlers meet them, over real connections."""

import asyncio
import contextlib
import socket
from functools import partial

import pytest

from ff_observe.http.asgi import AsgiHandler
from ff_observe.http.connection import Connection
from ff_observe.http.exchange import Exchange
from ff_observe.http.limits import Limits
from ff_observe.http.messages import text
from ff_observe.http.server import Server
from tests.real_parts.collector import in_packets, raw
from tests.real_parts.processes import wait_until
from tests.unit.http.serving import LAST, REQUEST, Told, Transport, serving, statuses


class Faulty:
    """Fails at once at `/now`, later at `/later`, and forgets to answer anywhere else."""

    def handle(self, exchange: Exchange) -> None:
        if exchange.scope["path"] == "/now":
            raise ValueError("planted at once")
        exchange.run(partial(self.later, exchange.scope["path"]))

    async def later(self, path: str) -> None:
        if path == "/later":
            raise ValueError("planted later")

    def stop_waiting(self) -> None:
        pass


@pytest.mark.parametrize(("path", "reported"), [(b"/now", "at once"), (b"/later", "later"), (b"/else", "")])
def test_who_gets_no_answer_is_answered_by_the_server_and_the_fault_reported(path: bytes, reported: str) -> None:
    faults: list[str] = []
    with serving(handler=Faulty(), on_fault=lambda error: faults.append(str(error))) as (_, port):
        assert statuses(raw(port, REQUEST.replace(b"/now", path) + LAST)) == [500]  # and the connection is closed
    assert faults == ([f"planted {reported}"] if reported else [])


class Measuring:
    """Answers with the length of the body, or of the part that is more than `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes

    def handle(self, exchange: Exchange) -> None:
        def answer(body: bytes | None) -> None:
            exchange.respond(text(200 if exchange.more_body else 201, "nothing" if body is None else f"{len(body)}"))

        exchange.read(self.most_bytes, answer)

    def stop_waiting(self) -> None:
        pass


@pytest.mark.parametrize("size", [0, 1, 150_000, 200_000])
def test_a_body_is_read_whole_up_to_what_its_reader_takes(size: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    with serving(handler=Measuring(200_000)) as (_, port):
        received = in_packets(port, [head, b"x" * (size // 2), b"x" * (size - size // 2)])
    assert statuses(received) == [201]
    assert received.endswith(b"\r\n\r\n%d\n" % size)


def test_no_more_of_a_body_is_read_than_its_reader_takes() -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 400000\r\n\r\n"
    with serving(handler=Measuring(200_000)) as (_, port):
        received = in_packets(port, [head, b"x" * 200_001])
    assert statuses(received) == [200]
    assert received.endswith(b"\r\n\r\n200001\n")


class Later:
    """Answers in a task."""

    def handle(self, exchange: Exchange) -> None:
        exchange.run(partial(self.later, exchange))

    async def later(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        exchange.respond(text(200, "later"))

    def stop_waiting(self) -> None:
        pass


def test_a_client_that_begins_its_next_request_waits_as_others_do() -> None:
    """One byte of it does not make a connection busy, which is displaced after all that wait for their clients."""
    limits = Limits(connections=3, tenure_seconds=0)
    with serving(limits, handler=Later()) as (server, port), contextlib.ExitStack() as held:
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
        server = Server(AsgiHandler(app), Limits(request_seconds=10))
        server._loop = asyncio.get_running_loop()
        connection, transport = Connection(server), Transport()
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
        for task in server._tasks:
            task.cancel()
        return before, transport.ended

    assert asyncio.run(pipeline()) == (False, True)
