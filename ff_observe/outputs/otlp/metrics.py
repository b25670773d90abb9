"""Every metric of the catalogue as an instrument of the OpenTelemetry SDK, fed from one snapshot per export."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

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

from ff_observe.catalogue.model import PLATFORM_ID, Kind, Metric
from ff_observe.catalogue.names import encodable, otlp_name
from ff_observe.platform.sources.model import Reading
from ff_observe.version import VERSION

Readings = Mapping[str, Reading]


class _Reader(MetricReader):
    """Exports on demand: the bridge's own thread decides when, and learns the outcome.

    The SDK's periodic reader asks each instrument by itself, discards the outcome, and cannot be stopped by a deadline.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,
            preferred_aggregation=exporter._preferred_aggregation,
        )
        self._exporter = exporter
        self.began: Mapping[str, int] = {}
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
        """A total with the time since which it counts: the SDK gives the time at which its instrument was made."""
        data, began = exported.data, self.began.get(exported.name)
        if began is None or not isinstance(data, Sum) or _is_difference(data.aggregation_temporality):
            return exported
        points = [replace(point, start_time_unix_nano=began) for point in data.data_points]
        return replace(exported, data=replace(data, data_points=points))

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing is buffered: the exporter belongs to its creator."""


class MetricsExport:
    """One resource's instruments. `export` sends one moment; not for concurrent use.

    Where the receiver wants differences, counters do not report what was `counted` before, nor what a counter has when
    it is first seen: that happened long ago, and would seem to happen now.
    """

    def __init__(
        self, metrics: Iterable[Metric], resource: Resource, exporter: MetricExporter, counted: Readings | None = None
    ) -> None:
        self._readings: Readings = {}
        self._before: dict[str, Reading] = dict(counted or {})
        self._last: dict[str, tuple[float, Reading]] = {}  # by name of a counter: when it began, and what it had
        self._differences = _is_difference((exporter._preferred_temporality or {}).get(ObservableCounter))
        self._platform: Mapping[str, str] = {}
        self._reader = _Reader(exporter)
        self._provider = MeterProvider(metric_readers=[self._reader], resource=resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("ff_observe", VERSION)
        self._names = {}
        for metric in metrics:
            self._names[metric.name] = otlp_name(metric)
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
        if self._differences:
            self._leave_out_what_was_before(readings, began)
        self._readings = readings
        self._reader.began = {self._names[name]: int(at * 1e9) for name, at in began.items() if name in self._names}
        self._platform = {} if platform_id is None else {PLATFORM_ID: platform_id}
        self._reader.delivered = False
        self._reader.collect()
        return self._reader.delivered

    def close(self) -> None:
        """Release the instruments."""
        self._provider.shutdown()

    def _leave_out_what_was_before(self, readings: Readings, began: Mapping[str, float]) -> None:
        for name in began.keys() & readings.keys():
            at, now = began[name], readings[name]
            last_at, last = self._last.get(name, (None, {}))
            if at != last_at and (last_at is not None or name not in self._before):
                before = self._before.get(name, {})
                reported = {labels: number - before.get(labels, 0) for labels, number in last.items()}
                self._before[name] = {labels: number - reported.get(labels, 0) for labels, number in now.items()}
            self._last[name] = at, now

    def _callback(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            before = self._before.get(metric.name, {}) if self._differences else {}
            return [
                Observation(
                    value - before.get(label_values, 0),
                    {**dict(zip(metric.labels, map(encodable, label_values), strict=True)), **self._platform},
                )
                for label_values, value in self._readings.get(metric.name, {}).items()
            ]

        return observe


def _is_difference(temporality: AggregationTemporality | None) -> bool:
    return temporality is AggregationTemporality.DELTA
