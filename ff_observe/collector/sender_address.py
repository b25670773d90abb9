"""Determines the address a request came from, using proxy headers only if a trusted proxy wrote them.

Nothing here stores, logs or raises an address: it is passed on to be hashed, and forgotten.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from enum import StrEnum

Address = bytes
"""4 or 16 bytes in network order."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Sequence[tuple[bytes, bytes]]

MAX_HOPS = 32
"""Of a longer chain of proxies, only the nearest are considered."""


class ForwardedHeader(StrEnum):
    """Which header the trusted proxies write. Only that one is used: a sender can forge the other."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"


_IPV4_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291, 2.5.5.2
_REVERSED_ELEMENT = re.compile(r'(?:[^,"]|"[^"]*"?)+')
"""An element of a header, parsed right to left: what the sender wrote in front, such as an open quote, cannot change
how the trusted proxy's last element is read."""
_PAIR = re.compile(r'([^\s;=",]+)\s*=\s*(?:"([^"]*)"|([^\s;",]*))')


def parse_address(text: str) -> Address | None:
    """An address as written in headers: with or without port, IPv6 with or without brackets or zone."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):  # a NUL inside is a ValueError
        return None
    return packed[12:] if packed.startswith(_IPV4_MAPPED) else packed


class SenderAddress:
    """Knows the trusted proxies."""

    def __init__(
        self, trusted: Sequence[Network] = (), header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR
    ) -> None:
        self._trusted = tuple(trusted)
        self._header = header
        self._header_name = header.value.encode("ascii")

    def of(self, peer: str | None, headers: Headers) -> Address | None:
        """The address of the sender: that of the connection, or, if that is a trusted proxy, the last address in its
        header that is not one. None if there is no address, or the trusted proxy's is not one (RFC 7239 `unknown`)."""
        address = parse_address(peer) if peer else None
        if not self._trusted or address is None or not self._is_trusted(address):
            return address
        for hop in self._hops(headers):
            address = parse_address(hop)
            if address is None or not self._is_trusted(address):
                return address
        return address

    def _is_trusted(self, address: Address) -> bool:
        return any(ipaddress.ip_address(address) in network for network in self._trusted)

    def _hops(self, headers: Headers) -> list[str]:
        """The elements that proxies wrote, the nearest proxy's first."""
        lines = [value.decode("latin-1") for name, value in headers if name == self._header_name]
        hops = [hop[::-1] for line in reversed(lines) for hop in _REVERSED_ELEMENT.findall(line[::-1])]
        if self._header is ForwardedHeader.FORWARDED:
            return [_forwarded_for(hop) for hop in hops[:MAX_HOPS]]
        return hops[:MAX_HOPS]


def _forwarded_for(element: str) -> str:
    """The `for` of one element of a `Forwarded` header (RFC 7239, 4); empty if absent."""
    for name, quoted, token in _PAIR.findall(element):
        if name.lower() == "for":
            return str(quoted or token)
    return ""
