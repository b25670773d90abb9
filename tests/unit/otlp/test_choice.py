"""Whether OTLP is on, and over what: the file wins, then the standard variables, where empty means unset."""

import pytest

from ff_observe.config.settings import OtlpSettings
from ff_observe.outputs.otlp.choice import choose
from ff_observe.outputs.otlp.component import interval_seconds

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("enabled", "variables", "on"),
    [
        (None, {}, False),
        (None, ENDPOINT, True),
        (None, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (True, {}, True),
        (False, ENDPOINT, False),
        (True, {"OTEL_SDK_DISABLED": "true"}, False),
        (True, {"OTEL_SDK_DISABLED": "TRUE"}, False),
        (True, {"OTEL_SDK_DISABLED": "1"}, True),  # the specification knows only "true"
        (None, {**ENDPOINT, "OTEL_SDK_DISABLED": ""}, True),
    ],
)
def test_the_file_wins_over_the_variables(enabled: bool | None, variables: dict[str, str], on: bool) -> None:
    choice = choose(OtlpSettings(enabled=enabled), variables)
    assert choice.on is on
    assert choice.reason
    assert ("metrics" in choice.protocols) is on


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
    choice = choose(OtlpSettings(enabled=True, protocol=protocol), variables)
    assert choice.protocols["metrics"] == (expected or "http/protobuf")


def test_traces_and_logs_are_on_only_when_asked_for() -> None:
    assert set(choose(OtlpSettings(enabled=True), {}).protocols) == {"metrics"}
    assert set(choose(OtlpSettings(enabled=True, traces=True, logs=True), {}).protocols) == {
        "metrics",
        "traces",
        "logs",
    }
    variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    assert set(choose(OtlpSettings(), variables).protocols) == {"metrics", "traces"}


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
