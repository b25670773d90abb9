"""Pings and clocks for the tests of the collector."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from ff_observe.catalogue.ping_contract import FIELDS, UUID, Value
from ff_observe.collector.store import Ping

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def instance(name: str = "instance-1") -> str:
    """The instance id of a platform that a test calls by a name; an instance id is its own."""
    return name if UUID.fits(name) else str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def body(name: str = "instance-1", /, **changes: object) -> bytes:
    """A ping as FlowFuse sends it; `changes` are by dotted path with `__` for the dot."""
    ping: dict[str, Any] = {
        "instanceId": instance(name),
        "os": {"type": "Linux", "release": "6.1.0", "arch": "x64"},
        "env": {"nodejs": "v20.20.2", "flowforge": "2.33.2"},
        "platform": {
            "counts": {"users": 9, "teams": 6, "projectsByState": {"suspended": 5}},
            "config": {"driver": "stub", "broker": {"enabled": True}},
            "license": {"id": "", "type": "CE"},
        },
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = ping
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
    return json.dumps(ping, separators=(",", ":")).encode()


def ping(
    instance_id: str = "instance-1", at: datetime = NOON, /, *, sender: bytes | None = b"\x01" * 32, **changes: object
) -> Ping:
    """A ping as a store takes it, which does not look at what is in it: also one of an earlier contract."""
    sent = json.loads(body(instanceId=instance_id, **changes))
    return Ping.of(at, sender, tuple(_value(sent, field.path) for field in FIELDS))


def _value(sent: Any, path: tuple[str, ...]) -> Value | None:
    for key in path:
        sent = sent.get(key, {})
    return None if sent == {} else sent


def later(**durations: float) -> datetime:
    return NOON + timedelta(**durations)
