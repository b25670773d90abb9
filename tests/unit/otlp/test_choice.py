"""Which signals go over OTLP, and how: the file wins, then the standard variables, where empty means unset."""

import pytest

from ff_observe.config.settings import OtlpSettings
from ff_observe.outputs.otlp.choice import choose_protocols
from ff_observe.outputs.otlp.component import interval_seconds


@pytest.mark.parametrize(
    ("protocol", "variables", "expected"),
    [
        (None, {}, "http/protobuf"),
        (None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        (None, {"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, "http/protobuf"),
        (None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf"}, None),
        ("http/protobuf", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
    ],
)
def test_a_signals_own_variable_wins_over_the_general_one(
    protocol: str | None, variables: dict[str, str], expected: str | None
) -> None:
    chosen = choose_protocols(OtlpSettings(enabled=True, protocol=protocol), variables)
    assert chosen["metrics"] == (expected or "http/protobuf")


def test_traces_and_logs_are_on_only_when_asked_for() -> None:
    assert set(choose_protocols(OtlpSettings(), {})) == {"metrics"}
    assert set(choose_protocols(OtlpSettings(traces=True, logs=True), {})) == {"metrics", "traces", "logs"}
    variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    assert set(choose_protocols(OtlpSettings(), variables)) == {"metrics", "traces"}


@pytest.mark.parametrize(
    ("settings", "variables", "expected"),
    [
        (OtlpSettings(interval_seconds=15), {"OTEL_METRIC_EXPORT_INTERVAL": "5000"}, 15.0),
        (OtlpSettings(), {"OTEL_METRIC_EXPORT_INTERVAL": "5000"}, 5.0),
        (OtlpSettings(), {"OTEL_METRIC_EXPORT_INTERVAL": ""}, 60.0),
        (OtlpSettings(), {"OTEL_METRIC_EXPORT_INTERVAL": "soon"}, 60.0),
        (OtlpSettings(), {}, 60.0),
    ],
)
def test_the_interval_is_a_minute_unless_told(
    settings: OtlpSettings, variables: dict[str, str], expected: float
) -> None:
    assert interval_seconds(settings, variables) == expected
