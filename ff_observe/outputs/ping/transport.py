"""One POST with urllib3 over a `Line`. Imported with the first ping: urllib3 costs memory and start-up time."""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError, ProtocolError, ProxySchemeUnknown
from urllib3.util import SKIP_HEADER

from ff_observe.outputs.line import Line
from ff_observe.outputs.ping.outcome import named
from ff_observe.trust import client_context, explain

_NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")  # all that http.client tells of a proxy's refusal


class UnreachableError(Exception):
    """No HTTP answer came. The message is in our own words: those of libraries repeat URLs, and the secrets in them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What matters of an HTTP answer. Its body is not read: it says nothing that its status does not."""

    status: int
    retry_after: str | None


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the request goes first. `url` is without credentials; these are in `authorization`."""

    url: str
    authorization: str | None


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    proxy: Proxy | None,
    line: Line,
    *,
    connect_seconds: float,
    read_seconds: float,
) -> Answer:
    """POST once, following nothing. Raises `UnreachableError` if no HTTP answer came."""
    try:
        encrypted = any(each.startswith("https:") for each in (url, proxy.url if proxy else ""))
        trust = (
            client_context() if encrypted else None
        )  # reading all authorities takes longer than the rest of a plain ping
        with _pool(proxy, trust, line, connect_seconds, read_seconds) as pool:
            response = pool.request(
                "POST",
                url,
                body=body,
                headers={**headers, "Accept-Encoding": SKIP_HEADER, "Connection": "close"},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            answer = Answer(response.status, response.headers.get("Retry-After"))
            response.close()
            if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                raise UnreachableError(_refused_by_proxy(answer.status))
            return answer
    except (HTTPError, OSError, ValueError) as error:
        raise UnreachableError(_in_words(error)) from error


def _pool(
    proxy: Proxy | None, trust: ssl.SSLContext | None, line: Line, connect_seconds: float, read_seconds: float
) -> urllib3.PoolManager:
    """A pool whose connections all run over `line`."""

    def connect(connection: HTTPConnection) -> socket.socket:
        try:
            return line.connect(connection.host, connection.port, connect_seconds)
        except OSError as error:  # bare, urllib3 takes some of them for an early answer and goes on without a socket
            raise NewConnectionError(connection, "no connection") from error

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

    timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)
    if proxy is None:
        pool = urllib3.PoolManager(ssl_context=trust, timeout=timeout)
    else:
        headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else None
        pool = urllib3.ProxyManager(
            proxy.url, proxy_headers=headers, proxy_ssl_context=trust, ssl_context=trust, timeout=timeout
        )
    pool.pool_classes_by_scheme = {"http": PlainPool, "https": TLSPool}
    return pool


def _refused_by_proxy(status: int) -> str:
    return f"the proxy answered {named(status)}"


def _in_words(error: BaseException) -> str:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return explain(cause.verify_message)
        if isinstance(cause, ProxySchemeUnknown):
            return "only http:// and https:// proxies are supported"
        if isinstance(cause, TimeoutError):
            return "no answer in time"
        if isinstance(cause, LocationParseError | UnicodeError):
            return "its name is not one that a host can have"
        if refused := _NO_TUNNEL.search(str(cause)):
            return _refused_by_proxy(int(refused[1]))
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    if any(isinstance(cause, ProtocolError) for cause in causes):
        return "the connection was closed, or what came back is not HTTP"
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those it wraps, in whichever way a library wrapped them."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            inner = (*current.args, current.__cause__, current.__context__)
            waiting += [each for each in inner if isinstance(each, BaseException)]
