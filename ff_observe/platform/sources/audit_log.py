"""Reads FlowFuse's audit log by its primary key: where it begins and ends, and what happened in a stretch of it.

Only event, source, kind of entity and time are read, and of the body whether it begins with an error. A stretch is one
statement of at most `counting.SELECT_SECONDS`, and no transaction outlives it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ff_observe.catalogue.audit import DEVICE, EVENTS, FALLIBLE, SOURCES, Event
from ff_observe.catalogue.model import NO_VALUE, OTHER_VALUES
from ff_observe.errors import SourceError
from ff_observe.platform.sources.counting import Queryable
from ff_observe.platform.sources.schema import AUDIT_LOG
from ff_observe.platform.sources.sql import Row, StatementError, as_text, literal, quoted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TABLE = quoted(AUDIT_LOG.name)
_KEY = quoted(AUDIT_LOG.key)
_ATTEMPTS = 4  # a changed schema costs one
_ERROR, _NO_ERROR = '{"error":', '{"error":null'
"""How FlowFuse begins the body of an event that failed (forge/auditLog/formatters.js: `error` is the first member), and
how it begins what an instance or a device posts with no error in that member."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The log at one moment. `first` and `last` are its smallest and largest id, None where it is empty, `began` is the
    time of the first entry. `entry` tells the entry that was asked for from any other; None where it is gone.

    `writers` are the transactions that may still add entries below `last`.
    """

    first: int | None
    last: int | None
    began: datetime | None
    entry: str | None
    writers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The entries after one id: how many of each `Event`, how many in all. `last` and `entry` are of the last of them.
    `before` is the entry that the stretch follows, as it was in the same moment."""

    events: dict[Event, int]
    entries: int
    last: int
    entry: str | None
    before: str | None


class AuditLog:
    """One platform's audit log. For one thread at a time."""

    def __init__(self, source: Queryable) -> None:
        self._source = source
        self._milliseconds = source.dialect.milliseconds
        self._columns: frozenset[str] = frozenset()
        self._stamp: str | None = None

    def bounds(self, after: int) -> Bounds | None:
        """Where the log begins and ends, and the entry with the id `after`; None where this FlowFuse has no such log.

        Raises `SourceError` or `StatementError`.
        """
        for _ in range(_ATTEMPTS):
            if not self._columns and not self._look_at_schema():
                return None
            (row,) = self._select(
                f"SELECT (SELECT max({_KEY}) FROM {_TABLE}), (SELECT min({_KEY}) FROM {_TABLE}),"
                f" (SELECT {self._milliseconds(_column('created'))} FROM {_TABLE} a"
                f" WHERE a.{_KEY} = (SELECT min({_KEY}) FROM {_TABLE})),"
                f" {self._entry(str(after))}, {self._source.dialect.writers(AUDIT_LOG.name)},"
                f" {self._source.dialect.schema_stamp(self._missing())}",
                width=6,
            )
            last, first, began, entry, writers, stamp = row
            if as_text(stamp) == self._stamp:
                break
            self._columns = frozenset()  # upgraded, or another database: look again before anything is counted
        else:
            raise _no_such_log()
        if writers is None:
            raise SourceError(
                "the database is a standby, which does not know of the primary's open transactions: the audit log can "
                "only be counted on the primary"
            )
        return Bounds(_number(first), _number(last), _moment(began), as_text(entry), frozenset(str(writers).split()))

    def unbroken(self, after: int, last: int) -> int:
        """The largest id up to `last` such that there is an entry for every id after `after`."""
        (row,) = self._select(
            f"SELECT CASE WHEN EXISTS (SELECT 1 FROM {_TABLE} a WHERE a.{_KEY} = {after + 1}) THEN"
            f" (SELECT a.{_KEY} FROM {_TABLE} a WHERE a.{_KEY} > {after} AND a.{_KEY} <= {last} AND NOT EXISTS"
            f" (SELECT 1 FROM {_TABLE} b WHERE b.{_KEY} = a.{_KEY} + 1) ORDER BY a.{_KEY} LIMIT 1)"
            f" ELSE {after} END",
            width=1,
        )
        found = _number(row[0])
        return last if found is None else found

    def stretch(self, after: int, last: int, most: int) -> Stretch:
        """Count the first `most` entries with ids from `after` (exclusive) to `last`.

        Raises `SourceError`, `TooSlowError` among them, or `StatementError`.
        """
        groups = (
            f"SELECT e, s, d, f, count(*), max(i) AS m FROM ({self._entries(after, last, most)}) t GROUP BY e, s, d, f"
        )
        rows = self._select(
            f"SELECT g.*, {self._entry('g.m')}, {self._entry(str(after))} FROM ({groups}) g",
            width=8,
        )
        events: dict[Event, int] = {}
        furthest, entry, before = after, None, None
        for row in rows:
            event_name, source_name, device, is_error, number, up_to, its_entry, before = row
            if event_name not in EVENTS | {OTHER_VALUES} or not isinstance(number, int) or not isinstance(up_to, int):
                raise _no_such_log()
            events[Event(str(event_name), str(source_name), bool(device), bool(is_error))] = number
            if up_to > furthest:
                furthest, entry = up_to, its_entry
        return Stretch(events, sum(events.values()), furthest, as_text(entry), as_text(before))

    def entries(self, after: int, last: int, most: int) -> list[tuple[int, Event, datetime]]:
        """The first `most` entries with ids from `after` (exclusive) to `last`: id, what happened, and when.

        Raises `SourceError` or `StatementError`.
        """
        found = []
        for row in self._select(self._entries(after, last, most, with_time=True), width=6):
            identity, event, source, device, is_error, at = row
            number, moment = _number(identity), _moment(at)
            if number is None or moment is None:
                raise _no_such_log()
            found.append((number, Event(str(event), str(source), bool(device), bool(is_error)), moment))
        return found

    def _entries(self, after: int, last: int, most: int, *, with_time: bool = False) -> str:
        """A statement that gives each entry as the allow-lists have it."""
        source = _column("source") if AUDIT_LOG.columns["source"] in self._columns else "NULL"
        event, body, kind = _column("event"), _column("body"), _column("entity_type")
        other, no_source = literal(OTHER_VALUES), literal(NO_VALUE)
        failed = (
            f"{event} IN ({_literals(FALLIBLE)}) AND substr({body}, 1, {len(_ERROR)}) = {literal(_ERROR)}"
            f" AND substr({body}, 1, {len(_NO_ERROR)}) <> {literal(_NO_ERROR)}"
        )
        time = f", {self._milliseconds(_column('created'))} AS c" if with_time else ""
        return (
            f"SELECT a.{_KEY} AS i, CASE WHEN {event} IN ({_literals(EVENTS)}) THEN {event} ELSE {other} END AS e,"
            f" CASE WHEN {source} IS NULL THEN {no_source} WHEN {source} IN ({_literals(SOURCES)}) THEN {source}"
            f" ELSE {other} END AS s, CASE WHEN {kind} = {literal(DEVICE)} THEN 1 ELSE 0 END AS d,"
            f" CASE WHEN {failed} THEN 1 ELSE 0 END AS f{time}"
            f" FROM {_TABLE} a WHERE a.{_KEY} > {after} AND a.{_KEY} <= {last} ORDER BY a.{_KEY} LIMIT {most}"
        )

    def _look_at_schema(self) -> bool:
        rows = self._select(self._source.dialect.columns([AUDIT_LOG.name]), width=3)
        self._columns = frozenset(str(name) for _, name, _ in rows if name is not None)
        self._stamp = as_text(rows[0][2]) if rows else None
        return bool(self._columns)

    def _missing(self) -> list[tuple[str, str | None]]:
        return [(AUDIT_LOG.name, name) for name in AUDIT_LOG.columns.values() if name not in self._columns]

    def _entry(self, identity: str) -> str:
        """An expression that tells the entry of this id from another that took its place. No name is in it."""
        created = f"CAST({self._milliseconds(_column('created'))} AS text)"
        event = f"CASE WHEN {_column('event')} IN ({_literals(EVENTS)}) THEN {_column('event')} ELSE '' END"
        return f"(SELECT {created} || ' ' || {event} FROM {_TABLE} a WHERE a.{_KEY} = {identity})"

    def _select(self, sql: str, width: int) -> list[Row]:
        try:
            rows = self._source.select(sql)
        except (SourceError, StatementError):
            self._columns = frozenset()  # the database may be another one the next time
            raise
        if any(len(row) != width for row in rows):
            raise _no_such_log()
        return rows


def _no_such_log() -> SourceError:
    return SourceError("the database answered with something other than its audit log")


def _column(name: str) -> str:
    return f"a.{quoted(AUDIT_LOG.columns[name])}"


def _literals(values: frozenset[str] | tuple[str, ...]) -> str:
    return ", ".join(literal(value) for value in sorted(values))


def _number(value: int | str | None) -> int | None:
    if value is not None and not isinstance(value, int):
        raise _no_such_log()
    return value


def _moment(milliseconds: int | str | None) -> datetime | None:
    number = _number(milliseconds)
    return None if number is None else moment(number)


def moment(milliseconds: int) -> datetime:
    """A time of the database; of what the calendar lacks, as PostgreSQL's year 12000, its first or last moment."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if milliseconds > 0 else datetime.min.replace(tzinfo=UTC)
