"""Renders a snapshot and the bridge's own metrics in the Prometheus text format and in OpenMetrics.

Pure; HTTP negotiation is in `exposition`.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as Family

from ff_observe.catalogue import PLATFORM, SELF
from ff_observe.catalogue.model import PLATFORM_ID, Kind, Metric, Reading
from ff_observe.catalogue.names import UNIT_SUFFIXES, encodable
from ff_observe.exposition.formats import Format, encode_one, join
from ff_observe.platform.snapshot import Snapshot

log = logging.getLogger(__name__)


class Renderer:
    """Renders one moment after another, and encodes only families that have changed: of a platform at rest, few have.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._encoded: dict[tuple[str, Format], tuple[_Shown, bytes]] = {}

    def render(self, snapshot: Snapshot, self_readings: Mapping[str, Reading], exposition_format: Format) -> bytes:
        """One exposition of everything known, in the order of the catalogue.

        A metric without samples is absent altogether. A reading that cannot be shown is logged and left out; the
        others stay. Samples carry no timestamps: Prometheus would drop them as stale or out of order.
        """
        readings = snapshot.readings_with(self_readings)
        created = snapshot.counters_began(readings)
        encoded: list[bytes] = []
        for metric in (*PLATFORM, *SELF):
            reading = readings.get(metric.name)
            if reading:
                shown = _Shown(reading, created.get(metric.name), snapshot.platform_id)
                encoded.append(self._encode(metric, shown, exposition_format))
        return join(encoded, exposition_format)

    def _encode(self, metric: Metric, shown: "_Shown", exposition_format: Format) -> bytes:
        before = self._encoded.get((metric.name, exposition_format))
        if before is not None and before[0] == shown:
            return before[1]
        encoded = _encoded(metric, shown, exposition_format)
        self._encoded[metric.name, exposition_format] = shown, encoded
        return encoded


def render(snapshot: Snapshot, self_readings: Mapping[str, Reading], exposition_format: Format) -> bytes:
    return Renderer().render(snapshot, self_readings, exposition_format)


def render_readings(readings: Mapping[str, Reading], metrics: Sequence[Metric], exposition_format: Format) -> bytes:
    """One exposition of those of `metrics` that have samples, none of them a counter of a platform's."""
    found = ((metric, readings.get(metric.name)) for metric in metrics)
    encoded = (_encoded(metric, _Shown(reading), exposition_format) for metric, reading in found if reading)
    return join(encoded, exposition_format)


class _Shown(NamedTuple):
    """All that a metric's lines depend on."""

    reading: Reading
    created: float | None = None
    platform_id: str | None = None


def _encoded(metric: Metric, shown: _Shown, exposition_format: Format) -> bytes:
    """Nothing if it cannot be shown."""
    platform = {} if shown.platform_id is None else {PLATFORM_ID: shown.platform_id}
    try:
        return encode_one(_family(metric, shown.reading, shown.created, platform), exposition_format)
    except Exception:
        log.exception("%s cannot be shown and is left out", metric.name)
        return b""


def _family(metric: Metric, reading: Reading, created: float | None, platform: Mapping[str, str]) -> Family:
    """`platform` is added to the labels of each sample."""
    family: Family
    unit = _unit(metric)
    name = metric.name.removesuffix("_total")
    match metric.kind:
        case Kind.COUNTER:
            family = CounterMetricFamily(name, metric.help, labels=metric.labels, unit=unit)
        case Kind.INFO:
            family = InfoMetricFamily(name.removesuffix("_info"), metric.help, labels=metric.labels)
        case _:
            family = GaugeMetricFamily(name, metric.help, labels=metric.labels, unit=unit)
    for values, number in reading.items():
        labels = {**dict(zip(metric.labels, map(encodable, values), strict=True)), **platform}
        family.add_sample(metric.name, labels, float(number))
        if metric.kind is Kind.COUNTER and created is not None:
            family.add_sample(f"{name}_created", labels, created)
    return family


def _unit(metric: Metric) -> str:
    """The OpenMetrics unit: legal only where the family's name ends with it (OpenMetrics 1.0.0, "Unit")."""
    suffix = UNIT_SUFFIXES.get(metric.unit, "")
    return suffix.removeprefix("_") if metric.name.removesuffix("_total").endswith(suffix) else ""
