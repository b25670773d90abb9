"""Which names a server answers to, against DNS rebinding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.http.hosts import AllowedHosts, name_of

LOOPBACK = [
    b"localhost",
    b"LOCALHOST:10464",
    b"app.localhost",
    b"127.0.0.1:80",
    b"127.9.9.9",
    b"[::1]:80",
    b"localhost.",
]
FOREIGN = [b"attacker.example", b"attacker.example:10464", b"localhost.attacker.example", b"notlocalhost", b"192.0.2.1"]
NONSENSE = [b"[::1", b"127.0.0.1.attacker.example", b":80", b"\xff", b"127.0.0.1@attacker.example", b"::1:", b"0x7f.1"]


@pytest.mark.parametrize("listening", ["127.0.0.1", "::1", "127.0.0.2"])
@pytest.mark.parametrize("host", LOOPBACK)
def test_a_loopback_name_is_answered_on_loopback(listening: str, host: bytes) -> None:
    assert AllowedHosts(listening).allows(host)


@pytest.mark.parametrize("listening", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("host", [*FOREIGN, *NONSENSE])
def test_another_name_is_not_answered_on_loopback(listening: str, host: bytes) -> None:
    assert not AllowedHosts(listening).allows(host)


def test_a_configured_name_is_answered_besides() -> None:
    hosts = AllowedHosts("127.0.0.1", ["Metrics.Example.com", "192.0.2.1"])
    for host in (b"metrics.example.com", b"METRICS.example.com.:443", b"192.0.2.1:80", *LOOPBACK):
        assert hosts.allows(host), host
    assert not hosts.allows(b"sub.metrics.example.com")


def test_on_other_addresses_every_name_is_answered_unless_some_are_configured() -> None:
    """Kubelets and balancers ask by address, which no name of an attacker's can be."""
    assert all(AllowedHosts("0.0.0.0").allows(host) for host in (*LOOPBACK, *FOREIGN))
    named = AllowedHosts("0.0.0.0", ["metrics.example.com"])
    assert all(named.allows(host) for host in (b"metrics.example.com", b"192.0.2.1:10464", b"[2001:db8::1]", *LOOPBACK))
    assert not named.allows(b"attacker.example")


def test_a_request_without_the_header_is_no_browsers() -> None:
    assert AllowedHosts("127.0.0.1").allows(b"")


@given(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?\.(example|test)", fullmatch=True), st.integers(0, 65535))
def test_no_name_of_the_public_tree_is_loopback(name: str, port: int) -> None:
    hosts = AllowedHosts("127.0.0.1")
    assert not hosts.allows(name.encode())
    assert not hosts.allows(f"{name}:{port}".encode())
    assert name_of(f"{name}.:{port}".encode()) == name


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=200))
def test_what_is_remembered_is_bounded(seen: list[bytes]) -> None:
    hosts = AllowedHosts("127.0.0.1")
    for host in seen:
        assert hosts.allows(host) == AllowedHosts("127.0.0.1").allows(host)
    assert len(hosts._remembered) <= 64
