"""Requests and their answers as handlers meet them, over real connections."""

from functools import partial

import pytest

from ff_observe.http.exchange import Exchange
from ff_observe.http.messages import text
from tests.real_parts.collector import in_packets, raw
from tests.unit.http.serving import LAST, REQUEST, serving, statuses


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
