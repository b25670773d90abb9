"""The pool of threads that platforms share, and the schedule of their tasks on it."""

import logging
import threading
from collections.abc import Iterator

import pytest

from ff_observe.lifecycle.periodic import Periodic, Schedule
from ff_observe.lifecycle.workers import Workers
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.platform_context import current_platform, working_for
from tests.fakes import FakeClock, no_more_threads

PATIENCE = 60.0


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2, idle_seconds=PATIENCE, slow_seconds=0.05)
    yield made
    assert made.stop(PATIENCE)


def test_jobs_share_a_bounded_number_of_threads(workers: Workers) -> None:
    pool = Workers(2, idle_seconds=PATIENCE, slow_seconds=PATIENCE)
    at_work, most, lock = 0, 0, threading.Lock()
    done = threading.Semaphore(0)
    ran_in = set()

    def job() -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
            ran_in.add(threading.current_thread())
        with lock:
            at_work -= 1
        done.release()

    for _ in range(200):
        pool.submit("job", job)
    for _ in range(200):
        assert done.acquire(timeout=PATIENCE)
    assert len(ran_in) <= 2
    assert most <= 2
    assert pool.stop(PATIENCE)
    assert not any(thread.is_alive() for thread in ran_in)


def test_jobs_that_hang_give_their_places_to_others(workers: Workers) -> None:
    ended, ran = threading.Event(), threading.Event()

    def hangs() -> None:
        ended.wait(PATIENCE)

    for _ in range(5):
        workers.submit("hangs", hangs)
    workers.submit("sound", ran.set)
    assert ran.wait(PATIENCE)
    ended.set()


def test_jobs_that_wait_for_others_leave_them_a_place(workers: Workers) -> None:
    """Else all threads might wait for jobs that find none."""
    pool = Workers(2, idle_seconds=PATIENCE, slow_seconds=PATIENCE)
    answered = threading.Semaphore(0)

    def waits() -> None:
        answer = threading.Event()
        pool.submit("answer", answer.set)
        if answer.wait(PATIENCE):
            answered.release()

    for _ in range(20):
        pool.submit("waits", waits, waits=True)
    for _ in range(20):
        assert answered.acquire(timeout=PATIENCE)
    assert pool.stop(PATIENCE)


def test_a_job_that_fails_is_logged_and_its_thread_goes_on(workers: Workers, caplog: pytest.LogCaptureFixture) -> None:
    ran = threading.Event()

    def fails() -> None:
        raise ZeroDivisionError

    workers.submit("broken", fails)
    workers.submit("sound", ran.set)
    assert ran.wait(PATIENCE)
    assert workers.stop(PATIENCE)
    assert "broken failed" in caplog.text


def test_nothing_is_begun_after_the_stop() -> None:
    pool, begun, ended, ran = Workers(1), threading.Event(), threading.Event(), threading.Event()

    def hangs() -> None:
        begun.set()
        ended.wait(PATIENCE)

    pool.submit("hangs", hangs)
    assert begun.wait(PATIENCE)
    pool.submit("late", ran.set)
    assert not pool.stop(0)
    pool.submit("too late", ran.set)
    ended.set()
    assert pool.stop(PATIENCE)
    assert not ran.is_set()


def test_many_tasks_run_on_one_schedule_each_for_its_platform(workers: Workers) -> None:
    clock = SystemClock()
    schedule = Schedule(clock, workers)
    seen: dict[str | None, set[str]] = {}
    done = threading.Semaphore(0)

    def task() -> float | None:
        platform = current_platform()
        seen.setdefault(platform, set()).add(threading.current_thread().name)
        done.release()
        return 0.0 if platform == "again" else None

    tasks = []
    for name in (*(f"platform-{number}" for number in range(50)), "again"):
        with working_for(name):
            tasks.append(Periodic("a task", task, clock, schedule=schedule))
            tasks[-1].start()
    schedule.start()
    for _ in range(100):
        assert done.acquire(timeout=PATIENCE)
    for each in tasks:
        each.stop(clock.monotonic() + PATIENCE)
    schedule.stop(clock.monotonic() + PATIENCE)
    assert set(seen) == {*(f"platform-{number}" for number in range(50)), "again"}
    assert set().union(*seen.values()) == {"a task"}


def test_a_task_on_a_schedule_that_does_not_come_back_is_said(workers: Workers) -> None:
    clock, begun, released = SystemClock(), threading.Event(), threading.Event()
    schedule = Schedule(clock, workers)
    schedule.start()

    def task() -> None:
        begun.set()
        released.wait(PATIENCE)

    hanging = Periodic("a task", task, clock, schedule=schedule)
    hanging.start()
    assert begun.wait(PATIENCE)
    with pytest.raises(TimeoutError, match="a task"):
        hanging.stop(clock.monotonic())
    released.set()
    schedule.stop(clock.monotonic() + PATIENCE)


def test_a_job_that_finds_no_thread_is_refused_and_the_next_ones_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pool, ran, refused = Workers(2), threading.Event(), threading.Event()
    with no_more_threads():
        assert not pool.submit("refused", refused.set)
        assert not pool.submit("refused", refused.set, waits=True)
    assert pool.submit("job", ran.set)
    assert ran.wait(PATIENCE)
    assert pool.stop(PATIENCE)
    assert not refused.is_set()
    assert [record.getMessage() for record in caplog.records] == [
        "work has to wait: can't start new thread",
        "threads can be started again",
    ]


def test_a_job_that_finds_no_thread_waits_for_one_at_work(workers: Workers) -> None:
    begun, ended, ran = threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        ended.wait(PATIENCE)

    workers.submit("job", job)
    assert begun.wait(PATIENCE)
    with no_more_threads():
        assert workers.submit("next", ran.set)
        ended.set()
        assert ran.wait(PATIENCE)


def test_a_thread_survives_whatever_a_job_raises(caplog: pytest.LogCaptureFixture) -> None:
    pool, ran = Workers(1), threading.Event()

    def exits() -> None:
        raise SystemExit(1)

    pool.submit("exits", exits)
    assert pool.finish(PATIENCE)
    pool.submit("next", ran.set)
    assert ran.wait(PATIENCE)
    assert pool.stop(PATIENCE)
    assert "exits failed" in caplog.text


def test_a_task_that_finds_no_thread_runs_later() -> None:
    clock, pool, ran = FakeClock(), Workers(2), threading.Event()
    schedule = Schedule(clock, pool)
    Periodic("a task", ran.set, clock, first_after=1.0, schedule=schedule).start()
    schedule.start()
    clock.await_waiters(1)
    with no_more_threads():
        clock.advance(1)
    assert not ran.is_set()
    clock.advance(5)
    assert ran.wait(PATIENCE)
    schedule.stop(clock.monotonic() + PATIENCE)
    assert pool.stop(PATIENCE)
