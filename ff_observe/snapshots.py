"""One moment of the platform (`Snapshot`), and the one place that asks for it and shares it (`Snapshots`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from ff_observe.sources.model import Installation, Reading


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known of the platform at one moment. Immutable, shared by all outputs.

    `readings` maps the name of a metric of `catalogue.PLATFORM` to its reading. A metric that could not be read, or
    whose table this FlowFuse version does not have, is absent: never 0. `failures` maps the names of metrics that
    should have been read to the reason they were not.
    """

    taken_at: datetime
    duration_seconds: float
    up: bool
    installation: Installation
    readings: Mapping[str, Reading] = field(default_factory=lambda: MappingProxyType({}))
    failures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
