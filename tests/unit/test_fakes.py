"""The fakes the other tests rely on must themselves keep their promises."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes import FakeClock, FakeRandom
from tests.real_parts.internet import Internet, Request

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def stopped() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def started(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_time_stands_still_until_advanced(clock: FakeClock) -> None:
    before = clock.now(), clock.monotonic()
    assert (clock.now(), clock.monotonic()) == before
    clock.advance(1.5)
    assert clock.now() == NOON + timedelta(seconds=1.5)
    assert clock.monotonic() == before[1] + 1.5


def test_waiters_wake_at_their_own_moments_in_order(clock: FakeClock, stopped: threading.Event) -> None:
    woken: list[tuple[str, float]] = []
    start = clock.monotonic()

    def every(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            while not clock.wait(stopped, seconds):
                woken.append((name, clock.monotonic() - start))

        return run

    started(every("a", 3))
    clock.await_waiters(1)
    started(every("b", 2))
    clock.await_waiters(2)
    clock.advance(7)
    assert woken == [("b", 2), ("a", 3), ("b", 4), ("a", 6), ("b", 6)]


def test_advance_waits_for_the_work_of_a_woken_thread(clock: FakeClock, stopped: threading.Event) -> None:
    results: list[float] = []

    def work() -> None:
        clock.wait(stopped, 1)
        threading.Event().wait(0.05)  # real work takes real time
        results.append(clock.monotonic())

    start = clock.monotonic()
    started(work)
    clock.await_waiters(1)
    clock.advance(10)
    assert results == [start + 1]


def test_a_stop_event_set_without_notice_ends_the_wait(clock: FakeClock, stopped: threading.Event) -> None:
    answers: list[bool] = []
    thread = started(lambda: answers.append(clock.wait(stopped, 3600)))
    clock.await_waiters(1)
    stopped.set()
    thread.join(60)
    assert answers == [True]  # and the clock has not moved
    clock.advance(7200)  # a waiter that left is not waited for


def test_waiting_for_nothing_returns_at_once(clock: FakeClock, stopped: threading.Event) -> None:
    assert clock.wait(stopped, 0) is False
    stopped.set()
    assert clock.wait(stopped, 10) is True


def test_suspend_and_adjustments_move_only_the_wall_clock(clock: FakeClock) -> None:
    before = clock.monotonic()
    clock.suspend(3600)
    clock.adjust(-7200)
    assert clock.now() == NOON - timedelta(hours=1)
    assert clock.monotonic() == before


def test_wall_time_does_not_drift_from_monotonic_time(clock: FakeClock) -> None:
    for _ in range(1000):
        clock.advance(0.1000001)
    assert abs(clock.now() - NOON - timedelta(seconds=100.0001)) < timedelta(microseconds=2)


def test_the_die_throws_what_it_was_given() -> None:
    die = FakeRandom([0.25, 0.5])
    assert [die.random(), die.uniform(0, 10), die.uniform(0, 10)] == [0.25, 5.0, 5.0]


def test_what_an_earlier_visitor_still_sends_is_not_taken_for_the_next_ones() -> None:
    web = Internet(port=0)
    first, second = (Request("GET", "a.example.test", "/", b"", f"Mozilla/5.0 {name}") for name in ("first", "second"))
    web.welcome("first")
    web.record(first)
    assert web.requests == [first]
    web.welcome("second")
    web.record(first)
    web.record(second)
    assert web.requests == [second]
