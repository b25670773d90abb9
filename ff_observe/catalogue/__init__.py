"""Every metric, declared once as data: name, title, help, unit, labels, and the reading behind each count."""

from ff_observe.catalogue.bridge import BRIDGE
from ff_observe.catalogue.counts import COUNTS
from ff_observe.catalogue.facts import FACTS
from ff_observe.catalogue.fleet import COLLECTOR, FLEET
from ff_observe.catalogue.model import Count, Kind, Metric

PLATFORM: tuple[Metric, ...] = (*FACTS, *COUNTS)
"""Everything that is true of the platform: one snapshot holds it all."""

METRICS: tuple[Metric, ...] = (*PLATFORM, *BRIDGE, *COLLECTOR, *FLEET)
"""Every metric there is."""

__all__ = ["BRIDGE", "COLLECTOR", "COUNTS", "FACTS", "FLEET", "METRICS", "PLATFORM", "Count", "Kind", "Metric"]
