"""The platform's figures over the last day, in memory: at most `MOST_STEPS` values of each."""

import math
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

MOST_STEPS: Final = 192
LONGEST_STEP_SECONDS: Final = 86_400 / MOST_STEPS
SHORTEST_STEP_SECONDS: Final = LONGEST_STEP_SECONDS / 32
LEAST_PACE_SECONDS: Final = 6 * 3600.0
"""Shorter than that, a pace says nothing."""

_NOT_READ: Final = math.nan


class Figures:
    """Keeps the last value that was read in each step. Steps are short at first, so that a young bridge has a curve to
    show, and are joined in pairs until `MOST_STEPS` cover a day. For one thread at a time."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget everything: another platform."""
        self.step_seconds = SHORTEST_STEP_SECONDS
        self._first = 0  # the step since 1970 in which the columns begin
        self._length = 0
        self._columns.clear()

    @property
    def start(self) -> datetime | None:
        """When the first step begins."""
        return datetime.fromtimestamp(self._first * self.step_seconds, UTC) if self._length else None

    def add(self, at: datetime, values: Mapping[str, float]) -> None:
        """Keep `values` for the step of `at`. Names that are missing were not read."""
        while self._step(at) - self._first >= MOST_STEPS and self.step_seconds < LONGEST_STEP_SECONDS and self._length:
            self._join_pairs()
        if not self._first <= self._step(at) < self._first + self._length + MOST_STEPS:
            self.clear()  # the clock was set back, or nothing was read for a day
        if not self._length:
            self._first = self._step(at)
        step = self._step(at)
        self._extend(step - self._first + 1)
        for name in values.keys() - self._columns.keys():
            self._columns[name] = array("d", [_NOT_READ]) * self._length
        for name, value in values.items():
            self._columns[name][step - self._first] = value

    def column(self, name: str) -> Sequence[float | None]:
        """The values of each step; None where it was not read. Empty where the name is unknown."""
        return [None if math.isnan(value) else value for value in self._columns.get(name, ())]

    def pace(self, name: str) -> float | None:
        """By how much a value grows in a second, from its first to its last one; None over less than six hours."""
        known = [(index, value) for index, value in enumerate(self._columns.get(name, ())) if not math.isnan(value)]
        if not known:
            return None
        (first, before), (last, now) = known[0], known[-1]
        seconds = (last - first) * self.step_seconds
        return (now - before) / seconds if seconds >= LEAST_PACE_SECONDS else None

    def _step(self, at: datetime) -> int:
        return int(at.timestamp() // self.step_seconds)

    def _extend(self, length: int) -> None:
        dropped = max(0, length - MOST_STEPS)
        added = array("d", [_NOT_READ]) * max(0, length - self._length)
        for name, column in self._columns.items():
            self._columns[name] = (column + added)[dropped:]
        self._length = max(self._length, length) - dropped
        self._first += dropped

    def _join_pairs(self) -> None:
        ahead = self._first % 2
        for name, column in self._columns.items():
            padded = array("d", [_NOT_READ]) * ahead + column
            pairs = (padded[index : index + 2] for index in range(0, len(padded), 2))
            self._columns[name] = array("d", [pair[0] if math.isnan(pair[-1]) else pair[-1] for pair in pairs])
        self._length = (self._length + ahead + 1) // 2
        self._first //= 2
        self.step_seconds *= 2
