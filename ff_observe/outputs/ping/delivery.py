"""Delivers the body of a ping: one HTTP POST, bounded in every way, one outcome of a closed list.

The request reveals nothing about its sender beyond the body: no cookie, no version. Only where a cosignature is asked
for, a checkpoint of the ledger is in a header.
"""

import base64
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlsplit

from ff_observe.config.secret import Secret
from ff_observe.delivery.connection import AbortableConnection, Connections
from ff_observe.delivery.urls import DEFAULT_PORTS, authorization, host_and_port, proxy_for, without_credentials
from ff_observe.outputs.ping.outcome import Outcome, Result, outcome_of_answer
from ff_observe.system.clock import Clock

# Distinguishes the bridge from FlowFuse itself; a version would be more than the contract names.
USER_AGENT = "ff-observe"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, all in real time. `total` bounds the whole delivery, `read` each silence of the receiver."""

    connect: float = 10.0
    read: float = 20.0
    total: float = 45.0


class Delivery:
    """POSTs to one URL, directly or through the proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`, …)."""

    def __init__(self, url: Secret, clock: Clock, timeouts: Timeouts | None = None) -> None:
        self._url = url
        self._clock = clock
        self._timeouts = timeouts or Timeouts()
        self._connections = Connections()

    @property
    def receiver(self) -> str | None:
        """Host and port; None if the URL cannot be used."""
        url = self._url.reveal().strip()
        try:
            parts = urlsplit(url)
            return host_and_port(url) if parts.scheme in DEFAULT_PORTS and parts.hostname else None
        except ValueError:
            return None

    def send(self, body: bytes, checkpoint: str | None = None) -> Outcome:
        """Try once, and ask for a cosignature of the checkpoint with this text. Never raises because of the network or
        the receiver."""
        url, receiver = self._url.reveal().strip(), self.receiver
        if receiver is None:
            what = "is not a URL that starts with https:// or http:// and names a host"
            return Outcome(Result.REJECTED, f"telemetry.url {what}: correct it in the configuration")
        connection = self._connections.new()
        with connection.limited(self._timeouts.total):
            return self._post(url, receiver, body, checkpoint, connection)

    def abort(self) -> None:
        """Abort a delivery in progress and refuse further ones: the bridge is stopping. Callable from any thread."""
        self._connections.abort()

    def _post(
        self, url: str, receiver: str, body: bytes, checkpoint: str | None, connection: AbortableConnection
    ) -> Outcome:
        import urllib3
        from urllib3.exceptions import HTTPError
        from urllib3.util import SKIP_HEADER

        from ff_observe.delivery.errors import in_a_sentence, refusal_of_proxy, unreached
        from ff_observe.delivery.pools import make_pool

        proxy = failure = None
        interrupted = False
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Connection": "close"}
        headers["Accept-Encoding"] = SKIP_HEADER
        if (credentials := authorization(url)) is not None:
            headers["Authorization"] = credentials
        if checkpoint is not None:
            headers["FF-Observe-Checkpoint"] = base64.b64encode(checkpoint.encode()).decode("ascii")
        timeout = urllib3.Timeout(connect=self._timeouts.connect, read=self._timeouts.read)
        try:
            proxy = proxy_for(url)
            target = without_credentials(url)
            with make_pool(target, proxy, lambda: connection, timeout) as pool:
                response = pool.request(
                    "POST", target, body=body, headers=headers, redirect=False, retries=False, preload_content=False
                )
                status, retry_after = response.status, response.headers.get("Retry-After")
                cosignature = response.headers.get("FF-Observe-Cosignature")
                response.close()  # unread: the status says everything
            if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                failure = in_a_sentence(refusal_of_proxy(status), receiver, proxy)
        except (HTTPError, OSError, ValueError) as error:
            failure = unreached(error, receiver, proxy=proxy)
        if connection.is_aborted:  # http.client accepts headers cut short by our abort as complete
            interrupted, limit = self._connections.are_aborted, f"{self._timeouts.total:g} s"
            reason = "the bridge is stopping" if interrupted else f"no whole answer within {limit}"
            failure = f"{receiver} could not be reached: {reason}"
        if failure is not None:
            return Outcome(Result.FAILED, failure, receiver=receiver, interrupted=interrupted)
        outcome = outcome_of_answer(status, retry_after, receiver, self._clock.now())
        return outcome if checkpoint is None else replace(outcome, cosignature=cosignature)
