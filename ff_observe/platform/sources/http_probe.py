"""Probes over HTTP whether FlowFuse itself is alive: its database also answers while FlowFuse is down.

The request is `GET /api/v1/settings`, which FlowFuse answers without a session and without its database (every version
since 2.0, forge/routes/api/settings.js). No other page proves life: FlowFuse has no health endpoint, answers unknown
paths with its web page, and its own `/metrics` does so too while that is switched off.
"""

import http.client
import logging
import socket
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from ff_observe.platform.sources.model import HttpAnswer
from ff_observe.system.json_object import json_object
from ff_observe.telemetry.log import StateLog

if TYPE_CHECKING:
    import ssl

log = logging.getLogger(__name__)

LIMIT_SECONDS = 3.0
LATEST_SECONDS = 60.0
"""An older answer says nothing about the present."""

MOST_BYTES = 2**18  # FlowFuse's answer has about one kilobyte, plus the banners of its login page
MOST_REDIRECTS = 2  # to https, and to a path with a slash
PATH = "/api/v1/settings"

_HEADERS = {"Accept": "application/json", "User-Agent": "ff-observe", "Connection": "close"}


class HttpProbe:
    """Probes the FlowFuse at `base_url`, one request at a time, each in its own thread.

    No proxy is used, and no credentials are sent: a user and a password in `base_url` are left out.
    """

    def __init__(self, base_url: str) -> None:
        self._url = base_url.rstrip("/").removesuffix(PATH) + PATH
        self._state = StateLog(log)
        self._question: Future[HttpAnswer] | None = None
        self._latest: tuple[HttpAnswer, float] | None = None
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._tls: ssl.SSLContext | None = None

    def ask(self) -> None:
        """Begin a request. One that is still in progress (in a resolver that hangs, for instance) is not repeated."""
        if self._question is not None and not self._question.done():
            return
        self._question, self._asked_at = Future(), time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(self._question,), name="http probe", daemon=True)
        self._thread.start()

    def answer(self) -> HttpAnswer:
        """The answer to the request that `ask` began. Waits until at most `LIMIT_SECONDS` after it began."""
        assert self._question is not None
        try:
            answer = self._question.result(max(0.0, self._asked_at + LIMIT_SECONDS - time.monotonic()))
        except FutureTimeoutError:
            self._abort()
            answer = HttpAnswer(None, f"gave no complete answer within {LIMIT_SECONDS:g} s")
        self._latest = (answer, time.monotonic())
        if answer.problem is None:
            self._state.working("FlowFuse answers over HTTP again")
        else:
            self._state.failing(f"FlowFuse at {_shown(self._url)} {answer.problem}")
        return answer

    def latest(self) -> HttpAnswer | None:
        """The last answer; None if there is none within the last minute. Never waits."""
        latest = self._latest
        return latest[0] if latest is not None and time.monotonic() - latest[1] < LATEST_SECONDS else None

    def close(self, seconds: float) -> None:
        """Abort the request in progress; waits this long for its thread."""
        self._abort()
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def _abort(self) -> None:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("the connection of the HTTP probe is closed already")

    def _run(self, question: "Future[HttpAnswer]") -> None:
        try:
            question.set_result(HttpAnswer(self._seconds()))
        except Exception as error:
            question.set_result(HttpAnswer(None, _words(error)))

    def _seconds(self) -> float:
        """How long FlowFuse took to answer. Raises if it did not."""
        began = time.monotonic()
        url = self._url
        for _ in range(MOST_REDIRECTS + 1):
            status, location, body = self._get(urlsplit(url), began + LIMIT_SECONDS)
            if status not in (301, 302, 303, 307, 308):
                _check(status, body)
                return time.monotonic() - began
            target = urljoin(url, location)
            if urlsplit(target).hostname != urlsplit(url).hostname or not target.startswith(("http://", "https://")):
                raise _NotAliveError(f"redirects elsewhere (status {status})")
            url = target
        raise _NotAliveError("redirects without end")

    def _get(self, url: SplitResult, until: float) -> tuple[int, str, bytes]:
        """Status, `Location` and body, which is truncated after `MOST_BYTES`."""
        connection = self._connection = self._connect(url)
        try:
            connection.request("GET", url.path + (f"?{url.query}" if url.query else ""), headers=_HEADERS)
            response = connection.getresponse()
            body = b""
            while len(body) <= MOST_BYTES and (more := response.read1(2**16)):
                body += more
                if time.monotonic() >= until:
                    raise TimeoutError
            return response.status, response.headers["Location"] or "", body
        finally:
            self._connection = None
            connection.close()

    def _connect(self, url: SplitResult) -> http.client.HTTPConnection:
        host = url.hostname or ""
        if url.scheme == "http":
            return http.client.HTTPConnection(host, url.port, timeout=LIMIT_SECONDS)
        # TLS costs memory, which a platform without it does not need.
        from ff_observe.delivery.trust import client_context

        if self._tls is None:
            self._tls = client_context()
        return http.client.HTTPSConnection(host, url.port, timeout=LIMIT_SECONDS, context=self._tls)


class _NotAliveError(Exception):
    """The answer does not come from a living FlowFuse. The message continues "FlowFuse at ADDRESS …"."""


def _check(status: int, body: bytes) -> None:
    """Raises unless this is FlowFuse's answer, and not the page of a reverse proxy or another application."""
    if status != 200:
        raise _NotAliveError(f"answers with status {status}")
    settings = json_object(body)
    if settings is None or not ("features" in settings or "user:signup" in settings):
        raise _NotAliveError(
            "answers with something other than FlowFuse's settings, as another application or a proxy would"
        )


def _words(error: Exception) -> str:
    """The error without its message, unless it is our own: others may quote the server's answer."""
    if isinstance(error, _NotAliveError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"gave no complete answer within {LIMIT_SECONDS:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections"
    if isinstance(error, socket.gaierror):
        return "cannot be found: its name is not resolved"
    verdict = getattr(error, "verify_message", None)
    if verdict is not None:
        return f"has a certificate that cannot be verified ({verdict})"
    return f"gives no usable answer ({type(error).__name__})"


def _shown(url: str) -> str:
    """The address without user and password, safe for any log: a lone surrogate cannot be encoded in UTF-8."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].encode("utf-8", "backslashreplace").decode()
    return f"{parts.scheme}://{host}"
