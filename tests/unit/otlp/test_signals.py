"""Traces and logs of the bridge's own work: what they say, what they never say, and how they end."""

import logging
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.errors import FFObserveError, SourceError
from ff_observe.outputs.otlp import component
from ff_observe.outputs.otlp.choice import destinations
from ff_observe.outputs.otlp.component import OtlpSignals
from ff_observe.outputs.otlp.resource import ServiceResource, service_instance_id
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry import tracing
from ff_observe.telemetry.log import JSONFormatter
from ff_observe.telemetry.redaction import Redactor
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.pace import pace, within
from tests.real_parts.otlp import Sink, attributes, sink
from tests.real_parts.processes import wait_until
from tests.unit.otlp import faulty
from tests.unit.otlp.watching import Heard, exports

CLOCK = SystemClock()
PASSWORD = "planted-database-password"
log = logging.getLogger("ff_observe.test")


def signals(
    url: str, metrics: SelfMetrics | None = None, *, with_tracebacks: bool = True, timeout: float = 30
) -> OtlpSignals:
    settings = OtlpSettings(enabled=True, endpoint=Secret(url), timeout_seconds=timeout, traces=True, logs=True)
    return OtlpSignals(
        destinations(settings, {}),
        ServiceResource("ff-observe", "test", lambda: faulty.INSTANCE_ID),
        metrics,
        CLOCK,
        Redactor([PASSWORD]),
        with_tracebacks=with_tracebacks,
    )


@contextmanager
def sending(*, with_tracebacks: bool = True) -> Iterator[Sink]:
    """Everything is at the sink when the block has ended."""
    log.setLevel(logging.INFO)
    with sink() as receiver:
        sent = signals(receiver.url, with_tracebacks=with_tracebacks)
        sent.start()
        try:
            yield receiver
        finally:
            sent.stop(CLOCK.monotonic() + 5)


def test_spans_nest_and_carry_their_attributes() -> None:
    with (
        sending() as receiver,
        tracing.span("outer"),
        tracing.span("inner", "client", db__system__name="sqlite") as span,
    ):
        span.set_attribute("ff_observe.outcome", "ok")
    inner, outer = receiver.spans()
    assert (outer["name"], inner["name"]) == ("outer", "inner")
    assert inner["parentSpanId"] == outer["spanId"]
    assert inner["kind"] == "SPAN_KIND_CLIENT"
    assert attributes(inner) == {"db.system.name": "sqlite", "ff_observe.outcome": "ok"}
    assert receiver.resource_of("/v1/traces")["service.instance.id"] == service_instance_id(faulty.INSTANCE_ID)


def test_an_exception_marks_its_span_as_failed_and_is_not_told_there() -> None:
    with sending() as receiver, pytest.raises(SourceError), tracing.span("snapshot"):
        raise SourceError(f"cannot log in with {PASSWORD}")
    [span] = receiver.spans()
    assert span["status"] == {"code": "STATUS_CODE_ERROR"}
    assert attributes(span) == {"error.type": "SourceError"}
    assert "events" not in span


def test_work_in_another_thread_belongs_to_the_first_who_waits_and_is_linked_to_the_others() -> None:
    with sending() as receiver:
        contexts = []
        for _ in range(2):
            with tracing.span("request", "server"):
                contexts.append(tracing.here())
        with tracing.span("commit", after=[*contexts, None]):
            pass
    first, second, commit = receiver.spans()
    assert commit["parentSpanId"] == first["spanId"]
    assert [link["spanId"] for link in commit["links"]] == [second["spanId"]]


def test_a_log_line_carries_its_trace_over_otlp_and_on_standard_error(caplog: pytest.LogCaptureFixture) -> None:
    with sending() as receiver, tracing.span("snapshot"):
        log.info("reading")
        line = JSONFormatter(Redactor()).format(caplog.records[-1])
    [span], [record] = receiver.spans(), receiver.logs()
    assert (record["traceId"], record["spanId"]) == (span["traceId"], span["spanId"])
    assert record["severityText"] == "INFO"
    assert record["body"] == {"stringValue": "reading"}
    trace_id, span_id = (bytes_in_hexadecimal(span[name]) for name in ("traceId", "spanId"))
    assert f'"trace_id": "{trace_id}", "span_id": "{span_id}"' in line
    assert "trace_id" not in JSONFormatter(Redactor()).format(caplog.records[-1])  # nothing under way any more


def bytes_in_hexadecimal(base64: str) -> str:
    return b64decode(base64).hex()


def test_secrets_and_addresses_never_leave_in_a_log_record() -> None:
    with sending() as receiver:
        error = OSError(f"no connection from 198.51.100.23 with {PASSWORD}")
        message = "postgresql://forge:%s@127.0.0.1/flowforge cannot be read for jane@example.org"
        log.error(message, PASSWORD, exc_info=error)
    [record] = receiver.logs()
    told = attributes(record)
    assert told["exception.type"] == "OSError"
    assert "OSError: no connection from" in str(told["exception.stacktrace"])
    for planted in (PASSWORD, "198.51.100.23", "jane@example.org"):
        assert planted not in str(record)


def test_half_a_character_costs_no_record() -> None:
    with sending() as receiver:
        log.warning("before")
        log.error("half a pair: \ud800", exc_info=ValueError("odd \ud800"))
    before, odd = receiver.logs()
    assert before["body"] == {"stringValue": "before"}
    assert odd["body"] == {"stringValue": "half a pair: ?"}
    assert attributes(odd)["exception.message"] == "odd ?"


def test_without_tracebacks_an_error_is_a_line_and_a_type() -> None:
    with sending(with_tracebacks=False) as receiver:
        log.error("it failed", exc_info=OSError("told to Sentry"))
    [record] = receiver.logs()
    assert set(attributes(record)) == {"thread.name", "exception.type"}


def test_sampling_is_by_the_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with sending() as receiver, tracing.span("snapshot"):
        pass
    assert receiver.spans() == []


def test_a_share_of_the_traces_is_sent_where_the_variables_ask_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    with sending() as receiver:
        for _ in range(200):
            with tracing.span("outer"), tracing.span("inner"):
                pass
    names = [span["name"] for span in receiver.spans()]
    assert names.count("outer") == names.count("inner")
    assert 40 < names.count("outer") < 160  # one in 10^17 fails by chance


def test_a_variable_that_the_sdk_goes_on_without_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "bogus")
    with sending():
        pass
    assert "bogus" in caplog.text


def test_a_variable_that_the_sdk_cannot_go_on_with_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")  # less than a batch
    sent = signals("http://127.0.0.1:9")
    with pytest.raises(FFObserveError, match="max_queue_size"):
        sent.start()
    sent.stop(CLOCK.monotonic() + 5)
    assert not tracing.is_on()


def test_nobody_is_listening_before_the_start_and_after_the_stop() -> None:
    assert not tracing.is_on()
    with sending():
        assert tracing.is_on()
    assert not tracing.is_on()
    with tracing.span("unheard") as span:
        span.set_attribute("ff_observe.outcome", "ok")
        span.fail("nobody knows")
    assert tracing.here() is None
    assert tracing.current_ids() is None


@pytest.mark.parametrize("fault", [faulty.hang, faulty.busy, faulty.drop])
def test_what_a_faulty_receiver_does_not_take_delays_the_stop_by_little_and_is_counted(
    fault: faulty.Behaviour,
) -> None:
    metrics = SelfMetrics()
    with faulty.faulty() as receiver:
        receiver.behaviour = fault
        sent = signals(receiver.url, metrics)
        sent.start()
        with tracing.span("snapshot"):
            pass
        with within(component.GRACE_SECONDS + 1.5):
            sent.stop(CLOCK.monotonic() + 5)
            sent.stop(CLOCK.monotonic() + 5)
    wait_until(lambda: metrics.readings()[OTLP_EXPORTS.name][("failed",)] >= 1, "the failure to be counted")


@pytest.mark.parametrize("fault", [faulty.reject, faulty.drop, faulty.answer_nonsense])
def test_traces_and_logs_arrive_again_after_a_receiver_recovered_and_the_log_says_so_once_for_each(
    fault: faulty.Behaviour, monkeypatch: pytest.MonkeyPatch, heard: Heard
) -> None:
    for processor in ("BSP", "BLRP"):
        monkeypatch.setenv(f"OTEL_{processor}_SCHEDULE_DELAY", "20")
    metrics = SelfMetrics()

    def take(request: faulty.Request) -> None:
        request.body()
        request.reply(200)
        request.faulty.arrived += 1

    def said() -> list[str]:
        lines = [line for line in heard.from_level(logging.INFO) if line.startswith("OTLP")]
        return sorted(line.partition(":")[0] for line in lines)

    def work_until(outcome: str, number: int, lines: int) -> None:
        def worked() -> bool:
            with tracing.span("snapshot"):
                log.warning("work")
            return exports(metrics, outcome) >= number and len(said()) >= lines

        wait_until(worked, f"exports that are {outcome}")

    with faulty.faulty() as receiver:
        receiver.behaviour = fault
        sent = signals(receiver.url, metrics, timeout=0.3 * pace().slowness)
        sent.start()
        work_until("failed", 4, lines=2)
        receiver.behaviour = take
        work_until("delivered", 4, lines=4)
        sent.stop(CLOCK.monotonic() + 5)
        assert receiver.arrived >= 4
    assert said() == [
        "OTLP logs are delivered again",
        "OTLP logs are not delivered",
        "OTLP traces are delivered again",
        "OTLP traces are not delivered",
    ]
