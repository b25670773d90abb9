"""Receives pings: the one route that is a bare ASGI function, because it carries all the load."""

import logging
from collections.abc import Callable, Sequence

from ff_observe import tracing
from ff_observe.catalogue import collector as catalogue
from ff_observe.clock import Clock
from ff_observe.collector.acceptance import Accepted, accept
from ff_observe.collector.ingest import Ingest, Outcome
from ff_observe.collector.metrics import CollectorMetrics
from ff_observe.collector.receipts import ANSWERED_IN, Receipts
from ff_observe.collector.refusals import Reason, Refusal
from ff_observe.collector.responses import SUCCESS, refusal_answer, success
from ff_observe.collector.safe_errors import without_values
from ff_observe.collector.sender_address import SenderAddress
from ff_observe.collector.sender_hash import SenderHash
from ff_observe.collector.store import Ping
from ff_observe.collector.swapped_counts import put_right
from ff_observe.collector.unknown_fields import UnknownFields
from ff_observe.http.messages import Receive, Scope, Send
from ff_observe.ping_contract import MAX_BODY_BYTES, PATH, reviewed

log = logging.getLogger(__name__)

PingObserver = Callable[[Ping], None]
"""Called with each ping after it is durably stored; not called for duplicates."""

_NOT_STORED = {Outcome.OVERLOADED: Reason.OVERLOADED, Outcome.UNAVAILABLE: Reason.STORE_UNAVAILABLE}
_OUR_FAULT = (*_NOT_STORED.values(), Reason.INTERNAL)


class PingReceiver:
    """Answers `POST /ping`."""

    def __init__(
        self,
        ingest: Ingest,
        address: SenderAddress,
        sender_hash: SenderHash,
        metrics: CollectorMetrics,
        unknown_fields: UnknownFields,
        clock: Clock,
        receipts: Receipts,
        on_ping: PingObserver | None = None,
    ) -> None:
        self._ingest = ingest
        self._address = address
        self._sender_hash = sender_hash
        self._metrics = metrics
        self._unknown_fields = unknown_fields
        self._clock = clock
        self._receipts = receipts
        self._on_ping = on_ping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Never raises: the text of an exception could quote the request."""
        refusal = await (self._traced(scope, receive) if tracing.is_on() else self._outcome(scope, receive))
        if refusal is None:
            receipt = self._receipts.answer(scope["headers"], self._clock)
            await (SUCCESS if receipt is None else success((ANSWERED_IN, receipt))).send(scope, send)
        else:
            self._metrics.add(catalogue.PINGS_REFUSED, refusal.reason.value)
            await refusal_answer(refusal).send(scope, send)

    async def _traced(self, scope: Scope, receive: Receive) -> Refusal | None:
        """The span holds the outcome only, nothing about the sender or the content."""
        scheme = scope.get("scheme", "http")
        attributes = {"http__request__method": "POST", "http__route": PATH, "url__path": PATH, "url__scheme": scheme}
        with tracing.span(f"POST {PATH}", "server", **attributes) as span:
            refusal = await self._outcome(scope, receive)
            span.set_attribute("http.response.status_code", 200 if refusal is None else refusal.status)
            span.set_attribute("ff_observe.outcome", "acknowledged" if refusal is None else refusal.reason.value)
            if refusal is not None and refusal.reason in _OUR_FAULT:
                span.fail(refusal.reason.value)
            return refusal

    async def _outcome(self, scope: Scope, receive: Receive) -> Refusal | None:
        try:
            return await self._take(scope, receive)
        except Exception as error:
            log.error("a ping could not be handled: %s", without_values(error))  # noqa: TRY400 - its text must not be logged
            return Refusal(Reason.INTERNAL)

    async def _take(self, scope: Scope, receive: Receive) -> Refusal | None:
        """None if the ping was acknowledged."""
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if (refusal := _refused_by_head(headers)) is not None:
            return refusal
        body = await _read(receive)
        found = accept(body) if isinstance(body, bytes) else body
        if isinstance(found, Refusal):
            return found
        if not self._sender_hash.is_open:
            return Refusal(Reason.STORE_UNAVAILABLE)
        client = scope["client"]
        sender = self._sender_hash.of(self._address.of(client[0] if client else None, headers))
        now = self._clock.now()
        ping = Ping.of(now, sender, reviewed(put_right(found.values, headers), now.date()))
        outcome = await self._ingest.submit(ping)
        if outcome in _NOT_STORED:
            return Refusal(_NOT_STORED[outcome])
        self._metrics.add(catalogue.PINGS_ACCEPTED, outcome.value)
        if found.unknown:
            self._count_unknown(found, ping)
        if outcome is Outcome.STORED and self._on_ping is not None:
            self._on_ping(ping)
        return None

    def _count_unknown(self, found: Accepted, ping: Ping) -> None:
        day = ping.received_at.date()
        for name in found.unknown:
            self._metrics.add(catalogue.UNKNOWN_FIELDS, self._unknown_fields.label(name, ping.sender, day))


def _refused_by_head(headers: Sequence[tuple[bytes, bytes]]) -> Refusal | None:
    """Problems that are visible before the body is read."""
    for name, value in headers:
        if name == b"content-type":
            if value != b"application/json" and not _is_json(value):
                return Refusal(Reason.MEDIA_TYPE)
        elif name == b"content-encoding":
            if value.strip().lower() not in (b"", b"identity"):
                return Refusal(Reason.CONTENT_ENCODING)
        elif name == b"content-length" and value.isdigit() and int(value.lstrip(b"0") or b"0") > MAX_BODY_BYTES:
            # leading zeros, of which there may be thousands, would be too many digits for int()
            return Refusal(Reason.TOO_LARGE)
    return None


def _is_json(content_type: bytes) -> bool:
    """JSON in UTF-8, the only encoding allowed between systems (RFC 8259, 8.1)."""
    kind, *parameters = content_type.lower().replace(b" ", b"").split(b";")
    charsets = [value.strip(b'"') for value in parameters if value.startswith(b"charset=")]
    return kind == b"application/json" and all(value in (b"charset=utf-8", b'charset="utf-8') for value in charsets)


async def _read(receive: Receive) -> bytes | Refusal:
    """The whole body; never more of it is read than a ping can have."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return Refusal(Reason.INCOMPLETE)
        body += message["body"]
        if len(body) > MAX_BODY_BYTES:
            return Refusal(Reason.TOO_LARGE)
        if not message["more_body"]:
            return bytes(body)
