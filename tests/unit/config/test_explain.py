"""Which outputs are on, and why."""

from pathlib import Path

import pytest

from ff_observe.config import load_settings
from ff_observe.config.explain import OutputStatus, explain_outputs

FOLDER = Path(__file__).resolve().parents[2] / "data" / "config"


def explained(home: Path, text: str, **variables: str) -> dict[str, OutputStatus]:
    file = home / "flowforge.yml"
    file.write_text(text)
    settings = load_settings(home=home, config=file, variables=variables)
    return {status.name: status for status in explain_outputs(settings)}


def test_by_default_only_the_ping_is_on(tmp_path: Path) -> None:
    outputs = explained(tmp_path, "port: 1")
    assert {name: status.on for name, status in outputs.items()} == {
        "ping": True,
        "prometheus": False,
        "backend sentry": False,
        "otlp": False,
        "frontend posthog": False,
        "frontend sentry": False,
        "frontend plausible": False,
    }
    assert outputs["ping"].reason == "telemetry.enabled is not set, and true by default"
    assert outputs["prometheus"].reason == "telemetry.backend.prometheus.enabled is not true"


def test_with_everything_configured_every_output_but_the_refused_ping_is_on_and_no_secret_is_shown(
    tmp_path: Path,
) -> None:
    outputs = explain_outputs(load_settings(home=tmp_path, config=FOLDER / "good-everything.yml", variables={}))
    assert [status.name for status in outputs if not status.on] == ["ping"]
    assert all("held until the visitor consents" in status.reason for status in outputs if "frontend" in status.name)
    shown = repr(outputs)
    for secret in ("example.com", "key@", "secret", "token", "phc_key"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("text", "variables", "on", "says"),
    [
        ("telemetry: {enabled: true}", {}, True, "telemetry.enabled is true"),
        ("telemetry: {enabled: false}", {}, False, "telemetry.enabled is false (without effect while a licence"),
        ("telemetry: {enabled: true}", {"DO_NOT_TRACK": "1"}, False, "DO_NOT_TRACK is set"),
        ("telemetry: {enabled: true}", {"FF_TELEMETRY_DISABLED": "0"}, False, "FF_TELEMETRY_DISABLED is set"),
        ("housekeeper: false", {}, False, "housekeeper is false"),
    ],
)
def test_the_ping_names_the_rule_that_decided(
    tmp_path: Path, text: str, variables: dict[str, str], on: bool, says: str
) -> None:
    status = explained(tmp_path, text, **variables)["ping"]
    assert status.on is on
    assert status.reason.startswith(says)


ENDPOINT = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("otlp", "variables", "on", "says"),
    [
        ("{enabled: true}", {}, True, "telemetry.backend.otlp.enabled is true"),
        ("{enabled: false}", ENDPOINT, False, "telemetry.backend.otlp.enabled is false"),
        ("{enabled: false, endpoint: 'http://h'}", {}, False, "telemetry.backend.otlp.enabled is false"),
        ("{endpoint: 'http://h'}", {}, True, "telemetry.backend.otlp.endpoint is set"),
        ("{}", ENDPOINT, True, "OTEL_EXPORTER_OTLP_ENDPOINT, or one of a signal"),
        ("{}", {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False, "no endpoint is named"),
        ("{}", {**ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, False, "OTEL_METRICS_EXPORTER names another exporter"),
        ("{traces: true}", {**ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, True, "OTEL_EXPORTER_OTLP_ENDPOINT, or one"),
        ("{}", {**ENDPOINT, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "otlp"}, True, "OTEL_EXPORTER"),
        ("{enabled: true}", {"OTEL_SDK_DISABLED": "TRUE"}, False, "OTEL_SDK_DISABLED"),
        ("{enabled: true}", {"OTEL_SDK_DISABLED": "1"}, True, "telemetry.backend.otlp.enabled is true"),
    ],
)
def test_otlp_is_on_by_the_file_or_else_by_the_standard_variables(
    tmp_path: Path, otlp: str, variables: dict[str, str], on: bool, says: str
) -> None:
    status = explained(tmp_path, f"telemetry: {{backend: {{otlp: {otlp}}}}}", **variables)["otlp"]
    assert status.on is on
    assert status.reason.startswith(says)
