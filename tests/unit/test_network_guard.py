"""The guard that keeps the tests on this machine."""

import socket
import subprocess
import sys

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


def test_a_datagram_to_another_machine_is_an_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        with pytest.raises(network_guard.OutsideConnectionError):
            client.sendto(b"x", ("192.0.2.1", 9))
        with pytest.raises(network_guard.OutsideConnectionError):
            client.sendmsg([b"x"], [], 0, ("192.0.2.1", 9))


def test_no_code_can_swallow_the_error() -> None:
    assert not issubclass(network_guard.OutsideConnectionError, Exception)


def test_a_python_process_under_test_is_guarded_too() -> None:
    command = [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 9), 1)"]
    ended = subprocess.run(command, env=network_guard.guarded_environment(), capture_output=True, text=True)
    assert ended.returncode == 1
    assert "OutsideConnectionError: socket.getaddrinfo of '192.0.2.1'" in ended.stderr


def test_a_process_under_test_does_not_inherit_what_would_change_its_behaviour(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SENTRY_DSN", "OTEL_SDK_DISABLED", "FF_TELEMETRY_DISABLED", "DO_NOT_TRACK", "https_proxy", "NODE_ENV"):
        monkeypatch.setenv(name, "1")
    environment = network_guard.guarded_environment(NODE_ENV="production")
    assert {"SENTRY_DSN", "OTEL_SDK_DISABLED", "FF_TELEMETRY_DISABLED", "DO_NOT_TRACK", "https_proxy"}.isdisjoint(
        environment
    )
    assert environment["NODE_ENV"] == "production"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", b"127.0.0.2", "0.0.0.0", None])
def test_loopback_is_local(host: object) -> None:
    assert network_guard.is_local(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "example.com", "169.254.169.254", "fe80::1%eth0", "127.0.0.1.example"])
def test_other_machines_are_not_local(host: str) -> None:
    assert not network_guard.is_local(host)


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 1).close()


def test_a_real_postgresql_server_answers(postgres: object) -> None:
    assert postgres is not None
