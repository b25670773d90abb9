"""How exports go over HTTP: the SDK's own session with limits on everything, that tells why an export failed.

The SDK (1.45) takes a redirect for success, reads an answer of any length, ignores what the answer says, and cannot be
interrupted; each is seen to here. Retries and `Retry-After` are the SDK's.
"""

import socket
import ssl
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
import urllib3
from google.protobuf.message import Message
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ProxyError

from ff_observe.outputs.line import Line
from ff_observe.outputs.otlp.answers import AUTHORITY_KEY, STOPPED, TOO_LATE, problem_in
from ff_observe.trust import client_context, explain

MOST_OF_AN_ANSWER = 65_536  # bytes; what a receiver has to say takes a few hundred


class NotDeliveredError(requests.RequestException):
    """The receiver answered, and has not got what was sent. Not tried again: the next export says it anew."""


class ExportSession(requests.Session):
    """One connection per request, and no request longer than its timeout. `problem` is why the last one failed.

    `answer` is the message that the receiver answers with (OTLP specification, "OTLP/HTTP Response").
    """

    def __init__(self, answer: type[Message], authority: Path | None) -> None:
        super().__init__()
        self.problem: str | None = None
        self._answer = answer
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._is_cut = False
        self.headers["Connection"] = "close"  # exports are rare, and an idle connection may be dead
        self._authority = authority
        self._adapter = _Adapter(self._connect, authority)
        self.mount("http://", self._adapter)
        self.mount("https://", self._adapter)

    def cut(self) -> None:
        """End what is under way, from any thread, and refuse anything further."""
        with self._lock:
            self._is_cut = True
            if self._line is not None:
                self._line.cut()

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Raises `RequestException` where there is no answer, or one by which nothing was delivered."""
        line = Line()
        with self._lock:
            if self._is_cut:
                line.cut()
            self._line = line
        in_url = get_auth_from_url(options["url"])
        options["auth"] = in_url if any(in_url) else _as_it_is
        try:
            if options["url"].startswith("https:"):
                self._adapter.load_trust()  # takes a while: before the request's time begins
            with line.limited(float(options["timeout"])):
                response = super().request(*arguments, **{**options, "stream": True})
                with response:
                    self._judge(response)
        except (OSError, HTTPError) as error:
            self.problem = STOPPED if self._is_cut else TOO_LATE if line.is_cut else _in_words(error, self._authority)
            raise
        self.problem = None if response.ok else f"it answered HTTP {response.status_code} ({response.reason})"
        if response.status_code == HTTPStatus.NOT_FOUND:
            self.problem = (
                f"{self.problem}: nobody takes OTLP at this path, of which /v1/SIGNAL is added to the endpoint"
            )
        return response

    def _judge(self, response: requests.Response) -> None:
        if response.is_redirect or 300 <= response.status_code < 400:
            raise NotDeliveredError(
                f"it answered with a redirect (HTTP {response.status_code}), which is not followed; name its target"
            )
        if not response.ok:
            return
        body = response.raw.read(MOST_OF_AN_ANSWER + 1, decode_content=True)
        if len(body) > MOST_OF_AN_ANSWER:
            raise NotDeliveredError("its answer is too long for an OTLP receiver's")
        if response.headers.get("content-type", "").startswith("text/html"):
            raise NotDeliveredError("it answered with a page for people: it is no OTLP receiver")
        if response.headers.get("content-type", "").startswith("application/x-protobuf"):
            problem = problem_in(body, self._answer)
            if problem is not None:
                raise NotDeliveredError(problem)

    def _connect(self, connection: HTTPConnection) -> socket.socket:
        assert self._line is not None
        timeout = connection.timeout
        try:
            return self._line.connect(connection.host, connection.port, float(timeout or 0))
        except OSError as error:  # bare, urllib3 takes some of them for an early answer and goes on without a socket
            raise NewConnectionError(connection, "no connection") from error


class _Adapter(HTTPAdapter):
    """Connections that run over the session's line, and trust what every output of the bridge trusts.

    With an authority of the operator's own that one alone is trusted.
    """

    def __init__(self, connect: Any, authority: Path | None) -> None:
        class PlainConnection(HTTPConnection):
            def _new_conn(self) -> socket.socket:  # urllib3 offers no other place to bring one's own socket
                made: socket.socket = connect(self)
                return made

        class TLSConnection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                made: socket.socket = connect(self)
                return made

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = PlainConnection

        class TLSPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = TLSConnection

        self._pools = {"http": PlainPool, "https": TLSPool}
        self._authority = authority
        self._trust: ssl.SSLContext | None = None
        super().__init__()

    def load_trust(self) -> ssl.SSLContext:
        """Whom to trust, read once."""
        if self._trust is None:
            self._trust = client_context(self._authority)
        return self._trust

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        options["proxy_ssl_context"] = self.load_trust()
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        del verify
        host, pool = super().build_connection_pool_key_attributes(request, True, cert)
        if host["scheme"] == "https":
            pool["ssl_context"] = self.load_trust()
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """requests would add authorities of its own to the context, with each connection."""
        del verify
        super().cert_verify(conn, url, True, cert)  # type: ignore[no-untyped-call]  # requests has no types here
        conn.ca_certs = conn.ca_cert_dir = None


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """What is to be shown is in the headers. Told nothing, requests puts what a `.netrc` says in its place."""
    return request


def _in_words(error: BaseException, authority: Path | None) -> str:
    """The reason in a few words: those of libraries name objects, and the address again and again."""
    if isinstance(error, NotDeliveredError):
        return str(error)
    seen: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if current not in seen:
            seen.append(current)
            inner = (*current.args, getattr(current, "reason", None), current.__cause__, current.__context__)
            waiting += [each for each in inner if isinstance(each, BaseException)]
    if any(isinstance(cause, ProxyError) for cause in seen):
        return f"through the proxy: {_cause_in_words(seen, authority)}"
    return _cause_in_words(seen, authority)


def _cause_in_words(seen: list[BaseException], authority: Path | None) -> str:
    for cause in seen:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return explain(cause.verify_message, AUTHORITY_KEY, authority)
        if isinstance(cause, TimeoutError):
            return TOO_LATE
        if isinstance(cause, OSError) and cause.strerror:
            return f"it could not be reached: {cause.strerror}"
        if isinstance(cause, OSError) and str(cause).startswith("Tunnel connection failed"):  # so http.client says it
            return str(cause)
    return "it closed the connection, or what came back is not HTTP"
