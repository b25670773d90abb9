"""The environment variables, and the type that hides secrets."""

import json
import logging
import pickle

import pytest

from ff_observe.config.environment import Environment, read_environment
from ff_observe.config.secret import Secret
from ff_observe.telemetry.redaction import Redactor, known_secrets


def test_empty_variables_count_as_unset() -> None:
    names = ("FLOWFORGE_HOME", "SENTRY_ENV", "NODE_ENV", "FF_TELEMETRY_DISABLED", "DO_NOT_TRACK", "OTEL_SDK_DISABLED")
    assert read_environment(dict.fromkeys(names, "")) == Environment(otlp_variables={}) == read_environment({})


@pytest.mark.parametrize(
    ("sentry", "node", "name"),
    [("a", "b", "a"), ("", "b", "b"), (None, "b", "b"), ("", "", "unknown"), (None, None, "unknown")],
)
def test_the_deployment_is_named_by_sentry_env_else_node_env(sentry: str | None, node: str | None, name: str) -> None:
    variables = {key: value for key, value in (("SENTRY_ENV", sentry), ("NODE_ENV", node)) if value is not None}
    assert read_environment(variables).name == name


@pytest.mark.parametrize("value", ["1", "0", "false", " "])
def test_ff_telemetry_disabled_counts_whatever_it_holds(value: str) -> None:
    assert read_environment({"FF_TELEMETRY_DISABLED": value}).ff_telemetry_disabled


@pytest.mark.parametrize(
    ("value", "set_"), [("1", True), ("true", True), ("yes", True), ("0", False), ("False", False)]
)
def test_do_not_track_may_be_taken_back_by_zero_or_false(value: str, set_: bool) -> None:
    assert read_environment({"DO_NOT_TRACK": value}).do_not_track is set_


def test_a_secret_is_masked_wherever_it_is_printed(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("hush")
    logging.getLogger("test").warning("%s %r %5s", secret, secret, secret)
    shown = [
        str(secret),
        repr(secret),
        f"{secret} {secret!r} {secret:>20}",
        repr([secret]),
        str({"x": secret}),
        caplog.text,
    ]
    shown.append(json.dumps({"x": secret}, default=str))
    assert not any("hush" in text for text in shown)
    assert secret.reveal() == "hush"


def test_a_secret_is_neither_pickled_nor_a_json_value() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret("hush"))
    with pytest.raises(TypeError):
        json.dumps(Secret("hush"))


def test_secrets_are_compared_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_what_the_headers_of_otlp_hold_is_secret_as_it_is_written_and_as_it_is_sent() -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20cGxhbnRlZA%3D%3D,api-key=planted-key",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "not a header: planted-too",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://somebody:planted-password@127.0.0.1:4318/v1/traces",
    }
    redactor = Redactor(known_secrets(read_environment(variables)), personal=False)
    for quoted in (
        "Basic cGxhbnRlZA==",
        "cGxhbnRlZA==",
        "Basic%20cGxhbnRlZA%3D%3D",
        "planted-key",
        "not a header: planted-too",
        "planted-password",
    ):
        assert redactor.text(f"who is {quoted}?") == "who is ********?"


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy", "grpc_proxy"])
@pytest.mark.parametrize("scheme", ["http://", "socks5://", ""])
def test_the_password_of_a_proxy_is_secret_and_its_host_is_none(name: str, scheme: str) -> None:
    environment = read_environment({name: f"{scheme}operator:plant%2Bed1@proxy.example.com:3128"})
    redactor = Redactor(known_secrets(environment), personal=False)
    assert redactor.text("plant%2Bed1, <plant+ed1>") == "********, <********>"
    assert redactor.text("proxy.example.com:3128 refused operator") == "proxy.example.com:3128 refused operator"


def test_what_goes_past_the_proxies_is_no_secret() -> None:
    assert (
        read_environment({"NO_PROXY": "db.example.com", "no_proxy": "ping.example.com", "HTTP_PROXY": ""}).proxies == ()
    )
