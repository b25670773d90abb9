"""The metrics of the collector and of the fleet, as Prometheus families. Names and help come from the catalogue."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector as FamilySource

from ff_observe.catalogue import collector as own
from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.model import Kind, Metric
from ff_observe.catalogue.process import PROCESS, START
from ff_observe.collector.daily import Figures
from ff_observe.collector.fleet import Fleet
from ff_observe.exposition.formats import Format, encode
from ff_observe.process_metrics import process_readings

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
        self.day: Mapping[Metric, Figures] = {}
        self.findings: Mapping[str, int] | None = None
        self._lock = threading.Lock()
        self._counters: dict[str, dict[tuple[str, ...], float]] = {
            metric.name: {(value,): 0.0 for value in metric.label_values} if metric.labels else {(): 0.0}
            for metric in own.COLLECTOR
            if metric.kind is Kind.COUNTER
        }
        self._histograms = {name: _Histogram(bounds) for name, bounds in BUCKETS.items()}
        self._gauges: dict[str, tuple[tuple[str, ...], Gauge]] = {}

    def add(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        """Increase a counter."""
        with self._lock:
            values = self._counters[metric.name]
            values[labels] = values.get(labels, 0.0) + amount

    def remove(self, metric: Metric, *labels: str) -> None:
        """Drop a series of a counter."""
        with self._lock:
            self._counters[metric.name].pop(labels, None)

    def observe(self, metric: Metric, value: float) -> None:
        """Count one observation of a histogram."""
        with self._lock:
            self._histograms[metric.name].observe(value)

    def gauge(self, metric: Metric, read: Gauge, *labels: str) -> None:
        """Register a gauge, which is read at each scrape."""
        self._gauges[metric.name] = (labels, read)

    def exposition(self, exposition_format: Format) -> bytes:
        """All families at this moment."""
        return encode(self.collect(), exposition_format)

    def collect(self) -> Iterator[Family]:
        with self._lock:
            counters = {name: dict(values) for name, values in self._counters.items()}
            histograms = {name: (h.cumulative(), h.total) for name, h in self._histograms.items()}
        of_process = process_readings()
        created = of_process.get(START.name, {}).get(())
        for metric in own.COLLECTOR:
            family = _family(metric)
            if isinstance(family, CounterMetricFamily):
                for labels, value in counters[metric.name].items():
                    family.add_metric(labels, value, created)
            elif isinstance(family, HistogramMetricFamily):
                buckets, total = histograms[metric.name]
                family.add_metric([], buckets, total)
            else:
                labels, read = self._gauges[metric.name]
                if (now := read()) is not None:
                    family.add_sample(metric.name, dict(zip(metric.labels, labels, strict=True)), now)
            yield family
        for metric in PROCESS:
            if metric.name in of_process:
                family = _family(metric)
                family.add_sample(metric.name, {}, of_process[metric.name][()])
                if metric.kind is Kind.COUNTER and created is not None:
                    family.add_sample(metric.name.replace("_total", "_created"), {}, created)
                yield family
        if self.fleet is not None:
            yield from _fleet_families(self.fleet)
        yield from (_gauges(metric, figures.items()) for metric, figures in self.day.items())
        if self.findings is not None:
            family = _family(catalogue.FINDINGS)
            for rule, number in self.findings.items():
                family.add_sample(catalogue.FINDINGS.name, {"rule": rule}, number)
            yield family


def _family(metric: Metric) -> Family:
    kinds = {Kind.COUNTER: CounterMetricFamily, Kind.GAUGE: GaugeMetricFamily, Kind.HISTOGRAM: HistogramMetricFamily}
    if metric.kind is Kind.INFO:
        return InfoMetricFamily(metric.name.removesuffix("_info"), metric.help, labels=metric.labels)
    family: Family = kinds[metric.kind](metric.name, metric.help, labels=metric.labels)
    return family


def _gauges(metric: Metric, samples: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _fleet_families(fleet: Fleet) -> Iterator[Family]:
    yield _gauges(catalogue.TIMESTAMP, [((), fleet.taken_at.timestamp())])
    yield _gauges(catalogue.SILENT, [] if fleet.silent is None else [((), fleet.silent)])
    for metric, shares in (
        (catalogue.PLATFORMS, fleet.platforms),
        (catalogue.BY_VERSION, fleet.by_version),
        (catalogue.BY_NODEJS_VERSION, fleet.by_nodejs_version),
        (catalogue.BY_DRIVER, fleet.by_driver),
        (catalogue.BY_LICENSE_TYPE, fleet.by_license_type),
    ):
        yield _gauges(metric, (((value,), platforms) for value, platforms in shares.items()))
    yield _gauges(
        catalogue.BY_FEATURE,
        (((feature, state), n) for feature, shares in fleet.by_feature.items() for state, n in shares.items()),
    )
    resources = fleet.resources.items()
    yield _gauges(catalogue.REPORTING, (((name,), resource.platforms) for name, resource in resources))
    yield _gauges(
        catalogue.RESOURCES,
        (((name,), resource.total) for name, resource in resources if resource.total is not None),
    )
    yield _gauges(
        catalogue.RESOURCES_PER_PLATFORM,
        (((name, str(q)), value) for name, resource in resources for q, value in resource.quantiles.items()),
    )
