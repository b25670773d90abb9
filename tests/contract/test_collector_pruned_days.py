"""Old pings wait for the days that are counted from them, and not for ever."""

import contextlib
import logging
import random
import threading
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Pruned, Rollup, Store, StoreError, folding, rollups
from ff_observe.collector.store.postgresql import PostgreSQLStore
from tests.contract.conftest import MakeStore
from tests.contract.test_collector_rollups import FIELDS, change, fold_all, kept, refusing, sampled, some, stored
from tests.fakes import FakeClock
from tests.pace import in_full
from tests.real_parts.processes import wait_until
from tests.recount import recounted
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

TODAY = NOON.date()
KEPT_EXACTLY = ("pings", "seen", "gap")
"""Of what is kept of a day without its pings."""
HOUR = timedelta(hours=1)


def day(ago: int) -> date:
    return TODAY - timedelta(days=ago)


def write(writer: BlockingWriter, days: range, *names: str) -> None:
    for ago in reversed(days):
        writer.write([ping(name, later(days=-ago)) for name in names])


@pytest.mark.parametrize("seed", range(in_full(20, 1)))
def test_prunes_between_roll_ups_change_nothing_of_what_is_kept_of_a_day(
    seed: int, store: Store, writer: BlockingWriter
) -> None:
    """A store that was never rolled up, as one of an earlier version."""
    draw = random.Random(seed)
    for ago in reversed(range(45)):
        writer.write([*some(draw, later(days=-ago)), ping("platform-0", later(days=-ago, hours=9))])
    expected = {row for row in recounted(stored(store)) if row.field in KEPT_EXACTLY}
    retention = timedelta(days=draw.choice((3, 33, 40)))
    at, found = NOON, store.prune(NOON, retention)
    while found.more:
        assert found.lost == ()
        at += timedelta(minutes=1)
        if not found.pings:
            store.fold(at, draw.randrange(2, 5))
        found = store.prune(at, retention)
    fold_all(store, at)
    assert {row for row in kept(store) if row.field in KEPT_EXACTLY} == expected
    left = {each.received_at.date() for each in stored(store)}
    assert min(left) >= max(left) - retention


def test_a_platform_that_is_forgotten_is_not_kept_by_a_prune_before_the_next_roll_up(
    store: Store, writer: BlockingWriter
) -> None:
    write(writer, range(6), "platform-0", "platform-1", "forgotten")
    fold_all(store, NOON)
    store.forget(ping("forgotten").instance_id)
    assert store.prune(NOON, timedelta(days=3)) == Pruned(more=True, awaited=day(5))
    assert len(stored(store)) == 12
    fold_all(store, NOON)
    writer.write([ping("platform-2", later(minutes=1))])
    assert store.prune(NOON, timedelta(days=3)) == Pruned(4), "today does not count: it is never over"
    assert {row.platforms for row in store.rollups(date.min, date.max, ["seen"])} == {2}


def test_what_is_known_of_a_platform_waits_with_its_pings(store: Store, writer: BlockingWriter) -> None:
    write(writer, range(50, 51), "silent")
    write(writer, range(5, 7), "silent", "forgotten")
    write(writer, range(3), "platform-0")
    fold_all(store, NOON)
    store.forget(ping("forgotten").instance_id)
    assert store.prune(NOON, timedelta(days=3)).awaited == day(6)
    fold_all(store, NOON)
    gaps = [(row.value, row.platforms) for row in store.rollups(day(6), day(6), ["gap"])]
    assert gaps == [("returning", 1)], "since the first of its pings, which are deleted"


def test_a_prune_while_a_day_is_rolled_up_waits_for_it(
    store: Store, writer: BlockingWriter, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(writer, range(6), "platform-0", "forgotten")
    fold_all(store, NOON)
    store.forget(ping("forgotten").instance_id)
    found: list[Pruned] = []
    of_day = rollups.of_day

    def pruning(*arguments: Any) -> list[Rollup]:
        if not found:
            found.append(make_store().prune(NOON, timedelta(days=3)))
        return of_day(*arguments)

    monkeypatch.setattr(rollups, "of_day", pruning)
    assert store.fold(NOON, 9).days == 6
    assert found == [Pruned(more=True, awaited=day(5))]


def test_a_store_of_an_earlier_version_waits_for_days_that_were_due_then(make_store: MakeStore) -> None:
    store = make_store()
    with BlockingWriter(store) as writer:
        write(writer, range(6), "platform-0", "forgotten")
        fold_all(store, NOON)
        store.forget(ping("forgotten").instance_id)
    change(store, "ALTER TABLE fleet_due DROP COLUMN waits_since")
    assert make_store().prune(NOON, timedelta(days=3)) == Pruned(more=True, awaited=day(5))


def test_a_platform_that_is_forgotten_during_a_prune_is_not_kept_by_it(
    store: Store, writer: BlockingWriter, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.kept_since() == date.min
    write(writer, range(6), "platform-0", "forgotten")
    fold_all(store, NOON)
    awaited = folding.awaited
    forgotten: list[int] = []

    def forgetting(*arguments: Any) -> date | None:
        found = awaited(*arguments)
        if not forgotten:
            forgotten.append(make_store().forget(ping("forgotten").instance_id))
        return found

    monkeypatch.setattr(folding, "awaited", forgetting)
    assert store.prune(NOON, timedelta(days=3)).pings == 0
    assert forgotten == [6]
    fold_all(store, NOON)
    assert store.prune(NOON, timedelta(days=3)).pings == 2
    assert {row.platforms for row in store.rollups(date.min, date.max, ["seen"])} == {1}
    assert store.kept_since() == day(3)
    counted = [sampled(store, TODAY, days) for days in (3, 4)]
    assert counted == [({"1d": n, "7d": n, "30d": n}, 0) for n in (1, 0)], "no release counts the days that are deleted"


def test_a_collector_says_what_old_pings_wait_for_and_what_is_lost(
    store: Store, writer: BlockingWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ff_observe.collector.service.open_store", lambda _: store)
    write(writer, range(6), "platform-0", "forgotten")
    fold_all(store, NOON)
    store.forget(ping("forgotten").instance_id)
    clock = FakeClock(NOON)
    collector = Collector(CollectorSettings(port=0, retention=timedelta(days=3)), clock)
    caplog.set_level(logging.INFO, "ff_observe.collector.service")
    with refusing(day(5)):
        for _ in range(3):
            writer.write([ping("platform-0", clock.now())])
            store.fold(clock.now(), 9)
            assert collector.keep_up() == collector.keep_up()
            clock.adjust(86_400)
    lost = "were not rolled up before their pings had to go"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "old pings are kept for up to 2 days longer: 2026-11-18 is still to be rolled up"),
        ("INFO", "deleted 2 pings older than 3 days; those of more days follow, hour by hour"),
        ("WARNING", f"nothing is kept of days that {lost}: 2026-11-18"),
        ("INFO", "deleted 2 pings older than 3 days"),
    ]


@pytest.mark.parametrize("make_store", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_prune_waits_for_what_is_being_forgotten(
    store: Store, writer: BlockingWriter, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(writer, range(6), "platform-0", "forgotten")
    fold_all(store, NOON)
    mark = folding.mark
    found: list[Pruned] = []

    def prune() -> None:
        with contextlib.suppress(StoreError):  # half a second after the lock was asked for
            found.append(make_store().prune(NOON, timedelta(days=3)))

    pruning = threading.Thread(target=prune)

    def marking(*arguments: Any, **named: Any) -> None:
        monkeypatch.undo()
        mark(*arguments, **named)
        pruning.start()
        wait_until(lambda: is_waiting(store) or not pruning.is_alive(), "the prune")

    monkeypatch.setattr(folding, "mark", marking)
    store.forget(ping("forgotten").instance_id)
    pruning.join()
    assert found in ([], [Pruned(more=True)]), "it began before the days were marked"
    assert store.fold(NOON, 9).days == 6


def is_waiting(store: Store) -> bool:
    assert isinstance(store, PostgreSQLStore)
    with psycopg.connect(store.url.reveal()) as session:
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'ping'::regclass"
        return session.execute(waiting).fetchone() is not None


def test_pings_are_deleted_although_a_day_cannot_be_rolled_up_and_nothing_of_it_is_kept(
    store: Store, writer: BlockingWriter
) -> None:
    write(writer, range(6), "platform-0", "platform-1", "forgotten")
    fold_all(store, NOON)
    store.forget(ping("forgotten").instance_id)
    retention = timedelta(days=3)
    with refusing(day(5)):
        for days in range(5):
            at = later(days=days)
            writer.write([ping("platform-0", at)])
            store.fold(at, 9)
            found = [store.prune(at, retention), store.prune(at + HOUR, retention)]
            assert [each.awaited for each in found] == [day(5) if days < 2 else None] * 2
            assert [each.lost for each in found] == [(day(5),) if days == 2 else (), ()]
    assert {each.received_at.date() for each in stored(store)} == {day(ago) for ago in range(-4, 0)}
    seen = {row.day: row.platforms for row in store.rollups(date.min, date.max, ["seen"])}
    assert seen == {day(ago): 2 if ago >= 0 else 1 for ago in range(-4, 5)}
    assert not store.rollups(day(5), day(5), FIELDS)
