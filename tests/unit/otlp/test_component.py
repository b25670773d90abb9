"""The OTLP output against receivers that fail in every way: it counts, says so once, recovers, and stops in time."""

import gc
import logging
import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.clock import SystemClock
from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.outputs.otlp import component
from ff_observe.outputs.otlp.choice import destinations
from ff_observe.outputs.otlp.component import OtlpMetrics
from ff_observe.outputs.otlp.exporters import Exporting
from ff_observe.outputs.otlp.resource import SpeakingResource
from ff_observe.self_metrics import SelfMetrics
from tests.fakes import FakeClock
from tests.real_parts.processes import free_port, wait_until
from tests.unit.otlp import faulty
from tests.unit.otlp.faulty import Behaviour, Still

CLOCK = SystemClock()
OPEN_FILES = Path("/proc/self/fd")


class Heard(logging.Handler):
    """What reaches the root logger, where the bridge's own log is written from."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def from_level(self, level: int) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno >= level]


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, root = Heard(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def output(port: int, metrics: SelfMetrics, interval: float = 0.02, timeout: float = 0.3) -> OtlpMetrics:
    settings = OtlpSettings(
        enabled=True, endpoint=Secret(f"http://127.0.0.1:{port}"), timeout_seconds=timeout, interval_seconds=interval
    )
    resource = SpeakingResource("ff-observe", "test")
    return OtlpMetrics(destinations(settings, {})["metrics"], resource, Still(), metrics, CLOCK, interval)


def exports(metrics: SelfMetrics, outcome: str) -> float:
    return metrics.readings()[OTLP_EXPORTS.name][(outcome,)]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faulty.hang, "did not answer in time"),
        (faulty.drip, "did not answer in time"),
        (faulty.busy, "HTTP 503"),
        (faulty.drop, "closed the connection|could not be reached: Connection reset"),
        (faulty.garble, "not HTTP"),
        (faulty.answer_nonsense, "its answer is malformed"),
        (faulty.answer_a_page, "no OTLP receiver"),
        (faulty.answer_at_length, "too long"),
        (faulty.redirect, "redirect"),
        (faulty.reject, "HTTP 400"),
        (faulty.take_a_part, "rejected 3 of what was sent: too many labels"),
    ],
)
def test_counts_arrive_again_after_a_receiver_recovered_and_the_log_says_so_once(
    fault: Behaviour, reason: str, heard: Heard
) -> None:
    metrics = SelfMetrics()
    with faulty.faulty() as receiver:
        receiver.behaviour = fault
        otlp = output(receiver.port, metrics)
        otlp.start()
        wait_until(lambda: exports(metrics, "failed") >= 2, "two failed exports")
        assert exports(metrics, "delivered") == 0
        receiver.behaviour = faulty.take
        receiver.let_go.set()
        wait_until(lambda: exports(metrics, "delivered") >= 2, "two delivered exports")
        otlp.stop(CLOCK.monotonic() + 5)
        assert receiver.arrived >= 2
    [warning] = heard.from_level(logging.WARNING)
    assert re.search(reason, warning), warning
    assert sum("delivered again" in line for line in heard.from_level(logging.INFO)) == 1


def test_a_receiver_that_asks_for_a_moment_is_given_it_within_the_same_export() -> None:
    metrics = SelfMetrics()
    with faulty.faulty() as receiver:
        receiver.behaviour = faulty.busy_for_a_moment
        otlp = output(receiver.port, metrics, interval=60, timeout=5)
        otlp.start()
        wait_until(lambda: exports(metrics, "delivered") == 1, "the second try")
        otlp.stop(CLOCK.monotonic() + 5)
        assert (receiver.asked, receiver.arrived) == (2, 1)
    assert exports(metrics, "failed") == 0


def test_counts_arrive_once_a_receiver_is_started_that_was_down(heard: Heard) -> None:
    metrics = SelfMetrics()
    otlp = output(free_port(), metrics)
    otlp.start()
    wait_until(lambda: exports(metrics, "failed") >= 1, "a failed export")
    otlp.stop(CLOCK.monotonic() + 5)
    assert exports(metrics, "delivered") == 0
    [warning] = heard.from_level(logging.WARNING)
    assert "Connection refused" in warning or "no connection" in warning or "could not be reached" in warning


@pytest.mark.parametrize("fault", [faulty.hang, faulty.drip, faulty.busy])
def test_an_export_that_does_not_end_is_cut_off_at_the_stop(fault: Behaviour) -> None:
    with faulty.faulty() as receiver:
        receiver.behaviour = fault
        otlp = output(receiver.port, SelfMetrics(), timeout=60)
        otlp.start()
        wait_until(lambda: receiver.asked, "an export under way")
        begun = time.monotonic()
        otlp.stop(CLOCK.monotonic() + 5)
        assert time.monotonic() - begun < component.GRACE_SECONDS + 1


def test_an_export_under_way_may_end_when_the_bridge_stops() -> None:
    metrics = SelfMetrics()
    with faulty.faulty() as receiver:

        def slowly(request: faulty.Request) -> None:
            receiver.let_go.wait(0.3)
            faulty.take(request)

        receiver.behaviour = slowly
        otlp = output(receiver.port, metrics, timeout=60)
        otlp.start()
        wait_until(lambda: receiver.asked, "an export under way")
        otlp.stop(CLOCK.monotonic() + 5)
    assert exports(metrics, "delivered") == 1


def test_stop_is_legal_before_start_and_twice() -> None:
    otlp = output(free_port(), SelfMetrics())
    otlp.stop(0)
    otlp.start()
    otlp.stop(CLOCK.monotonic() + 5)
    otlp.stop(CLOCK.monotonic() + 5)


def test_the_sdk_stays_quiet_while_one_output_takes_over_from_another(heard: Heard) -> None:
    first, second = output(free_port(), SelfMetrics()), output(free_port(), SelfMetrics())
    sdk = logging.getLogger("opentelemetry.sdk")
    first.start()
    second.start()
    first.stop(CLOCK.monotonic() + 5)
    sdk.error("a complaint")
    second.stop(CLOCK.monotonic() + 5)
    assert "a complaint" not in heard.from_level(logging.INFO)
    sdk.error("of somebody else")
    assert "of somebody else" in heard.from_level(logging.INFO)


class Refusing(MetricExporter):
    """The SDK's exporter with nothing behind it but a refusal."""

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> MetricExportResult:
        logging.getLogger("opentelemetry.exporter").error("Failed to export metrics batch")
        return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        pass


def test_memory_stays_flat_over_ten_thousand_failed_exports(monkeypatch: pytest.MonkeyPatch, heard: Heard) -> None:
    exporting = Exporting(Refusing(), lambda: None, lambda: None)
    monkeypatch.setattr(component, "metric_exporter", lambda _: exporting)
    metrics, clock = SelfMetrics(), FakeClock()
    settings = OtlpSettings(enabled=True)
    resource = SpeakingResource("ff-observe", "test")
    otlp = OtlpMetrics(destinations(settings, {})["metrics"], resource, Still(), metrics, clock, 60.0)
    otlp.start()
    clock.await_waiters(1)
    clock.advance(60.0 * 999)
    gc.collect()
    before = len(gc.get_objects())
    clock.advance(60.0 * 9_000)
    gc.collect()
    after = len(gc.get_objects())
    otlp.stop(clock.monotonic() + 5)
    assert exports(metrics, "failed") == 10_000
    assert after - before < 500, f"{after - before} objects more"
    assert len(heard.from_level(logging.INFO)) == 1


def test_a_receiver_that_is_down_costs_no_memory_and_no_connections() -> None:
    metrics = SelfMetrics()
    otlp = output(free_port(), metrics, interval=0.0)
    otlp.start()
    wait_until(lambda: exports(metrics, "failed") >= 50, "failed exports")
    tracemalloc.start()
    try:
        wait_until(lambda: exports(metrics, "failed") >= 100, "more failed exports")
        gc.collect()
        before, files_before = tracemalloc.get_traced_memory()[0], len(list(OPEN_FILES.iterdir()))
        wait_until(lambda: exports(metrics, "failed") >= 300, "many more")
        gc.collect()
        after, files_after = tracemalloc.get_traced_memory()[0], len(list(OPEN_FILES.iterdir()))
    finally:
        tracemalloc.stop()
        otlp.stop(CLOCK.monotonic() + 5)
    assert after - before < 100_000, f"{after - before} bytes more after some 200 failed exports"
    assert files_after - files_before < 5
