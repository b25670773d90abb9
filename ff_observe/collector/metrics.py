"""The metrics of the collector and of the fleet, as Prometheus families. Names and help come from the catalogue."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector as FamilySource

from ff_observe.catalogue import collector as own
from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.model import Kind, Metric, Reading
from ff_observe.catalogue.process import PROCESS, START
from ff_observe.collector.fleet.figures import Fleet
from ff_observe.exposition.formats import Format, encode
from ff_observe.telemetry.process_metrics import process_readings

BUCKETS = {
    own.COMMIT_DURATION.name: (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    own.COMMIT_PINGS.name: (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
}

Gauge = Callable[[], float | None]
"""Read at each scrape; None where there is no value."""


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.observed = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.observed[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return [(name, sum(self.observed[: index + 1])) for index, name in enumerate(names)]


class CollectorMetrics(FamilySource):
    """Thread-safe. Counters exist from the start; gauges are read at each scrape."""

    def __init__(self) -> None:
        self.fleet: Fleet | None = None
        self.day: Mapping[Metric, Reading] = {}
        self.findings: Mapping[str, int] | None = None
        self._lock = threading.Lock()
        self._counters: dict[str, dict[tuple[str, ...], float]] = {
            metric.name: metric.from_the_start for metric in own.COLLECTOR if metric.kind is Kind.COUNTER
        }
        self._histograms = {name: _Histogram(bounds) for name, bounds in BUCKETS.items()}
        self._gauges: dict[str, tuple[tuple[str, ...], Gauge]] = {}

    def add(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        with self._lock:
            values = self._counters[metric.name]
            values[labels] = values.get(labels, 0.0) + amount

    def remove(self, metric: Metric, *labels: str) -> None:
        """Drop a series of a counter."""
        with self._lock:
            self._counters[metric.name].pop(labels, None)

    def observe(self, metric: Metric, value: float) -> None:
        with self._lock:
            self._histograms[metric.name].observe(value)

    def gauge(self, metric: Metric, read: Gauge, *labels: str) -> None:
        self._gauges[metric.name] = (labels, read)

    def exposition(self, exposition_format: Format) -> bytes:
        return encode(self.collect(), exposition_format)

    def collect(self) -> Iterator[Family]:
        with self._lock:
            counters = {name: dict(values) for name, values in self._counters.items()}
            histograms = {name: (h.cumulative(), h.total) for name, h in self._histograms.items()}
        of_process = process_readings()
        created = of_process.get(START.name, {}).get(())
        for metric in own.COLLECTOR:
            if metric.name in histograms:
                family = HistogramMetricFamily(metric.name, metric.help)
                family.add_metric([], *histograms[metric.name])
                yield family
            else:
                yield _family(metric, counters[metric.name] if metric.name in counters else self._now(metric), created)
        for metric in PROCESS:
            if metric.name in of_process:
                yield _family(metric, of_process[metric.name], created)
        shown = {} if self.fleet is None else _of_fleet(self.fleet)
        shown |= self.day
        if self.findings is not None:
            shown[catalogue.FINDINGS] = {(rule,): number for rule, number in self.findings.items()}
        for metric, reading in shown.items():
            yield _family(metric, reading)

    def _now(self, metric: Metric) -> Reading:
        labels, read = self._gauges[metric.name]
        return {} if (now := read()) is None else {labels: now}


def _family(metric: Metric, reading: Reading, created: float | None = None) -> Family:
    match metric.kind:
        case Kind.COUNTER:
            family: Family = CounterMetricFamily(metric.name, metric.help)
        case Kind.INFO:
            family = InfoMetricFamily(metric.name.removesuffix("_info"), metric.help)
        case _:
            family = GaugeMetricFamily(metric.name, metric.help)
    for values, number in reading.items():
        labels = dict(zip(metric.labels, values, strict=True))
        family.add_sample(metric.name, labels, number)
        if metric.kind is Kind.COUNTER and created is not None:
            family.add_sample(metric.name.replace("_total", "_created"), labels, created)
    return family


def _of_fleet(fleet: Fleet) -> dict[Metric, Reading]:
    by_value = {catalogue.PLATFORMS: fleet.platforms, **fleet.by_value}
    resources = fleet.resources.items()
    return {
        catalogue.TIMESTAMP: {(): fleet.taken_at.timestamp()},
        catalogue.SILENT: {} if fleet.silent is None else {(): fleet.silent},
        **{metric: {(value,): number for value, number in shares.items()} for metric, shares in by_value.items()},
        catalogue.BY_FEATURE: {
            (feature, state): number for feature, states in fleet.by_feature.items() for state, number in states.items()
        },
        catalogue.REPORTING: {(name,): resource.platforms for name, resource in resources},
        catalogue.RESOURCES: {(name,): resource.total for name, resource in resources if resource.total is not None},
        catalogue.RESOURCES_PER_PLATFORM: {
            (name, str(quantile)): value
            for name, resource in resources
            for quantile, value in resource.quantiles.items()
        },
    }
