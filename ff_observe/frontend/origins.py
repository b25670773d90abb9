"""A configured URL as the origin a browser contacts, in the form a Content Security Policy names it."""

import re
from typing import Final
from urllib.parse import urlsplit

from ff_observe.errors import ConfigurationError, Problem

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# What IDNA 2003, Python's, maps away and browsers encode (UTS 46, "deviations"): straße.de is another host to them.
_DEVIATIONS: Final = frozenset("ßς\u200c\u200d")
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")


def origin(url: str, key: str) -> str:
    """`scheme://host[:port]` of a URL, or `'self'` for a path on the page's own host.

    `key` is where the URL was configured. Raises `ConfigurationError` for anything that a browser cannot contact or a
    policy cannot name: a value that is no URL must not become part of a header.
    """
    if url.startswith("/") and not url.startswith("//"):
        return "'self'"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        name = parts.hostname or ""
        host = name.encode("idna").decode().lower()
    except (ValueError, UnicodeError):
        raise _unusable(key, "is not a URL a browser can contact") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise _unusable(key, "must be a URL that begins with https:// or http://")
    if _DEVIATIONS.intersection(name):
        raise _unusable(key, "has a host name with ß, ς or a joiner; write it in its form for DNS, xn--…")
    if ":" in host:
        raise _unusable(key, "names an IPv6 address, which a Content Security Policy cannot; use a host name")
    if not _HOST.fullmatch(host):
        raise _unusable(key, "has no usable host name")
    return f"{parts.scheme}://{host}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def _unusable(key: str, why: str) -> ConfigurationError:
    return ConfigurationError((Problem("flowforge.yml", 0, 0, key, why),))
