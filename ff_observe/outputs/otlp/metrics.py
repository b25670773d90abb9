"""Every metric of the catalogue as an instrument of the OpenTelemetry SDK, fed from one snapshot per export."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as Exported
from opentelemetry.sdk.resources import Resource

from ff_observe.catalogue.model import PLATFORM_ID, Kind, Metric, Reading
from ff_observe.catalogue.names import encodable, otlp_name
from ff_observe.outputs.otlp.answers import TakenInPart
from ff_observe.outputs.otlp.exporters import Exporting
from ff_observe.version import VERSION

Readings = Mapping[str, Reading]


class _Reader(MetricReader):
    """Exports on demand: the bridge's own thread decides when, and learns the outcome.

    The SDK's periodic reader asks each instrument by itself, discards the outcome, and cannot be stopped by a deadline.
    Its differences are not used: those of an export that failed would be lost.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(preferred_aggregation=exporter._preferred_aggregation)
        self._exporter = exporter
        preferred = (exporter._preferred_temporality or {}).get(ObservableCounter)
        self._temporality = preferred or AggregationTemporality.CUMULATIVE
        self.has_differences = self._temporality is AggregationTemporality.DELTA
        self.since: Mapping[str, int] = {}
        self.collected_at = 0
        self.delivered = False

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        resources = [
            replace(
                each,
                scope_metrics=[
                    replace(scope, metrics=[*map(self._from_its_beginning, scope.metrics)])
                    for scope in each.scope_metrics
                ],
            )
            for each in metrics_data.resource_metrics
        ]
        result = self._exporter.export(MetricsData(resources), timeout_millis=timeout_millis)
        self.delivered = result is MetricExportResult.SUCCESS

    def _from_its_beginning(self, exported: Exported) -> Exported:
        """A counter with the time since which it counts: the SDK gives the time at which its instrument was made."""
        data, since = exported.data, self.since.get(exported.name)
        if not isinstance(data, Sum):
            return exported
        self.collected_at = data.data_points[0].time_unix_nano
        points = data.data_points
        if since is not None:
            points = [replace(point, start_time_unix_nano=since) for point in points]
        return replace(exported, data=replace(data, data_points=points, aggregation_temporality=self._temporality))

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing is buffered: the exporter belongs to its creator."""


class _Taken(NamedTuple):
    """What the receiver has of a counter: its values up to a time (in nanoseconds; None before the first export), and
    when it `began` (in seconds; None if that is not known)."""

    reading: Reading
    up_to: int | None = None
    began: float | None = None


class MetricsExport:
    """One resource's instruments. `export` sends one moment; not for concurrent use.

    Where the receiver wants differences, counters report what was not taken before. What was `counted` before the first
    export, and what a counter has when it is first seen, is left out: it happened long ago, and would seem to happen
    now.
    """

    def __init__(
        self, metrics: Sequence[Metric], resource: Resource, exporting: Exporting, counted: Readings | None = None
    ) -> None:
        self.exporting = exporting
        self._reader = _Reader(exporting.exporter)
        self._readings: Readings = {}
        self._names = {metric.name: otlp_name(metric) for metric in metrics}
        self._counters = {metric.name for metric in metrics if metric.kind is Kind.COUNTER}
        self._taken: dict[str, _Taken] = {}  # of counters, where the receiver wants differences
        if self._reader.has_differences and counted is not None:
            self._taken = {name: _Taken(counted[name]) for name in self._counters & counted.keys()}
        self._platform: Mapping[str, str] = {}
        self._provider = MeterProvider(metric_readers=[self._reader], resource=resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("ff_observe", VERSION)
        for metric in metrics:
            create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
            create(otlp_name(metric), [self._callback(metric)], metric.unit, metric.help)

    def export(
        self, readings: Readings, platform_id: str | None = None, began: Mapping[str, float] | None = None
    ) -> bool:
        """Send `readings`, each sample with `platform_id` if it is known; returns whether the receiver accepted them.
        `began` is when counters began, in seconds since 1970, by name of the metric.

        Never raises because of the receiver.
        """
        began = began or {}
        since = {name: int(at * 1e9) for name, at in began.items()}
        counters = self._counters & readings.keys()
        if self._reader.has_differences:
            for name in counters:
                self._leave_out_what_was_before(name, readings[name], began.get(name))
            since = {name: up_to for name in counters if (up_to := self._taken[name].up_to) is not None}
        self._readings = readings
        self._reader.since = {self._names[name]: at for name, at in since.items() if name in self._names}
        self._platform = {} if platform_id is None else {PLATFORM_ID: platform_id}
        self._reader.delivered = False
        self._reader.collect()
        delivered = self._reader.delivered
        if self._reader.has_differences and (delivered or isinstance(self.exporting.problem(), TakenInPart)):
            for name in counters:
                taken = self._taken[name]
                reading = {**taken.reading, **readings[name]}
                self._taken[name] = _Taken(reading, self._reader.collected_at, began.get(name, taken.began))
        return delivered

    def close(self) -> None:
        self._provider.shutdown()

    def _leave_out_what_was_before(self, name: str, now: Reading, began: float | None) -> None:
        """Of a counter that is seen for the first time, or that began anew, which its earlier values are no part of.
        What was deleted from one, as from the audit log, is no difference: those of a counter are never below 0."""
        taken = self._taken.get(name)
        if taken is None:
            self._taken[name] = _Taken(now, None, began)
        elif began is not None and taken.began not in (None, began):
            self._taken[name] = _Taken(now, taken.up_to, began)
        else:
            less = {labels: value for labels, value in now.items() if value < taken.reading.get(labels, value)}
            self._taken[name] = taken._replace(reading={**taken.reading, **less})

    def _callback(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            taken = self._taken[metric.name].reading if metric.name in self._taken else {}
            return [
                Observation(
                    value - taken.get(label_values, 0),
                    {**dict(zip(metric.labels, map(encodable, label_values), strict=True)), **self._platform},
                )
                for label_values, value in self._readings.get(metric.name, {}).items()
            ]

        return observe
