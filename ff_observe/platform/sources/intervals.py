"""Counts with an interval of their own: dear ones are asked again only when it is over, and few in one reading."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from ff_observe.catalogue.model import Count, Reading
from ff_observe.catalogue.questions import CertifiedNodes, DiskFree, DistinctSince, MostFrequent
from ff_observe.errors import SourceError
from ff_observe.platform.sources.model import Answer, Caps
from ff_observe.platform.sources.own_statements import Asking, ask, is_own
from ff_observe.platform.sources.questions import standalone
from ff_observe.platform.sources.sql import (
    Columns,
    Dialect,
    Part,
    Row,
    StatementError,
    StatementTooSlowError,
    UnexpectedAnswerError,
    of_width,
)

log = logging.getLogger(__name__)

BUDGET_SECONDS: Final = 0.5
"""Once a reading has spent this on them, the others that are due wait for the next: one is always asked."""
STATEMENT_SECONDS: Final = 2.0
"""One that takes longer is given up."""
AGAIN_SECONDS: Final = 60
"""What was refused, as of a table that is locked, is asked again after this time: what is too slow, when it is due."""

Query = Callable[[str], list[Row]]


@dataclass(slots=True)
class _Turn:
    """Counts that one statement answers, or one question with statements of its own."""

    counts: tuple[Count, ...]
    part: Part | None
    sql: str = ""
    asked_at: datetime | None = None
    stamp: str | None = None  # of the data that was read, where the database has one
    readings: Mapping[str, Reading] = field(default_factory=dict)
    caps: Mapping[str, Caps] = field(default_factory=dict)
    failure: str | None = None
    refused: bool = False
    logged: str = ""  # why it is not reported, if the log says so

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(count.name for count in self.counts)

    @property
    def moves(self) -> bool:
        """Whether its answer changes although nothing was written."""
        if self.part is None:
            return type(self.counts[0].of) in (DistinctSince, CertifiedNodes, DiskFree)
        return ":before_" in self.sql

    def is_due(self, at: datetime) -> bool:
        every = self.counts[0].every_seconds
        interval = timedelta(seconds=min(every, AGAIN_SECONDS) if self.refused else every)
        return self.asked_at is None or not self.asked_at <= at < self.asked_at + interval


class Intervals:
    """The counts of one database that have an interval. Used by one thread at a time."""

    def __init__(self, dialect: Dialect, where: str, directory: Path | None) -> None:
        self.dialect = dialect
        self._where = where
        self._directory = directory
        self._columns: Columns = {}
        self._turns: list[_Turn] = []

    def plan(self, counts: Sequence[Count], columns: Columns) -> None:
        """Ask for these from now on. What is known of them stays until they are due."""
        before = {turn.names: turn for turn in self._turns}
        self._columns = columns
        self._turns = []
        for together in _together(counts):
            turn = _turn(together, self.dialect)
            known = before.get(turn.names)
            if known is not None:
                known.part, known.sql = turn.part, turn.sql
            self._turns.append(known or turn)

    def forget(self, *, due: bool) -> None:
        """What the database said of its data is worth nothing any more. It may be another one if all are `due`."""
        for turn in self._turns:
            turn.stamp = None
            if due:
                turn.asked_at = None

    def drop(self) -> None:
        """What is known is of another platform."""
        self._turns = [_turn(turn.counts, self.dialect) for turn in self._turns]

    def ask(self, query: Query, at: datetime, data_stamp: str | None, complained: Iterable[str] = ()) -> None:
        """Ask some that are due, the most overdue ones first. Reasons that others were not read for, `complained`, are
        not worth another warning."""
        said = tuple(complained)
        started = time.monotonic()
        due = [turn for turn in self._turns if turn.is_due(at)]
        due.sort(key=lambda turn: turn.asked_at.timestamp() if turn.asked_at else 0)
        asked = False
        for turn in due:
            if data_stamp is not None and turn.stamp == data_stamp and not turn.moves:
                turn.asked_at = at  # nothing was written since
                continue
            if asked and time.monotonic() - started >= BUDGET_SECONDS:
                return
            asked = True
            try:
                self._ask(turn, query, said)
            except SourceError as error:
                turn.failure, turn.refused, turn.asked_at = str(error), True, at
                log.debug("%s: %s", ", ".join(turn.names), error)
                return  # whatever is wrong with the database, the next reading says so
            turn.asked_at = at
            turn.stamp = data_stamp if turn.failure is None else None

    def _ask(self, turn: _Turn, query: Query, said: tuple[str, ...]) -> None:
        try:
            turn.readings, turn.caps = self._answer(turn, query)
        except (StatementError, UnexpectedAnswerError) as error:
            reason = str(error) or "an answer of another form"
            others = (other.logged for other in self._turns) if not isinstance(error, StatementTooSlowError) else ()
            known = turn.logged or any(reason in logged for logged in (*others, *said))
            level = logging.DEBUG if known else logging.WARNING
            log.log(level, "%s: %s is not reported: %s", self._where, ", ".join(turn.names), reason)
            turn.failure, turn.readings, turn.caps, turn.logged = reason, {}, {}, reason
            turn.refused = not isinstance(error, StatementTooSlowError)
            return
        if turn.logged:
            log.info("%s: %s is reported again", self._where, ", ".join(turn.names))
        turn.failure, turn.refused, turn.logged = None, False, ""

    def _answer(self, turn: _Turn, query: Query) -> tuple[Mapping[str, Reading], Mapping[str, Caps]]:
        part = turn.part
        if part is None:
            (count,) = turn.counts
            try:
                reading, caps = ask(count.of, Asking(query, self._columns, self.dialect, self._directory))
            except (ValueError, IndexError) as error:  # fewer rows, or rows of another width, than were asked for
                raise UnexpectedAnswerError from error
            return {count.name: reading}, {} if caps is None else {count.name: caps}
        rows = of_width(len(part.labels) + part.width, query(turn.sql))
        readings = {name: read(rows) for name, read in part.readers.items()}
        return readings, {name: of(rows) for name, of in part.caps.items()}

    def added_to(self, answer: Answer) -> Answer:
        """The answer with what is known of them."""
        readings, failures, caps = dict(answer.readings), dict(answer.failures), dict(answer.caps)
        for turn in self._turns:
            readings |= turn.readings
            caps |= turn.caps
            if turn.failure is not None:
                failures |= dict.fromkeys(turn.names, turn.failure)
        return replace(answer, readings=readings, failures=failures, caps=caps)


def _together(counts: Sequence[Count]) -> list[tuple[Count, ...]]:
    """Counts that one scan answers. Grouped ones are alone: crossed, a hostile label would take the others down."""
    groups: dict[object, list[Count]] = {}
    for count in counts:
        alone = is_own(count.of) or isinstance(count.of, MostFrequent)
        groups.setdefault(count.name if alone else (count.of.table, count.every_seconds), []).append(count)
    return [tuple(group) for group in groups.values()]


def _turn(counts: tuple[Count, ...], dialect: Dialect) -> _Turn:
    if is_own(counts[0].of):
        return _Turn(counts, None)
    return _Turn(counts, *_statement(counts, dialect))


@lru_cache
def _statement(counts: tuple[Count, ...], dialect: Dialect) -> tuple[Part, str]:
    """The same for every platform that has the columns."""
    part = standalone(counts, dialect)
    labels, numbers, source = part.select()
    return part, f"SELECT {', '.join([*labels, *numbers])}{source}"
