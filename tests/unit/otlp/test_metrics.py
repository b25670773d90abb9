"""Names, units and values over OTLP, with the SDK's own Prometheus exporter as the oracle for the names."""

import prometheus_client
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families

from ff_observe.catalogue import BRIDGE, PLATFORM
from ff_observe.catalogue.model import Kind, Metric
from ff_observe.catalogue.names import otlp_name

EVERY = (*PLATFORM, *BRIDGE)


def names_after_translation(metrics: tuple[Metric, ...]) -> set[str]:
    """The sample names that OpenTelemetry's own translation to Prometheus gives our instruments."""
    reader = PrometheusMetricReader(disable_target_info=True)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meter = provider.get_meter("test")
    for metric in metrics:
        create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
        create(otlp_name(metric), [lambda _: [Observation(1)]], metric.unit, metric.help)
    text = prometheus_client.generate_latest(prometheus_client.REGISTRY).decode()
    provider.shutdown()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def test_the_way_back_to_prometheus_gives_the_names_of_our_endpoint() -> None:
    ours = {metric.name for metric in EVERY}
    translated = {name for name in names_after_translation(EVERY) if name.startswith(("flowfuse_", "ff_observe_"))}
    assert translated == ours


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_an_otlp_name_is_dotted_and_legal(metric: Metric) -> None:
    name = otlp_name(metric)
    assert name.startswith(("flowfuse.", "ff_observe."))
    meter = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False).get_meter("test")
    meter.create_observable_gauge(name, [lambda _: []], metric.unit)  # raises or warns for an illegal name or unit
