"""The thread behind everything that happens again and again."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from ff_observe.lifecycle.periodic import Periodic
from tests.fakes import FakeClock

Make = Callable[..., Periodic]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def periodic(clock: FakeClock) -> Iterator[Make]:
    made: list[Periodic] = []

    def make(task: Callable[[], float | None], **options: object) -> Periodic:
        made.append(Periodic("a task", task, clock, **options))  # type: ignore[arg-type]  # passed on as given
        return made[-1]

    yield make
    for each in made:
        each.stop(clock.monotonic() + 5)


def test_the_task_runs_when_it_asked_to(clock: FakeClock, periodic: Make) -> None:
    ran: list[float] = []
    start = clock.monotonic()

    def task() -> float | None:
        ran.append(clock.monotonic() - start)
        return 10.0 if len(ran) < 3 else None

    periodic(task, first_after=30.0).start()
    clock.await_waiters(1)
    clock.advance(1000)
    assert ran == [30, 40, 50]


def test_an_error_is_reported_once_and_the_thread_goes_on(
    clock: FakeClock, periodic: Make, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[tuple[str, str]] = []
    outcomes = iter([ValueError("one"), ValueError("two"), KeyError("three"), None, ValueError("four")])

    def task() -> float:
        if (error := next(outcomes, None)) is not None:
            raise error
        return 60.0

    caplog.set_level(logging.INFO)
    periodic(task, first_after=1, on_error=lambda error, name: errors.append((str(error), name))).start()
    clock.await_waiters(1)
    clock.advance(600)
    assert errors == [("one", "a task"), ("'three'", "a task"), ("four", "a task")]
    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "ERROR", "INFO", "ERROR", "INFO"]


def test_an_error_sink_that_fails_does_not_end_the_thread(clock: FakeClock, periodic: Make) -> None:
    runs: list[float] = []

    def task() -> float:
        runs.append(clock.monotonic())
        raise ValueError

    def sink(error: BaseException, name: str) -> None:
        raise RuntimeError(name) from error

    periodic(task, first_after=1, retry_seconds=5, on_error=sink).start()
    clock.await_waiters(1)
    clock.advance(11)
    assert len(runs) == 3


def test_stopping_is_legal_before_the_start_and_twice(clock: FakeClock, periodic: Make) -> None:
    never = periodic(lambda: None)
    never.stop(clock.monotonic() + 5)
    running = periodic(lambda: 1.0, first_after=1)
    running.start()
    running.stop(clock.monotonic() + 5)
    running.stop(clock.monotonic() + 5)


def test_a_task_that_waits_for_something_else_is_interrupted(clock: FakeClock, periodic: Make) -> None:
    begun, interrupted = threading.Event(), threading.Event()

    def task() -> None:
        begun.set()
        assert interrupted.wait(10)

    hanging = periodic(task, on_stop=interrupted.set)
    hanging.start()
    assert begun.wait(10)
    hanging.stop(clock.monotonic() + 5)


def test_a_task_that_does_not_come_back_is_left_behind(clock: FakeClock, periodic: Make) -> None:
    begun, released = threading.Event(), threading.Event()

    def task() -> None:
        begun.set()
        released.wait(10)

    hanging = periodic(task)
    hanging.start()
    assert begun.wait(10)
    with pytest.raises(TimeoutError, match="a task"):
        hanging.stop(clock.monotonic())
    released.set()
