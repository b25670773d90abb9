"""Brings the body of a ping to its receiver: one HTTP POST, everything bounded, one outcome of a closed list.

The request says nothing of its sender beyond the body: no cookie, no version.
"""

import base64
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from ff_observe.clock import Clock
from ff_observe.config.secret import Secret
from ff_observe.outputs.line import Line
from ff_observe.outputs.ping.outcome import Outcome, Result, outcome_of_answer

if TYPE_CHECKING:
    from ff_observe.outputs.ping.transport import Proxy

USER_AGENT = "ff-observe"  # tells the bridge from FlowFuse itself; a version would be more than the contract tells
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, all of them real time. `total` bounds the whole delivery, `read` each silence of the receiver."""

    connect: float = 10.0
    read: float = 20.0
    total: float = 45.0


class Delivery:
    """POSTs to one URL, directly or through the proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`, …)."""

    def __init__(self, url: Secret, clock: Clock, timeouts: Timeouts | None = None) -> None:
        self._url = url
        self._clock = clock
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._stopped = False

    def send(self, body: bytes) -> Outcome:
        """Try once. Never raises for anything the network or the receiver does."""
        try:
            parts = urlsplit(self._url.reveal().strip())
            receiver = _host_and_port(parts)
        except ValueError:
            return _unusable("is not a URL")
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            return _unusable("is not a URL that starts with https:// or http:// and names a host")
        line = Line()
        with self._lock:
            if self._stopped:
                line.cut()
            self._line = line
        with line.limited(self._timeouts.total):
            return self._post(parts, receiver, body, line)

    def abort(self) -> None:
        """Cut off what is under way and refuse anything further: the bridge stops. Callable from any thread."""
        with self._lock:
            self._stopped = True
            if self._line is not None:
                self._line.cut()

    def _post(self, parts: SplitResult, receiver: str, body: bytes, line: Line) -> Outcome:
        from ff_observe.outputs.ping import transport

        via = ""
        reason = None
        try:
            where = _proxy_for(parts)
            via = f" through the proxy {_host_and_port(where)}" if where else ""
            answer = transport.post(
                _without_credentials(parts),
                body,
                _headers(parts),
                _as_proxy(where),
                line,
                connect_seconds=self._timeouts.connect,
                read_seconds=self._timeouts.read,
            )
        except (transport.UnreachableError, ValueError) as error:
            reason = str(error) if isinstance(error, transport.UnreachableError) else "the proxy's URL is wrong"
        if line.is_cut:  # http.client takes headers that our cut ended for all there are
            reason = "the bridge is stopping" if self._stopped else f"no whole answer within {self._timeouts.total:g} s"
        if reason is not None:
            return Outcome(Result.FAILED, f"{receiver} could not be reached{via}: {reason}", receiver=receiver)
        return outcome_of_answer(answer.status, answer.retry_after, receiver, self._clock.now())


def _unusable(what: str) -> Outcome:
    return Outcome(Result.REJECTED, f"telemetry.url {what}: correct it in the configuration")


def _host_and_port(parts: SplitResult) -> str:
    """For people, and never more of the URL than that. Raises `ValueError` on an impossible port."""
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_credentials(parts: SplitResult) -> str:
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, ""))


def _headers(parts: SplitResult) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
    authorization = _basic(parts)
    return {**headers, "Authorization": authorization} if authorization else headers


def _basic(parts: SplitResult) -> str | None:
    """Basic authentication from the user information of a URL, percent-decoded, in UTF-8 (RFC 7617)."""
    if parts.username is None:
        return None
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def _proxy_for(parts: SplitResult) -> SplitResult | None:
    """The proxy that the environment (or the operating system) names for this URL, if any."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _as_proxy(parts: SplitResult | None) -> "Proxy | None":
    from ff_observe.outputs.ping.transport import Proxy

    return Proxy(_without_credentials(parts), _basic(parts)) if parts else None
