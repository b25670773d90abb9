"""The guard that keeps the tests on this machine."""

import socket

import pytest

from tests import network_guard


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_a_connection_to_another_machine_is_an_error(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as client, pytest.raises(network_guard.OutsideConnectionError):
        client.connect((host, 9))


def test_a_name_lookup_of_another_machine_is_an_error() -> None:
    with pytest.raises(network_guard.OutsideConnectionError):
        socket.getaddrinfo("ping.flowforge.com", 443)


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 1).close()


def test_a_real_postgresql_server_answers(postgres: object) -> None:
    assert postgres is not None
