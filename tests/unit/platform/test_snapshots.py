"""Snapshots: fresh for all who ask, one reading at a time, and never an error."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path

import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import PlatformSettings
from ff_observe.errors import SourceError
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.model import SETTINGS_READING
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.fakes import no_more_threads
from tests.platforms import case_named, writable_copy
from tests.unit.platform.scripted_source import AT, PLATFORM, ScriptedSource, StandingClock


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource()


@pytest.fixture
def told() -> SelfMetrics:
    return SelfMetrics()


Make = Callable[..., Snapshots]


@pytest.fixture
def make(source: ScriptedSource, clock: StandingClock, told: SelfMetrics, tmp_path: Path) -> Make:
    def build(platform: PlatformSettings = PLATFORM) -> Snapshots:
        return Snapshots(source, platform, clock, told, InstalledVersions(tmp_path, platform))

    return build


@pytest.fixture
def snapshots(make: Make) -> Snapshots:
    return make()


def test_a_snapshot_is_shared_until_it_is_five_seconds_old(
    snapshots: Snapshots, source: ScriptedSource, clock: StandingClock
) -> None:
    first = snapshots.current()
    clock.seconds = 4.9
    assert snapshots.current() is first
    assert snapshots.fresh() is first
    clock.seconds = 5.0
    assert snapshots.fresh() is None
    second = snapshots.current()
    assert second is not first
    assert second.taken_at == AT + timedelta(seconds=5)
    assert source.reads == [AT, AT + timedelta(seconds=5)]


def test_before_the_first_there_is_no_fresh_one(snapshots: Snapshots, source: ScriptedSource) -> None:
    assert snapshots.fresh() is None
    assert source.reads == []


def test_sixteen_who_ask_at_once_share_one_reading(snapshots: Snapshots, source: ScriptedSource) -> None:
    source.gate.clear()
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(snapshots.current) for _ in range(16)]
        assert source.reading.wait(60)
        source.gate.set()
        answers = {id(future.result(60)) for future in asked}
    assert len(answers) == 1
    assert len(source.reads) == 1


def test_who_finds_none_and_asks_when_one_has_just_been_taken_shares_it(
    snapshots: Snapshots, source: ScriptedSource
) -> None:
    assert snapshots.fresh() is None
    taken = snapshots.current()
    assert snapshots.request().result(60) is taken
    assert len(source.reads) == 1


def test_an_event_loop_can_wait_without_a_thread_of_its_own(snapshots: Snapshots, source: ScriptedSource) -> None:
    async def ask() -> list[Snapshot]:
        source.gate.clear()  # the reading is still under way when the last asks
        waiting = [asyncio.wrap_future(snapshots.request()) for _ in range(3)]
        source.gate.set()
        return list(await asyncio.gather(*waiting))

    assert len({id(snapshot) for snapshot in asyncio.run(ask())}) == 1
    assert len(source.reads) == 1


def test_a_snapshot_for_a_given_moment_is_its_own(snapshots: Snapshots, source: ScriptedSource) -> None:
    shared = snapshots.current()
    moment = AT - timedelta(days=3)
    assert snapshots.take(moment).taken_at == moment
    assert source.reads == [AT, moment]
    assert snapshots.fresh() is shared


def test_a_source_is_asked_by_one_thread_at_a_time(snapshots: Snapshots, source: ScriptedSource) -> None:
    source.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(snapshots.take) for _ in range(3)] + [pool.submit(snapshots.current)]
        assert source.reading.wait(60)
        source.gate.set()
        for future in asked:
            assert future.result(60).up
    assert len(source.reads) == 4
    assert source.most_at_once == 1


def test_who_cannot_wait_any_longer_is_told_the_platform_is_down(
    snapshots: Snapshots, source: ScriptedSource, clock: StandingClock
) -> None:
    source.gate.clear()
    down = snapshots.current(timeout_seconds=0.05)
    assert not down.up
    assert down.readings["flowfuse_up"] == {(): 0}
    assert "did not answer within 0.05 s" in down.failures["flowfuse_users"]
    threads = threading.active_count()
    assert not any(snapshots.current(timeout_seconds=0.01).up for _ in range(5))  # with no new thread
    assert threading.active_count() == threads
    assert len(source.reads) == 1
    asked = snapshots.request()
    source.gate.set()
    assert asked.result(60).up
    assert snapshots.current().up


def test_stopping_ends_a_reading_under_way(snapshots: Snapshots, source: ScriptedSource, clock: StandingClock) -> None:
    source.gate.clear()
    asked = snapshots.request()
    assert source.reading.wait(60)
    snapshots.stop(clock.monotonic() + 5)
    assert not asked.result(60).up
    snapshots.stop(clock.monotonic() + 5)


def test_stopping_while_a_snapshot_is_asked_for_waits_for_its_thread(
    snapshots: Snapshots, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(1) as pool:
        stopped: Future[None] = pool.submit(lambda: None)
        stopped.result(60)  # the pool has its thread from here on
        start = threading.Thread.start

        def start_late(thread: threading.Thread) -> None:
            nonlocal stopped
            stopped = pool.submit(snapshots.stop, clock.monotonic() + 5)
            wait([stopped], 0.2)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_late)
        asked = snapshots.request()
        monkeypatch.undo()
        assert stopped.result(60) is None
        assert asked.result(60) is not None


@pytest.mark.parametrize("error", [None, SourceError("refused")])
def test_a_snapshot_says_how_long_reading_the_database_took(
    snapshots: Snapshots, source: ScriptedSource, clock: StandingClock, told: SelfMetrics, error: SourceError | None
) -> None:
    def work() -> None:
        clock.seconds += 1.5

    clock.seconds = 40
    source.takes, source.error = work, error
    snapshot = snapshots.take()
    assert (snapshot.up, snapshot.duration_seconds) == (error is None, 1.5)
    assert told.readings()["ff_observe_snapshot_duration_seconds"] == {(): 1.5}


def test_stopping_waits_until_the_deadline_and_no_longer(
    snapshots: Snapshots, source: ScriptedSource, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.seconds = 100
    source.gate.clear()
    asked = snapshots.request()
    assert source.reading.wait(60)
    waited: list[float | None] = []
    with monkeypatch.context() as patched:
        patched.setattr(source, "close", lambda: None)  # a database that does not let go
        patched.setattr(threading.Thread, "join", lambda _, timeout=None: waited.append(timeout))
        for deadline in (105, 99):
            with pytest.raises(TimeoutError, match="did not let go in time"):
                snapshots.stop(deadline)
    assert [round(seconds or 0.0) for seconds in waited] == [5, 0]
    source.gate.set()
    assert asked.result(60).up


def test_stopping_before_the_first_snapshot_is_legal(snapshots: Snapshots) -> None:
    snapshots.start()
    snapshots.stop(0)


def test_a_dead_database_leaves_what_is_known_without_it_and_no_stale_counts(
    snapshots: Snapshots, source: ScriptedSource, clock: StandingClock
) -> None:
    snapshots.current()
    source.error = SourceError("cannot connect to db:5432/flowforge: refused")
    clock.seconds = 10
    snapshot = snapshots.current()
    assert not snapshot.up
    assert snapshot.readings == {
        "flowfuse_up": {(): 0},
        "flowfuse_database_up": {(): 0},
        "flowfuse_platform_info": {("2.33.2", "v20.20.2", "stub"): 1},
        "flowfuse_feature_enabled": {("broker",): 1, ("file_store",): 0, ("email",): 1},
    }
    assert snapshot.installation.initialised is None
    assert snapshot.installation.telemetry_allowed is None
    assert set(snapshot.failures) == {"flowfuse_users", "flowfuse_teams", "flowfuse_instances", "flowfuse_devices"}


def test_a_failure_is_one_warning_and_the_recovery_one_info(
    snapshots: Snapshots, source: ScriptedSource, clock: StandingClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for second in range(0, 60, 10):
        source.error = SourceError(f"refused in second {second}") if 10 <= second < 40 else None
        clock.seconds = second
        assert snapshots.current().up == (source.error is None)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "refused in second 10"),
        ("DEBUG", "refused in second 20"),
        ("DEBUG", "refused in second 30"),
        ("INFO", "the platform's database answers again"),
    ]


def test_a_fault_of_ours_reaches_who_asked_and_the_next_is_tried(snapshots: Snapshots, source: ScriptedSource) -> None:
    source.error = ZeroDivisionError("a fault of ours")
    with pytest.raises(ZeroDivisionError):
        snapshots.current()
    source.error = None
    assert snapshots.current().up


def test_the_bridge_tells_how_its_readings_went(
    snapshots: Snapshots, source: ScriptedSource, clock: StandingClock, told: SelfMetrics
) -> None:
    snapshots.current()
    source.failures = {"flowfuse_teams": "permission denied"}
    del source.readings["flowfuse_teams"]
    clock.seconds = 10
    snapshots.current()
    now = told.readings()
    assert now["ff_observe_snapshots_total"] == {("ok",): 1, ("partial",): 1, ("failed",): 0}
    assert now["ff_observe_reading_success"] == {
        ("users",): 1,
        ("teams",): 0,
        ("instances",): 1,
        ("devices",): 1,
    }
    assert now["ff_observe_snapshot_timestamp_seconds"] == {(): AT.timestamp() + 10}
    source.error = SourceError("refused")
    clock.seconds = 20
    snapshots.current()
    now = told.readings()
    assert now["ff_observe_snapshots_total"] == {("ok",): 1, ("partial",): 1, ("failed",): 1}
    assert set(now["ff_observe_reading_success"].values()) == {0}


def test_settings_that_could_not_be_read_are_unknown_not_defaults(snapshots: Snapshots, source: ScriptedSource) -> None:
    source.settings, source.failures = {}, {SETTINGS_READING: "permission denied"}
    snapshot = snapshots.take()
    assert snapshot.up
    assert snapshot.installation.initialised is None
    assert snapshot.installation.telemetry_allowed is None
    assert not {"flowfuse_initialised", "flowfuse_license_active", "flowfuse_license_limit"} & snapshot.readings.keys()
    assert snapshot.failures == {
        "flowfuse_initialised": "permission denied",
        "flowfuse_license_active": "permission denied",
    }
    assert snapshot.readings["flowfuse_users"] == {(): 3}


def test_a_licence_that_is_not_accepted_counts_as_none_and_is_warned_of_once_without_showing_it(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots = make(PlatformSettings(license=Secret("planted-licence-text")))
    for _ in range(3):
        snapshot = snapshots.take()
    assert snapshot.installation.licence is None
    assert "flowforge.yml is not accepted" in str(snapshot.installation.licence_problem)
    assert len(caplog.records) == 1
    assert "planted" not in caplog.text + repr(snapshot)


@pytest.fixture
def real(tmp_path: Path, clock: StandingClock, told: SelfMetrics) -> Iterator[tuple[Snapshots, Path]]:
    path = writable_copy(case_named("v2.4.0-sqlite-ce"), tmp_path / "var")
    snapshots = Snapshots(SQLiteSource(path), PLATFORM, clock, told, InstalledVersions(tmp_path, PLATFORM))
    yield snapshots, path
    snapshots.stop(5)


def test_a_real_database_that_goes_and_comes_back_needs_no_restart(
    real: tuple[Snapshots, Path], clock: StandingClock
) -> None:
    snapshots, path = real
    assert snapshots.current().readings["flowfuse_users"] == {(): 6}
    away = path.rename(path.with_name("away.db"))
    clock.seconds = 10
    down = snapshots.current()
    assert not down.up
    assert "flowfuse_users" not in down.readings
    away.rename(path)
    clock.seconds = 20
    assert snapshots.current().readings["flowfuse_users"] == {(): 6}


def test_a_snapshot_that_finds_no_thread_fails_and_the_next_is_taken(snapshots: Snapshots) -> None:
    with no_more_threads():
        refused = snapshots.request()
    with pytest.raises(RuntimeError, match="no thread"):
        refused.result(0)
    assert snapshots.request().result(10).up
