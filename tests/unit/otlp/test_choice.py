"""Which signals go over OTLP, where and how: the file wins, then the standard variables, where empty means unset."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.errors import ConfigurationError, FFObserveError
from ff_observe.outputs.otlp.choice import Signal, destinations
from tests.real_parts.certificates import make_certificate

HERE = "http://127.0.0.1:4318"
ON = OtlpSettings(enabled=True)


@pytest.mark.parametrize(
    ("protocol", "variables", "expected"),
    [
        (None, {}, "http/protobuf"),
        (None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        (None, {"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, "http/protobuf"),
        (
            None,
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf"},
            "http/protobuf",
        ),
        ("http/protobuf", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
    ],
)
def test_a_signals_own_variable_wins_over_the_general_one_and_the_file_over_both(
    protocol: str | None, variables: dict[str, str], expected: str
) -> None:
    chosen = destinations(OtlpSettings(enabled=True, protocol=protocol), variables)
    assert chosen["metrics"].protocol == expected


@pytest.mark.parametrize(
    ("settings", "variables", "expected"),
    [
        (ON, {}, {"metrics"}),
        (OtlpSettings(endpoint=Secret(HERE)), {}, {"metrics"}),
        (OtlpSettings(enabled=True, traces=True, logs=True), {}, {"metrics", "traces", "logs"}),
        (OtlpSettings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE}, {"metrics"}),
        (OtlpSettings(), {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": HERE}, {"traces"}),
        (OtlpSettings(), {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": HERE}, {"logs"}),
        (ON, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": ""}, {"metrics", "traces"}),
        (ON, {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": HERE}, {"metrics"}),
        (OtlpSettings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_METRICS_EXPORTER": "none"}, set()),
    ],
)
def test_a_signal_is_on_where_it_is_asked_for(
    settings: OtlpSettings, variables: Mapping[str, str], expected: set[str]
) -> None:
    assert set(destinations(settings, variables)) == expected


@pytest.mark.parametrize(
    ("settings", "variables", "expected"),
    [
        (ON, {}, "http://localhost:4318/v1/metrics"),
        (OtlpSettings(enabled=True, protocol="grpc"), {}, "http://localhost:4317"),
        (ON, {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE + "/base/"}, HERE + "/base/v1/metrics"),
        (ON, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": HERE + "/own"}, HERE + "/own"),
        (ON, {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE + "/base?key=1"}, HERE + "/base/v1/metrics?key=1"),
        (
            OtlpSettings(endpoint=Secret(HERE)),
            {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"},
            HERE + "/v1/metrics",
        ),
    ],
)
def test_the_path_of_the_signal_is_added_to_a_general_endpoint_only(
    settings: OtlpSettings, variables: Mapping[str, str], expected: str
) -> None:
    assert destinations(settings, variables)["metrics"].endpoint.reveal() == expected


@pytest.mark.parametrize(
    ("endpoint", "variables", "insecure"),
    [
        ("http://127.0.0.1:1", {"OTEL_EXPORTER_OTLP_INSECURE": "false"}, True),
        ("https://127.0.0.1:1", {"OTEL_EXPORTER_OTLP_INSECURE": "true"}, False),
        ("127.0.0.1:1", {}, False),
        ("127.0.0.1:1", {"OTEL_EXPORTER_OTLP_INSECURE": "true"}, True),
    ],
)
def test_the_scheme_says_whether_grpc_is_encrypted_and_without_one_a_variable_does(
    endpoint: str, variables: dict[str, str], insecure: bool
) -> None:
    variables = {**variables, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert destinations(OtlpSettings(), variables)["metrics"].insecure is insecure


def test_the_timeout_is_in_milliseconds_as_every_duration_of_the_specification() -> None:
    assert destinations(ON, {"OTEL_EXPORTER_OTLP_TIMEOUT": "2500"})["metrics"].timeout_seconds == 2.5
    assert destinations(ON, {"OTEL_EXPORTER_OTLP_TIMEOUT": ""})["metrics"].timeout_seconds == 10.0
    own = {"OTEL_EXPORTER_OTLP_TIMEOUT": "2500", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "500"}
    assert destinations(ON, own)["metrics"].timeout_seconds == 0.5


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "carrier pigeon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1" + "0" * 12),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9" * 5_000),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sideways"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(variable: str, value: str) -> None:
    with pytest.raises(FFObserveError, match=variable) as error:
        destinations(ON, {variable: value})
    assert value in str(error.value)


@pytest.mark.parametrize(
    "endpoint",
    ["planted:4318", "htp://planted@127.0.0.1", "http://?planted", "http://planted:99999", "http://[planted"],
)
def test_an_endpoint_that_is_no_url_is_told_by_its_name_and_not_shown(endpoint: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        destinations(OtlpSettings(traces=True), {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    [problem] = error.value.problems  # once, though two signals read it
    assert problem.key == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert "planted" not in str(problem)


def test_all_problems_are_told_at_once() -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "10s",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd",
    }
    with pytest.raises(ConfigurationError) as error:
        destinations(OtlpSettings(enabled=True, logs=True), variables)
    assert sorted(problem.key for problem in error.value.problems) == sorted(variables)


def test_headers_are_percent_decoded_and_those_of_a_signal_win_over_the_general_and_the_files_over_both() -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20a%3D%3D, X-Scope-OrgID = tenant ,empty=,",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-own=1",
    }
    chosen = destinations(
        OtlpSettings(enabled=True, traces=True, headers=(("X-SCOPE-ORGID", Secret("file")),)), variables
    )
    assert {name: value.reveal() for name, value in chosen["metrics"].headers} == {
        "authorization": "Basic a==",
        "x-scope-orgid": "file",
        "empty": "",
    }
    assert {name: value.reveal() for name, value in chosen["traces"].headers} == {"x-own": "1", "x-scope-orgid": "file"}


@pytest.mark.parametrize("signal", ["metrics", "traces", "logs"])
@pytest.mark.parametrize("named", ["", "METRICS_", "TRACES_", "LOGS_"])
def test_the_files_receiver_gets_nothing_that_is_for_another_one(named: str, signal: Signal, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    settings = OtlpSettings(endpoint=Secret(HERE), headers=(("x-file", Secret("own")),))
    for prefix in ("", f"{signal.upper()}_"):
        variables = {
            f"OTEL_EXPORTER_OTLP_{named}ENDPOINT": "https://another.example.com",
            f"OTEL_EXPORTER_OTLP_{prefix}HEADERS": "authorization=planted",
            f"OTEL_EXPORTER_OTLP_{prefix}CERTIFICATE": str(certificate),
            f"OTEL_EXPORTER_OTLP_{prefix}CLIENT_CERTIFICATE": str(certificate),
            f"OTEL_EXPORTER_OTLP_{prefix}CLIENT_KEY": str(key),
            f"OTEL_EXPORTER_OTLP_{prefix}PROTOCOL": "grpc",
            f"OTEL_EXPORTER_OTLP_{prefix}COMPRESSION": "gzip",
            f"OTEL_EXPORTER_OTLP_{prefix}TIMEOUT": "1",
        }
        assert set(destinations(settings, variables)) == {"metrics"}
        everything = replace(settings, traces=True, logs=True)
        assert destinations(everything, variables)[signal] == destinations(everything, {})[signal]


@pytest.mark.parametrize("endpoint", [HERE, HERE + "/", HERE + "/v1/traces"])
def test_variables_that_name_the_files_receiver_complete_what_the_file_says(endpoint: str) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=key",
    }
    chosen = destinations(OtlpSettings(endpoint=Secret(HERE)), variables)
    assert {signal: each.endpoint.reveal() for signal, each in chosen.items()} == {
        "metrics": HERE + "/v1/metrics",
        "traces": HERE + "/v1/traces",
    }
    assert all(dict(each.headers)["authorization"].reveal() == "key" for each in chosen.values())


@pytest.mark.parametrize(
    "headers", ["Authorization: Basic planted", "planted", "a b=planted", "a=planted%0Ab", "=planted"]
)
def test_headers_that_are_none_are_told_without_their_value(headers: str) -> None:
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_HEADERS") as error:
        destinations(ON, {"OTEL_EXPORTER_OTLP_HEADERS": headers})
    assert "planted" not in str(error.value)


def test_certificates_come_from_the_file_or_the_variables(tmp_path: Path) -> None:
    theirs, key = make_certificate(tmp_path)
    ours = tmp_path / "ours.pem"
    variables = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(theirs),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(theirs),
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY": str(key),
    }
    chosen = destinations(OtlpSettings(enabled=True, certificate=ours), variables)["metrics"]
    assert (chosen.certificate, chosen.client_certificate, chosen.client_key) == (ours, theirs, key)
    assert destinations(ON, variables)["metrics"].certificate == theirs


def test_a_client_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for shown, with_key in ((certificate, None), (None, key), (certificate, nonsense), (nonsense, key)):
        variables = {
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(shown or ""),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(with_key or ""),
        }
        with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"):
            destinations(ON, variables)
    with pytest.raises(ConfigurationError, match=r"OTEL_EXPORTER_OTLP_CERTIFICATE: .* holds no certificate in PEM"):
        destinations(ON, {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(nonsense)})


@pytest.mark.parametrize(
    ("settings", "variables", "expected"),
    [
        (OtlpSettings(enabled=True, interval_seconds=15), {"OTEL_METRIC_EXPORT_INTERVAL": "5000"}, 15.0),
        (ON, {"OTEL_METRIC_EXPORT_INTERVAL": "5000"}, 5.0),
        (ON, {"OTEL_METRIC_EXPORT_INTERVAL": ""}, 60.0),
        (ON, {}, 60.0),
    ],
)
def test_the_interval_is_a_minute_unless_told(
    settings: OtlpSettings, variables: dict[str, str], expected: float
) -> None:
    assert destinations(settings, variables)["metrics"].interval_seconds == expected


@pytest.mark.parametrize("text", ["soon", "0", "nan", "-5"])
def test_an_interval_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(FFObserveError, match="OTEL_METRIC_EXPORT_INTERVAL"):
        destinations(ON, {"OTEL_METRIC_EXPORT_INTERVAL": text})
