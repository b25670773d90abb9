"""A session with PostgreSQL: how its statements run, and those that only it has."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import psycopg

from ff_observe.catalogue.ping_contract import Value
from ff_observe.collector.store import folding, rollups, sightings
from ff_observe.collector.store.columns import COLUMNS, NAMES, restored
from ff_observe.collector.store.model import DAYS_PRUNED_AT_ONCE, READ_AT_ONCE, Columns, Distribution, Pruned, Rollup
from ff_observe.collector.store.postgresql_connections import Connection
from ff_observe.collector.store.postgresql_erasure import MADE_OF_PINGS, note
from ff_observe.collector.store.postgresql_schema import PARENT_FIRST, alone, partition, partitions
from ff_observe.collector.store.present import EARLIEST, LATEST, WITNESSES
from ff_observe.collector.store.session import Row, Session, Walk

ServerClock = Callable[[Connection], datetime | None]
"""What the server's clock says; None where it is not used as a witness."""
LOCK = 0x66665F666F6C64  # "ff_fold": one collector at a time rolls up
MOST_GROUPED = 31
"""So many columns fit into one GROUPING()."""
_VERSION = NAMES[rollups.VERSION]
_ROLLED_UP = [NAMES[index] for index in rollups.ROLLED_UP]


def server_clock(connection: Connection) -> datetime:
    (now,) = connection.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert isinstance(now, datetime)
    return now.astimezone(UTC)


class PostgreSQLSession(Session):
    """See `Session` for the methods."""

    last = f"""
SELECT DISTINCT ON (instance_id) instance_id, sender, {", ".join(_ROLLED_UP)} FROM ping
WHERE received_at >= {{day}} AND received_at < {{next}}
ORDER BY instance_id, received_at DESC, {", ".join(f"{name} DESC" for name in _ROLLED_UP)}, sender
"""  # noqa: S608 - only names of our own columns
    # Most platforms pinged the day before, which one pass over that day finds; the others are looked up one by one.
    seen_before = f"""
WITH yesterday AS (
  SELECT DISTINCT ON (instance_id) instance_id, {_VERSION} FROM ping
  WHERE received_at >= {{yesterday}} AND received_at < {{day}} ORDER BY instance_id, received_at DESC
)
SELECT CASE WHEN yesterday.instance_id IS NULL THEN earlier.received_at::date::text ELSE {{yesterday}} END,
  CASE WHEN yesterday.instance_id IS NULL THEN earlier.{_VERSION} ELSE yesterday.{_VERSION} END,
  last.{_VERSION}, coalesce(first_seen::date::text, {{day}}), count(*)
FROM last LEFT JOIN yesterday USING (instance_id) LEFT JOIN LATERAL (
  SELECT received_at, {_VERSION} FROM ping
  WHERE yesterday.instance_id IS NULL AND ping.instance_id = last.instance_id
    AND received_at >= {{since}} AND received_at < {{yesterday}}
  ORDER BY received_at DESC LIMIT 1
) AS earlier ON true LEFT JOIN platform USING (instance_id)
GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - only names of our own columns
    unlocked = "FOR UPDATE SKIP LOCKED"

    def __init__(self, connection: Connection, clock: ServerClock) -> None:
        self.connection = connection
        self._clock = clock

    def _execute(self, statement: str, values: Sequence[object]) -> psycopg.Cursor[Row]:
        return self.connection.execute(statement.replace("?", "%s").encode("ascii"), values)

    def run(self, statement: str, *values: object) -> Sequence[Row]:
        done = self._execute(statement, values)
        return [] if done.description is None else done.fetchall()

    def portions(self, statement: str, *values: object) -> Iterator[Sequence[Row]]:
        # The server's cursor hands out what is asked for.
        with self.writing(), self.connection.cursor("portions") as rows:
            rows.execute(statement.replace("?", "%s").encode("ascii"), values)
            while portion := rows.fetchmany(READ_AT_ONCE):
                yield portion

    def as_columns(self, rows: Sequence[Row]) -> Columns:
        return list(zip(*rows, strict=True))

    def writing(self) -> contextlib.AbstractContextManager[object]:
        return self.connection.transaction()

    @contextlib.contextmanager
    def at_one_moment(self) -> Iterator[None]:
        with self.writing():
            self.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.run("SET LOCAL work_mem = '64MB'")
            yield

    @contextlib.contextmanager
    def marking(self) -> Iterator[bool]:
        with self.writing():
            is_alone = self._rolls_up_alone()
            if is_alone:
                self.connection.execute(PARENT_FIRST)
            yield is_alone

    def _rolls_up_alone(self) -> bool:
        """Whether no other collector rolls up, until the end of the transaction."""
        return self.run("SELECT pg_try_advisory_xact_lock(?)", LOCK) == [(True,)]

    def clocks(self, now: datetime) -> list[datetime]:
        server, now = self._clock(self.connection), min(now, LATEST)
        return [now] if server is None else [now, server]

    def newest_days(self) -> list[date]:
        days: list[date] = []
        for day in sorted(partitions(self.connection), reverse=True):
            if EARLIEST.date() < day < LATEST.date() and self.has_pings(day):
                days.append(day)
            if len(days) == WITNESSES:
                break
        return days

    def pings_by_day(self, since: date, until: date) -> Mapping[date, int]:
        found: dict[date, int] = {}
        for day in sorted(partitions(self.connection)):
            if since <= day <= until:
                with contextlib.suppress(psycopg.errors.UndefinedTable):  # another collector has dropped it since
                    ((found[day],),) = self.run(f"SELECT count(*) FROM {partition(day)}")  # noqa: S608 - our own name
        return {day: pings for day, pings in found.items() if pings}

    def distributions(self, source: str) -> Mapping[int, Distribution]:
        """In one pass for each `MOST_GROUPED` fields."""
        found: dict[int, list[tuple[Value | None, int]]] = {index: [] for index in rollups.ROLLED_UP}
        for first in range(0, len(rollups.ROLLED_UP), MOST_GROUPED):
            indexes = rollups.ROLLED_UP[first : first + MOST_GROUPED]
            names = [NAMES[index] for index in indexes]
            listed, sets = ", ".join(names), ", ".join(f"({name})" for name in names)
            places = {(1 << len(indexes)) - 1 - (1 << (len(indexes) - 1 - n)): n for n in range(len(indexes))}
            query = f"SELECT grouping({listed}), count(*), {listed} FROM {source} GROUP BY GROUPING SETS ({sets})"  # noqa: S608 - our own names
            for grouped, platforms, *row in self.run(query):
                place = places[grouped]
                index = indexes[place]
                found[index].append((restored(COLUMNS[index], row[place]), platforms))
        return {index: rollups.ascending(distribution) for index, distribution in found.items()}

    def walk(self, at: datetime) -> Walk:
        return Walk("instance_id", "", "first_seen < ?", self.present(at).future)

    def mark(self, day: date, *, erased: bool) -> None:
        self.run(
            "INSERT INTO fleet_due (day, erased) SELECT ?, ?::boolean "
            "WHERE NOT EXISTS (SELECT FROM fleet_state WHERE pruned_before > ?) "
            "ON CONFLICT (day) DO UPDATE SET erased = fleet_due.erased OR excluded.erased",
            *(day, erased, day),
        )

    def insert(self, rows: Iterable[Rollup]) -> None:
        with (
            self.connection.cursor() as cursor,
            cursor.copy("COPY fleet_day (day, field, value, platforms, total) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def fold_day(self, day: date, today: date) -> bool:
        try:
            with self.at_one_moment():
                if not self._rolls_up_alone():
                    return False
                due = self.run("DELETE FROM fleet_due WHERE day = ? RETURNING erased", day)
                if not due:
                    return False
                folding.replace(self, day, folding.of_day(self, day))
                if day in sightings.window(today):
                    self.run(sightings.ADD.format(last="last", which="true"), day.toordinal())
                    self.run(sightings.ADDED, day.toordinal())
                self.run("DROP TABLE last")  # behind a pooler, sessions stay
                if due == [(True,)]:
                    self.note(["fleet_day"])
        except psycopg.errors.SerializationFailure:
            return False
        return True

    def _days_before(self, before: datetime) -> Iterator[date]:
        """The days that ended before then and have pings, oldest first."""
        end = before.astimezone(UTC).date()
        old = [day for day in sorted(partitions(self.connection)) if EARLIEST.date() < day < end]
        return filter(self.has_pings, old)

    def has_pings_before(self, before: datetime) -> bool:
        return any(self._days_before(before))

    def delete_pings(self, pruning: rollups.Pruning, end: datetime) -> Pruned:
        """Drops the partitions of whole days, so that pings are kept less than a day longer than configured."""
        dropped = [self._drop(day, pruning) for day in list(islice(self._days_before(end), DAYS_PRUNED_AT_ONCE))]
        return Pruned(sum(pings for pings, _ in dropped), lost=tuple(day for _, lost in dropped for day in lost))

    def _drop(self, day: date, pruning: rollups.Pruning) -> tuple[int, list[date]]:
        """Drop the partition of a day, if nothing waits for it, and no other collector has. Returns how many pings it
        held, and the days that are lost with it."""
        with alone(self.connection):
            if day not in partitions(self.connection):
                return 0, []
            self.connection.execute(PARENT_FIRST)
            ((held,),) = self.run(f"SELECT count(*) FROM {partition(day)}")  # noqa: S608 - our own name
            # As `DROP TABLE` does. What deletes or changes pings marks their days before it lets go of the table.
            self.run("LOCK TABLE ONLY ping IN ACCESS EXCLUSIVE MODE")
            if day >= pruning.end(folding.awaited(self, pruning)).date():
                return 0, []
            self.run(f"DROP TABLE {partition(day)}")
            lost = folding.seal(self, day + timedelta(days=1))
            self.note(MADE_OF_PINGS)
        return held, lost

    def drop_empty(self, kept: Set[date]) -> None:
        """Drop the partitions without pings, except for those of `kept`: days without a ping, and days that a wrong
        clock created."""
        for day in partitions(self.connection).keys() - kept:
            if self.has_pings(day):
                continue
            with alone(self.connection):
                if day not in partitions(self.connection):
                    continue
                # As `DROP TABLE` does, the parent first (see `PARENT_FIRST`).
                self.run(f"LOCK TABLE ONLY ping, {partition(day)} IN ACCESS EXCLUSIVE MODE")
                if not self.has_pings(day):  # and none has arrived meanwhile
                    self.run(f"DROP TABLE {partition(day)}")

    def delete(self, table: str, condition: str, *values: object) -> None:
        with self.writing():
            query = f"DELETE FROM {table} WHERE {condition}"  # noqa: S608 - our own conditions
            if self._execute(query, values).rowcount:
                self.note([table])

    def note(self, tables: Iterable[str], days: Iterable[date] = ()) -> None:
        note(self.connection, [*tables, *map(partition, days)])
