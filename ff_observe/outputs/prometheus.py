"""Renders a snapshot and the bridge's own metrics in the Prometheus text format and in OpenMetrics.

A pure function of what it is given; what a scraper asks for and gets over HTTP is decided in `exposition`.
"""

import logging
from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from ff_observe.catalogue import BRIDGE, PLATFORM
from ff_observe.catalogue.model import Kind, Metric
from ff_observe.exposition.formats import Format, encode
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import Reading

log = logging.getLogger(__name__)


def render(snapshot: Snapshot, self_readings: Mapping[str, Reading], exposition_format: Format) -> bytes:
    """One exposition of everything known, in the order of the catalogue.

    A metric without samples is absent altogether. A reading that cannot be shown is logged and left out; the others
    stand. Samples carry no timestamps: Prometheus would drop them as stale or out of order.
    """
    return encode(_Families(snapshot.readings_with(self_readings)), exposition_format)


class _Families(Collector):
    """The families of one moment, in the shape that the library's encoders take: no registry is involved."""

    def __init__(self, readings: Mapping[str, Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Family]:
        for metric in (*PLATFORM, *BRIDGE):
            reading = self._readings.get(metric.name)
            if not reading:
                continue
            try:
                yield _family(metric, reading)
            except Exception:
                log.exception("%s cannot be shown and is left out", metric.name)


_OPENMETRICS_UNITS = {"s": "seconds", "By": "bytes"}


def _family(metric: Metric, reading: Reading) -> Family:
    family: Family
    unit = _unit(metric)
    if metric.kind is Kind.COUNTER:
        family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels, unit=unit)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels, unit=unit)
    for values, number in reading.items():
        labels = dict(zip(metric.labels, map(_encodable, values), strict=True))
        family.add_sample(metric.name, labels, float(number))
    return family


def _unit(metric: Metric) -> str:
    """The OpenMetrics unit: legal only where the family's name ends with it (OpenMetrics 1.0.0, "Unit")."""
    unit = _OPENMETRICS_UNITS.get(metric.unit, "")
    return unit if unit and metric.name.removesuffix("_total").endswith(f"_{unit}") else ""


def _encodable(value: str) -> str:
    """A label value as UTF-8 can carry it: a lone surrogate (JSON, as in a licence, may hold one) becomes `?`."""
    return value.encode("utf-8", "replace").decode("utf-8")
