"""The core ping as the status shows it: who decided, when it goes, what it says, and what is new in it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ff_observe.catalogue import bridge
from ff_observe.catalogue.model import Reading
from ff_observe.catalogue.ping_contract import FIELDS, LICENCE_ID, UUID, Field
from ff_observe.config.settings import Settings
from ff_observe.errors import DeliveryError
from ff_observe.outputs.ping.consent import decide_here
from ff_observe.outputs.ping.ledger_lines import Entry
from ff_observe.outputs.ping.payload import build_payload, encode
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import OperatingSystem
from ff_observe.web.status import document as shape
from ff_observe.web.status.memory import Sent

IDENTIFYING: Final = tuple(field for field in FIELDS if field.grammar in (UUID, LICENCE_ID))
"""The fields by which a ping is known to be of this platform. Reading them takes the rights to the platform's database,
as `ff-observe ping show` does: a page that everyone can open keeps them back."""

HIDDEN: Final = "(hidden here)"

Payload = Mapping[str, Any]


def describe_ping(
    settings: Settings,
    snapshot: Snapshot,
    readings: Mapping[str, Reading],
    past: Sent,
    operating_system: OperatingSystem,
    *,
    with_identifiers: bool,
) -> shape.Ping:
    """What is known of the ping at the moment of `snapshot`."""
    decision = decide_here(snapshot, settings, readings)
    next_at = readings.get(bridge.PING_NEXT.name, {}).get(()) if decision.allowed else None
    payload = _payload(settings, snapshot, operating_system)
    hidden: tuple[Field, ...] = () if with_identifiers else IDENTIFYING
    return shape.Ping(
        sent=decision.allowed,
        rule=decision.rule,
        explanation=decision.explanation[:1].upper() + decision.explanation[1:],
        last=None if past.last is None else _sent(past.last),
        next_at=None if next_at is None else datetime.fromtimestamp(next_at, UTC),
        body=None if payload is None else encode(_without(payload, hidden)).decode(),
        hidden=tuple(field.dotted for field in hidden),
        changes=_changes(past.delivered, payload, hidden),
    )


def _payload(settings: Settings, snapshot: Snapshot, operating_system: OperatingSystem) -> Payload | None:
    if not snapshot.up:
        return None
    try:
        return build_payload(snapshot, settings.platform, operating_system)
    except DeliveryError:
        return None


def _sent(entry: Entry) -> shape.SentPing | None:
    try:
        return shape.SentPing(datetime.fromisoformat(entry.time), entry.outcome, entry.receiver)
    except ValueError:  # the ledger may have been edited
        return None


def _without(payload: Payload, hidden: Sequence[Field]) -> Payload:
    copy: dict[str, Any] = json.loads(json.dumps(payload))
    for field in hidden:
        parent: Any = copy
        for key in field.path[:-1]:
            parent = parent.get(key, {})
        if parent.get(field.path[-1]):  # empty, as the licence of a platform without one, it says nothing
            parent[field.path[-1]] = HIDDEN
    return copy


def _changes(
    delivered: Entry | None, payload: Payload | None, hidden: Sequence[Field]
) -> Sequence[shape.FieldChange] | None:
    if delivered is None or payload is None:
        return None
    try:
        before = json.loads(delivered.body)
    except (ValueError, RecursionError):
        return None
    return tuple(_differences(before, payload, hidden))


def _differences(before: object, now: Payload, hidden: Sequence[Field]) -> Iterator[shape.FieldChange]:
    for field in FIELDS:
        old, new = _value(before, field), _value(now, field)
        if old != new:
            if field in hidden:
                old, new = (HIDDEN if old else old), (HIDDEN if new else new)
            yield shape.FieldChange(field.dotted, old, new)


def _value(document: object, field: Field) -> Any:
    """The value, if it is one of the contract's: the ledger may have been edited."""
    for key in field.path:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, str | int | bool) else None
