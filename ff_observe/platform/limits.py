"""How close a platform is to the limits of its licence, and what FlowFuse does at each."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from ff_observe.catalogue import facts
from ff_observe.catalogue.model import in_text
from ff_observe.platform.snapshot import Snapshot

NEAR_SHARE: Final = 0.8
"""Of five, FlowFuse's limit without a licence, four: one more fits."""

EXPIRES_SOON: Final = timedelta(days=30)

AFTER_EXPIRY: Final = (
    "FlowFuse 2.8 and later refuses new devices, a new or suspended instance that is started ends suspended, and at "
    "02:00 each night all running instances are suspended."
)
"""Read in forge/containers/wrapper.js (`start` alone looks at the licence, `startFlows` and `restartFlows` do not),
forge/db/models/Device.js and forge/housekeeper/tasks/licenseCheck.js."""


class Level(StrEnum):
    """How close usage is to a limit."""

    GOOD = "good"
    NEAR = "near"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Headroom:
    """One limit. `used` and `level` are None where usage could not be read. `effect` is what FlowFuse does there."""

    resource: str
    title: str
    allowed: float
    used: float | None
    level: Level | None
    effect: str


def headroom(snapshot: Snapshot) -> Iterator[Headroom]:
    """Each limit of the licence, or of FlowFuse without one; none while the database does not answer."""
    limits = snapshot.readings.get(facts.LICENSE_LIMIT.name, {})
    usage = snapshot.readings.get(facts.LICENSE_USAGE.name, {})
    licensed = snapshot.installation.licence is not None
    for (resource,), allowed in limits.items():
        title = facts.LIMITS[resource]
        if resource == "instances" and ("devices",) not in limits:
            title = f"{title} and {in_text(facts.LIMITS['devices'])}"
        used = usage.get((resource,))
        level = None if used is None else _level(used, allowed, licensed=licensed)
        yield Headroom(resource, title, allowed, used, level, _effect(level, allowed, licensed=licensed))


def _level(used: float, allowed: float, *, licensed: bool) -> Level:
    """Without a licence a limit that is reached is in the way already: FlowFuse refuses the next one."""
    if used > allowed or (used == allowed and used > 0 and not licensed):
        return Level.OVER
    return Level.NEAR if used > 0 and used >= NEAR_SHARE * allowed else Level.GOOD


def _effect(level: Level | None, allowed: float, *, licensed: bool) -> str:
    """FlowFuse's models, on creation: "if the product is licensed, we permit overage"."""
    if licensed:
        audit = "writes `platform.license.overage` into its audit log each time"
        if level is Level.OVER:
            return f"FlowFuse permits more than the licence covers, and {audit}."
        return f"Beyond {allowed:g}, FlowFuse permits more, and {audit}."
    if level is Level.OVER:
        return "The limit without a licence is reached: FlowFuse refuses to create another."
    return f"At {allowed:g}, the limit without a licence, FlowFuse refuses to create another."
