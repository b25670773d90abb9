"""The figures of the days that are over, in every store, against a recount of the pings themselves."""

import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from ff_observe.catalogue import fleet as catalogue
from ff_observe.collector.fleet.daily import SIGHTINGS, Days, take_day
from ff_observe.collector.fleet.disclosure import Disclosure
from ff_observe.collector.fleet.figures import disclosed
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Rollup, Store, StoreError
from ff_observe.collector.store.sqlite import SQLiteStore
from ff_observe.system.clock import FrozenClock
from tests.contract.conftest import MakeStore, counted
from tests.contract.test_collector_rollups import fold_all, refusing
from tests.fakes import FakeClock
from tests.pace import in_full
from tests.real_parts.processes import wait_until
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

TODAY = NOON.date()
DAYS = 100
NODEJS = {"v16.20.2": "16", "v18.19.0": "18", "v18.20.4-rc.1": "18", "v100.0.0": "other", "v016.0.0": "other"}
# Figures are made of roll-ups and counts, which `test_collector_rollups` and `test_collector_counting` compare with a
# recount in both stores: months of them take PostgreSQL 20 times as long.
ROLLED_UP_ALIKE = pytest.mark.parametrize("make_store", in_full(["sqlite", "postgresql"], ["sqlite"]), indirect=True)


def some_months(writer: BlockingWriter, seed: int) -> dict[date, dict[str, str]]:
    """Platforms that come, rest and go; returns those of each day, with their Node.js."""
    draw = random.Random(seed)
    days: dict[date, dict[str, str]] = {}
    platforms = {f"{n}": (draw.randrange(DAYS), draw.choice((0.02, 0.1, 0.9)), draw.randrange(DAYS)) for n in range(40)}
    for ago in range(DAYS, 0, -1):
        day = TODAY - timedelta(days=ago)
        there = {
            name: draw.choice(list(NODEJS))
            for name, (first, often, rest) in platforms.items()
            if ago <= first and not rest <= ago < rest + 32 and draw.random() < often
        }
        at = datetime.combine(day, time(), UTC)
        writer.write(
            [
                ping(name, at + timedelta(seconds=draw.randrange(86_400)), env__nodejs=nodejs)
                for name, nodejs in there.items()
            ]
        )
        days[day] = there
    return days


def changed(days: dict[date, dict[str, str]], day: date, within: int) -> dict[str, int]:
    """By sets of platforms, day by day."""
    found = Counter({"new": 0, "returning": 0, "lost": 0})
    for end in (day - timedelta(days=ago) for ago in range(within)):
        before = {name for ago in range(1, 31) for name in days.get(end - timedelta(days=ago), {})}
        ever = {name for other, there in days.items() if other < end for name in there}
        today = set(days.get(end, {}))
        found["new"] += len(today - ever)
        found["returning"] += len(today & ever - before)
        after = {name for ago in range(30) for name in days.get(end - timedelta(days=ago), {})}
        found["lost"] += len(days.get(end - timedelta(days=30), {}).keys() - after)
    return dict(found)


@ROLLED_UP_ALIKE
@pytest.mark.parametrize("seed", range(in_full(5, 1)))
def test_figures_of_a_day_are_those_of_its_pings(seed: int, store: Store, writer: BlockingWriter) -> None:
    days = some_months(writer, seed)
    fold_all(store, NOON)
    for day in (TODAY - timedelta(days=ago) for ago in (1, 7, 30, 61, 80)):
        figures = take_day(store, day, k=1)
        expected = Counter(NODEJS[nodejs] for nodejs in days[day].values())
        assert figures[catalogue.DAILY_BY_NODEJS_VERSION] == {(major,): n for major, n in expected.items()}
        firsts = Counter(f"{min(other for other, there in days.items() if name in there):%Y-%m}" for name in days[day])
        assert figures[catalogue.DAILY_BY_FIRST_MONTH] == {(month,): n for month, n in firsts.items()}
        assert figures[catalogue.CHANGED] == {
            (change, window): number
            for window, within in (("30d", 30), ("1d", 1))
            for change, number in changed(days, day, within).items()
        }
        midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
        assert figures[catalogue.DAILY_TIMESTAMP] == {(): int(midnight.timestamp())}


@ROLLED_UP_ALIKE
def test_the_windows_of_a_day_are_what_a_count_at_its_end_shows(store: Store, writer: BlockingWriter) -> None:
    for ago in range(40, 0, -1):
        writer.write([ping(f"{n}", later(days=-ago)) for n in range(30) if n % 5 == 0 or ago % (n + 1) == 0])
        fold_all(store, later(days=-ago))
        day = TODAY - timedelta(days=ago)
        shown = disclosed(counted(store, datetime.combine(day + timedelta(days=1), time(), UTC)), 3)
        days = Days(store.rollups(date.min, day, SIGHTINGS), Disclosure(3))
        figures = days.windows(day, silent_after_days=2)
        assert figures[catalogue.PLATFORMS] == {(window,): n for window, n in shown.platforms.items()}
        assert figures[catalogue.SILENT] == ({} if shown.silent is None else {(): shown.silent})


def test_few_platforms_show_in_no_figure(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping(f"{n}", later(days=-40)) for n in range(12)])
    writer.write([ping(f"{n}", later(days=-2)) for n in range(3, 12)])
    writer.write([ping(f"{n}", later(days=-1)) for n in range(3, 12)])
    writer.write([ping("16", later(days=-1), env__nodejs="v16.0.0")])
    fold_all(store, NOON)
    figures = take_day(store, TODAY - timedelta(days=1), k=5)
    assert figures[catalogue.DAILY_BY_NODEJS_VERSION] == {("other",): 10}
    # Within 30 days 1 was new, 9 came back after 38 days, and 12 had been lost.
    assert figures[catalogue.CHANGED] == {("lost", "30d"): 12, ("lost", "1d"): 0}
    assert take_day(store, TODAY - timedelta(days=50), k=5) == {}


def test_what_rests_on_days_that_are_deleted_is_left_out() -> None:
    """Platforms that pinged a day before the first that is known: there was more once."""
    first = TODAY - timedelta(days=70)
    every = [first + timedelta(days=ago) for ago in range(70)]
    rows = [Rollup(day, field, value, 9) for day in every for field, value in (("seen", ""), ("gap", "1"))]
    days = Days(rows, Disclosure(1))
    complete = [day for day in every if days.windows(day, 2)]
    assert complete == every[29:]
    assert [day for day in every if ("lost", "1d") in days.changed(day)] == every[30:]
    assert [day for day in every if ("lost", "30d") in days.changed(day)] == every[59:]


def test_a_collector_shows_a_day_once_it_is_over_and_every_day_is_rolled_up(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store()
    monkeypatch.setattr("ff_observe.collector.service.open_store", lambda _: store)
    with BlockingWriter(store) as writer:
        for ago in range(9, 0, -1):
            writer.write([ping(f"{n}", later(days=-ago)) for n in range(5)])
        writer.write([ping("today", NOON)])
        collector = Collector(CollectorSettings(port=0), FrozenClock(NOON))
        collector.fold()
        assert collector.metrics.day == {}, "older days are due"
        for _ in range(4):
            collector.fold()
        first = collector.metrics.day
        assert first[catalogue.DAILY_TIMESTAMP] == {(): int((NOON - timedelta(hours=12)).timestamp())}
        assert first[catalogue.DAILY_BY_NODEJS_VERSION] == {("20",): 5}
        writer.write([ping("late", later(hours=-13))])
        collector.fold()
        assert collector.metrics.day[catalogue.DAILY_BY_NODEJS_VERSION] == {("20",): 6}


def test_a_collector_says_once_that_days_fail_and_shows_those_before(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store()
    monkeypatch.setattr("ff_observe.collector.service.open_store", lambda _: store)
    session: object = store._session
    caplog.set_level(logging.INFO, "ff_observe.collector.service")
    collector = Collector(CollectorSettings(port=0), FakeClock(NOON))
    with BlockingWriter(store) as writer:
        for ago in range(3, -1, -1):
            writer.write([ping(f"{n}", later(days=-ago)) for n in range(5)])
        with refusing(TODAY):
            collector.fold()
            assert collector.fold() == 60
            assert collector.metrics.day[catalogue.DAILY_BY_NODEJS_VERSION] == {("20",): 5}
        collector.fold()
        store.forget(ping("0").instance_id)
        with refusing(TODAY - timedelta(days=3)):
            collector.fold()
            writer.write([ping("late", NOON)])
            assert collector.fold() == 60, "not at once: of the days that are due only today did not fail"
    for broken in (False, True, False):
        monkeypatch.setattr(store, "_session", cut if broken else session)
        assert collector.fold() == 60
    collector.stop(0)
    collector.fold()  # which the stop interrupts
    said = [(record.levelname, record.getMessage().partition(f"{TODAY.year}")[0]) for record in caplog.records]
    place = f"SQLite database {store.path}:" if isinstance(store, SQLiteStore) else "PostgreSQL"
    refused = f"days are not rolled up: {place} could not roll up "
    warnings = [refused, refused, "days are not rolled up: cut"]
    assert said == [
        said for warning in warnings for said in (("WARNING", warning), ("INFO", "days are rolled up again"))
    ]


def cut(what: str) -> AbstractContextManager[None]:
    raise StoreError("cut")


def test_an_older_roll_up_never_replaces_a_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Collector(CollectorSettings(port=0, data_dir=tmp_path), FrozenClock(NOON))
    newer = threading.Thread(target=collector.fold)
    read = collector.store.rollups

    def read_slowly(since: date, until: date, fields: Sequence[str]) -> Sequence[Rollup]:
        """The first reader has what it found only after another roll-up, or while that waits for it."""
        found = read(since, until, fields)
        if newer.ident is None:
            writer.write([ping(f"{number}", later(days=-1)) for number in range(5)])
            newer.start()
            wait_until(lambda: not newer.is_alive() or _is_in(newer, Collector.fold), "the newer roll-up")
        return found

    monkeypatch.setattr(collector.store, "rollups", read_slowly)
    with BlockingWriter(collector.store) as writer:
        collector.fold()
        newer.join()
    assert collector.metrics.day[catalogue.DAILY_BY_NODEJS_VERSION] == {("20",): 5}


def _is_in(thread: threading.Thread, function: Callable[..., object]) -> bool:
    """Whether a thread is in the function itself, not in one that it calls: as while it waits for a lock there."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code is function.__code__
