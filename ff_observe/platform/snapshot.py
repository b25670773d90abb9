"""One moment of the platform as data, shared by all outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from ff_observe.catalogue import AUDIT, SELF, bridge, process
from ff_observe.catalogue.model import Reading
from ff_observe.platform.sources.model import HttpAnswer, Installation


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known of the platform at one moment. Immutable, shared by all outputs.

    `readings` maps the name of a metric of `catalogue.PLATFORM` to its reading. A metric that could not be read, or
    whose table this FlowFuse version does not have, is absent: never 0. `failures` maps the names of metrics that
    should have been read to the reason they were not. `up` is the database; `http` is what FlowFuse itself answered,
    None where it was not asked. `counted_since` is when the counters of the platform began. `platform_id` is what
    metrics name the platform by, None before it has been read.
    """

    taken_at: datetime
    duration_seconds: float
    up: bool
    installation: Installation
    readings: Mapping[str, Reading] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    http: HttpAnswer | None = None
    counted_since: datetime | None = None
    platform_id: str | None = None

    def __post_init__(self) -> None:
        for name in ("readings", "failures"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def readings_with(self, of_the_bridge: Mapping[str, Reading]) -> dict[str, Reading]:
        """All readings that an output shows for this moment. The bridge's metrics about the last snapshot are
        replaced by those of this one: a newer one may have been taken for another output."""
        return {
            **self.readings,
            **of_the_bridge,
            bridge.SNAPSHOT_TIMESTAMP.name: {(): self.taken_at.timestamp()},
            bridge.SNAPSHOT_DURATION.name: {(): self.duration_seconds},
        }

    def counters_began(self, readings: Mapping[str, Reading]) -> dict[str, float]:
        """When counters began, in seconds since 1970 by name: the bridge's own (also in `readings`) with its process,
        those of the audit log with its first entry, unless it is dated before 1970 or ahead: no receiver takes that."""
        began: dict[str, float] = {}
        if started := readings.get(process.START.name):
            began |= dict.fromkeys((metric.name for metric in SELF), started[()])
        if self.counted_since is not None and 0 <= self.counted_since.timestamp() <= self.taken_at.timestamp():
            began |= dict.fromkeys((metric.name for metric in AUDIT), self.counted_since.timestamp())
        return began
