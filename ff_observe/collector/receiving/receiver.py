"""Receives pings, without a task for each unless requests are traced: this route carries all the load."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ff_observe.catalogue import collector as catalogue
from ff_observe.catalogue.ping_contract import FIELDS, MAX_BODY_BYTES, PATH, Values, reviewed
from ff_observe.collector.keys.receipts import ANSWERED_IN, Receipts
from ff_observe.collector.keys.sender_hash import SenderHash
from ff_observe.collector.metrics import CollectorMetrics
from ff_observe.collector.receiving.acceptance import Accepted, accept
from ff_observe.collector.receiving.answers import SUCCESS, Reason, Refusal, refusal_answer, success
from ff_observe.collector.receiving.ingest import Ingest, Outcome
from ff_observe.collector.receiving.unknown_fields import UnknownFields
from ff_observe.collector.sender_address import SenderAddress
from ff_observe.collector.store import Ping
from ff_observe.http.exchange import Exchange, settle
from ff_observe.http.messages import Scope
from ff_observe.system.clock import Clock
from ff_observe.telemetry import tracing

log = logging.getLogger(__name__)

PingObserver = Callable[[Ping], None]
"""Called with each ping after it is durably stored; not called for duplicates."""

Answering = Callable[[Refusal | None], None]
"""Called once, with None if the ping is acknowledged."""

_TEMPLATES, _STACKS = (
    next(index for index, field in enumerate(FIELDS) if field.path[-1] == name)
    for name in ("projectTemplates", "projectStacks")
)
_NOT_STORED = {Outcome.OVERLOADED: Reason.OVERLOADED, Outcome.UNAVAILABLE: Reason.STORE_UNAVAILABLE}
_OUR_FAULT = (*_NOT_STORED.values(), Reason.INTERNAL)


@dataclass(eq=False, slots=True)
class PingReceiver:
    """Answers `POST /ping`."""

    _ingest: Ingest
    _address: SenderAddress
    _sender_hash: SenderHash
    _metrics: CollectorMetrics
    _unknown_fields: UnknownFields
    _clock: Clock
    _receipts: Receipts
    _on_ping: PingObserver | None = None

    def handle(self, exchange: Exchange) -> None:
        if tracing.is_on():
            exchange.run(partial(self._traced, exchange))  # a span needs a task to hold it
        else:
            self._receive(exchange, partial(self._answer, exchange))

    async def _traced(self, exchange: Exchange) -> None:
        """The span holds the outcome only, nothing about the sender or the content."""
        scheme = exchange.scope.get("scheme", "http")
        attributes = {"http__request__method": "POST", "http__route": PATH, "url__path": PATH, "url__scheme": scheme}
        with tracing.span(f"POST {PATH}", "server", **attributes) as span:
            answered: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
            self._receive(exchange, partial(settle, answered))
            refusal = await answered
            span.set_attribute("http.response.status_code", 200 if refusal is None else refusal.reason.status)
            span.set_attribute("ff_observe.outcome", "acknowledged" if refusal is None else refusal.reason.value)
            if refusal is not None and refusal.reason in _OUR_FAULT:
                span.fail(refusal.reason.value)
        self._answer(exchange, refusal)

    def _answer(self, exchange: Exchange, refusal: Refusal | None) -> None:
        if refusal is None:
            receipt = self._receipts.answer(exchange.scope["headers"], self._clock)
            exchange.respond(SUCCESS if receipt is None else success((ANSWERED_IN, receipt)))
        elif not exchange.complete:  # otherwise the server itself has refused it, and counted that
            self._metrics.add(catalogue.PINGS_REFUSED, refusal.reason.value)
            exchange.respond(refusal_answer(refusal))

    def _receive(self, exchange: Exchange, answer: Answering) -> None:
        refusal = _refused_by_head(exchange.scope["headers"])
        if refusal is not None:
            answer(refusal)
            return
        take = partial(self._take, exchange.scope, answer)
        if tracing.is_on():  # the body may arrive later, and outside of the task
            take = partial(contextvars.copy_context().run, take)
        exchange.read(MAX_BODY_BYTES, take)

    def _take(self, scope: Scope, answer: Answering, body: bytes | None) -> None:
        """Never raises: the text of an exception could quote the request."""
        try:
            found = Refusal(Reason.INCOMPLETE) if body is None else accept(body)
            if isinstance(found, Refusal):
                answer(found)
            elif not self._sender_hash.is_open:
                answer(Refusal(Reason.STORE_UNAVAILABLE))
            else:
                ping = self._ping(scope, found)
                self._ingest.submit(ping).add_done_callback(partial(self._written, answer, ping, found))
        except Exception as error:
            answer(_fault(error))

    def _ping(self, scope: Scope, found: Accepted) -> Ping:
        client, headers = scope["client"], scope["headers"]
        sender = self._sender_hash.of(self._address.of(client[0] if client else None, headers))
        now = self._clock.now()
        return Ping.of(now, sender, reviewed(put_right(found.values, headers), now.date()))

    def _written(self, answer: Answering, ping: Ping, found: Accepted, written: "asyncio.Future[Outcome]") -> None:
        """Never raises, like `_take`."""
        try:
            answer(self._counted(ping, found, written.result()))
        except Exception as error:
            answer(_fault(error))

    def _counted(self, ping: Ping, found: Accepted, outcome: Outcome) -> Refusal | None:
        if outcome in _NOT_STORED:
            return Refusal(_NOT_STORED[outcome])
        self._metrics.add(catalogue.PINGS_ACCEPTED, outcome.value)
        if found.unknown:
            self._count_unknown(found, ping)
        if outcome is Outcome.STORED and self._on_ping is not None:
            try:
                self._on_ping(ping)
            except Exception as error:  # the ping is stored: after a refusal it would be sent again
                _log("a ping is stored, and what observes pings failed", error)
        return None

    def _count_unknown(self, found: Accepted, ping: Ping) -> None:
        day = ping.received_at.date()
        for name in found.unknown:
            self._metrics.add(catalogue.UNKNOWN_FIELDS, self._unknown_fields.label(name, ping.sender, day))


def put_right(values: Values, headers: Sequence[tuple[bytes, bytes]]) -> Values:
    """The values with the counts of templates and stacks under their own names, without the two if the sender is
    neither ff-observe nor FlowFuse, which counts `ProjectStacks` as `projectTemplates` and vice versa
    (forge/monitor/metrics, 2.0 to 2.33).

    A ping of FlowFuse can be recognised only by the `User-Agent` of its HTTP client, axios.
    """
    templates, stacks = values[_TEMPLATES], values[_STACKS]
    if templates is None and stacks is None:
        return values
    product = next((value for name, value in headers if name == b"user-agent"), b"").partition(b"/")[0]
    if product == b"ff-observe":
        return values
    if product != b"axios":
        templates = stacks = None
    changed = list(values)
    changed[_TEMPLATES], changed[_STACKS] = stacks, templates
    return tuple(changed)


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


def without_values(error: BaseException) -> str:
    """The exception's type and where it was raised, for the log: its message may quote the request."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return type(error).__name__
    return f"{type(error).__name__} at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}"


def _fault(error: Exception) -> Refusal:
    _log("a ping could not be handled", error)
    return Refusal(Reason.INTERNAL)


def _log(what: str, error: Exception) -> None:
    log.error("%s: %s", what, without_values(error))
