"""The OTLP output against receivers that fail in every way: it counts, says so once, recovers, and stops in time."""

import contextlib
import http.server
import logging
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.clock import SystemClock
from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.outputs.otlp.component import OtlpMetrics
from ff_observe.self_metrics import SelfMetrics
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import Installation
from tests.real_parts.processes import free_port, wait_until


class Still:
    """A platform on which nothing ever happens."""

    def __init__(self) -> None:
        self.asked = 0

    def current(self) -> Snapshot:
        self.asked += 1
        return Snapshot(
            datetime(2026, 11, 23, tzinfo=UTC),
            0.01,
            True,
            Installation(instance_id="af60f42a-fc6c-4f34-b050-6d89fcb458dc"),
            {"flowfuse_users": {(): 9}},
        )


class Faulty:
    """An OTLP receiver whose behaviour a test sets; `arrived` counts the exports it took whole."""

    def __init__(self) -> None:
        self.behaviour: Callable[[http.server.BaseHTTPRequestHandler], None] = take
        self.asked = 0
        self.arrived = 0
        self.let_go = threading.Event()
        self.port = 0


@contextlib.contextmanager
def faulty() -> Iterator[Faulty]:
    state = Faulty()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        faulty = state

        def do_POST(self) -> None:
            state.asked += 1
            state.behaviour(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _state(handler: http.server.BaseHTTPRequestHandler) -> Faulty:
    state = handler.faulty  # type: ignore[attr-defined]  # set by `faulty` on the class it makes
    assert isinstance(state, Faulty)
    return state


def take(handler: http.server.BaseHTTPRequestHandler) -> None:
    body = handler.rfile.read(int(handler.headers["content-length"]))
    ExportMetricsServiceRequest().ParseFromString(body)
    answer = ExportMetricsServiceResponse().SerializeToString()
    handler.send_response(200)
    handler.send_header("content-length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer)
    _state(handler).arrived += 1


def hang(handler: http.server.BaseHTTPRequestHandler) -> None:
    _state(handler).let_go.wait(10)
    handler.close_connection = True


def busy(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.rfile.read(int(handler.headers["content-length"]))
    handler.send_response(503)
    handler.send_header("retry-after", "30")
    handler.send_header("content-length", "0")
    handler.end_headers()


def drop(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.rfile.read(10)
    handler.connection.close()
    handler.close_connection = True


def garble(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.rfile.read(int(handler.headers["content-length"]))
    handler.wfile.write(b"\x00\xff not HTTP\r\n\r\n")
    handler.close_connection = True


def output(port: int, metrics: SelfMetrics, interval: float = 0.02, timeout: float = 0.3) -> OtlpMetrics:
    settings = OtlpSettings(
        enabled=True, endpoint=Secret(f"http://127.0.0.1:{port}"), timeout_seconds=timeout, interval_seconds=interval
    )
    return OtlpMetrics(settings, "http/protobuf", Still(), metrics, SystemClock(), "test", interval)


def exports(metrics: SelfMetrics, outcome: str) -> float:
    return metrics.readings()[OTLP_EXPORTS.name][(outcome,)]


@pytest.mark.parametrize("fault", [hang, busy, drop, garble])
def test_counts_arrive_again_after_a_receiver_recovered(
    fault: Callable[[http.server.BaseHTTPRequestHandler], None], caplog: pytest.LogCaptureFixture
) -> None:
    metrics, clock = SelfMetrics(), SystemClock()
    with caplog.at_level(logging.INFO), faulty() as receiver:
        receiver.behaviour = fault
        otlp = output(receiver.port, metrics)
        otlp.start()
        wait_until(lambda: exports(metrics, "failed") >= 2, "two failed exports")
        receiver.behaviour = take
        receiver.let_go.set()
        wait_until(lambda: exports(metrics, "delivered") >= 2, "two delivered exports")
        otlp.stop(clock.monotonic() + 5)
        assert receiver.arrived >= 2
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, [record.getMessage() for record in warnings]
    assert sum("delivered again" in record.getMessage() for record in caplog.records) == 1


def test_counts_arrive_once_a_receiver_is_started_that_was_down() -> None:
    metrics, clock = SelfMetrics(), SystemClock()
    otlp = output(free_port(), metrics)
    otlp.start()
    wait_until(lambda: exports(metrics, "failed") >= 1, "a failed export")
    otlp.stop(clock.monotonic() + 5)
    assert exports(metrics, "delivered") == 0


def test_a_hanging_receiver_delays_the_stop_by_the_deadline_at_most() -> None:
    metrics, clock = SelfMetrics(), SystemClock()
    with faulty() as receiver:
        receiver.behaviour = hang
        otlp = output(receiver.port, metrics, timeout=60)
        otlp.start()
        wait_until(lambda: receiver.asked, "an export under way")
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            otlp.stop(clock.monotonic() + 0.2)
        assert time.monotonic() - begun < 1
        receiver.let_go.set()  # the leak check sees that the thread then ends


def test_a_wait_between_two_tries_is_cut_short_by_the_stop() -> None:
    metrics, clock = SelfMetrics(), SystemClock()
    with faulty() as receiver:
        receiver.behaviour = busy
        otlp = output(receiver.port, metrics, timeout=120)
        otlp.start()
        wait_until(lambda: receiver.asked, "a refused export")
        begun = time.monotonic()
        otlp.stop(clock.monotonic() + 5)
        assert time.monotonic() - begun < 2


def test_stop_is_legal_before_start_and_twice() -> None:
    otlp = output(free_port(), SelfMetrics())
    otlp.stop(0)
    otlp.start()
    otlp.stop(SystemClock().monotonic() + 5)
    otlp.stop(SystemClock().monotonic() + 5)


def test_memory_stays_flat_over_ten_thousand_failed_exports() -> None:
    metrics = SelfMetrics()
    otlp = output(free_port(), metrics, interval=0.0)
    otlp.start()
    wait_until(lambda: exports(metrics, "failed") >= 1000, "a thousand failed exports", 60)
    tracemalloc.start()
    try:
        wait_until(lambda: exports(metrics, "failed") >= 2000, "the next thousand", 120)
        before = tracemalloc.get_traced_memory()[0]
        wait_until(lambda: exports(metrics, "failed") >= 10_000, "ten thousand failed exports", 240)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        otlp.stop(SystemClock().monotonic() + 5)
    assert after - before < 200_000, f"{after - before} bytes more after 8 000 failed exports"
