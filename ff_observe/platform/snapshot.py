"""One moment of the platform as data, shared by all outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from ff_observe.catalogue import bridge
from ff_observe.platform.sources.model import HttpAnswer, Installation, Reading


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
    readings: Mapping[str, Reading] = field(default_factory=lambda: MappingProxyType({}))
    failures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    http: HttpAnswer | None = None
    counted_since: datetime | None = None
    platform_id: str | None = None

    def readings_with(self, of_the_bridge: Mapping[str, Reading]) -> dict[str, Reading]:
        """All readings that an output shows for this moment. The bridge's metrics about the last snapshot are
        replaced by those of this one: a newer one may have been taken for another output."""
        return {
            **self.readings,
            **of_the_bridge,
            bridge.SNAPSHOT_TIMESTAMP.name: {(): self.taken_at.timestamp()},
            bridge.SNAPSHOT_DURATION.name: {(): self.duration_seconds},
        }
