"""What the bridge tells of itself."""

import contextlib
import os
import platform
import resource
import time
from pathlib import Path

import pytest

from ff_observe.catalogue import process
from ff_observe.catalogue.bridge import BUILD_INFO, OUTPUT_ENABLED, PING_ENABLED, PINGS
from ff_observe.telemetry import process_metrics
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.version import VERSION


def test_the_versions_are_published() -> None:
    metrics = SelfMetrics()
    metrics.process_started()
    assert metrics.readings()[BUILD_INFO.name] == {(VERSION, platform.python_version()): 1.0}


def test_the_process_is_measured_when_asked_for_and_is_no_change() -> None:
    """Against the kernel's other ways to say the same."""
    metrics = SelfMetrics()
    before = metrics.version
    readings = {name: reading[()] for name, reading in metrics.readings().items() if name.startswith("process_")}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    assert metrics.version == before
    assert usage.ru_maxrss * 1024 / 4 < readings[process.RESIDENT_MEMORY.name] <= usage.ru_maxrss * 1024 * 1.01
    assert readings[process.CPU.name] == pytest.approx(usage.ru_utime + usage.ru_stime, rel=0.1)
    assert readings[process.MAX_FDS.name] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with contextlib.ExitStack() as opened:
        for _ in range(10):
            opened.enter_context(Path(os.devnull).open())
        assert metrics.readings()[process.OPEN_FDS.name][()] == readings[process.OPEN_FDS.name] + 10
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    assert time.time() - readings[process.START.name] == pytest.approx(age, abs=2)


def test_a_process_that_may_open_any_number_of_files_has_no_limit_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unlimited:
        def collect(self) -> list[object]:
            raise ValueError("could not convert string to float: b'unlimited'")

    monkeypatch.setattr(process_metrics, "_collector", Unlimited)
    assert process_metrics.process_readings() == {}


def test_the_version_stands_still_while_nothing_changes() -> None:
    metrics = SelfMetrics()
    metrics.set(OUTPUT_ENABLED, 1.0, "prometheus")
    before = metrics.version
    metrics.set(OUTPUT_ENABLED, 1.0, "prometheus")
    metrics.replace(OUTPUT_ENABLED, {("prometheus",): 1.0})
    assert metrics.version == before
    metrics.add(PINGS, "failed")
    assert metrics.version > before


def test_a_replaced_reading_leaves_no_old_label_values() -> None:
    metrics = SelfMetrics()
    metrics.set(PING_ENABLED, 1.0, "licence")
    metrics.replace(PING_ENABLED, {("file",): 0.0})
    assert metrics.readings()[PING_ENABLED.name] == {("file",): 0.0}


def test_an_output_delivers_while_all_its_parts_do() -> None:
    metrics = SelfMetrics()
    name = "ff_observe_output_last_delivery_successful"
    assert name not in metrics.readings()
    metrics.delivery("otlp", None, "metrics")
    metrics.delivery("otlp", "refused", "traces")
    metrics.delivery("otlp", None, "metrics")
    metrics.delivery("ping", None)
    assert metrics.readings()[name] == {("otlp",): 0.0, ("ping",): 1.0}
    assert metrics.failures() == {"otlp": "refused"}
    metrics.delivery("otlp", None, "traces")
    assert metrics.readings()[name] == {("otlp",): 1.0, ("ping",): 1.0}
    metrics.forget_delivery(metrics.delivery("otlp", "refused", "traces"))
    metrics.forget_delivery(metrics.delivery("otlp", None, "metrics"))
    assert metrics.readings()[name] == {("ping",): 1.0}
    assert metrics.failures() == {}


def test_a_delivery_is_forgotten_unless_another_followed() -> None:
    metrics = SelfMetrics()
    before = metrics.delivery("otlp", "refused", "metrics")
    last = metrics.delivery("otlp", None, "metrics")
    metrics.forget_delivery(before)
    assert metrics.deliveries() == {("otlp", "metrics"): last}
    metrics.forget_delivery(last)
    assert metrics.deliveries() == {}
