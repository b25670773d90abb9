"""urllib3 connection pools over an abortable connection, through the proxy that the environment names.

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
    """A pool for requests to `url`. `connection` returns the connection for a request when it begins.

    Switch redirects and retries off in the request: both are on in urllib3. Raises `ValueError` and urllib3's errors
    for a proxy that cannot be used.
    """
    encrypted = any(each is not None and each.startswith("https:") for each in (url, proxy))
    trust: ssl.SSLContext | None = client_context() if encrypted else None  # loads all authorities, which is slow
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
    """Make the requests of `manager` run over `connection()`; returns it."""

    def connect(of_pool: HTTPConnection) -> socket.socket:
        try:
            return connection().connect(of_pool.host, of_pool.port, float(of_pool.timeout or 0))
        except OSError as error:  # bare, urllib3 takes some of them for an early answer and goes on without a socket
            raise NewConnectionError(of_pool, "no connection") from error

    class PlainConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:  # the only place in urllib3 to supply a socket
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
