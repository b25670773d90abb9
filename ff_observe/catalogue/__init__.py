"""What is counted and told: names, help, units, labels and the reading behind each count, declared once as data."""

from ff_observe.catalogue.bridge import BRIDGE
from ff_observe.catalogue.counts import COUNTS
from ff_observe.catalogue.facts import FACTS
from ff_observe.catalogue.model import Count, Kind, Metric

PLATFORM: tuple[Metric, ...] = (*FACTS, *COUNTS)
"""Everything that is true of the platform: one snapshot holds it all."""

__all__ = ["BRIDGE", "COUNTS", "FACTS", "PLATFORM", "Count", "Kind", "Metric"]
