"""Snapshots of a platform with more values than are told apart, and with files that hang."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ff_observe.config.settings import PlatformSettings
from ff_observe.exposition.formats import Format
from ff_observe.outputs.prometheus import render
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.platforms import case_named, writable_copy

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A platform with 300 states of 300 instances, one of them long."""
    path = writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM Projects")
        connection.execute(
            "INSERT INTO Projects (id, name, type, url, state, safeName, createdAt, updatedAt)"
            " WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 300)"
            " SELECT i, 'n', 't', 'u', CASE i WHEN 1 THEN hex(zeroblob(1000)) ELSE 'state ' || i END, i, 1, 1 FROM s"
        )
    return path


class SlowVersions(InstalledVersions):
    """Versions on a file system that hangs, until the test lets it go on."""

    def __init__(self) -> None:
        self.asked_by: list[str] = []
        self.gate = threading.Event()

    def flowfuse(self) -> str | None:
        self.asked_by.append(threading.current_thread().name)
        self.gate.wait(10)
        return "2.33.2"

    def nodejs(self) -> str | None:
        return "v20.20.2"


@pytest.fixture
def told() -> SelfMetrics:
    return SelfMetrics()


@pytest.fixture
def versions() -> SlowVersions:
    return SlowVersions()


@pytest.fixture
def snapshots(path: Path, told: SelfMetrics, versions: SlowVersions) -> Iterator[Snapshots]:
    made = Snapshots(SQLiteSource(path), PlatformSettings(driver="stub"), SystemClock(), told, versions)
    yield made
    versions.gate.set()
    made.stop(SystemClock().monotonic() + 10)


def test_what_is_shown_adds_up_to_the_whole_and_what_is_not_is_counted(
    snapshots: Snapshots, versions: SlowVersions, told: SelfMetrics
) -> None:
    versions.gate.set()
    snapshot = snapshots.take(AT)
    capped = told.readings()["ff_observe_label_values_capped"]
    assert capped["instances_by_state", "number"] == 200
    assert capped["instances_by_state", "length"] == 1
    assert capped["devices_by_mode", "number"] == 0
    assert not {reading for reading, _ in capped} & {"teams_by_billing_state", "trials_by_state"}  # not shown here
    lines = render(snapshot, told.readings(), Format.TEXT_0_0_4).decode().splitlines()
    by_state = [line for line in lines if line.startswith("flowfuse_instances_by_state{")]
    assert len(by_state) == 100 + len(["other", "running", "suspended"])
    assert sum(float(line.rsplit(" ", 1)[1]) for line in by_state) == 300
    assert f'flowfuse_instances_by_state{{platform_id="{snapshot.platform_id}",state="other"}} 200.0' in by_state
    assert max(len(line.replace(f'platform_id="{snapshot.platform_id}",', "")) for line in by_state) < 200


def test_who_cannot_wait_is_answered_without_a_look_at_the_files(snapshots: Snapshots, versions: SlowVersions) -> None:
    asked = snapshots.request()
    early = snapshots.unanswered(1)
    assert (early.up, early.installation.flowfuse_version) == (False, None)
    versions.gate.set()
    asked.result(10)
    assert snapshots.unanswered(1).installation.flowfuse_version == "2.33.2"
    assert set(versions.asked_by) == {"snapshot"}
