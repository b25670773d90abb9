"""The host names a server answers to, against DNS rebinding.

In that attack a page's own name resolves to 127.0.0.1, and the browser lets the page read what is served there.
"""

import ipaddress
from collections.abc import Iterable

_MOST_REMEMBERED = 64


class AllowedHosts:
    """Checks `Host` headers. On a loopback address only loopback names and addresses and `configured` names are
    answered; on another address every name, unless some are configured: then those, loopback, and addresses."""

    def __init__(self, listening: str, configured: Iterable[str] = ()) -> None:
        self._configured = frozenset(name.lower().rstrip(".").strip("[]") for name in configured)
        self._on_loopback = _is_loopback(listening)
        self._any = not self._on_loopback and not self._configured
        self._remembered: dict[bytes, bool] = {}

    def allows(self, host: bytes) -> bool:
        """Whether a request with this `Host` header (empty if absent, which no browser sends) is answered."""
        known = self._remembered.get(host)
        if known is None:
            known = self._any or not host or self._is_allowed(name_of(host))
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[host] = known
        return known

    def _is_allowed(self, name: str) -> bool:
        if name in self._configured or name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
            return True
        return _is_loopback(name) or (not self._on_loopback and _is_address(name))


def name_of(host: bytes) -> str:
    """The name or address in a `Host` header, without port, brackets and final dot."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        address, bracket, _ = text[1:].partition("]")
        return address if bracket else text
    name, colon, port = text.rpartition(":")
    return (name if colon and port.isdigit() else text).rstrip(".")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return text == "localhost" or (_is_address(text) and ipaddress.ip_address(text).is_loopback)
