"""A receiver with several addresses is reached at the one that works."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ff_observe.delivery.connection import AbortableConnection
from tests.pace import within
from tests.unit.ping.receivers import unreachable_port

FULL, WORKING = "127.0.0.1", "127.0.0.2"
DECNET = 12  # removed from Linux, as IPv6 is from some machines


@pytest.fixture
def port() -> Iterator[int]:
    """A port that drops what comes at the address `FULL`, and takes connections at `WORKING`."""
    with unreachable_port() as port, socket.create_server((WORKING, port)):
        yield port


def looked_up_as(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[int, Any]) -> None:
    found = [(family, socket.SOCK_STREAM, 0, "", address) for family, address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)


def connected_to(port: int, timeout_seconds: float) -> Any:
    connection = AbortableConnection()
    with connection.limited(60), connection.connect("receiver.localhost", port, timeout_seconds) as connected:
        return connected.getpeername()


def test_an_address_that_drops_packets_leaves_time_for_the_next(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up_as(monkeypatch, (socket.AF_INET, (FULL, port)), *[(socket.AF_INET, (WORKING, port))] * 99)
    with within(10):
        assert connected_to(port, 60.0) == (WORKING, port)


def test_a_family_that_the_machine_does_not_have_is_passed_over(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up_as(monkeypatch, (DECNET, ("::1", port, 0, 0)), (socket.AF_INET, (WORKING, port)))
    assert connected_to(port, 60.0) == (WORKING, port)
