"""`ff-observe run` and `check` with OTLP as an operator meets it: wrong variables, SIGHUP, a receiver that talks."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.network_guard import guarded_environment
from tests.platforms import case_named
from tests.real_parts.bridge import command, home_with, running_bridge, write_file
from tests.real_parts.otlp import sink
from tests.real_parts.processes import accepts, free_port, running, wait_until
from tests.unit.otlp import faulty, faulty_grpc

PLATFORM = case_named("v2.4.0-sqlite-ce")
SQLITE = "  type: sqlite\n"
SERVED = "  enabled: false\n  backend:\n    prometheus: {enabled: true, port: 0}\n"
DELIVERED = 'ff_observe_otlp_exports_total{outcome="delivered"}'
FAILED = 'ff_observe_otlp_exports_total{outcome="failed"}'


def with_otlp(**keys: object) -> str:
    """The `telemetry` section with these keys for OTLP."""
    return f"{SERVED}    otlp: {json.dumps(keys)}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = home_with(tmp_path / "home", SQLITE, SERVED)
    shutil.copyfile(PLATFORM.home / "var" / "forge.db", made / "var" / "forge.db")
    return made


def ff_observe(home: Path, action: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = guarded_environment(**variables)
    return subprocess.run(command("--home", home, action), env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("action", ["check", "run"])
def test_variables_that_cannot_be_used_are_named_all_at_once(home: Path, action: str) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer planted",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "10s",
        "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    }
    done = subprocess.run(
        command("--home", home, action),
        env=guarded_environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 78
    lines = done.stderr.splitlines()
    assert [line.split(": ")[:3] for line in sorted(lines)] == [
        ["ff-observe", "environment", name] for name in sorted(variables)[:3]
    ]
    assert "planted" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1")]
)
def test_a_variable_that_opentelemetry_itself_cannot_use_ends_the_start_in_words(
    home: Path, variable: str, value: str
) -> None:
    write_file(home, SQLITE, with_otlp(endpoint="http://127.0.0.1:9", traces=True))
    done = ff_observe(home, "run", **{variable: value})
    assert done.returncode == 1
    assert "a variable of OpenTelemetry cannot be used" in done.stderr
    assert variable.removeprefix("OTEL_").removeprefix("BSP_").lower() in done.stderr.lower()


def test_variables_do_not_matter_where_otlp_is_off(home: Path) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense", "OTEL_SDK_DISABLED": "true"}
    done = subprocess.run(
        command("--home", home, "check"),
        env=guarded_environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_a_reload_turns_otlp_on_rotates_its_key_and_turns_it_off(home: Path, tmp_path: Path) -> None:
    key = home / "etc" / "otlp-headers"
    with sink() as receiver, running_bridge(home, tmp_path) as bridge:
        assert bridge.value(DELIVERED) == bridge.value(FAILED) == 0
        assert bridge.value('ff_observe_output_enabled{output="otlp"}') == 0

        def sent_with(authorization: str) -> Callable[[], bool]:
            return lambda: any(headers.get("authorization") == authorization for headers in list(receiver.headers))

        key.write_text("Authorization: Bearer first-planted-key\n")
        write_file(home, SQLITE, with_otlp(endpoint=receiver.url, headers_file=key.name, traces=True, logs=True))
        bridge.signal(signal.SIGHUP)
        wait_until(sent_with("Bearer first-planted-key"), "an export with the first key")
        key.write_text("Authorization: Bearer second-planted-key\n")
        bridge.signal(signal.SIGHUP)
        wait_until(sent_with("Bearer second-planted-key"), "an export with the second key")
        wait_until(lambda: bridge.value(DELIVERED), "the exports to be counted")

        write_file(home, SQLITE, SERVED)
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.value('ff_observe_output_enabled{output="otlp"}') == 0, "OTLP to be off")
        assert receiver.spans()  # what was left was sent as it went
        assert receiver.logs()
        assert bridge.value(DELIVERED)  # a reload does not forget
        bridge.signal(signal.SIGTERM)
        assert bridge.wait() == 0
        assert "planted" not in bridge.log
        assert "planted" not in json.dumps(receiver.received)


def test_a_receiver_that_quotes_the_key_does_not_get_it_into_the_log(home: Path, tmp_path: Path) -> None:
    def quote(receiver: faulty_grpc.FaultyGrpc, request: bytes, context: object) -> bytes:
        said = dict(context.invocation_metadata())  # type: ignore[attr-defined]  # grpc has no type for it
        return faulty_grpc.refuse_because(context, f"wrong key {said['api-key']} or {said['authorization']}")

    with faulty_grpc.faulty_grpc() as receiver:
        receiver.behaviour = quote
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=one%2Fplanted,authorization=Basic%20planted",
        }
        with running_bridge(home, tmp_path, **variables) as bridge:
            wait_until(lambda: "wrong key ******** or ********" in bridge.log, "a refused export")
            assert "planted" not in bridge.log


def test_nor_into_the_log_of_the_collector(tmp_path: Path) -> None:
    def quote(request: faulty.Request) -> None:
        request.body()
        request.send_response(403, f"wrong key {request.headers['api-key']}")
        request.send_header("content-length", "0")
        request.end_headers()

    port = free_port()
    with faulty.faulty() as receiver:
        receiver.behaviour = quote
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=one%2Fplanted",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }
        arguments = command("collector", "run", "--data-dir", tmp_path / "data", "--listen", f"127.0.0.1:{port}")
        environment = guarded_environment(**variables)
        with running(arguments, tmp_path / "run", accepts(port), environment=environment):
            log = tmp_path / "run" / f"{Path(sys.executable).name}.log"
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", b"{")
            wait_until(lambda: "not delivered" in log.read_text(), "a refused export")
            assert "HTTP 403 (wrong key ********)" in log.read_text()
            assert "planted" not in log.read_text()


def test_an_endpoint_with_the_path_of_a_signal_is_told_what_is_added_to_it(home: Path, tmp_path: Path) -> None:
    def nothing_here(request: faulty.Request) -> None:
        request.body()
        request.reply(404)

    with faulty.faulty() as receiver:
        receiver.behaviour = nothing_here
        write_file(home, SQLITE, with_otlp(endpoint=f"{receiver.url}/v1/metrics"))
        with running_bridge(home, tmp_path) as bridge:
            wait_until(lambda: "HTTP 404" in bridge.log, "an export to a wrong path")
            assert "/v1/SIGNAL is added to the endpoint" in bridge.log
