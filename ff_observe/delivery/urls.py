"""The parts of a delivery's URL: the proxy that the environment names for it, the credentials in it, and what may be
shown."""

import base64
import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
_GRPC_PORT = 443  # whatever the scheme, of a proxy too
_GRPC_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
_GRPC_EXCEPTIONS = ("no_grpc_proxy", "no_proxy")


def proxy_for(url: str) -> str | None:
    """The URL of the proxy, credentials included, that the environment or the operating system names for `url`.

    `NO_PROXY` lists hosts, domains, and addresses or networks of addresses. Raises `ValueError` for a malformed URL.
    """
    from urllib.request import getproxies, proxy_bypass  # loads TLS, which a bridge without deliveries does not need

    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(_without_user(parts)) or _is_within(parts.hostname or "", proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


@dataclass(frozen=True, slots=True)
class NextHop:
    """The host and port that a delivery connects to: the receiver's, or those of the proxy to `receiver`."""

    host: str
    port: int
    receiver: str = ""


def next_hop(url: str, *, over_grpc: bool = False) -> NextHop:
    """Whom a delivery to `url` connects to. Raises `ValueError` for an impossible URL, of a proxy too."""
    parts = _parts(url)
    proxy = _grpc_proxy_for(parts.hostname or "") if over_grpc else proxy_for(url)
    if proxy is not None:
        via = _parts(proxy)
        return NextHop(via.hostname or "", via.port or _default_port(via, over_grpc), parts.hostname or "")
    return NextHop(parts.hostname or "", parts.port or _default_port(parts, over_grpc))


def _default_port(parts: SplitResult, over_grpc: bool) -> int:
    return _GRPC_PORT if over_grpc else DEFAULT_PORTS.get(parts.scheme, 443)


def _grpc_proxy_for(host: str) -> str | None:
    """As grpc's core reads the environment: by names in lower case, whatever the scheme (environment_variables.md in
    grpc's documentation). Its exceptions are names and their ends, and networks of addresses."""
    proxy = next(filter(None, map(os.environ.get, _GRPC_PROXIES)), None)
    listed = next(filter(None, map(os.environ.get, _GRPC_EXCEPTIONS)), "")
    if proxy is None or _is_within(host, listed):
        return None
    return None if any(host.endswith(entry.strip()) for entry in listed.split(",") if entry.strip()) else proxy


def _parts(url: str) -> SplitResult:
    return urlsplit(url if "://" in url else f"//{url}")


def authorization(url: str) -> str | None:
    """Basic authentication with the user information of a URL, percent-decoded, in UTF-8 (RFC 7617)."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, _without_user(parts), parts.path or "/", parts.query, ""))


def host_and_port(url: str) -> str:
    """The only part of a URL that messages show. Raises `ValueError` for an impossible port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_user(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _is_within(host: str, listed: str) -> bool:
    """Whether a host is an address within a network in `NO_PROXY`, which the standard library does not support."""
    for entry in filter(None, (entry.strip() for entry in listed.split(","))):
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False
