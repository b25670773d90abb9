"""OpenTelemetry's parts are made, and grpc is loaded, with the variables they need, and the program keeps its own."""

import os
import subprocess
import sys

import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from tests.real_parts.otlp import sink
from tests.unit.otlp.receivers import export_once, grpc_receiver

SET_TO_NOTHING = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
)

COLLECTOR = """
import os
from ff_observe.collector.settings import CollectorSettings
from ff_observe.running.wiring import collector_signals
from ff_observe.system.clock import SystemClock

before, clock = dict(os.environ), SystemClock()
[signals] = collector_signals(CollectorSettings(), clock)
signals.start()
signals.stop(clock.monotonic() + 5)
changed = dict(os.environ).items() ^ before.items()
assert not changed, changed
"""


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_variables_set_to_nothing_are_unset_for_opentelemetry_alone(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SET_TO_NOTHING:
        monkeypatch.setenv(name, "")
    before = dict(os.environ)
    with sink() as http, grpc_receiver() as (_, port):
        url = http.url if protocol == "http/protobuf" else f"http://127.0.0.1:{port}"
        assert export_once(OtlpSettings(endpoint=Secret(url), protocol=protocol)) == "delivered"
    assert dict(os.environ) == before


@pytest.mark.parametrize("verbosity", [{}, {"GRPC_VERBOSITY": "ERROR"}])
def test_a_program_keeps_its_variables_when_parts_are_made_and_grpc_is_loaded(verbosity: dict[str, str]) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_LOGS_EXPORTER": "otlp",
    }
    inherited = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    environment = {**inherited, **dict.fromkeys(SET_TO_NOTHING, ""), **variables, **verbosity}
    run = subprocess.run(
        [sys.executable, "-c", COLLECTOR], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
