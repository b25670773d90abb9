"""urllib3's connection pools over a connection that can be aborted, through the proxy that the environment names.

urllib3 costs memory and start-up time: import this with the first delivery.
"""

import socket
import ssl
from collections.abc import Callable

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from ff_observe.delivery.connection import AbortableConnection
from ff_observe.delivery.trust import client_context
from ff_observe.delivery.urls import authorization, without_credentials


def make_pool(
    url: str, proxy: str | None, connection: Callable[[], AbortableConnection], timeout: urllib3.Timeout
) -> urllib3.PoolManager:
    """A pool for requests to `url`. `connection` gives the one that a request runs over, when it begins.

    Redirects and retries are the caller's: both are on in urllib3. Raises `ValueError` and urllib3's errors for a proxy
    that cannot be used.
    """
    encrypted = any(each is not None and each.startswith("https:") for each in (url, proxy))
    trust: ssl.SSLContext | None = client_context() if encrypted else None  # reads all authorities, which takes a while
    if proxy is None:
        return over(connection, urllib3.PoolManager(ssl_context=trust, timeout=timeout))
    return over(
        connection,
        urllib3.ProxyManager(
            without_credentials(proxy),
            proxy_headers=proxy_headers(proxy),
            proxy_ssl_context=trust,
            ssl_context=trust,
            timeout=timeout,
        ),
    )


def proxy_headers(proxy: str) -> dict[str, str]:
    """How to authenticate to a proxy whose URL holds user and password."""
    header = authorization(proxy)
    return {} if header is None else {"Proxy-Authorization": header}


def over(connection: Callable[[], AbortableConnection], manager: urllib3.PoolManager) -> urllib3.PoolManager:
    """The same `manager`, whose requests run over `connection()` from now on."""

    def connect(of_pool: HTTPConnection) -> socket.socket:
        try:
            return connection().connect(of_pool.host, of_pool.port, float(of_pool.timeout or 0))
        except OSError as error:  # bare, urllib3 takes some of them for an early answer and goes on without a socket
            raise NewConnectionError(of_pool, "no connection") from error

    class PlainConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:  # urllib3 offers no other place to bring one's own socket
            return connect(self)

    class TLSConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class TLSPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = TLSConnection

    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TLSPool}
    return manager
