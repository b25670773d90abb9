"""The roll-ups of every store equal a recount of its pings, whatever happened to them and to the process that folds."""

import contextlib
import random
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
import pytest

from ff_observe.catalogue.ping_contract import COUNT_FIELDS
from ff_observe.catalogue.ping_contract import FIELDS as ALL_FIELDS
from ff_observe.collector.fleet.figures import take_fleet
from ff_observe.collector.store import Ping, Rollup, Store, StoreError, folding, rollups
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.session import Session
from ff_observe.collector.store.sqlite import SQLiteStore
from tests.contract.conftest import MakeStore, counted, three_days_of_pings
from tests.pace import in_full
from tests.recount import BY_VALUE, recounted, released
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

FIELDS = ("pings", "seen", "gap", "upgrade", "cohort", "crowd", *BY_VALUE, *(field.dotted for field in COUNT_FIELDS))
NAMES = [f"platform-{number}" for number in range(9)]
VERSIONS = ("2.31.0", "2.32.1", "2.33.2")
DRIVERS = ("localfs", "docker")
SENDERS = [None, *(bytes([number]) * 32 for number in range(2, 8))]


def stored(store: Store) -> list[Ping]:
    return [each for name in NAMES for each in store.export(ping(name).instance_id)]


def kept(store: Store) -> set[Rollup]:
    found = store.rollups(date.min, date.max, FIELDS)
    assert len(found) == len(set(found))
    return set(found)


def fold_all(store: Store, at: datetime) -> None:
    assert any(store.fold(at, 3).oldest_due is None for _ in range(100)), "days stay due"


def change(store: Store, *statements: str) -> None:
    """Change the tables behind the store's back."""
    if isinstance(store, PostgreSQLStore):
        with psycopg.connect(store.url.reveal(), autocommit=True) as session:
            for statement in statements:
                session.execute(statement.encode())
    else:
        assert isinstance(store, SQLiteStore)
        with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)


def sampled(store: Store, until: date, days: int) -> tuple[dict[str, int], int] | None:
    found = store.sample(datetime.combine(until, time(), UTC), days, 2)
    return None if found is None else (found.seen.by_window, found.seen.silent)


def some(draw: random.Random, at: datetime, drivers: Sequence[str] = DRIVERS) -> list[Ping]:
    """Pings of a day, each at a moment of its own; some arrive late, or twice."""
    return [
        ping(
            name,
            at - timedelta(days=draw.choice((0, 0, 0, 0, 1)), seconds=draw.randrange(40_000), microseconds=number),
            sender=draw.choice(SENDERS),
            env__flowforge=draw.choice(VERSIONS),
            platform__counts__users=draw.choice((0, 1, 4, 5, 99, 100, 2**53 - 1)),
            platform__config__broker__enabled=draw.random() < 0.5,
            platform__config__driver=draw.choice(drivers),
        )
        for number, name in enumerate(draw.sample(NAMES, draw.randrange(len(NAMES))) * draw.choice((1, 1, 2)))
    ]


@contextlib.contextmanager
def refusing(*days: date) -> Iterator[None]:
    """The database refuses the roll-ups of these days, which have every row twice."""
    of_day = rollups.of_day

    def twice(day: date, *said: Any) -> list[Rollup]:
        return of_day(day, *said) * (2 if day in days else 1)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rollups, "of_day", twice)
        yield


class KilledError(Exception):
    """Stands for kill -9: what was not committed is gone."""


def kill_while_folding(store: Store, at: datetime, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends before some row of a roll-up is handed to the database."""
    replace = folding.replace

    def killed(session: Session, day: date, rows: Iterable[Rollup]) -> None:
        def until_killed() -> Iterable[Rollup]:
            for number, row in enumerate(rows):
                if number == after:
                    raise KilledError
                yield row

        replace(session, day, until_killed())

    with monkeypatch.context() as patched:
        patched.setattr(folding, "replace", killed)
        with contextlib.suppress(KilledError, StoreError):
            store.fold(at, 3)


@pytest.mark.parametrize("seed", range(in_full(100, 3)))
def test_roll_ups_equal_a_recount_after_any_history(
    seed: int, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ff_observe.collector.store.sqlite_session.ADDED_AT_ONCE", 3)
    draw = random.Random(seed)
    most_values = draw.choice((2, 500))
    monkeypatch.setattr("ff_observe.collector.store.rollups.MOST_VALUES", most_values)
    stores = [make_store(), make_store()]
    writers = [BlockingWriter(store) for store in stores]
    now = NOON
    for _ in range(12):
        now += timedelta(days=draw.choice((0, 1, 1, 1, 1, 2, 35)), hours=draw.choice((0, 0, 1)))
        store = draw.choice(stores)
        writer = draw.choice(writers)
        writer.write(some(draw, now, (*DRIVERS, "other", "stub")))
        match draw.randrange(8):
            case 0:
                store.forget(ping(draw.choice(NAMES)).instance_id)
            case 1:
                wrong = now + timedelta(days=draw.choice((40, 400)))
                writer.write([ping(draw.choice(NAMES), wrong, env__flowforge="2.30.0")])
                store.fold(wrong if draw.random() < 0.5 else now, 2)
                store.tidy(now)
            case 2:
                kill_while_folding(store, now, draw.randrange(60), monkeypatch)
            case 3 | 4 | 5:
                store.fold(now, draw.randrange(1, 4))
            case _:
                pass
    for store in stores:
        fold_all(store, now)
        pings = stored(store)
        assert kept(store) == recounted(pings, most_values)
        for days in (1, 2, 3):
            assert sampled(store, now.date(), days) == released(pings, now.date(), days, 2)
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("names", [499, 500, 501])
def test_platforms_that_say_other_belong_to_the_rest(names: int, store: Store, writer: BlockingWriter) -> None:
    said = ["other", "other", *(f"driver{number}" for number in range(names))]
    pings = [ping(f"{number}", NOON, platform__config__driver=driver) for number, driver in enumerate(said)]
    writer.write(pings)
    fold_all(store, NOON)
    assert kept(store) == recounted(pings)
    drivers = store.rollups(NOON.date(), NOON.date(), ["platform.config.driver"])
    assert {row.value: row.platforms for row in drivers}["other"] == (2 if names < 501 else 3)


def test_a_day_is_kept_without_its_pings_and_without_what_few_had(store: Store, writer: BlockingWriter) -> None:
    old = NOON - timedelta(days=9)
    for name in range(6):
        writer.write([ping(f"{name}", old, platform__counts__users=7, platform__config__driver="other")])
    odd = ping("rare", old, env__flowforge="2.1.0-o", platform__counts__users=4321, platform__config__driver="o")
    writer.write([odd])
    three_days_of_pings(writer, NOON)
    fold_all(store, NOON)
    day = old.date()
    (exact,) = [each for each in store.rollups(day, day, ["platform.counts.users"]) if each.platforms == 1]
    assert (exact.value, exact.total) == ("2000", 4321)
    store.prune(NOON, timedelta(days=5))
    store.forget(ping("rare").instance_id)
    fold_all(store, NOON)
    fields = ["seen", "env.flowforge", "platform.config.driver", "platform.counts.users"]
    assert set(store.rollups(day, day, fields)) == {
        Rollup(day, "seen", "", 7),
        Rollup(day, "platform.config.driver", "other", 7),
        Rollup(day, "env.flowforge", "2.33.2", 6),
        Rollup(day, "env.flowforge", "other", 1),
        Rollup(day, "platform.counts.users", "5", 6, 42),
        Rollup(day, "platform.counts.users", "2000", 1, 2000),
    }
    store.prune(NOON, timedelta(days=5), rollups=timedelta(days=7))
    assert store.rollups(day, day, FIELDS) == []


def test_the_days_of_an_older_store_are_rolled_up_once_and_no_other_again(make_store: MakeStore) -> None:
    store = make_store()
    with BlockingWriter(store) as writer:
        for days in reversed(range(8)):
            writer.write([ping("a", NOON - timedelta(days=days))])
        first = store.fold(NOON, 3)
        assert (first.days, first.oldest_due) == (3, (NOON - timedelta(days=5)).date())
        fold_all(make_store(), NOON)
        assert store.fold(NOON, 100).days == 0
        writer.write([ping("b", NOON - timedelta(hours=20)), ping("b", NOON - timedelta(hours=1))])
        assert store.fold(NOON, 100).days == 2, "yesterday, to which it was late, and today"


def test_days_that_fail_hold_up_no_other(store: Store, writer: BlockingWriter) -> None:
    days = [NOON.date() - timedelta(days=ago) for ago in reversed(range(9))]
    for day in days:
        writer.write([ping("platform-0", datetime.combine(day, time(9), UTC))])
    failing = [*days[:4], days[-1]]
    with refusing(*failing):
        found = [store.fold(NOON, 3) for _ in range(6)]
        assert [each.days for each in found] == [0, 1, 1, 2, 0, 0], "one place of three is for a day that failed before"
        assert [each.more for each in found] == [True, True, True, False, False, False]
        assert list(found[-1].due) == failing
        assert kept(store) == {row for row in recounted(stored(store)) if row.day not in failing}
    assert sorted(found[-1].failed) == failing
    for day, why in found[-1].failed.items():
        assert re.fullmatch(
            f"(SQLite database .*:|PostgreSQL) could not roll up {day}: [^0-9]*( .SQLSTATE 23505.)?", why
        )
    assert [list(store.fold(NOON, 3).due) for _ in failing][-1] == []
    assert kept(store) == recounted(stored(store))


def test_a_day_that_changes_outdates_its_copy_and_one_that_fails_does_not(store: Store, writer: BlockingWriter) -> None:
    for ago in reversed(range(6)):
        writer.write([ping(name, later(days=-ago)) for name in ("platform-0", "platform-1")])
    fold_all(store, NOON)
    day = NOON.date() - timedelta(days=5)
    store.forget(ping("platform-1").instance_id)
    assert store.confirm_copy("a copy", day, store.announce_copy("a copy", day))
    with refusing(day):
        assert list(store.fold(NOON, 9).failed) == list(store.fold(NOON, 9).failed) == [day]
    assert [copy.stale for copy in store.copies()] == [False]
    store.forget(ping("platform-0").instance_id)
    assert [copy.stale for copy in store.copies()] == [True]


def test_a_platform_is_known_since_the_first_of_its_pings_in_a_batch(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("a", NOON - timedelta(days=40)), ping("a", NOON, env__flowforge="2.32.1")])
    fold_all(store, NOON)
    (today,) = store.rollups(NOON.date(), NOON.date(), ["gap"])
    assert (today.value, today.platforms) == ("returning", 1)


def test_rolling_up_ends_where_nothing_vouches_for_the_present(store: Store, writer: BlockingWriter) -> None:
    """Pings of few days, long ago: none of the days is settled, and one that differs marks those after it again."""
    for days in (9, 8, 7, 3, 2):
        writer.write([ping("a", NOON - timedelta(days=days))])
    due = [store.fold(NOON, 2).oldest_due for _ in range(6)]
    assert due[-1] is None


def test_a_release_counts_no_ping_and_waits_for_the_days_before_it(store: Store, writer: BlockingWriter) -> None:
    today, midnight = NOON.date(), NOON - timedelta(hours=12)

    def all_ping(numbers: range, at: datetime) -> None:
        writer.write([ping(f"{number}", at, sender=bytes([number]) * 32) for number in numbers])

    for days in (3, 2, 1):
        all_ping(range(5 if days > 1 else 4), NOON - timedelta(days=days))
    assert sampled(store, today, 3) is None
    fold_all(store, NOON - timedelta(days=1))
    assert sampled(store, today, 3) is None, "yesterday is rolled up, but it was not over"
    all_ping(range(4), NOON)
    fold_all(store, NOON)
    assert sampled(store, today, 3) == ({"1d": 4, "7d": 4, "30d": 4}, 0)
    assert sampled(store, today, 4) == ({"1d": 0, "7d": 0, "30d": 0}, 0)
    all_ping(range(4, 5), midnight - timedelta(seconds=1))
    store.forget(ping("0").instance_id)
    assert sampled(store, today, 3) is None, "the days of the platform that was forgotten are marked"
    fold_all(store, NOON)
    assert sampled(store, today, 3) == ({"1d": 4, "7d": 4, "30d": 4}, 0), "one less, and one that came late"
    writer.write([ping(f"{number}", NOON + timedelta(days=9)) for number in range(4)])
    fold_all(store, NOON + timedelta(days=9))
    assert sampled(store, today + timedelta(days=9), 3) == ({"1d": 0, "7d": 0, "30d": 4}, 4)
    assert sampled(store, today + timedelta(days=40), 1) == ({"1d": 0, "7d": 0, "30d": 0}, 0)


def test_an_older_store_is_prepared_for_releases_by_itself(make_store: MakeStore) -> None:
    store = make_store()
    with BlockingWriter(store) as writer:
        for days in reversed(range(50)):
            writer.write([ping("a", NOON - timedelta(days=days))])
        fold_all(store, NOON)
        rolled_up = kept(store)
        change(store, "DROP TABLE fleet_seen", "DROP TABLE fleet_seen_day")
        store = make_store()
        assert sampled(store, NOON.date(), 30) is None
        assert store.fold(NOON, 3).oldest_due == NOON.date() - timedelta(days=28)
        writer.write([ping("b", NOON)])
        fold_all(make_store(), NOON)
    assert sampled(store, NOON.date(), 30) == ({"1d": 1, "7d": 1, "30d": 1}, 0)
    today = {row for row in kept(store) if row.day == NOON.date()}
    assert kept(store) - today == {row for row in rolled_up if row.day != NOON.date()}


def test_only_the_last_count_is_kept_and_shared(make_store: MakeStore) -> None:
    one, other = make_store(), make_store()
    with BlockingWriter(one) as writer:
        writer.write([ping("a")])
        counted(one, NOON)
        writer.write([ping("b")])
        counts = [take_fleet(other, NOON + timedelta(seconds=at), 1, 2, timedelta(seconds=30)) for at in (20, 40)]
    assert [count.platforms["1d"] for count in counts] == [1, 2]
    last = one.last_count()
    assert last is not None
    assert last.seen.by_window["1d"] == 2


def test_a_crosstab_counts_the_last_ping_of_each_platform_on_its_day(store: Store, writer: BlockingWriter) -> None:
    before = NOON - timedelta(days=1)
    writer.write([ping("platform-0", before, platform__config__driver="docker")])
    writer.write(
        [
            ping("platform-0", NOON, platform__config__driver="localfs", env__flowforge="2.32.1"),
            ping("platform-0", NOON + timedelta(hours=2), platform__config__driver="docker", env__flowforge="2.33.2"),
            ping("platform-1", NOON, platform__config__driver="docker", env__flowforge="2.33.2"),
            ping("platform-2", NOON, platform__config__driver="localfs", env__flowforge="2.33.2"),
        ]
    )
    driver, version = (
        next(index for index, field in enumerate(ALL_FIELDS) if field.dotted == name)
        for name in ("platform.config.driver", "env.flowforge")
    )
    assert sorted(store.crosstab(NOON.date(), driver, version)) == [("docker", "2.33.2", 2), ("localfs", "2.33.2", 1)]
    assert [platforms for *_, platforms in store.crosstab(before.date(), driver, version)] == [1]
    assert list(store.crosstab(before.date() - timedelta(days=1), driver, version)) == []
