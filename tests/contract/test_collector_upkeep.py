"""What a running collector does by itself: pruning, replacing its key, counting the fleet."""

import logging
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.collector.fleet.figures import Fleet
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Count, StoreError
from tests.contract.conftest import three_days_of_pings
from tests.contract.test_collector_rollups import fold_all
from tests.fakes import FakeClock
from tests.real_parts.collector import collecting, sample, send
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import body, instance, later, ping


@pytest.fixture
def settings(tmp_path: Path) -> CollectorSettings:
    return CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True)


def test_old_pings_are_pruned_once_an_hour_and_old_keys_replaced(
    settings: CollectorSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ff_observe.collector.service.FOLD_SECONDS", 3600.0)  # eleven days have 16,000 minutes
    clock = FakeClock()
    settings = replace(
        settings, retention=timedelta(days=10), key_lifetime=timedelta(days=5), fleet_interval_seconds=86_400
    )
    caplog.set_level(logging.INFO)
    with collecting(settings, clock) as running:
        clock.await_waiters(4)
        assert send(running.port, body()).status == 200
        before = next(iter(running.store.export(instance("instance-1")))).sender
        clock.advance(5 * 86_400 + 3600)
        assert send(running.port, body()).status == 200
        _, after = running.store.export(instance("instance-1"))
        assert after.sender != before
        for _ in range(6):
            clock.advance(86_400)
            assert send(running.port, body("instance-2")).status == 200
        clock.advance(3600)
        (left,) = running.store.export(instance("instance-1"))
        assert left == after
        assert sample(running.port, "ff_observe_collector_pruned_pings_total") == 1
        clock.adjust(500 * 86_400)
        clock.advance(2 * 3600)
        assert len(list(running.store.export(instance("instance-2")))) == 6
    said = [record.getMessage() for record in caplog.records if record.name.endswith("collector.service")]
    assert "deleted 1 pings older than 10 days" in said
    assert len([each for each in said if each.startswith("old pings are not deleted: the clock says 2028-04-")]) == 1


def test_old_pings_are_deleted_while_the_store_cannot_be_tidied_up(
    settings: CollectorSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(now: datetime) -> None:
        raise StoreError("the disk is full")

    collector = Collector(replace(settings, retention=timedelta(days=10)), FakeClock(later(days=20)))
    with BlockingWriter(collector.store) as writer:
        for day in range(5):
            writer.write([ping("instance-1", later(days=day))])
        three_days_of_pings(writer, later(days=20))
    fold_all(collector.store, later(days=20))
    caplog.set_level(logging.INFO, "ff_observe.collector.service")
    with monkeypatch.context() as broken:
        broken.setattr(collector.store, "tidy", fails)
        for _ in range(3):
            collector.keep_up()
    assert list(collector.store.export("instance-1")) == []
    collector.keep_up()
    assert [each.getMessage() for each in caplog.records if "tidied" in each.getMessage()] == [
        "the store could not be tidied up: the disk is full",
        "the store is tidied up again",
    ]


def test_until_the_first_count_ends_there_is_the_last_one(
    settings: CollectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    before = Collector(settings, clock)
    before.count_fleet()
    shown = before.metrics.fleet
    clock.adjust(86_400)
    after = Collector(settings, clock)
    count, meanwhile = after.store.count, list[Fleet | None]()

    def slow(at: datetime, silent_after_days: int) -> Count | None:
        meanwhile.append(after.metrics.fleet)
        return count(at, silent_after_days)

    monkeypatch.setattr(after.store, "count", slow)
    assert after.count_fleet() == settings.fleet_interval_seconds
    assert meanwhile == [shown]
    assert after.metrics.fleet is not None
    assert after.metrics.fleet.taken_at == clock.now()


def test_a_count_that_failed_leaves_the_one_before(
    settings: CollectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(at: datetime, silent_after_days: int) -> Count | None:
        raise StoreError("locked")

    collector = Collector(settings, FakeClock())
    collector.count_fleet()
    before = collector.metrics.fleet
    assert before is not None
    monkeypatch.setattr(collector.store, "count", locked)
    assert collector.count_fleet() == settings.fleet_interval_seconds
    assert collector.metrics.fleet == before


def test_an_older_count_does_not_replace_a_newer_one(
    settings: CollectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    collector = Collector(settings, clock)
    count = collector.store.count
    taken, newer_ended = threading.Event(), threading.Event()

    def slow_at_first(at: datetime, silent_after_days: int) -> Count | None:
        found = count(at, silent_after_days)
        if not taken.is_set():
            taken.set()
            newer_ended.wait(0.2)  # a count that does not wait for this one ends meanwhile
        return found

    monkeypatch.setattr(collector.store, "count", slow_at_first)
    older = threading.Thread(target=collector.count_fleet)
    older.start()
    taken.wait()
    clock.adjust(60)
    collector.count_fleet()
    newer_ended.set()
    older.join()
    assert collector.metrics.fleet is not None
    assert collector.metrics.fleet.taken_at == clock.now()
