"""Hundreds of exports to where nobody listens cost nothing that stays: of all three signals, by both protocols."""

import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import lt, sub
from pathlib import Path

import pytest

from ff_observe.catalogue.process import RESIDENT_MEMORY
from ff_observe.config.secret import Secret
from ff_observe.config.settings import OtlpSettings
from ff_observe.outputs.otlp.choice import destinations
from ff_observe.outputs.otlp.component import OtlpSignals
from ff_observe.outputs.otlp.resource import ServiceResource
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry import tracing
from ff_observe.telemetry.process_metrics import process_readings
from ff_observe.telemetry.redaction import Redactor
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.pace import in_full
from tests.real_parts.processes import free_port, wait_until
from tests.unit.otlp.faulty import Still
from tests.unit.otlp.watching import CLOCK, Heard, exports, output

OPEN_FILES = Path("/proc/self/fd")
EXPORTS = in_full(10_000, 250)
MOST = (EXPORTS // 50, EXPORTS // 2, 5, in_full(2_000_000, 1_000_000))
TIMEOUT = 0.5  # less than the pause before a second try: each export fails at once
A_WHILE = 1_800.0
pytestmark = pytest.mark.timeout(2 * A_WHILE)
log = logging.getLogger("ff_observe.test")


def assert_flat(metrics: SelfMetrics, more_exports: Callable[[int], None]) -> None:
    """What is there after as many failed exports as fill every cache and arena is there after as many again, but for
    less than `MOST`. Something else in the process can take more at the same time: a leak grows in all three rounds."""
    more_exports(EXPORTS)
    rounds: list[tuple[float, ...]] = []
    for number in (2, 3, 4):
        before = held()
        more_exports(number * EXPORTS)
        rounds.append(tuple(map(sub, held(), before)))
        if all(map(lt, rounds[-1], MOST)):
            break
    else:
        pytest.fail(f"objects, blocks, open files and bytes more, after {EXPORTS} exports each time: {rounds}")
    assert exports(metrics, "failed") >= 2 * EXPORTS
    assert exports(metrics, "delivered") == 0


def held() -> tuple[float, ...]:
    """Objects, blocks of memory (of texts too), open files and bytes. No export is under way meanwhile: one holds
    hundreds of objects."""
    gc.collect()
    files = len(list(OPEN_FILES.iterdir()))
    return len(gc.get_objects()), sys.getallocatedblocks(), files, process_readings()[RESIDENT_MEMORY.name][()]


class Rationed(Still):
    """A platform of which as many snapshots are taken as `allowed` is released for."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = threading.Semaphore(0)

    def current(self) -> Snapshot:
        self.allowed.acquire()
        return super().current()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_failed_exports_of_metrics_cost_no_memory(protocol: str, heard: Heard) -> None:
    metrics = SelfMetrics()
    platform = Rationed()
    otlp = output(free_port(), metrics, interval=0.0, timeout=TIMEOUT, protocol=protocol, platform=platform)

    def more_exports(until: int) -> None:
        platform.allowed.release(until - int(exports(metrics, "failed")))
        wait_until(lambda: exports(metrics, "failed") >= until, f"{until} failed exports", A_WHILE)

    otlp.start()
    try:
        assert_flat(metrics, more_exports)
    finally:
        platform.allowed.release()
        otlp.stop(CLOCK.monotonic() + 5)
    assert len(heard.from_level(logging.INFO)) == 1


@contextmanager
def log_of_the_output_alone() -> Iterator[Heard]:
    """What else is logged, thousands of times, pytest would keep; a fixture would come too early to hinder it."""
    bridge, output_log, heard = logging.getLogger("ff_observe"), logging.getLogger("ff_observe.outputs.otlp"), Heard()
    output_log.addHandler(heard)
    log.setLevel(logging.INFO)
    bridge.propagate = False
    yield heard
    bridge.propagate = True
    log.setLevel(logging.NOTSET)
    output_log.removeHandler(heard)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_failed_exports_of_traces_and_logs_cost_no_memory(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for processor in ("BSP", "BLRP"):
        monkeypatch.setenv(f"OTEL_{processor}_MAX_EXPORT_BATCH_SIZE", "1")  # each span, each record is an export
    metrics = SelfMetrics()
    settings = OtlpSettings(
        endpoint=Secret(f"http://127.0.0.1:{free_port()}"),
        protocol=protocol,
        timeout_seconds=TIMEOUT,
        traces=True,
        logs=True,
    )
    resource = ServiceResource("ff-observe", "test")
    otlp = OtlpSignals(destinations(settings, {}), resource, metrics, CLOCK, Redactor())

    def more_exports(until: int) -> None:
        while exports(metrics, "failed") < until:
            expected = exports(metrics, "failed") + 300
            for _ in range(150):  # less than a queue holds
                with tracing.span("snapshot"):
                    log.info("nobody hears this")
            wait_until(partial(reached, expected), f"{expected:.0f} failed exports", A_WHILE)

    def reached(expected: float) -> bool:
        return exports(metrics, "failed") >= expected

    with log_of_the_output_alone() as heard:
        otlp.start()
        try:
            assert_flat(metrics, more_exports)
        finally:
            otlp.stop(CLOCK.monotonic() + 5)
    assert len(heard.from_level(logging.WARNING)) == 2  # one for each signal
