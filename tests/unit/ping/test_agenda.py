"""The agenda of the ping thread: what is owed, and when to ask again."""

from datetime import timedelta

from ff_observe.outputs.ping.agenda import LOOK_SECONDS, NOT_READY_SECONDS, REVIEW_SECONDS, Agenda
from ff_observe.outputs.ping.schedule import DailySchedule, Moment
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
    begun.reviewed()
    assert not begun.look()
    begun.others = None
    assert begun.look()


def test_the_latest_of_own_and_others_counts() -> None:
    clock = FakeClock()
    old, new = Moment.present(clock, 2 * DAY), Moment.present(clock, HOUR)
    for own, others in ((old, new), (new, old)):
        begun = agenda(clock, own)
        begun.others = others
        assert begun.last == new


def test_an_assumed_ping_counts_only_while_others_know_of_none() -> None:
    clock = FakeClock()
    clock.advance(7 * HOUR)
    begun = agenda(clock, Moment.present(clock, HOUR), assumed=True)
    owed = [begun.owed]
    begun.others = Moment.present(clock, 2 * DAY)
    owed.append(begun.owed)
    begun.begin()
    begun.others = None  # what it sent itself is no assumption
    assert [*owed, begun.owed] == [False, True, False]


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
    begun.reviewed()
    assert begun.wait() == LOOK_SECONDS
    begun.ask_soon(1)
    assert begun.wait() == 1
