"""Renders a snapshot and the bridge's own metrics in the Prometheus text format and in OpenMetrics.

A pure function of what it is given; what a scraper asks for and gets over HTTP is decided in `web`.
"""

import logging
from collections.abc import Iterator, Mapping
from enum import Enum

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from ff_observe.catalogue import BRIDGE, PLATFORM
from ff_observe.catalogue.model import Kind, Metric
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import Reading

log = logging.getLogger(__name__)


class Format(Enum):
    """The exposition formats; the value is the content type of an answer in it.

    Text 1.0.0 differs from 0.0.4 only in how it spells names that need quotes. The catalogue has none, so that
    `escaping=underscores` is true of it as it stands.
    """

    TEXT_0_0_4 = CONTENT_TYPE_PLAIN_0_0_4
    TEXT_1_0_0 = f"{CONTENT_TYPE_PLAIN_1_0_0}; escaping=underscores"
    OPENMETRICS_1_0_0 = CONTENT_TYPE_OPENMETRICS


def render(snapshot: Snapshot, self_readings: Mapping[str, Reading], exposition_format: Format) -> bytes:
    """One exposition of everything known, in the order of the catalogue.

    A metric without samples is absent altogether. A reading that cannot be shown is logged and left out; the others
    stand. Samples carry no timestamps: Prometheus would drop them as stale or out of order.
    """
    families = _Families(snapshot.readings_with(self_readings))
    if exposition_format is Format.OPENMETRICS_1_0_0:
        return bytes(generate_openmetrics(families))  # type: ignore[no-untyped-call]  # the library leaves it untyped
    return generate_latest(families)


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
