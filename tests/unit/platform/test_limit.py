"""The thread that watches over time limits: whom it aborts and when, and that there is one, and none without need."""

import threading

import pytest

from ff_observe.platform.sources import limit
from ff_observe.platform.sources.limit import TimeLimit
from tests.fakes import FakeClock
from tests.real_parts.processes import wait_until

NAME = "database time limit"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(monotonic=0.0)
    monkeypatch.setattr(limit, "time", clock)
    return clock


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> limit._Watch:
    """A watch over the limits of one test."""
    watch = limit._Watch()
    monkeypatch.setattr(limit, "_WATCH", watch)
    return watch


class Unattended(limit._Watch):
    """One whose thread is the test's."""

    def _restart(self) -> None:
        pass


class Pauses(threading.Event):
    """The end of a watch, once it has paused so many times. Its pauses take no time but the clock's."""

    def __init__(self, clock: FakeClock, number: int) -> None:
        super().__init__()
        self._clock = clock
        self._number = number
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if len(self.seconds) == self._number:
            return True
        assert timeout is not None
        self.seconds.append(round(timeout, 6))
        self._clock.advance(timeout)
        return False


class Watched:
    """A limit of a watch that runs by the clock, and when it called for an end."""

    def __init__(self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.watch = Unattended()
        monkeypatch.setattr(limit, "_WATCH", self.watch)
        self._clock = clock
        self.aborted: list[float] = []
        self.limit = TimeLimit(seconds, lambda: self.aborted.append(round(clock.monotonic(), 6)))

    def pause(self, number: int) -> list[float]:
        """Let the watch pause so many times; for how long each."""
        pauses = Pauses(self._clock, number)
        self.watch._run(pauses)
        return pauses.seconds


@pytest.fixture
def watched(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(clock, monkeypatch, 4)


def test_a_block_that_takes_too_long_is_aborted_until_it_ends(watched: Watched) -> None:
    with watched.limit:
        assert watched.pause(3) == [4, 0.05, 0.05]
        assert watched.limit.expired
    assert watched.aborted == [4, 4.05, 4.1]
    assert watched.pause(2) == [4, 4]
    assert len(watched.aborted) == 3
    with watched.limit:
        assert not watched.limit.expired


def test_a_block_whose_time_is_over_before_the_next_pause_is_aborted_at_its_own_time(watched: Watched) -> None:
    with TimeLimit(3, lambda: None):
        pass
    with watched.limit:
        assert watched.pause(2) == [3, 1]
    assert watched.aborted == [4]


def test_a_limit_that_is_restarted_has_as_much_time_again(watched: Watched, clock: FakeClock) -> None:
    with TimeLimit(2, lambda: None):
        pass
    with watched.limit:
        clock.advance(3)
        watched.limit.restart()
        assert watched.pause(2) == [2, 2]
    assert watched.aborted == [7]


def test_of_many_limits_the_shortest_says_how_long_to_pause_and_each_is_its_own(
    watched: Watched, clock: FakeClock
) -> None:
    others: list[float] = []
    other = TimeLimit(3, lambda: others.append(clock.monotonic()))
    idle = TimeLimit(10, others.clear)
    with idle:
        pass
    with watched.limit, other:
        assert watched.pause(2) == [3, 0.05]
        assert (watched.limit.expired, other.expired) == (False, True)
    assert (watched.aborted, others) == ([], [3, 3.05])
    other.close()
    assert watched.pause(1) == [4]


def test_a_limit_that_was_not_used_yet_has_not_expired(watched: Watched) -> None:
    assert not watched.limit.expired


def test_a_watch_over_nothing_goes_on_looking(watched: Watched) -> None:
    assert watched.pause(2) == [0.05, 0.05]


def watching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def test_one_thread_watches_and_another_takes_its_place_only_for_a_shorter_limit(watch: limit._Watch) -> None:
    before = watching()

    def threads() -> list[threading.Thread]:
        return [thread for thread in watching() if thread not in before]

    limits = []
    seen = []
    for seconds in (60.0, 60.0, 90.0, 30.0):
        limits.append(TimeLimit(seconds, lambda: None))
        with limits[-1], limits[0]:
            assert threads()
            wait_until(lambda: len(threads()) == 1, "the thread before to end")
        seen += threads()
    assert seen[0] is seen[1] is seen[2] is not seen[3]
    assert all(thread.daemon for thread in seen)
    for each in limits:
        assert threads() == seen[3:]
        each.close()
    assert threads() == []
    limits[0].close()
    with limits[0]:
        assert len(threads()) == 1
    limits[0].close()


def test_a_limit_may_be_closed_by_what_it_calls(watch: limit._Watch) -> None:
    closed = threading.Event()

    def close() -> None:
        short.close()
        closed.set()

    short = TimeLimit(0, close)
    with short:
        assert closed.wait(30)
