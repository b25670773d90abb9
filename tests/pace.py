"""How much is asked of this machine: limits that hold on a busy one, and what only `make nightly` does in full."""

import contextlib
import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import hypothesis

_TURNS = 1_000_000


T = TypeVar("T")


def in_full(nightly: T, else_: T) -> T:
    """How often to repeat what is random, or with what: `nightly` in `make nightly`, less elsewhere."""
    return nightly if hypothesis.settings.get_current_profile_name() == "nightly" else else_


@dataclass(frozen=True)
class Pace:
    """What a fixed piece of work took."""

    wall_seconds: float
    processor_seconds: float

    @property
    def slowness(self) -> float:
        """How many times longer than on an idle machine anything takes."""
        return max(1.0, self.wall_seconds / self.processor_seconds)


def pace() -> Pace:
    wall, processor = time.monotonic(), time.thread_time()
    total = 0
    for turn in range(_TURNS):
        total += turn
    return Pace(time.monotonic() - wall, time.thread_time() - processor)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block must end within `seconds` of an idle machine. For a deadline that is promised to users."""
    before = pace()
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    slowness = max(before.slowness, pace().slowness)
    assert took < seconds * slowness, f"took {took:.2f} s, on a machine {slowness:.1f} times slower than idle"


@contextlib.contextmanager
def costing_at_most(turns: float) -> Iterator[None]:
    """The block may cost as much processor time as an empty loop with so many million turns. What else this process
    holds does not count: the collector of garbage leaves it alone from here on."""
    before = pace()
    gc.collect()
    gc.freeze()
    began = time.process_time()
    yield
    cost = time.process_time() - began
    turn = max(before.processor_seconds, pace().processor_seconds)
    assert cost < turns * turn, f"cost as much as {cost / turn:.0f} million turns of an empty loop"
