"""The agenda of the ping thread: what is owed, and when to ask again."""

from datetime import timedelta

import pytest

from ff_observe.outputs.ping.schedule import (
    LOOK_SECONDS,
    MAX_ATTEMPTS,
    MIN_WAIT_SECONDS,
    NOT_READY_SECONDS,
    REVIEW_SECONDS,
    Agenda,
    DailySchedule,
    Moment,
)
from tests.fakes import FakeClock, FakeRandom

AT_18 = DailySchedule(timedelta(hours=18))
HOUR, DAY = 3600.0, 86_400.0


def agenda(clock: FakeClock, own: Moment | None, *, assumed: bool = False, not_before: float = 0.0) -> Agenda:
    return Agenda(AT_18, own, clock, FakeRandom([0.5]), assumed=assumed, not_before=not_before)


def test_the_first_ping_is_owed_at_once_and_asked_for_not_before_its_moment() -> None:
    clock = FakeClock()  # noon
    begun = agenda(clock, None, not_before=clock.monotonic() + 30)
    assert begun.owed
    assert not begun.look()
    assert begun.next_ping() == clock.now() + timedelta(seconds=30)
    clock.advance(30)
    assert begun.look()


def test_one_ping_is_owed_on_each_day_from_its_time_on() -> None:
    clock = FakeClock()
    begun = agenda(clock, Moment.present(clock, DAY))
    owed = [begun.owed]
    for seconds in (6 * HOUR - 1, 1):
        clock.advance(seconds)
        owed.append(begun.owed)
    begun.begin()
    owed.append(begun.owed)
    clock.advance(DAY)
    assert [*owed, begun.owed] == [False, False, True, False, True]


def test_a_ping_of_another_bridge_is_the_one_of_today() -> None:
    clock = FakeClock()
    begun = agenda(clock, None)
    begun.others = Moment.present(clock, 60)
    assert not begun.owed
    assert begun.last == begun.others


def test_a_first_ping_that_its_sender_took_back_is_asked_for_at_once() -> None:
    clock = FakeClock()
    begun = agenda(clock, None)
    begun.others = Moment.present(clock)  # under way elsewhere
    assert begun.look()
    begun.ask_after()
    assert not begun.look()
    begun.others = None
    assert begun.look()


def test_the_latest_of_own_and_others_counts() -> None:
    clock = FakeClock()
    old, new = Moment.present(clock, 2 * DAY), Moment.present(clock, HOUR)
    for own, others in ((old, new), (new, old)):
        begun = Agenda(AT_18, own, clock, FakeRandom([0.5]))
        begun.others = others
        assert begun.last == new


def test_an_assumed_ping_counts_only_while_others_know_of_none() -> None:
    clock = FakeClock()
    clock.advance(7 * HOUR)
    begun = agenda(clock, Moment.present(clock, HOUR), assumed=True)
    owed = [begun.owed]
    begun.others = Moment.present(clock, 2 * DAY)
    owed.append(begun.owed)
    begun.begin()  # what it sends itself is no assumption
    owed.append(begun.owed)
    begun.others = None
    assert [*owed, begun.owed] == [False, True, False, False]


def test_a_failed_attempt_is_owed_again_after_a_delay() -> None:
    clock = FakeClock()
    begun = agenda(clock, before := Moment.present(clock, 2 * DAY))
    clock.advance(6 * HOUR)
    assert begun.look()
    begun.begin()
    assert begun.retry(None)
    assert begun.last == before
    assert not begun.look()
    clock.advance(30)
    assert begun.look()


def test_a_retry_that_would_come_after_the_next_ping_is_not_made() -> None:
    clock = FakeClock()
    begun = agenda(clock, Moment.present(clock, 2 * DAY))
    clock.advance(6 * HOUR)
    begun.begin()
    assert not begun.retry(DAY)
    assert not begun.owed
    assert begun.next_ping() == clock.now() + timedelta(days=1)


def test_a_new_day_begins_its_attempts_at_once_and_afresh() -> None:
    clock = FakeClock()
    begun = agenda(clock, Moment.present(clock, 2 * DAY))
    clock.advance(6 * HOUR)
    assert begun.look()
    begun.refused(ready=True)
    clock.advance(DAY - 1)
    begun.refused(ready=True)
    assert not begun.look()
    clock.advance(1)
    assert begun.look()


def test_after_a_refusal_it_asks_sooner_where_the_platform_is_not_ready() -> None:
    clock = FakeClock()
    begun = agenda(clock, None)
    for ready, seconds in ((False, NOT_READY_SECONDS), (True, REVIEW_SECONDS)):
        begun.refused(ready=ready)
        clock.advance(seconds - 1)
        assert not begun.look()
        clock.advance(1)
        assert begun.look()


def test_it_never_waits_long_since_a_waiting_thread_does_not_notice_a_clock_that_jumps() -> None:
    clock = FakeClock()
    begun = agenda(clock, Moment.present(clock))
    begun.ask_after()
    assert begun.wait() == LOOK_SECONDS
    begun.ask_after(1)
    assert begun.wait() == 1


def fail(begun: Agenda, clock: FakeClock) -> float:
    """Make an attempt that fails. Returns after how many seconds the next is made."""
    begun.begin()
    assert begun.retry(None)
    return (begun.next_ping() - clock.now()).total_seconds()


@pytest.mark.parametrize("event", ["a new day", "a refusal"])
def test_the_delays_begin_anew(event: str) -> None:
    clock = FakeClock()
    begun = agenda(clock, Moment.present(clock, 2 * DAY))
    clock.advance(6 * HOUR)
    assert begun.look()
    first, second = fail(begun, clock), fail(begun, clock)
    assert second > first
    if event == "a refusal":
        begun.refused(ready=True)
    clock.advance(DAY if event == "a new day" else REVIEW_SECONDS)
    assert begun.look()
    assert fail(begun, clock) == first


def test_an_attempt_whose_outcome_is_not_known_is_made_again_after_an_hour() -> None:
    clock = FakeClock()
    begun = agenda(clock, None)
    begun.begin()
    clock.advance(REVIEW_SECONDS - 1)
    assert not begun.look()
    clock.advance(1)
    assert begun.look()


def test_only_a_first_ping_is_tried_again_after_midnight() -> None:
    clock = FakeClock()
    clock.advance(12 * HOUR - 1)
    retried = []
    for own in (Moment.present(clock, 2 * DAY), None):
        begun = agenda(clock, own)
        assert begun.look()
        begun.begin()
        retried.append(begun.retry(None))
    assert retried == [False, True]


def test_a_retry_comes_before_the_next_ping_and_not_with_it() -> None:
    clock = FakeClock()  # noon; the next ping is due tomorrow at 18:00
    for seconds, is_made in ((30 * HOUR, False), (30 * HOUR - 1, True)):
        begun = agenda(clock, None)
        begun.begin()
        assert begun.retry(seconds - 30) is is_made  # 30 is the jitter


def test_after_its_last_attempt_a_ping_is_given_up() -> None:
    clock = FakeClock()
    begun = agenda(clock, None)
    for _ in range(MAX_ATTEMPTS - 1):
        begun.begin()
        assert begun.retry(None)
    begun.begin()
    assert not begun.retry(None)
    assert not begun.owed


def test_a_ping_that_comes_to_be_owed_waits_for_the_first_moment_too() -> None:
    clock = FakeClock()
    begun = agenda(clock, None, not_before=clock.monotonic() + 30)
    begun.others = Moment.present(clock)
    assert not begun.look()
    begun.others = None
    assert not begun.look()
    clock.advance(30)
    assert begun.look()


def test_a_ping_before_its_time_of_day_is_the_one_of_that_day() -> None:
    clock = FakeClock()
    begun = agenda(clock, Moment.present(clock))
    assert begun.next_ping() == AT_18.on_the_day_of(clock.now()) + timedelta(days=1)
    begun = agenda(clock, Moment.present(clock, DAY))
    assert begun.next_ping() == AT_18.on_the_day_of(clock.now())


def test_a_moment_to_ask_that_has_passed_is_now() -> None:
    clock = FakeClock()
    begun = agenda(clock, None)
    begun.ask_after(5)
    clock.advance(10)
    assert begun.next_ping() == clock.now()
    assert begun.wait() == MIN_WAIT_SECONDS


def test_it_waits_until_the_next_ping_is_due_and_then_for_the_one_after() -> None:
    clock = FakeClock()
    begun = agenda(clock, Moment.present(clock, DAY))
    clock.advance(6 * HOUR - 10)
    begun.ask_after()
    assert begun.wait() == 10
    clock.advance(10)
    begun.ask_after()
    assert begun.wait() == LOOK_SECONDS


def test_a_review_checks_consent_at_once_but_not_before_the_first_moment() -> None:
    clock = FakeClock()
    begun = agenda(clock, Moment.present(clock), not_before=clock.monotonic() + 30)
    begun.review()
    assert not begun.look()
    clock.advance(30)
    begun.ask_after()
    begun.review()
    assert begun.look()


def test_a_review_leaves_an_owed_ping_its_time() -> None:
    clock = FakeClock()
    begun = agenda(clock, None)
    begun.ask_after(60)
    begun.review()
    assert begun.next_ping() == clock.now() + timedelta(seconds=60)
