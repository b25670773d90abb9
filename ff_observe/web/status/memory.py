"""What a bridge remembers of the last day for its status page: figures, changes of state, and the pings it sent."""

import contextlib
import math
import threading
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ff_observe.catalogue import COUNTS, facts
from ff_observe.catalogue.model import Kind
from ff_observe.outputs.ping.ledger import entries
from ff_observe.outputs.ping.ledger_lines import Entry
from ff_observe.outputs.ping.outcome import Result
from ff_observe.platform.snapshot import Snapshot
from ff_observe.problems import Finding, Severity
from ff_observe.system.presence import file_signature
from ff_observe.web.status.document import Change, ChangeKind

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


DAY: Final = timedelta(days=1)
MOST_CHANGES: Final = 100

FIGURES: Final = tuple(count for count in COUNTS if not count.labels and count.kind is Kind.GAUGE)
"""The counts that have a curve."""


def usage_column(resource: str) -> str:
    """The name under which the usage of a limited resource is kept."""
    return f"{facts.LICENSE_USAGE.name}/{resource}"


@dataclass(frozen=True, slots=True)
class Sent:
    """The last attempt in the ledger, and the last delivered ping; None where there is none, or no ledger is kept."""

    last: Entry | None = None
    delivered: Entry | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """What is noted when it changes. `facts` are sentences by a name that stays while they change, as far as they are
    known."""

    at: datetime
    database_up: bool
    findings: Sequence[Finding]
    facts: Mapping[str, str]


class Memory:
    """Outlives a reload. Written by the thread that takes snapshots, read by that of the web server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures = Figures()
        self._changes: deque[Change] = deque(maxlen=MOST_CHANGES)
        self._findings: dict[tuple[str, str], str] = {}
        self._facts: dict[str, str] = {}
        self._database: object = None
        self._platform_id: str | None = None
        self._ledger: tuple[object, Sent] = (None, Sent())
        self.version = 0  # grows with every change of what is shown

    def begin(self, database: object, platform_id: str | None = None) -> None:
        """Remember the platform with this database and id from now on, as far as it is known yet; figures of another,
        also of one whose database had this place, are forgotten."""
        with self._lock:
            replaced = platform_id is not None and self._platform_id not in (None, platform_id)
            if replaced or self._database not in (None, database):
                self._figures.clear()
                self._findings.clear()
                self._facts.clear()
                self._platform_id = None
            self._database, self._platform_id = database, platform_id or self._platform_id

    def keep(self, snapshot: Snapshot) -> None:
        values = {
            count.name: snapshot.readings[count.name][()]
            for count in FIGURES
            if () in snapshot.readings.get(count.name, {})
        }
        for name in (facts.DATABASE_UP.name, facts.HTTP_UP.name):
            if name in snapshot.readings:
                values[name] = snapshot.readings[name][()]
        for (resource,), used in snapshot.readings.get(facts.LICENSE_USAGE.name, {}).items():
            values[usage_column(resource)] = used
        with self._lock:
            self._figures.add(snapshot.taken_at, values)
            self.version += 1

    def note(self, condition: Condition) -> None:
        """Note what changed since the last condition."""
        with self._lock:
            for kind, text in (*self._changed_findings(condition), *self._changed_facts(condition)):
                self._changes.appendleft(Change(condition.at, kind, text))
                self.version += 1

    @contextlib.contextmanager
    def figures(self) -> Iterator[Figures]:
        """The figures, for reading, while nothing is added."""
        with self._lock:
            yield self._figures

    def changes(self, now: datetime) -> Sequence[Change]:
        """The changes of the last day, the latest first."""
        with self._lock:
            return tuple(change for change in self._changes if now - change.at <= DAY)

    def read_ledger(self, path: Path | None) -> None:
        """Look at the ledger, if it was written since the last time. Blocks: not for an event loop."""
        signature = None if path is None else file_signature(path)
        if signature == self._ledger[0]:
            return
        sent = Sent()
        if path is not None and signature is not None:
            with contextlib.suppress(OSError):  # doctor and the log name it; here the last ping stays unknown
                sent = _sent(entries(path))
        self._ledger = signature, sent
        self.version += 1

    @property
    def sent(self) -> Sent:
        """The pings in the ledger, as last looked at."""
        return self._ledger[1]

    def _changed_findings(self, condition: Condition) -> Iterator[tuple[ChangeKind, str]]:
        present = {(finding.id, finding.title): finding for finding in condition.findings}
        for name, finding in present.items():
            if name not in self._findings:
                yield ChangeKind.NEUTRAL if finding.severity is Severity.NOTE else ChangeKind.BAD, finding.title
                self._findings[name] = finding.title
        if condition.database_up:  # without it, what is not seen is not solved
            for name in self._findings.keys() - present.keys():
                yield ChangeKind.GOOD, f"Solved: {self._findings.pop(name)}"

    def _changed_facts(self, condition: Condition) -> Iterator[tuple[ChangeKind, str]]:
        for name, text in condition.facts.items():
            if self._facts.get(name, text) != text:
                yield ChangeKind.NEUTRAL, text
            self._facts[name] = text


def _sent(found: Iterable[Entry]) -> Sent:
    last = delivered = None
    for entry in found:
        if entry.outcome in set(Result):  # no attempts: pings that were withheld, exported, or are under way
            last, delivered = entry, entry if entry.outcome == Result.DELIVERED else delivered
    return Sent(last, delivered)
