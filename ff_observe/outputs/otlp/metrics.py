"""Every metric of the catalogue as an instrument of the OpenTelemetry SDK, fed from one snapshot per export."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricReader, MetricsData
from opentelemetry.sdk.resources import Resource

from ff_observe.catalogue.model import PLATFORM_ID, Kind, Metric
from ff_observe.catalogue.names import otlp_name
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
        self.delivered = False

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        result = self._exporter.export(metrics_data, timeout_millis=timeout_millis)
        self.delivered = result is MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing is buffered: the exporter belongs to its creator."""


class MetricsExport:
    """One resource's instruments. `export` sends one moment; not for concurrent use."""

    def __init__(self, metrics: Iterable[Metric], resource: Resource, exporter: MetricExporter) -> None:
        self._readings: Readings = {}
        self._platform: Mapping[str, str] = {}
        self._reader = _Reader(exporter)
        self._provider = MeterProvider(metric_readers=[self._reader], resource=resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("ff_observe", VERSION)
        for metric in metrics:
            create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
            create(otlp_name(metric), [self._callback(metric)], metric.unit, metric.help)

    def export(self, readings: Readings, platform_id: str | None = None) -> bool:
        """Send `readings`, each sample with `platform_id` if it is known; returns whether the receiver accepted them.

        Never raises because of the receiver.
        """
        self._readings = readings
        self._platform = {} if platform_id is None else {PLATFORM_ID: platform_id}
        self._reader.delivered = False
        self._reader.collect()
        return self._reader.delivered

    def close(self) -> None:
        """Release the instruments."""
        self._provider.shutdown()

    def _callback(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(value, {**dict(zip(metric.labels, label_values, strict=True)), **self._platform})
                for label_values, value in self._readings.get(metric.name, {}).items()
            ]

        return observe
