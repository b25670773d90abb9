"""Whose address it is: the connection's, or what a trusted proxy says, and nobody else."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.sender_address import ForwardedHeader, SenderAddress, parse_address

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
XFF = SenderAddress(PROXIES, ForwardedHeader.X_FORWARDED_FOR)
FORWARDED = SenderAddress(PROXIES, ForwardedHeader.FORWARDED)


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]:4711]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_address_is_read_in_every_form_that_headers_have(written: str, meant: str) -> None:
    assert parse_address(written) == packed(meant)


@pytest.mark.parametrize(
    "written", ["", "unknown", "_hidden", "192.0.2", "192.0.2.256", "0x7f.1", "::1::", "a\x00", "٣.0.0.1"]
)
def test_what_is_no_address_is_none(written: str) -> None:
    assert parse_address(written) is None


@given(st.ip_addresses())
def test_every_address_is_read_as_the_standard_library_reads_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    assert parse_address(str(address)) == (mapped or address).packed


@given(st.text(), st.binary(), st.binary())
def test_no_header_makes_an_error(peer: str, one: bytes, other: bytes) -> None:
    for finder in (XFF, FORWARDED):
        for connection in (peer, "10.0.0.1"):
            found = finder.of(connection, [(b"x-forwarded-for", one), (b"forwarded", other)])
            assert found is None or len(found) in (4, 16)


def test_a_header_from_anyone_but_a_trusted_proxy_is_ignored() -> None:
    forged = [(b"x-forwarded-for", b"198.51.100.7"), (b"forwarded", b"for=198.51.100.7")]
    for finder in (XFF, FORWARDED, SenderAddress()):
        assert finder.of("192.0.2.1", forged) == packed("192.0.2.1")
    assert SenderAddress().of("10.0.0.1", forged) == packed("10.0.0.1")


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ([b"198.51.100.7"], "198.51.100.7"),
        ([b"203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ([b"203.0.113.9, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ([b"203.0.113.9", b"198.51.100.7", b"10.1.2.3, fd00::1"], "198.51.100.7"),
        ([b"2001:db8::1"], "2001:db8::1"),
        ([b"10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ([], "10.0.0.1"),
    ],
)
def test_the_last_address_that_is_no_trusted_proxy_is_the_senders(header: list[bytes], meant: str) -> None:
    assert XFF.of("10.0.0.1", [(b"x-forwarded-for", line) for line in header]) == packed(meant)


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (b"for=198.51.100.7", "198.51.100.7"),
        (b'For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        (b"for=203.0.113.9;proto=http;by=10.0.0.1, for=198.51.100.7", "198.51.100.7"),
        (b'proto="a,b;for=203.0.113.9";for=198.51.100.7', "198.51.100.7"),
        (b"for=203.0.113.9, for=198.51.100.7, for=10.1.1.1", "198.51.100.7"),
    ],
)
def test_the_standard_header_is_read_as_rfc_7239_writes_it(header: bytes, meant: str) -> None:
    assert FORWARDED.of("10.0.0.1", [(b"forwarded", header)]) == packed(meant)


@pytest.mark.parametrize(
    "forged", [b'for="', b'for="203.0.113.9";x="', b'"', b"for=203.0.113.9;x=\\", b'for="203.0.113.9,']
)
@pytest.mark.parametrize("written", [b"for=198.51.100.7", b'for="198.51.100.7:80";by="[fd00::1]"'])
def test_nothing_a_sender_writes_in_front_hides_or_changes_what_the_proxy_wrote(forged: bytes, written: bytes) -> None:
    assert FORWARDED.of("10.0.0.1", [(b"forwarded", forged + b", " + written)]) == packed("198.51.100.7")


@pytest.mark.parametrize("header", [b"for=unknown", b"for=_hidden", b"proto=https", b'for="'])
def test_a_proxy_that_does_not_say_leaves_no_address(header: bytes) -> None:
    assert FORWARDED.of("10.0.0.1", [(b"forwarded", header)]) is None


def test_only_the_header_that_the_proxies_set_is_believed() -> None:
    assert XFF.of("10.0.0.1", [(b"forwarded", b"for=198.51.100.7")]) == packed("10.0.0.1")


def test_without_a_peer_there_is_no_address() -> None:
    assert XFF.of(None, []) is None


@pytest.mark.parametrize(
    ("header", "line"),
    [(ForwardedHeader.X_FORWARDED_FOR, b"198.51.100.7"), (ForwardedHeader.FORWARDED, b"for=198.51.100.7")],
)
def test_it_believes_the_proxies_and_the_header_it_was_made_with(header: ForwardedHeader, line: bytes) -> None:
    finder = SenderAddress(iter(PROXIES), header)  # type: ignore[arg-type]  # asked more than once all the same
    for _ in range(2):
        assert finder.of("10.0.0.1", [(header.value.encode(), line)]) == packed("198.51.100.7")
    assert SenderAddress(PROXIES).of("10.0.0.1", [(b"x-forwarded-for", b"198.51.100.7")]) == packed("198.51.100.7")
