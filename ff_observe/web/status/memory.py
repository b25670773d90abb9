"""What a bridge remembers of the last day for its status page: figures, changes of state, and the pings it sent."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from ff_observe.web.status.figures import Figures

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
