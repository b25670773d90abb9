"""Pings and clocks for the tests of the collector."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ff_observe.ping_collector.acceptance import Accepted, accept
from ff_observe.ping_collector.store import Ping

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def body(instance_id: str = "instance-1", /, **changes: object) -> bytes:
    """A ping as FlowFuse sends it; `changes` are by dotted path with `__` for the dot."""
    ping: dict[str, Any] = {
        "instanceId": instance_id,
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
    """An accepted ping."""
    found = accept(body(instance_id, **changes))
    assert isinstance(found, Accepted), found
    return Ping.of(at, sender, found.values)


def later(**durations: float) -> datetime:
    return NOON + timedelta(**durations)
