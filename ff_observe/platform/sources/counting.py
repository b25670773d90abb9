"""Reads everything from a database at once, whatever its dialect: plans the statement, notices a changed schema and
new values, and keeps a failing table from affecting the others."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from ff_observe.catalogue.model import NO_VALUE, Count, Reading
from ff_observe.catalogue.questions import RowsBy, RowsByAge
from ff_observe.errors import SourceError
from ff_observe.platform.sources import intervals
from ff_observe.platform.sources.model import SETTINGS_READING, Answer
from ff_observe.platform.sources.questions import (
    SETTINGS_PART,
    DoesNotAddUpError,
    Known,
    answerable,
    plan,
    read_settings,
    sizes,
)
from ff_observe.platform.sources.reduction import REASON, Reduction
from ff_observe.platform.sources.schema import INSTANCE_ID, SETTINGS, TABLES
from ff_observe.platform.sources.sql import (
    Columns,
    Dialect,
    Part,
    Row,
    Statement,
    StatementError,
    UnexpectedAnswerError,
    is_simple,
    of_width,
    table_names,
)
from ff_observe.telemetry import tracing

log = logging.getLogger(__name__)

MAX_KNOWN_VALUES = 16
"""Beyond this many different values, grouping costs no more than a FILTER for each."""
SELECT_SECONDS = 1.0
"""The time limit of a statement outside of a reading: it may be one of many, in a row."""
RETRY_FAILED_TABLES = (timedelta(seconds=10), timedelta(seconds=60))
"""When a failed table is retried: soon at first, since it may have been locked, then after twice the time each."""
_PLANS_KEPT = 64  # for platforms of as many versions, roles and sets of values; each takes some 100 KiB
_ATTEMPTS = 4  # a changed schema and new values cost one each; more than these in one reading is a fault


class TooSlowError(SourceError):
    """A statement was ended because it took longer than it may."""


class Queryable(Protocol):
    """A database that answers single statements besides its readings."""

    @property
    def dialect(self) -> Dialect:
        """What it understands."""

    def select(self, sql: str) -> list[Row]:
        """The rows of one statement, which ends within `SELECT_SECONDS`; no transaction outlives it.

        Raises `StatementError` where the database refuses the statement, `TooSlowError`, or another `SourceError`.
        """


class Session(Protocol):
    """An open connection that runs statements."""

    def query(self, sql: str, at: datetime | None = None, limit_seconds: float | None = None) -> list[Row]:
        """The rows of a statement, with `at` as the present of moments in it; more than `MAX_ROWS` are an error, and so
        is one that takes longer than `limit_seconds`.

        Raises `StatementError`, or `SourceError` if nothing else can be asked either.
        """


def traced(dialect: Dialect, operation: str, what: str) -> AbstractContextManager[tracing.Span]:
    """A span for one statement, by OpenTelemetry's conventions. Its text, which holds values, is left out."""
    summary = f"{operation} {what}"
    attributes = {"db__system__name": dialect.system, "db__operation__name": operation, "db__query__summary": summary}
    return tracing.span(summary, "client", **attributes)


@dataclass(frozen=True)
class _Plan:
    """What to ask a database: the same for all platforms of one version that hold the same kinds of values."""

    columns: Columns
    parts: tuple[Part, ...]
    lacking: Mapping[str, str]
    statement: Statement
    moving: Statement


@lru_cache(_PLANS_KEPT)
def _planned(
    counts: tuple[Count, ...],
    columns: frozenset[tuple[str, frozenset[str]]],
    known: frozenset[tuple[str, tuple[str | None, ...]]],
    failed: frozenset[str],
    left_out: frozenset[str],
    dialect: Dialect,
) -> _Plan:
    there = dict(columns)
    parts, lacking = plan(counts, there, dict(known), dialect, left_out)
    ages, _ = plan([count for count in counts if isinstance(count.of, RowsByAge)], there, {}, dialect)
    return _Plan(
        columns=there,
        parts=tuple(parts),
        lacking=lacking,
        statement=Statement([part for part in parts if part.name not in failed], dialect, there),
        moving=Statement([part for part in ages if part.name != SETTINGS_PART], dialect, there),
    )


class Counting:
    """The knowledge about one database between readings. Used by one thread at a time."""

    def __init__(self, counts: Sequence[Count], dialect: Dialect, where: str, directory: Path | None = None) -> None:
        """`directory` is that of the database's file, where it has one."""
        self._counts = tuple(count for count in counts if not count.every_seconds)
        self._dear = tuple(count for count in counts if count.every_seconds)
        self._intervals = intervals.Intervals(dialect, where, directory)
        self._reduction = Reduction(where)
        self.dialect = dialect
        self._where = where
        self._columns: Columns | None = None
        self._not_tables: frozenset[str] = frozenset()  # views and the like with a table's name
        self._schema_stamp: str | None = None
        self._known: Known = {
            count.name: (*count.of.expected, None)
            for count in self._counts
            if isinstance(count.of, RowsBy) and count.of.expected
        }
        self._insufficient: dict[str, tuple[str | None, ...]] = {}  # known values that did not add up, by count
        self._failed: dict[str, tuple[str, datetime]] = {}  # by name of the part: why, and when to retry
        self._pause: dict[str, timedelta] = {}  # by name of the part that failed last time, too
        self._planned: _Plan | None = None
        self._lacking: Mapping[str, str] = {}
        self._said: Mapping[str, str] = {}
        self._refused: StatementError | None = None
        self._platform: object = None  # FlowFuse's id of the one that was read last
        self._last: tuple[str, Answer] | None = None  # the data stamp of a complete answer, and the answer

    def use(self, dialect: Dialect) -> None:
        """Ask so from the next look at the schema on."""
        self.dialect = self._intervals.dialect = dialect

    def forget(self) -> None:
        """The database may have been replaced: look at its schema before the next statement."""
        self._columns = None
        self._last = None

    def forget_counts(self) -> None:
        """Count everything the next time, even if the database reports no write."""
        self._last = None
        self._intervals.forget(due=False)

    def forget_all(self) -> None:
        """The database is another one."""
        self.forget()
        self._reduction = Reduction(self._where)
        self._intervals.forget(due=True)

    def read(self, session: Session, at: datetime, data_stamp: str | None = None) -> Answer:
        """Everything at once.

        If nothing was written since the last answer (according to the database's own `data_stamp`) only counts that
        depend on the clock are counted. Raises `SourceError`.
        """
        if (unchanged := self._read_what_moves(session, at, data_stamp)) is not None:
            return unchanged
        self._ask_failed_again(at)
        self._refused = None
        for _ in range(_ATTEMPTS):
            if self._columns is None:
                self._look_at_schema(session)
            try:
                answer = self._try(session, at)
            except UnexpectedAnswerError:
                raise self._unexpected() from None
            if answer is not None:
                return answer
        reason = self._refused or "it changed again and again while it was read"
        raise SourceError(f"{self._where} cannot be read: {reason}; the next reading tries again")

    def ask_for_less(self, at: datetime) -> bool:
        """What was read took too long. Returns whether the next reading asks for less."""
        self.forget()
        return self._reduction.begin(at)

    def read_due(self, session: Session, at: datetime, answer: Answer, data_stamp: str | None = None) -> Answer:
        """`answer` with the counts that have an interval of their own, some of them asked again if that is over."""

        def query(sql: str) -> list[Row]:
            with traced(self.dialect, "SELECT", "counts with an interval"):
                return session.query(sql, at, intervals.STATEMENT_SECONDS)

        if not self._reduction.began(at):  # as much time again would be too long for a scrape
            self._intervals.ask(query, at, data_stamp, answer.failures.values())
        return self._intervals.added_to(answer)

    def _unexpected(self) -> SourceError:
        return SourceError(
            f"{self._where} answered with something other than what was asked for; is it a database of FlowFuse's, and "
            "nothing between that changes answers?"
        )

    def _read_what_moves(self, session: Session, at: datetime, data_stamp: str | None) -> Answer | None:
        if self._planned is None or self._last is None or self._last[0] != data_stamp or self._failed:
            return None
        moving = self._planned.moving
        try:
            stamp, rows = moving.split(self._ask(session, moving, at, "what moves with the clock"))
            moved = _readings(moving.parts, rows)
        except (StatementError, UnexpectedAnswerError):
            return None
        if stamp != (self._schema_stamp, data_stamp):
            return None
        before = self._last[1]
        return replace(before, readings={**before.readings, **moved}, unchanged=True)

    def _ask(self, session: Session, statement: Statement, at: datetime, what: str) -> list[Row]:
        with traced(self.dialect, "SELECT", what):
            return of_width(statement.width, session.query(statement.sql, at))

    def _look_at_schema(self, session: Session) -> None:
        try:
            with traced(self.dialect, "SELECT", "schema"):
                rows = of_width(3, session.query(self.dialect.columns(table_names())))
        except StatementError as error:
            raise SourceError(f"{self._where}: cannot see which tables it has: {error}") from error
        except UnexpectedAnswerError:
            raise self._unexpected() from None
        columns: dict[str, set[str]] = {}
        for table, name, _ in rows:
            if name is not None:
                columns.setdefault(str(table), set()).add(str(name))
        self._not_tables = frozenset(str(table) for table, name, _ in rows if name is None)
        if not columns:
            raise SourceError(
                f"{self._where} has none of FlowFuse's tables; check that `db` in flowforge.yml names FlowFuse's "
                "database, and that FlowFuse has been started once"
            )
        self._columns = columns
        self._schema_stamp = str(rows[0][2])
        self._plan()
        self._intervals.plan(answerable(self._dear, self._columns)[0], self._columns)
        self._say_what_is_lacking()

    def _plan(self) -> None:
        assert self._columns is not None
        columns = frozenset((table, frozenset(names)) for table, names in self._columns.items())
        known, left_out = frozenset(self._known.items()), self._reduction.of(self._counts)
        self._planned = _planned(self._counts, columns, known, frozenset(self._failed), left_out, self.dialect)
        self._columns = self._planned.columns
        self._lacking = {**self._planned.lacking, **answerable(self._dear, self._columns)[1]}

    def _notice_platform(self, platform: object) -> None:
        """What is known of counts with an interval is not of another one that took its place at the same address."""
        if self._platform not in (None, platform):
            self._intervals.drop()
        self._platform = platform

    def _say_what_is_lacking(self) -> None:
        for name, missing in self._lacking.items():
            if self._said.get(name) != missing and name not in self._hidden():
                log.info(
                    "this FlowFuse version, or the role that reads it, has no %s: %s is not reported", missing, name
                )
        for name in self._said.keys() - self._lacking.keys():
            log.info("the database of FlowFuse has been upgraded: %s is reported from now on", name)
        self._said = self._lacking

    def _try(self, session: Session, at: datetime) -> Answer | None:
        """Run one statement; None if it must be repeated because the schema or the values have changed."""
        assert self._planned is not None
        before = self._planned.statement
        try:
            (schema_stamp, data_stamp), rows = before.split(self._ask(session, before, at, "counts"))
        except StatementError as error:
            self._refused = error
            if not self._schema_changed(session):
                self._find_failing(session, at, error, before.parts)
            return None
        if schema_stamp != self._schema_stamp and self._schema_changed(session):
            return None
        try:
            readings = _readings(before.parts, rows)
            caps = {name: of(rows[part.name]) for part in before.parts for name, of in part.caps.items()}
        except DoesNotAddUpError as error:
            self._insufficient.update({name: self._known[name] for name in error.counts})
            self._known = {name: values for name, values in self._known.items() if name not in error.counts}
            self._plan()
            return None
        settings, failures = read_settings(rows.get(SETTINGS_PART, []))
        if SETTINGS_PART in rows and not failures:
            self._notice_platform(settings.get(INSTANCE_ID))
        answer = Answer(settings, readings, {**failures, **self._failures()}, caps)
        for name in self._pause.keys() - self._failed.keys():
            log.info("%s: %s can be read again", self._where, name)
        self._pause = {name: pause for name, pause in self._pause.items() if name in self._failed}
        self._last = None if data_stamp is None or self._reduction.is_on else (data_stamp, answer)
        self._learn(readings)
        if self._reduction.learn(sizes(before.parts, rows)):
            self._plan()
        return answer

    def _schema_changed(self, session: Session) -> bool:
        """Look at the schema again. Returns whether different questions can be asked now."""
        before = self._columns
        self._look_at_schema(session)
        return self._columns != before

    def _find_failing(self, session: Session, at: datetime, error: StatementError, asked: Sequence[Part]) -> None:
        """Ask each table alone, to leave out those that fail. Raises `SourceError` if all do."""
        assert self._columns is not None
        found: dict[str, str] = {}
        for part in asked:
            alone = Statement([part], self.dialect, self._columns)
            try:
                self._ask(session, alone, at, part.table.name)
            except StatementError as own_error:
                found[part.name] = f"table {part.table.name}: {own_error}"
        if len(found) == len(asked):
            raise SourceError(f"{self._where} cannot be read: {error}") from error
        for name, reason in found.items():
            level = logging.DEBUG if name in self._pause else logging.WARNING
            log.log(level, "%s: %s; what depends on it is not reported", self._where, reason)
            self._pause[name] = min(2 * self._pause.get(name, RETRY_FAILED_TABLES[0] / 2), RETRY_FAILED_TABLES[1])
            self._failed[name] = (reason, at + self._pause[name])
        self._plan()

    def _ask_failed_again(self, at: datetime) -> None:
        due = {name for name, (_, again_at) in self._failed.items() if at >= again_at}
        if self._reduction.end(at) or due:
            self._failed = {name: failed for name, failed in self._failed.items() if name not in due}
            self._columns = None

    def _failures(self) -> dict[str, str]:
        failures = self._hidden()
        failures.update(dict.fromkeys(self._reduction.of(self._counts) - self._lacking.keys(), REASON))
        for part in self._planned.parts if self._planned is not None else ():
            if part.name in self._failed:
                reason = self._failed[part.name][0]
                names = [SETTINGS_READING] if part.name == SETTINGS_PART else part.readers
                failures.update(dict.fromkeys(names, reason))
        return failures

    def _hidden(self) -> dict[str, str]:
        """Why counts are not read whose table is a view or the like, which could hold anything, without end, or a
        stranger's."""
        tables = {count.name: TABLES[count.of.table].name for count in self._counts if count.name in self._lacking}
        tables[SETTINGS_READING] = SETTINGS.name
        hidden = {name: table for name, table in tables.items() if table in self._not_tables}
        return {name: f"{table} is not a table of FlowFuse's; only those are read" for name, table in hidden.items()}

    def _learn(self, readings: Mapping[str, Reading]) -> None:
        """Count values seen in groups without grouping from now on, which is several times cheaper."""
        known = dict(self._known)
        unknown = readings.keys() - known.keys()
        for count in self._counts:
            question = count.of
            if not isinstance(question, RowsBy) or not question.expected or count.name not in unknown:
                continue
            found = [None if key[0] == NO_VALUE else key[0] for key in readings[count.name]]
            values = tuple(dict.fromkeys((*question.expected, *found)))
            fits = len(values) <= MAX_KNOWN_VALUES and all(value is None or is_simple(value) for value in values)
            if fits and values != self._insufficient.get(count.name):
                known[count.name] = values
        if known != self._known:
            self._known = known
            self._plan()


def _readings(parts: Sequence[Part], rows: Mapping[str, list[Row]]) -> dict[str, Reading]:
    """By name of the count. Raises `UnexpectedAnswerError`, or `DoesNotAddUpError` with every count that does not."""
    readings: dict[str, Reading] = {}
    short: list[str] = []
    for part in parts:
        for name, read in part.readers.items():
            try:
                readings[name] = read(rows[part.name])
            except DoesNotAddUpError as error:
                short += error.counts
    if short:
        raise DoesNotAddUpError(short)
    return readings
