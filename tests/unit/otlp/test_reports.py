"""Why exports are not delivered, as it is reported: short, and without any part of a secret that a receiver quotes."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

import ff_observe
from ff_observe.config.secret import MASK, Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.outputs.otlp.answers import MOST_OF_AN_ANSWER, problem_in
from ff_observe.outputs.otlp.reports import Reports
from ff_observe.problems import find_problems
from ff_observe.telemetry.redaction import Redactor
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.real_parts.many_platforms import sqlite_home
from tests.real_parts.processes import wait_until
from tests.unit.otlp import faulty
from tests.unit.otlp.watching import Heard
from tests.unit.ping.samples import settings, snapshot

KEY = "hcaik_01j4x8zq7v5t3n2m9k6w0r1y8p5d4s3f2g1h0j9k8l7"


def answer(said: str) -> bytes:
    partial = ExportMetricsPartialSuccess(rejected_data_points=3, error_message=said)
    return ExportMetricsServiceResponse(partial_success=partial).SerializeToString()


def reported(said: str) -> str:
    """What an output reports of a receiver that says this of the data it rejects."""
    metrics = SelfMetrics()
    problem = problem_in(answer(said), ExportMetricsServiceResponse)
    Reports("metrics", metrics, Redactor([KEY]))(lambda: problem, delivered=False)
    return metrics.failures()["otlp"]


@given(st.integers(0, 500))
@example(120)
def test_no_part_of_a_secret_is_left_wherever_the_reason_is_cut(before: int) -> None:
    reason = reported(f"{'x' * before} were rejected since the team {KEY} is over its quota")
    assert len(reason) <= 300
    assert not [KEY[start : start + 4] for start in range(len(KEY) - 4) if KEY[start : start + 4] in reason]


def test_a_reason_names_addresses_and_is_whole_if_it_is_short() -> None:
    assert reported("ask 10.0.0.1") == "it rejected 3 of what was sent: ask 10.0.0.1"
    assert reported("x" * 500).endswith("x…")


def test_an_answer_of_a_size_that_no_receiver_sends_is_not_read() -> None:
    assert problem_in(answer("x" * MOST_OF_AN_ANSWER), ExportMetricsServiceResponse) == (
        "its answer is too long for an OTLP receiver's"
    )


def test_a_key_that_a_receiver_quotes_is_in_no_log_and_on_no_page(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")

    def quote(request: faulty.Request) -> None:
        request.body()
        said = f"{'x' * 200} the team {request.headers['x-team']} is over its quota"
        request.reply(200, answer(said), content_type="application/x-protobuf")

    with faulty.faulty() as receiver:
        receiver.behaviour = quote
        read = ff_observe.load_settings(sqlite_home(tmp_path))
        otlp = OtlpSettings(endpoint=Secret(receiver.url), headers=(("x-team", Secret(KEY)),), traces=True)
        with ff_observe.build_bridge(replace(read, otlp=otlp)) as bridge:
            wait_until(lambda: len(bridge.self_metrics.deliveries()) == 2, "a failed export of each signal")
            deliveries = bridge.self_metrics.deliveries()
    reasons = {part: str(delivery.failure) for (output, part), delivery in deliveries.items() if output == "otlp"}
    assert {part: f"the team {MASK}" in reason for part, reason in reasons.items()} == {"metrics": True, "traces": True}
    assert KEY[:8] not in "\n".join(heard.from_level(logging.DEBUG))


def test_a_reason_that_was_cut_is_a_sentence_as_it_is() -> None:
    on = replace(settings(), otlp=OtlpSettings(endpoint=Secret("http://127.0.0.1:9")))
    found = find_problems(on, snapshot(), {}, {"otlp": reported("x" * 500)})
    assert [finding.detail[-3:] for finding in found if finding.id == "otlp-failing"] == ["xx…"]


def test_what_begins_with_a_secret_is_masked_before_it_becomes_a_sentence() -> None:
    key = "xkdf+29wq81z"
    on = replace(
        settings(), otlp=OtlpSettings(endpoint=Secret("http://127.0.0.1:9"), headers=(("x-team", Secret(key)),))
    )
    down = replace(snapshot(), up=False, failures={"flowfuse_users": f"{key} is no password"})
    details = [found.detail for found in find_problems(on, down, {}, {"otlp": f"{key} is over its quota"})]
    assert f"{MASK} is no password." in details
    assert f"{MASK} is over its quota." in details
