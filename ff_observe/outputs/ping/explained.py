"""A ping in words: each value with where it comes from and why it is sent, and what differs from another ping."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ff_observe.catalogue.ping_contract import FIELDS, Field, Value
from ff_observe.outputs.ping.ledger_lines import Entry
from ff_observe.outputs.ping.outcome import Result
from ff_observe.platform.sources.schema import TABLES
from ff_observe.telemetry.log import escaped


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs. `before` or `after` is None where the ping has no such field."""

    field: str
    before: Value | None
    after: Value | None

    def __str__(self) -> str:
        """In one line that cannot control a terminal: a ledger may have been tampered with."""
        field = escaped(self.field)
        if self.before is None:
            return f"{field}: {_shown(self.after)} (new)"
        if self.after is None:
            return f"{field}: {_shown(self.before)} (no longer sent)"
        difference = ""
        if type(self.before) is int and type(self.after) is int:
            difference = f" ({self.after - self.before:+d})"
        return f"{field}: {_shown(self.before)} -> {_shown(self.after)}{difference}"


def values(body: bytes) -> dict[str, Value]:
    """The values of a ping by their dotted names, in its order. Raises `ValueError` for what is no ping."""
    try:
        return dict(_flat(json.loads(body), ""))
    except RecursionError:
        raise ValueError("this is no ping") from None


def changes(before: Mapping[str, Value], after: Mapping[str, Value]) -> list[Change]:
    """What differs between two pings, in the order of the contract; fields that it does not know come last."""
    names = dict.fromkeys([*(field.dotted for field in FIELDS), *before, *after])
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return [Change(name, old, new) for name, old, new in pairs if (type(old), old) != (type(new), new)]


def last_delivered(entries: Iterable[Entry]) -> Entry | None:
    """The entry of the last ping that its receiver took."""
    delivered = [entry for entry in entries if entry.outcome == Result.DELIVERED]
    return delivered[-1] if delivered else None


def origin(field: Field) -> str:
    """Where its value comes from, with FlowFuse's name of the table that is counted."""
    return field.origin if field.table is None else f"{field.origin}, from `{TABLES[field.table].name}`"


def in_words(field: Field, value: Value | None) -> str:
    """One field as a paragraph."""
    lines = [f"{field.dotted} = {_shown(value)}", field.help, f"From: {origin(field).replace('`', '')}"]
    review = field.review
    if review is None:
        lines.append("Not reviewed: not sent.")
    else:
        until = "permanent" if review.expires is None else f"until {review.expires}"
        lines += [
            f"For: {review.purpose}",
            f"Sensitivity: {field.sensitivity} ({field.sensitivity.meaning})",
            f"Since {field.since}; reviewed by {review.by} on {review.on}, {until}: {review.reference}",
        ]
    return "\n    ".join(lines)


def _flat(found: object, prefix: str) -> Iterable[tuple[str, Value]]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(found, str | int | bool) and prefix:
        yield prefix, found
    else:
        raise ValueError("this is no ping")


def _shown(value: Value | None) -> str:
    """As JSON, in ASCII: so nothing in it controls a terminal."""
    return "absent" if value is None else json.dumps(value)
