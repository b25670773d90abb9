"""What is left out of readings that take too long, step by step, without a database."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.questions import Rows
from ff_observe.platform.sources.questions import MOST_GROUPED_ROWS
from ff_observe.platform.sources.reduction import PAUSE, REASON, Reduction

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
READ = [count for count in COUNTS if not count.every_seconds]
BUT_ROWS = {count.name for count in READ if not isinstance(count.of, Rows)}
OF_DEVICES = {count.name for count in READ if count.of.table == "devices"} & BUT_ROWS
LARGE = {"devices": MOST_GROUPED_ROWS + 1, "users": MOST_GROUPED_ROWS}
SMALL = dict.fromkeys(LARGE, MOST_GROUPED_ROWS)


@pytest.fixture
def reduction() -> Reduction:
    return Reduction("the database")


def left_out(reduction: Reduction) -> set[str]:
    found = reduction.of(READ)
    assert reduction.is_on is bool(found)
    return set(found)


def test_nothing_is_left_out_of_what_is_read_in_time(reduction: Reduction) -> None:
    assert OF_DEVICES
    assert left_out(reduction) == set()
    assert reduction.learn({}) is False
    assert reduction.end(AT) is False
    assert left_out(reduction) == set()


def test_rows_are_counted_at_once_then_small_tables_then_all(reduction: Reduction) -> None:
    assert reduction.began(AT) is False
    assert reduction.begin(AT) is True
    assert (reduction.began(AT), reduction.began(AT + timedelta(seconds=1))) == (True, False)
    assert left_out(reduction) == BUT_ROWS
    assert reduction.learn(LARGE) is True
    assert left_out(reduction) == OF_DEVICES
    assert reduction.learn({"invitations": 10**9}) is False  # those are always only counted
    assert left_out(reduction) == OF_DEVICES
    assert reduction.end(AT + PAUSE - timedelta(microseconds=1)) is False
    assert left_out(reduction) == OF_DEVICES
    assert reduction.end(AT + PAUSE) is True
    assert reduction.end(AT + PAUSE) is False
    assert left_out(reduction) == set()


def test_without_a_large_table_all_is_asked_for_the_next_time(reduction: Reduction) -> None:
    reduction.begin(AT)
    assert reduction.learn(SMALL) is True
    assert left_out(reduction) == set()


def test_there_is_nothing_less_than_the_numbers_of_rows(reduction: Reduction) -> None:
    reduction.begin(AT)
    assert reduction.begin(AT + timedelta(seconds=9)) is False
    assert reduction.end(AT + PAUSE) is True  # since the first time


def test_where_small_tables_take_too_long_too_only_rows_are_counted_until_the_pause_is_over(
    reduction: Reduction,
) -> None:
    reduction.begin(AT)
    reduction.learn(LARGE)
    later = AT + timedelta(minutes=1)
    assert reduction.begin(later) is True
    assert left_out(reduction) == BUT_ROWS
    assert reduction.learn(LARGE) is False
    assert left_out(reduction) == BUT_ROWS
    assert reduction.end(later + PAUSE) is True
    assert left_out(reduction) == set()


def test_what_was_large_is_left_out_at_once_when_all_takes_too_long_again(reduction: Reduction) -> None:
    reduction.begin(AT)
    reduction.learn(LARGE)
    reduction.end(AT + PAUSE)
    assert reduction.begin(AT + PAUSE) is True
    assert left_out(reduction) == OF_DEVICES


def test_after_all_was_read_in_time_what_is_large_is_found_out_anew(reduction: Reduction) -> None:
    reduction.begin(AT)
    reduction.learn(LARGE)
    reduction.end(AT + PAUSE)
    assert reduction.learn({}) is False
    reduction.begin(AT + 2 * PAUSE)
    assert left_out(reduction) == BUT_ROWS


def test_it_is_said_once_until_all_is_read_in_time(reduction: Reduction, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    warning = f"the database: {REASON}; until then, only what can be read in time is reported"
    for _ in range(2):
        reduction.begin(AT)
        reduction.learn(LARGE)
        reduction.end(AT + PAUSE)
    assert caplog.messages == [warning]
    for _ in range(2):
        reduction.learn({})
    reduction.begin(AT + PAUSE)
    assert caplog.messages == [warning, "the database: every count can be read in time again", warning]
    assert "10 minutes" in REASON
