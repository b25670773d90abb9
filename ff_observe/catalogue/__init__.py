"""Every metric, declared once as data: name, title, help, unit, labels, and the reading behind each count."""

from ff_observe.catalogue.audit import AUDIT
from ff_observe.catalogue.bridge import BRIDGE, PLATFORMS
from ff_observe.catalogue.collector import COLLECTOR
from ff_observe.catalogue.counts import COUNTS
from ff_observe.catalogue.facts import FACTS
from ff_observe.catalogue.fleet import FLEET
from ff_observe.catalogue.model import Count, Kind, Metric
from ff_observe.catalogue.process import PROCESS

PLATFORM: tuple[Metric, ...] = (*FACTS, *COUNTS, *AUDIT)
"""Every metric of the platform; one snapshot holds them all."""

SELF: tuple[Metric, ...] = (*BRIDGE, *PROCESS)
"""Every metric that the bridge exposes about itself."""

METRICS: tuple[Metric, ...] = (*PLATFORM, *SELF, PLATFORMS, *COLLECTOR, *FLEET)
"""Every metric."""

__all__ = [
    "AUDIT",
    "BRIDGE",
    "COLLECTOR",
    "COUNTS",
    "FACTS",
    "FLEET",
    "METRICS",
    "PLATFORM",
    "PROCESS",
    "SELF",
    "Count",
    "Kind",
    "Metric",
]
