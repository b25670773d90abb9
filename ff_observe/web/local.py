"""A bridge as the machine it runs on sees it: at which URL it listens, and what it answers there."""

import http.client
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:  # a health check of a container starts a process each time
    from ff_observe.config.settings import PrometheusSettings

HEALTHY_PATH: Final = "/-/healthy"
READY_PATH: Final = "/-/ready"

REACHED_AT: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nothing is bound here
"""All addresses, and one of this machine's among them."""


def local_url(host: str, port: int, *, tls: bool) -> str:
    """The URL on this machine of what listens on `host` and `port`, without a slash at the end."""
    reached = REACHED_AT.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"


def bridge_url(prometheus: "PrometheusSettings") -> str:
    """The URL on this machine of a bridge with these settings. Raises `ConfigurationError` if its web configuration
    cannot be used."""
    tls = False
    if prometheus.web_config_file is not None:
        from ff_observe.web.web_config import read_web_config

        tls = read_web_config(prometheus.web_config_file).tls is not None
    return local_url(prometheus.host, prometheus.port, tls=tls)


def ask(url: str, path: str, seconds: float) -> tuple[int, str]:
    """Status and body of a server on this machine, without the proxies of the environment. Raises `OSError` or
    `http.client.HTTPException`."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    if parts.scheme == "https":
        # The certificate names the host by which others reach the bridge, not a loopback address.
        context = ssl._create_unverified_context()  # noqa: S323 - nothing secret is sent, and the peer is local
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=seconds, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(1000).decode("utf-8", "replace")
    finally:
        connection.close()
