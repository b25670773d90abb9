"""Counting the fleet in portions: what happens between two of them, in each store."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from ff_observe.catalogue.ping_contract import FIELDS
from ff_observe.collector.fleet.figures import take_fleet
from ff_observe.collector.store import Count, Seen, Store, StoreError, counting
from tests.contract.conftest import MakeStore, counted
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

PLATFORMS = 7
PORTION = 3
RESTS = 2
FLOWFORGE = [field.dotted for field in FIELDS].index("env.flowforge")


class Rests(threading.Event):
    """Takes the place of the wait between two portions."""

    def __init__(self, meanwhile: Callable[[int], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile
        self.asked: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout)
        self._meanwhile(len(self.asked))
        return self.is_set()


def resting(store: Store, meanwhile: Callable[[int], object]) -> Rests:
    """Have a count do that instead of each of its rests; it gets how many there were."""
    store._interrupted = rests = Rests(meanwhile)
    return rests


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "COUNTED_AT_ONCE", PORTION)


@pytest.fixture
def fleet(writer: BlockingWriter) -> None:
    writer.write([ping(f"platform-{index}", later(days=-3 if index else 0)) for index in range(PLATFORMS)])


def platforms(count: Count) -> set[int]:
    """The sum over the values of each field: one number, if each platform is counted once in all."""
    return {sum(number for _, number in values) for values in count.distributions.values()}


def test_a_platform_counts_with_its_values_in_every_window_it_was_seen_in(store: Store, writer: BlockingWriter) -> None:
    for days, version in ((40, "2.30.0"), (20, "2.31.0"), (3, "2.32.1"), (1.5, "2.32.1"), (0.5, "2.33.2")):
        writer.write([ping(f"seen-{days}-days-ago", later(days=-days), env__flowforge=version)])
    count = counted(store, NOON)
    assert count.seen == Seen({"1d": 1, "7d": 3, "30d": 4}, 2)
    assert count.distributions[FLOWFORGE] == [("2.31.0", 1), ("2.32.1", 2), ("2.33.2", 1)]


@pytest.mark.usefixtures("fleet")
def test_each_platform_is_counted_once_however_often_it_pings_meanwhile(store: Store, writer: BlockingWriter) -> None:
    def meanwhile(rest: int) -> None:
        writer.write([ping(f"platform-{index}", later(seconds=rest)) for index in range(PLATFORMS)])

    rests = resting(store, meanwhile)
    count = counted(store, later(minutes=1))
    assert len(rests.asked) == RESTS
    assert platforms(count) == {PLATFORMS}
    windows = count.seen.by_window
    assert windows["7d"] == windows["30d"] == PLATFORMS
    assert windows["1d"] == PLATFORMS - count.seen.silent, "who pinged in a day is not silent for two"
    assert 1 <= windows["1d"] < PLATFORMS, "the first portion was counted before, the others after they pinged again"


@pytest.mark.parametrize("make_store", ["sqlite"], indirect=True)  # where new platforms come last
@pytest.mark.usefixtures("fleet")
def test_a_count_ends_however_many_platforms_come_meanwhile(store: Store, writer: BlockingWriter) -> None:
    rests = resting(store, lambda rest: writer.write([ping(f"new-{rest}-{index}") for index in range(PORTION)]))
    assert platforms(counted(store, later(seconds=1))) == {PLATFORMS}
    assert len(rests.asked) == RESTS


@pytest.mark.parametrize("make_store", ["postgresql"], indirect=True)  # where they come anywhere, as their ids are
@pytest.mark.usefixtures("fleet")
def test_a_count_ends_because_what_comes_an_hour_into_the_next_day_is_not_in_it(
    store: Store, writer: BlockingWriter
) -> None:
    limit = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)  # what clocks and pings agree is still to come
    moments = iter([limit - timedelta(seconds=1), limit, limit])

    def meanwhile(rest: int) -> None:
        at = next(moments)
        writer.write([ping(f"z-{rest}-{index}", at) for index in range(PORTION)])

    resting(store, meanwhile)
    assert platforms(counted(store, later(seconds=1))) == {PLATFORMS + PORTION}


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("was_counted_before", [False, True])
def test_a_count_is_not_kept_if_a_platform_is_forgotten_meanwhile(
    make_store: MakeStore, store: Store, was_counted_before: bool
) -> None:
    if was_counted_before:
        counted(store, NOON)
    resting(store, lambda rest: make_store().forget("platform-0") if rest == RESTS else None)
    counted(store, later(seconds=1))
    resting(store, lambda _: None)
    assert store.last_count() is None
    assert platforms(counted(store, later(seconds=2))) == {PLATFORMS - 1}
    assert store.last_count() is not None


@pytest.mark.usefixtures("fleet")
def test_a_count_rests_59_times_as_long_as_it_worked_at_most_a_fifth_of_a_second(
    make_store: MakeStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([0, 5, 5.001, 10, 10.01, 30, 7200])
    monkeypatch.setattr(counting, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    rests = resting(store, lambda _: None)
    counted(store, NOON)
    assert rests.asked == pytest.approx([59 * 0.001, 0.2])
    assert take_fleet(make_store(), NOON, 1, 2, timedelta(hours=1)).took_seconds == 7200, "all collectors know it"


def test_a_count_of_a_collector_that_knew_fewer_fields_has_no_values_of_the_others(store: Store) -> None:
    document = '{"windows": {"1d": 1, "7d": 2, "30d": 3}, "silent": 0, "fields": {"env.flowforge": [["2.33.2", 3]]}}'
    assert store.last_count() is None
    with store._session("keep a count") as session:
        session.run("INSERT INTO fleet_count (id, taken_at, document) VALUES (1, ?, ?)", NOON.isoformat(), document)
    count = store.last_count()
    assert count is not None
    assert [list(values) for values in count.distributions.values() if values] == [[("2.33.2", 3)]]


@pytest.mark.usefixtures("fleet")
def test_a_count_that_rests_ends_when_interrupted_and_leaves_the_last_one(make_store: MakeStore, store: Store) -> None:
    before = counted(store, NOON)
    rests = resting(store, lambda _: rests.set())
    with pytest.raises(StoreError, match=r"^the count is interrupted$"):
        store.count(later(minutes=1), silent_after_days=2)
    assert make_store().last_count() == before


@pytest.mark.usefixtures("fleet")
def test_days_are_rolled_up_while_the_fleet_is_counted(make_store: MakeStore, store: Store) -> None:
    folded: list[int] = []
    resting(store, lambda _: folded.append(make_store().fold(NOON, 3).days))
    counted(store, later(seconds=1))
    assert folded[0] > 0


@pytest.mark.parametrize("make_store", ["postgresql"], indirect=True)  # an SQLite file has one collector
@pytest.mark.usefixtures("fleet")
def test_collectors_of_one_database_do_not_count_at_once(make_store: MakeStore, store: Store) -> None:
    at_once: list[Count | None] = []
    resting(store, lambda _: at_once.append(make_store().count(later(seconds=1), 2)))
    counted(store, NOON)
    assert at_once == [None] * RESTS
