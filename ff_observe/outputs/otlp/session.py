"""Exports over HTTP: the SDK's own session with limits on everything, which says why an export failed.

The SDK (1.45) takes a redirect for success, reads an answer of any length, ignores its content, and cannot be
interrupted; each is handled here. Retries and `Retry-After` are the SDK's.
"""

import ssl
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from google.protobuf.message import Message
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from ff_observe.delivery.connection import AbortableConnection, Connections
from ff_observe.delivery.errors import unreached
from ff_observe.delivery.pools import over, proxy_headers
from ff_observe.delivery.trust import client_context, explain
from ff_observe.delivery.urls import authorization, proxy_for
from ff_observe.outputs.otlp.answers import (
    AUTHORITY_KEY,
    MOST_OF_AN_ANSWER,
    STOPPED,
    TOO_LATE,
    TOO_LONG,
    TakenInPart,
    problem_in,
)

_OF_THE_SDK = frozenset({"content-type", "content-encoding", "user-agent"})


class NotDeliveredError(requests.RequestException):
    """The receiver answered, and did not accept the data. No retry: the next export sends current values."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class ExportSession(requests.Session):
    """One connection per request, and no request longer than its timeout. `problem` is why the last one failed. `cut`
    aborts the one in progress, from any thread, and refuses new ones.

    `answer` is the type of the receiver's message (OTLP specification, "OTLP/HTTP Response"). `headers` are sent, and
    none that the SDK found in the environment: one process may serve several platforms, each with its own.
    """

    def __init__(self, answer: type[Message], authority: Path | None, headers: dict[str, str]) -> None:
        super().__init__()
        self.problem: str | None = None
        self._answer = answer
        self._sent = headers
        self._connections = Connections()
        self.cut = self._connections.abort
        # proxies and trust are the same for every output; credentials of a `.netrc` are not sent
        self.trust_env = False
        self.headers["Connection"] = "close"  # exports are rare, and an idle connection may be dead
        self._authority = authority
        self._adapter = _Adapter(lambda: self._connections.current, authority)
        self.mount("http://", self._adapter)
        self.mount("https://", self._adapter)

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Raises `RequestException` if there is no answer, or one that means that nothing was delivered."""
        url: str = options["url"]
        proxy = None
        connection = self._connections.new()
        try:
            proxy = proxy_for(url)
            own = {name: value for name, value in options["headers"].items() if name.lower() in _OF_THE_SDK}
            options["headers"] = own | self._sent
            options |= {"auth": _authenticate, "stream": True, "proxies": {"all": proxy} if proxy else {}}
            if url.startswith("https:"):
                self._adapter.load_trust()  # slow, so before the request's time begins
            with connection.limited(float(options["timeout"])):
                response = super().request(*arguments, **options)
                with response:
                    self._check(response)
        except NotDeliveredError as error:
            self.problem = error.problem
            raise
        except (OSError, HTTPError, ValueError) as error:
            is_late, is_cut = connection.is_aborted, self._connections.are_aborted
            self.problem = STOPPED if is_cut else TOO_LATE if is_late else self._why(error, proxy)
            raise
        self.problem = None if response.ok else f"it answered HTTP {response.status_code} ({response.reason})"
        if response.status_code == HTTPStatus.NOT_FOUND:
            self.problem = f"{self.problem}: no OTLP receiver has this path; /v1/SIGNAL is added to the endpoint"
        return response

    def _why(self, error: BaseException, proxy: str | None) -> str:
        explained = partial(explain, key=AUTHORITY_KEY, named=self._authority)
        return unreached(error, proxy=proxy, explain_certificate=explained)

    def _check(self, response: requests.Response) -> None:
        if response.is_redirect or 300 <= response.status_code < 400:
            raise NotDeliveredError(
                f"it answered with a redirect (HTTP {response.status_code}), which is not followed; name its target"
            )
        if not response.ok:
            return
        body = response.raw.read(MOST_OF_AN_ANSWER + 1, decode_content=True)
        if len(body) > MOST_OF_AN_ANSWER:
            raise NotDeliveredError(TakenInPart(TOO_LONG))
        if response.headers.get("content-type", "").startswith("text/html"):
            raise NotDeliveredError(TakenInPart("it answered with a page for people: it is no OTLP receiver"))
        if response.headers.get("content-type", "").startswith("application/x-protobuf"):
            problem = problem_in(body, self._answer)
            if problem is not None:
                raise NotDeliveredError(problem)


class _Adapter(HTTPAdapter):
    """Abortable connections that trust what every output of the bridge trusts, or the operator's own authority
    alone."""

    def __init__(self, connection: Callable[[], AbortableConnection], authority: Path | None) -> None:
        self._connection = connection
        self._authority = authority
        self._trust: ssl.SSLContext | None = None
        super().__init__()

    def load_trust(self) -> ssl.SSLContext:
        """The trusted authorities, read once."""
        if self._trust is None:
            self._trust = client_context(self._authority)
        return self._trust

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        over(self._connection, self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        options["proxy_ssl_context"] = self.load_trust()
        return over(self._connection, super().proxy_manager_for(*arguments, **options))

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        return proxy_headers(proxy)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        del verify
        host, pool = super().build_connection_pool_key_attributes(request, True, cert)
        if host["scheme"] == "https":
            pool["ssl_context"] = self.load_trust()
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Otherwise requests would add its own authorities to the context, with each connection."""
        del verify
        super().cert_verify(conn, url, True, cert)  # type: ignore[no-untyped-call]  # requests has no types here
        conn.ca_certs = conn.ca_cert_dir = None


def _authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Use the credentials in the URL, if any: they take precedence over a header."""
    if (header := authorization(request.url or "")) is not None:
        request.headers["Authorization"] = header
    return request
