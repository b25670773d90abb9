"""When pings are due, and how long to wait after a failure."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.outputs.ping.schedule import MAX_ATTEMPTS, DailySchedule, retry_delay
from tests.fakes import FakeRandom

DAY = timedelta(days=1)
AFTERNOON = DailySchedule(timedelta(hours=14))

moments = st.datetimes(datetime(1999, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware
times_of_day = st.integers(0, 86_399).map(lambda seconds: timedelta(seconds=seconds))


def test_the_time_of_day_is_drawn_over_the_whole_day() -> None:
    assert DailySchedule.draw(FakeRandom([0.0])).time_of_day == timedelta()
    assert DailySchedule.draw(FakeRandom([0.5])).time_of_day == timedelta(hours=12)
    assert DailySchedule.draw(FakeRandom([1 - 2**-53])).time_of_day == timedelta(seconds=86_399)


@given(time_of_day=times_of_day, moment=moments)
def test_the_next_is_within_a_day_at_the_drawn_time_and_never_now(time_of_day: timedelta, moment: datetime) -> None:
    due = DailySchedule(time_of_day).next_after(moment)
    assert timedelta() < due - moment <= DAY
    assert (
        timedelta(hours=due.hour, minutes=due.minute, seconds=due.second, microseconds=due.microsecond) == time_of_day
    )
    assert due.tzinfo is UTC


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 11, 23, 23, 30, tzinfo=timezone(timedelta(hours=11)))
    assert AFTERNOON.next_after(moment) == datetime(2026, 11, 23, 14, tzinfo=UTC)


@given(time_of_day=times_of_day, moment=moments, back=st.floats(0, 86_400))
def test_a_clock_put_back_by_less_than_a_day_changes_nothing(
    time_of_day: timedelta, moment: datetime, back: float
) -> None:
    schedule = DailySchedule(time_of_day)
    due = schedule.next_after(moment)
    assert schedule.corrected(due, moment - timedelta(seconds=back)) == due


def test_a_due_moment_of_a_wrong_year_is_forgotten() -> None:
    now = datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert AFTERNOON.corrected(datetime(2036, 1, 1, 14, tzinfo=UTC), now) == datetime(2026, 11, 23, 14, tzinfo=UTC)


@pytest.mark.parametrize(("attempts", "limit"), [(1, 60), (2, 120), (3, 240), (9, 15_360)])
def test_retries_back_off_exponentially_with_full_jitter(attempts: int, limit: int) -> None:
    assert retry_delay(attempts, None, FakeRandom([0.5])) == limit / 2
    assert retry_delay(attempts, None, FakeRandom([1.0])) == limit
    assert retry_delay(attempts, None, FakeRandom([0.0])) == 1


def test_attempts_are_bounded() -> None:
    assert retry_delay(MAX_ATTEMPTS - 1, None, random.Random(1)) is not None
    assert retry_delay(MAX_ATTEMPTS, 5.0, random.Random(1)) is None


def test_what_the_receiver_asked_for_comes_before_the_jitter() -> None:
    assert retry_delay(1, 300.0, FakeRandom([0.0])) == 300
    assert retry_delay(1, 300.0, FakeRandom([0.5])) == 330
