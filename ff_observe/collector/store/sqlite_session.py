"""A session with an SQLite file: how its statements run, and those that only it has."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from ff_observe.collector.store import folding, rollups, sightings
from ff_observe.collector.store.batch import moment
from ff_observe.collector.store.columns import COLUMNS, NAMES, restored
from ff_observe.collector.store.model import DAYS_PRUNED_AT_ONCE, READ_AT_ONCE, Columns, Distribution, Pruned, Rollup
from ff_observe.collector.store.present import EARLIEST, LATEST, WITNESSES
from ff_observe.collector.store.session import Row, Session, Walk
from ff_observe.collector.store.sqlite_schema import Connection, transaction

PRUNED_AT_ONCE = 2000  # so that no ping waits long for the daily prune
PORTIONS = 20
"""One prune deletes so many portions: at 100 000 pings a day the rest of a day follows in minutes, not at once."""
ADDED_AT_ONCE = 2000
"""Platforms entered into `fleet_seen` in one transaction: pings are stored in between."""
_COUNTED_AT_ONCE = 1000
_IN_PORTIONS = ("platform", "fleet_seen")
"""No index leads to the rows to delete of these tables, which may be large. The others have no row ids."""
_VERSION = NAMES[rollups.VERSION]
_ROLLED_UP = ", ".join(NAMES[index] for index in rollups.ROLLED_UP)
_EARLIEST = moment(EARLIEST)


class SQLiteSession(Session):
    """See `Session` for the methods."""

    last = """
SELECT rowid AS ping_id, instance_id, max(received_at) AS received_at FROM ping
WHERE received_at >= {day} AND received_at < {next} GROUP BY instance_id
"""
    its_values = "JOIN ping ON ping.rowid = ping_id"
    seen_before = f"""
WITH seen AS (
  SELECT ping_id, instance_id, (
    SELECT max(received_at) FROM ping INDEXED BY ping_by_instance
    WHERE ping.instance_id = last.instance_id AND received_at >= {{since}} AND received_at < {{day}}
  ) AS before FROM last
)
SELECT substr(before, 1, 10), (
    SELECT {_VERSION} FROM ping INDEXED BY ping_by_instance
    WHERE ping.instance_id = seen.instance_id AND received_at = before
  ), ping.{_VERSION}, coalesce(substr(first_seen, 1, 10), {{day}}), count(*)
FROM seen JOIN ping ON ping.rowid = ping_id LEFT JOIN platform ON platform.instance_id = seen.instance_id
GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - only names of our own columns

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, statement: str, *values: object) -> Sequence[Row]:
        """Not where the file has been moved: no ping is stored in the one in its place while this one is open."""
        self.connection.check_that_it_is_kept()
        return self.connection.execute(statement, values).fetchall()

    def portions(self, statement: str, *values: object) -> Iterator[Sequence[Row]]:
        with contextlib.closing(self.connection.execute(statement, values)) as rows:
            while portion := rows.fetchmany(READ_AT_ONCE):
                yield portion
                self.connection.check_that_it_is_kept()

    def as_columns(self, rows: Sequence[Row]) -> Columns:
        at, sender, first_seen, *values = zip(*rows, strict=True)
        return [
            [datetime.fromisoformat(each) for each in at],
            [None if each is None else bytes.fromhex(each) for each in sender],
            [None if each is None else datetime.fromisoformat(each) for each in first_seen],
            *(
                [restored(column, value) for value in each] if column.field.type is bool else each
                for column, each in zip(COLUMNS, values, strict=True)
            ),
        ]

    def writing(self) -> contextlib.AbstractContextManager[object]:
        return transaction(self.connection)

    @contextlib.contextmanager
    def at_one_moment(self) -> Iterator[None]:
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def marking(self) -> contextlib.AbstractContextManager[bool]:
        return contextlib.nullcontext(True)

    def newest_days(self) -> list[date]:
        days: list[date] = []
        before = moment(LATEST)
        while len(days) < WITNESSES:
            ((newest,),) = self.run("SELECT max(received_at) FROM ping WHERE received_at < ?", before)
            if newest is None or newest <= _EARLIEST:
                break
            before = newest[: len("2026-11-23")]
            days.append(date.fromisoformat(before))
        return days

    def pings_by_day(self, since: date, until: date) -> Mapping[date, int]:
        """By the index alone, a day after the other."""
        found: dict[date, int] = {}
        while (first := self._oldest("received_at >= ?", since.isoformat())) is not None and first <= until:
            since = first + timedelta(days=1)
            query = "SELECT count(*) FROM ping WHERE received_at >= ? AND received_at < ?"
            ((found[first],),) = self.run(query, first.isoformat(), since.isoformat())
        return found

    def _oldest(self, condition: str, *values: str) -> date | None:
        """The day of the oldest ping that meets it."""
        ((oldest,),) = self.run(f"SELECT min(received_at) FROM ping WHERE {condition}", *values)  # noqa: S608 - our own conditions
        return None if oldest is None else datetime.fromisoformat(oldest).date()

    def distributions(self, source: str) -> Mapping[int, Distribution]:
        """In one pass."""
        counted: list[Counter[Any]] = [Counter() for _ in rollups.ROLLED_UP]
        rows = self.connection.execute(f"SELECT {_ROLLED_UP} FROM {source}")  # noqa: S608 - only our own names
        while part := rows.fetchmany(_COUNTED_AT_ONCE):
            for counter, column in zip(counted, zip(*part, strict=True), strict=True):
                counter.update(column)
        return {
            index: rollups.ascending((restored(COLUMNS[index], value), number) for value, number in counter.items())
            for index, counter in zip(rollups.ROLLED_UP, counted, strict=True)
        }

    def walk(self, at: datetime) -> Walk:
        """New platforms come last."""
        ((newest,),) = self.run("SELECT coalesce(max(rowid), 0) FROM platform")
        return Walk("rowid", 0, "rowid <= ?", newest)

    def mark(self, day: date, *, erased: bool) -> None:
        self.run(
            "INSERT INTO fleet_due (day, mark) SELECT ?, randomblob(8) "
            "WHERE NOT EXISTS (SELECT 1 FROM fleet_state WHERE pruned_before > ?) "
            "ON CONFLICT (day) DO UPDATE SET mark = excluded.mark",
            *(day.isoformat(), day.isoformat()),
        )

    def insert(self, rows: Iterable[Rollup]) -> None:
        self.connection.executemany(
            "INSERT INTO fleet_day (day, field, value, platforms, total) VALUES (?, ?, ?, ?, ?)",
            [(row.day.isoformat(), *row[1:]) for row in rows],
        )

    def fold_day(self, day: date, today: date) -> bool:
        with self.at_one_moment():
            marked = self._mark_of(day)
            if not marked:
                return False
            rows = folding.of_day(self, day)
        counts = day in sightings.window(today)
        ((newest,),) = self.run("SELECT coalesce(max(rowid), 0) FROM last")
        add = sightings.ADD.format(last=f"last {self.its_values}", which="last.rowid BETWEEN ? AND ?")
        for first in range(1, newest + 1, ADDED_AT_ONCE) if counts else ():
            with self.writing():
                if marked != self._mark_of(day):
                    return False
                self.run(add, day.toordinal(), first, first + ADDED_AT_ONCE - 1)
        with self.writing():
            if marked != self._mark_of(day):
                return False
            folding.replace(self, day, rows)
            if counts:
                self.run(sightings.ADDED, day.toordinal())
            self.run("DELETE FROM fleet_due WHERE day = ?", day.isoformat())
        return True

    def _mark_of(self, day: date) -> Sequence[Row]:
        return self.run("SELECT mark FROM fleet_due WHERE day = ?", day.isoformat())

    def has_pings_before(self, before: datetime) -> bool:
        return self._oldest("received_at < ? AND received_at > ?", moment(before), _EARLIEST) is not None

    def delete_pings(self, pruning: rollups.Pruning, end: datetime) -> Pruned:
        begun, lost = min(end, datetime.combine(folding.pruned_before(self), time(), UTC)), list[date]()
        if not self.has_pings_before(begun):
            begun, lost = self._seal(pruning)
        pruned = 0
        for _ in range(PORTIONS):  # others are stored in between
            deleted = self.connection.execute(
                "DELETE FROM ping WHERE rowid IN "
                "(SELECT rowid FROM ping WHERE received_at < ? AND received_at > ? LIMIT ?)",
                (moment(begun), _EARLIEST, PRUNED_AT_ONCE),
            ).rowcount
            pruned += deleted
            if deleted < PRUNED_AT_ONCE:
                break
        return Pruned(pruned, unfinished=pruned == PORTIONS * PRUNED_AT_ONCE, lost=tuple(lost))

    def _seal(self, pruning: rollups.Pruning) -> tuple[datetime, list[date]]:
        """Seal the oldest days with old pings that nothing waits for; returns the moment before which they are, and the
        days that are lost with them."""
        with self.writing():
            ripe, end = pruning.end(folding.awaited(self, pruning)), EARLIEST
            for _ in range(DAYS_PRUNED_AT_ONCE):
                query = "received_at < ? AND received_at > ? AND received_at >= ?"
                oldest = self._oldest(query, moment(ripe), _EARLIEST, moment(end))
                if oldest is None:
                    break
                end = datetime.combine(oldest + timedelta(days=1), time(), UTC)
            begun = min(ripe, end)
            if end == EARLIEST:
                return begun, []
            # Also of a day of which a part is deleted.
            last = (begun.astimezone(UTC) - timedelta(microseconds=1)).date()
            return begun, folding.seal(self, last + timedelta(days=1))

    def delete(self, table: str, condition: str, *values: object) -> None:
        """In portions, where it has to search: a DELETE locks the file against pings meanwhile."""
        if table not in _IN_PORTIONS:
            self.run(f"DELETE FROM {table} WHERE {condition}", *values)  # noqa: S608 - our own conditions
            return
        ((newest,),) = self.run(f"SELECT coalesce(max(rowid), 0) FROM {table}")  # noqa: S608 - our own names
        for first in range(1, newest + 1, PRUNED_AT_ONCE):
            portion = f"DELETE FROM {table} WHERE rowid BETWEEN ? AND ? AND ({condition})"  # noqa: S608 - our own conditions
            self.run(portion, first, first + PRUNED_AT_ONCE - 1, *values)

    def note(self, tables: Iterable[str], days: Iterable[date] = ()) -> None:
        """Deleted rows are overwritten, and every upkeep clears the log."""
