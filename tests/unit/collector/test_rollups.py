"""What is kept of a day, and which days are rolled up or waited for, without a database."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.catalogue.ping_contract import FIELDS
from ff_observe.collector.store import Distribution, Rollup
from ff_observe.collector.store.folding import at_once
from ff_observe.collector.store.rollups import (
    FEW,
    LARGEST_TOTAL,
    MOST_VALUES,
    Pruning,
    Sighting,
    ascending,
    changed,
    of_day,
    place,
    sealed,
    size,
    text,
)
from tests.recount import BOUNDS

DAY = date(2026, 11, 23)
INDEX = {field.dotted: index for index, field in enumerate(FIELDS)}
USERS, DRIVER = "platform.counts.users", "platform.config.driver"


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def kept(distributions: Mapping[str, Distribution], *sightings: Sighting, pings: int = 1) -> list[tuple[object, ...]]:
    """The rows of a day, without the day."""
    by_index = {INDEX[name]: distribution for name, distribution in distributions.items()}
    rows = of_day(DAY, pings, sightings, by_index)
    assert {row.day for row in rows} == {DAY}
    return [row[1:] for row in rows]


def test_a_day_without_pings_has_no_roll_up() -> None:
    assert of_day(DAY, 0, [Sighting(None, None, "1", DAY, 1)], {INDEX[USERS]: [(1, 1)]}, 3) == []


def test_platforms_are_counted_by_the_days_since_they_pinged_and_by_their_first_month() -> None:
    seen = (
        Sighting(ago(1), "1", "2", ago(90), 1),
        Sighting(ago(1), "1", "2", ago(40), 128),
        Sighting(ago(30), "2", "2", ago(30), 2),
        Sighting(ago(30), None, "2", ago(30), 4),
        Sighting(ago(1), "2", None, ago(40), 8),
        Sighting(None, None, "2", DAY, 16),
        Sighting(None, None, "2", DAY + timedelta(days=40), 32),  # dated by a clock ahead: it is new all the same
        Sighting(None, None, None, ago(31), 64),
    )
    assert kept({}, *seen, pings=200) == [
        ("pings", "", 200, 0),
        ("seen", "", 255, 0),
        ("gap", "1", 137, 0),
        ("gap", "returning", 64, 0),
        ("gap", "new", 48, 0),
        ("gap", "30", 6, 0),
        ("upgrade", "1 2", 129, 0),
        ("upgrade", "2 -", 8, 0),
        ("upgrade", "- 2", 4, 0),
        ("cohort", "2026-10", 206, 0),
        ("cohort", "2026-11", 48, 0),
        ("cohort", "2026-08", 1, 0),
    ]


def test_the_largest_crowd_is_kept_if_there_is_one() -> None:
    assert of_day(DAY, 2, [], {}, 1) == [Rollup(DAY, "pings", "", 2), Rollup(DAY, "crowd", "", 1)]


def test_counts_are_kept_by_size_with_their_sum_and_values_by_frequency() -> None:
    users: Distribution = [(None, 1), (0, 2), (1, 4), (5, 8), (9, 16), (10, 32)]
    expected = [("", 1, 0), ("0", 2, 0), ("1", 4, 4), ("5", 24, 184), ("10", 32, 320)]
    assert kept({USERS: users})[1:] == [(USERS, *row) for row in expected]
    assert kept({USERS: [(LARGEST_TOTAL // 2, 3)]})[-1][-1] == LARGEST_TOTAL
    drivers: Distribution = [("b", 2), ("a", 2), ("other", 9), (None, 7), ("", 1)]
    expected = [("", 8, 0), ("a", 2, 0), ("b", 2, 0), ("other", 9, 0)]
    assert kept({DRIVER: drivers})[1:] == [(DRIVER, *row) for row in expected]
    many: Distribution = [(f"{number:03}", 1) for number in range(MOST_VALUES + 2)]
    assert kept({DRIVER: many})[-2:] == [(DRIVER, f"{MOST_VALUES - 1}", 1, 0), (DRIVER, "other", 2, 0)]


@pytest.mark.parametrize(("value", "named"), [(True, "true"), (False, "false"), (None, ""), (0, "0"), ("x", "x")])
def test_a_value_has_one_name(value: str | int | None, named: str) -> None:
    assert text(value) == named


@given(st.integers(-1, 10**16 - 1) | st.sampled_from([bound + more for bound in BOUNDS for more in (-1, 0, 1)]))
def test_a_size_is_the_largest_of_1_2_5_and_its_place_is_theirs(count: int) -> None:
    below = [bound for bound in BOUNDS if bound <= max(count, 0)]
    assert (size(count), place(size(count))) == (below[-1], len(below) - 1)


def test_of_a_day_without_its_pings_few_platforms_share_one_name() -> None:
    few, enough = FEW - 1, FEW
    rows = [
        *(Rollup(DAY, field, "", few) for field in ("pings", "seen", "crowd")),
        Rollup(DAY, "gap", "1", few),
        Rollup(DAY, "cohort", "2026-10", enough),
        Rollup(DAY, "cohort", "2026-11", few),
        Rollup(DAY, DRIVER, "a", enough),
        Rollup(DAY, DRIVER, "b", 1),
        Rollup(DAY, DRIVER, "c", few),
        Rollup(DAY, DRIVER, "other", enough),
        Rollup(DAY, USERS, "20", enough, 123),
        Rollup(DAY, USERS, "5", few, 31),
        Rollup(DAY, USERS, "", 1),
        Rollup(DAY, USERS, str(LARGEST_TOTAL // 2), 3, LARGEST_TOTAL),
    ]
    assert sealed(rows) == [
        *rows[:5],
        rows[6],
        rows[10],
        Rollup(DAY, USERS, "5", few, 5 * few),
        *rows[12:],
        Rollup(DAY, "cohort", "other", few),
        Rollup(DAY, DRIVER, "other", 1 + few + enough),
    ]


def test_days_that_differ_are_rolled_up_again_with_those_that_are_counted_from_them() -> None:
    there = dict.fromkeys((DAY + timedelta(days=day) for day in range(-1, 40)), 3)
    assert changed(there, there) == changed({}, {}) == set()
    assert changed({**there, DAY: 4}, there) == {DAY + timedelta(days=day) for day in range(31)}
    assert changed(there, {**there, ago(9): 3}) == {ago(9), *(day for day in there if day <= ago(9 - 30))}
    assert changed({DAY: 0}, {}) == changed({}, {DAY: 0}) == set()
    assert changed({}, {DAY: 1}) == changed({DAY: 1}, {}) == {DAY}


@pytest.mark.parametrize(("retention", "counted_before"), [(3, 0), (30, 0), (31, 0), (32, 1), (100, 69)])
def test_old_pings_wait_for_the_days_that_are_counted_from_them(retention: int, counted_before: int) -> None:
    """Of the last old ping, received a moment before, the 30th day after its own is the last."""
    old = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC) - timedelta(days=retention)
    pruning = Pruning(old, DAY)
    assert pruning.counted_before == ago(counted_before)
    assert pruning.patient_since == ago(2)
    assert pruning.end(None) == old
    assert pruning.end(DAY) == min(old, datetime(2026, 10, 24, tzinfo=UTC))
    assert pruning.end(ago(900)) < old


def test_values_ascend_and_those_left_out_come_last() -> None:
    assert ascending([(2, 1), (None, 5), (1, 3)]) == [(1, 3), (2, 1), (None, 5)]
    assert ascending([("", 1), (None, 5), ("a", 3)]) == [("", 1), ("a", 3), (None, 5)]


@pytest.mark.parametrize(
    ("due", "most", "failed", "expected"),
    [
        ("", 3, "", ""),
        ("abc", 3, "", "abc"),
        ("abcd", 3, "", "abd"),
        ("abcd", 2, "", "ad"),
        ("abcd", 1, "", "a"),
        ("abcd", 0, "", "a"),
        ("abcd", 3, "ba", "cdb"),
        ("abcdef", 3, "ba", "cfb"),
        ("abcd", 1, "ba", "cb"),
        ("abcd", 3, "xa", "bda"),
        ("ab", 3, "ba", "b"),
    ],
)
def test_the_oldest_days_the_newest_and_one_that_failed_are_next(
    due: str, most: int, failed: str, expected: str
) -> None:
    def days(letters: str) -> list[date]:
        return [DAY + timedelta(days=ord(letter)) for letter in letters]

    assert at_once(days(due), most, days(failed)) == days(expected)
