"""Which outputs are on, and why."""

import re
from pathlib import Path

import pytest

from ff_observe.config import load_settings
from ff_observe.outputs import OUTPUTS, statuses
from ff_observe.outputs.model import Output, Status
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.sending import send_once
from ff_observe.platform.sources.model import Licence
from tests.unit.ping import samples


class Recorder:
    """A sender that keeps what it is given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def send(self, body: bytes) -> Outcome:
        self.bodies.append(body)
        return Outcome(Result.DELIVERED, "taken")

    def abort(self) -> None:
        pass


FOLDER = Path(__file__).resolve().parents[2] / "data" / "config"


def found(home: Path, text: str, **variables: str) -> dict[str, Status]:
    file = home / "flowforge.yml"
    file.write_text(text)
    settings = load_settings(home=home, config=file, variables=variables)
    return {output.name: status for output, status in statuses(settings, None)}


def test_by_default_everything_is_off_but_the_ping_which_the_database_decides(tmp_path: Path) -> None:
    outputs = found(tmp_path, "port: 1")
    assert {name: status.on for name, status in outputs.items()} == {
        output.name: None if output.name == "ping" else False for output in OUTPUTS
    }
    assert outputs["ping"].reason == "the platform's database decides: set-up, licence and the administrators' setting"
    assert outputs["prometheus"].reason == "telemetry.backend.prometheus.bridge_enabled is not true"


def test_with_everything_configured_every_output_but_the_refused_ping_is_on_and_no_secret_is_shown(
    tmp_path: Path,
) -> None:
    settings = load_settings(home=tmp_path, config=FOLDER / "good-everything.yml", variables={})
    outputs = {output.name: status for output, status in statuses(settings, None)}
    off = [name for name, status in outputs.items() if not status.on]
    assert off == ["ping"], "tests/data/config/good-everything.yml: add the key that switches it on"
    assert all("held until the visitor consents" in outputs[name].reason for name in outputs if "frontend" in name)
    shown = repr(outputs)
    for secret in ("example.com", "key@", "secret", "token", "phc_key"):
        assert secret not in shown


STOPPED_BY_A_KEY = [
    (output, key)
    for output in OUTPUTS
    for key, unless in re.findall(r"`(telemetry\S+): false`(.*)", output.stop)
    if not unless.startswith(" on a platform")
]


@pytest.mark.parametrize(("output", "key"), STOPPED_BY_A_KEY, ids=[key for _, key in STOPPED_BY_A_KEY])
def test_the_key_that_is_named_to_stop_an_output_stops_it_with_everything_configured(
    output: Output, key: str, tmp_path: Path
) -> None:
    file = FOLDER / "good-everything.yml"
    settings = load_settings(home=tmp_path, config=file, variables={}, assignments=[(key, "false")])
    assert {one.name: status.on for one, status in statuses(settings, None)}[output.name] is False


@pytest.mark.parametrize(
    ("text", "variables", "on", "says"),
    [
        ("telemetry: {enabled: true}", {}, None, "the platform's database decides"),
        ("telemetry: {enabled: false}", {}, None, "telemetry.enabled is false, which stops it unless"),
        ("telemetry: {enabled: true}", {"DO_NOT_TRACK": "1"}, None, "DO_NOT_TRACK is set, which stops it unless"),
        ("telemetry: {enabled: true}", {"FF_TELEMETRY_DISABLED": "0"}, False, "FF_TELEMETRY_DISABLED is set"),
        ("housekeeper: false", {}, False, "flowforge.yml says `housekeeper: false`"),
    ],
)
def test_without_the_database_the_ping_is_decided_only_where_the_database_cannot_change_it(
    tmp_path: Path, text: str, variables: dict[str, str], on: bool | None, says: str
) -> None:
    status = found(tmp_path, text, **variables)["ping"]
    assert status.on is on
    assert status.reason.removeprefix(f"{tmp_path}/").startswith(says)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("licence", [None, samples.LICENCE])
def test_with_the_database_the_status_of_the_ping_is_what_its_gate_decides(
    enabled: bool, licence: Licence | None
) -> None:
    snapshot, settings = samples.snapshot(licence=licence), samples.settings(enabled=enabled)
    status = {output.name: status for output, status in statuses(settings, snapshot)}["ping"]
    sender = Recorder()
    sent = send_once(snapshot, settings, samples.OPERATING_SYSTEM, sender)
    assert status.on is bool(sender.bodies)
    assert status.reason == sent.decision.explanation


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
    status = found(tmp_path, f"telemetry: {{backend: {{otlp: {otlp}}}}}", **variables)["otlp"]
    assert status.on is on
    assert status.reason.startswith(says)
