"""When pings are due, and how long to wait after a failure."""

import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.outputs.ping.schedule import MAX_ATTEMPTS, DailySchedule, Moment, retry_delay
from tests.fakes import FakeClock, FakeRandom
from tests.unit.ping.samples import INSTALLATION

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
AFTERNOON = DailySchedule(timedelta(hours=14))

moments = st.datetimes(datetime(1999, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware
times_of_day = st.integers(0, 86_399).map(lambda seconds: timedelta(seconds=seconds))


def test_the_time_of_day_is_that_of_the_platform_and_spread_over_the_whole_day() -> None:
    hours = Counter(DailySchedule.of_platform(f"platform {number}").time_of_day // HOUR for number in range(2400))
    assert set(hours) == set(range(24))
    assert max(hours.values()) < 150
    assert DailySchedule.of_platform(INSTALLATION.instance_id or "") == DailySchedule(timedelta(hours=18))


@given(time_of_day=times_of_day, moment=moments)
def test_the_next_is_within_a_day_at_its_time_and_never_now(time_of_day: timedelta, moment: datetime) -> None:
    due = DailySchedule(time_of_day).next_after(moment)
    assert timedelta() < due - moment <= DAY
    assert (
        timedelta(hours=due.hour, minutes=due.minute, seconds=due.second, microseconds=due.microsecond) == time_of_day
    )
    assert due.tzinfo is UTC


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 11, 23, 23, 30, tzinfo=timezone(timedelta(hours=11)))
    assert AFTERNOON.next_after(moment) == datetime(2026, 11, 23, 14, tzinfo=UTC)


def test_days_are_those_of_utc_on_a_machine_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Pacific/Auckland")  # a day of its own begins at 11:00 UTC
        time.tzset()
        noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
        assert not DailySchedule(9 * HOUR).owes(noon, noon - 2 * HOUR)
        assert not DailySchedule(9 * HOUR).owes(noon + 11 * HOUR, noon - 2 * HOUR)
        assert DailySchedule(9 * HOUR).owes(noon, noon - 13 * HOUR)
    time.tzset()


@given(time_of_day=times_of_day, moment=moments)
def test_one_ping_is_owed_on_each_day_from_its_time_on(time_of_day: timedelta, moment: datetime) -> None:
    schedule = DailySchedule(time_of_day)
    due = schedule.on_the_day_of(moment)
    assert schedule.last_before(due) == due
    assert schedule.owes(due, due - DAY)
    assert not schedule.owes(due - timedelta(microseconds=1), due - DAY)
    assert not schedule.owes(schedule.next_after(due) - timedelta(microseconds=1), due)


def test_a_moment_is_reckoned_by_the_time_that_passed_and_not_by_a_clock_that_is_set() -> None:
    clock = FakeClock(datetime(2026, 11, 23, 12, tzinfo=UTC))
    moment = Moment.present(clock, 60)
    clock.adjust(-86_400)
    clock.suspend(3600)
    assert clock.now() - moment.by(clock) == timedelta(hours=1, minutes=1)
    assert Moment.present(clock).by(clock) == clock.now()
    assert moment.wall == datetime(2026, 11, 23, 11, 59, tzinfo=UTC)


@pytest.mark.parametrize("boot", ["another", ""])
def test_after_a_restart_of_the_machine_a_moment_is_what_the_clock_showed_but_never_in_the_future(boot: str) -> None:
    clock = FakeClock(datetime(2026, 11, 23, 12, tzinfo=UTC))
    moment = Moment.present(clock)
    clock.boot = boot
    clock.advance(3600)
    assert moment.by(clock) == moment.wall
    clock.adjust(-7200)
    assert moment.by(clock) == clock.now()


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
