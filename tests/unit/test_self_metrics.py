"""What the bridge tells of itself."""

import platform
import resource

import pytest

from ff_observe.catalogue.bridge import BUILD_INFO, OUTPUT_ENABLED, PING_ENABLED, PINGS, PROCESS_RESIDENT_MEMORY
from ff_observe.self_metrics import SelfMetrics, resident_memory_bytes
from ff_observe.version import VERSION
from tests.unit.web.platforms import MOMENT


def test_version_and_start_are_told() -> None:
    metrics = SelfMetrics()
    metrics.process_started(MOMENT)
    readings = metrics.readings()
    assert readings[BUILD_INFO.name] == {(VERSION, platform.python_version()): 1.0}
    assert readings["ff_observe_start_timestamp_seconds"] == {(): MOMENT.timestamp()}


def test_resident_memory_is_measured_when_asked_for_and_is_no_change() -> None:
    metrics = SelfMetrics()
    before = metrics.version
    measured = metrics.readings()[PROCESS_RESIDENT_MEMORY.name][()]
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert measured == pytest.approx(resident_memory_bytes(), rel=0.2)
    assert metrics.version == before
    assert peak_bytes / 4 < measured <= peak_bytes * 1.01


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
    metrics.delivery("otlp", "refused", "traces")
    metrics.keep_deliveries({"ping"})
    assert metrics.readings()[name] == {("ping",): 1.0}
    assert metrics.failures() == {}
