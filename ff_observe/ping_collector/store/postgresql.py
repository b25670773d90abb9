"""Pings in PostgreSQL, for production: several collectors may share one database."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

import psycopg
from psycopg import sql

from ff_observe.config.secret import Secret
from ff_observe.ping_collector.store import postgresql_fleet
from ff_observe.ping_collector.store.batch import OWN_COLUMNS, distinct, encode, outcomes
from ff_observe.ping_collector.store.blocking import BlockingThread
from ff_observe.ping_collector.store.columns import COLUMNS, NAMES, restored, restored_row
from ff_observe.ping_collector.store.model import SKEW, Distribution, Ping, Sample, Seen, StoreError
from ff_observe.ping_collector.store.postgresql_connections import (
    AsyncConnection,
    Connection,
    Interruption,
    connect,
    cut,
    parameters,
)
from ff_observe.ping_collector.store.postgresql_schema import TYPES, add_partitions, drop_partitions, migrate

DAYS_AHEAD = 3
"""For how many days to come there are partitions already, so that making one is never in a ping's way."""

_COMMON = "-c lock_timeout=5s -c timezone=UTC -c client_encoding=UTF8 -c default_transaction_isolation=read\\ committed"
_WRITING = f"{_COMMON} -c statement_timeout=10s -c synchronous_commit=on"  # a commit is on the disk before it returns
_READING = f"{_COMMON} -c statement_timeout=300s"

_COLUMN_LIST = ", ".join(NAMES)
_PROBE = "INSERT INTO collector_probe (id, at) VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = excluded.at"
_OWN = (
    "decode(row ->> 0, 'hex') AS digest, (row ->> 1)::timestamptz AS received_at, (row ->> 2)::timestamptz AS until, "
    "decode(row ->> 3, 'hex') AS sender"
)
_VALUES = ", ".join(
    f"(row ->> {OWN_COLUMNS + index})::{TYPES[column.field.type]} AS {column.name}"
    for index, column in enumerate(COLUMNS)
)
# A whole batch in one statement, which is a transaction of its own. Rows are taken in the order of their keys, so that
# collectors that meet the same keys wait for each other and never lock each other out.
_STORE = f"""
WITH batch AS MATERIALIZED (
  SELECT {_OWN}, {_VALUES} FROM jsonb_array_elements($1::jsonb) AS row
), fresh AS (
  INSERT INTO recent (digest, instance_id, received_at, until)
  SELECT digest, instance_id, received_at, until FROM batch ORDER BY digest
  ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at, until = excluded.until
  WHERE recent.until < excluded.received_at OR excluded.until < recent.received_at
  RETURNING digest
), stored AS (
  INSERT INTO ping (received_at, sender, {_COLUMN_LIST})
  SELECT received_at, sender, {_COLUMN_LIST} FROM batch JOIN fresh USING (digest)
  RETURNING received_at, {_COLUMN_LIST}
), latest AS (
  INSERT INTO platform (first_seen, last_seen, {_COLUMN_LIST})
  SELECT DISTINCT ON (instance_id) received_at, received_at, {_COLUMN_LIST} FROM stored
  ORDER BY instance_id, received_at DESC
  ON CONFLICT (instance_id) DO UPDATE SET last_seen = excluded.last_seen,
    {", ".join(f"{name} = excluded.{name}" for name in NAMES[1:])}
  WHERE platform.last_seen <= excluded.last_seen
)
SELECT encode(digest, 'hex') FROM fresh
"""  # noqa: S608 - only names of our own columns


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """psycopg's errors as ours. Their text may quote values or hold connection parameters: only their kind is told."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL could not {what}: {_kind(error)}") from None


def _kind(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.OperationalError) and not error.sqlstate:
        return "it cannot be reached, or does not let this user into this database"
    state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    return f"{type(error).__name__}{state}"


def _days_from(today: date) -> set[date]:
    return {today + timedelta(days=days) for days in range(DAYS_AHEAD + 1)}


class PostgresqlWriter:
    """The connection that stores pings. Tables and partitions are made over another, which may block."""

    def __init__(self, url: Secret, window: timedelta) -> None:
        self._url = url
        self._window = window
        self._connection: AsyncConnection | None = None
        self._preparation = Interruption()
        self._days: set[date] = set()
        self._thread = BlockingThread("collector-writer")

    async def write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        with _told("store pings"):
            try:
                connection = await self._prepared({ping.received_at.date() for ping in pings})
                if not pings:
                    await connection.execute(_PROBE)
                    return []
                try:
                    return await self._store(connection, pings)
                except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                    return await self._store(connection, pings)  # rolled back as a whole: once more
            except psycopg.Error:
                await self._disconnect()
                raise

    async def _prepared(self, days: set[date]) -> AsyncConnection:
        """The connection, with tables and the partitions of these days."""
        if self._connection is None or not days <= self._days:
            self._preparation = preparation = Interruption()
            wanted = days | _days_from(max(days)) if days else days
            await self._thread.call(partial(self._make_tables, wanted, preparation))
            self._days |= wanted
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._url.reveal(), cursor_factory=psycopg.AsyncRawCursor, **parameters(_WRITING)
                )
            if preparation.requested:
                cut(self._connection)
        return self._connection

    def _make_tables(self, days: set[date], preparation: Interruption) -> None:
        with contextlib.closing(connect(self._url, _WRITING)) as connection, preparation.of(connection):
            migrate(connection)
            if days:
                add_partitions(connection, days)

    async def _store(self, connection: AsyncConnection, pings: Sequence[Ping]) -> Sequence[bool]:
        batch = distinct(pings)
        rows = encode(batch.values(), self._window)
        fresh = await (await connection.execute(_STORE, (rows,), prepare=True)).fetchall()
        return outcomes(pings, batch, (digest for (digest,) in fresh))

    def abort(self) -> None:
        self._preparation.request()
        if self._connection is not None:
            cut(self._connection)

    async def close(self) -> None:
        await self._thread.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._days = set()
        if connection is not None:
            await connection.close()


class PostgresqlStore:
    """A database of pings."""

    name = "postgresql"

    def __init__(self, url: Secret, window: timedelta) -> None:
        self.url = url
        self._window = window
        self._interruption = Interruption()

    def writer(self) -> PostgresqlWriter:
        return PostgresqlWriter(self.url, self._window)

    @contextlib.contextmanager
    def _session(self, what: str) -> Iterator[Connection]:
        with (
            _told(what),
            contextlib.closing(connect(self.url, _READING)) as connection,
            self._interruption.of(connection),
        ):
            migrate(connection)
            yield connection

    def seen(self, at: datetime, silent_after_days: int) -> Seen:
        query = sql.SQL(
            "SELECT count(*) FILTER (WHERE last_seen > %(day)s), count(*) FILTER (WHERE last_seen > %(week)s), "
            "count(*), count(*) FILTER (WHERE last_seen <= %(silent)s) FROM platform WHERE last_seen > %(month)s"
        )
        days = {"day": 1, "week": 7, "month": 30, "silent": silent_after_days}
        with self._session("count platforms") as connection:
            moments = {name: at - timedelta(days=count) for name, count in days.items()}
            row = connection.execute(query, moments).fetchone()
        day, week, month, silent = row or (0, 0, 0, 0)
        return Seen({"1d": day, "7d": week, "30d": month}, silent)

    def distributions(self, field_indexes: Sequence[int], since: datetime) -> Mapping[int, Distribution]:
        with self._session("read the fleet") as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")  # one moment for all
            return {index: self._distribution(connection, index, since) for index in field_indexes}

    def _distribution(self, connection: Connection, index: int, since: datetime) -> Distribution:
        column = sql.Identifier(NAMES[index])
        query = sql.SQL("SELECT {}, count(*) FROM platform WHERE last_seen > %s GROUP BY 1 ORDER BY 1").format(column)
        rows = connection.execute(query, (since,)).fetchall()
        return [(restored(COLUMNS[index], value), count) for value, count in rows]

    def sample(self, field_indexes: Sequence[int], at: datetime, days: int, silent_after_days: int) -> Sample:
        with self._session("sample the fleet") as connection:
            return postgresql_fleet.sample(connection, field_indexes, at, days, silent_after_days)

    def rounding_key(self) -> bytes:
        with self._session("read the fleet's key") as connection:
            return postgresql_fleet.rounding_key(connection)

    def released(self, day: date) -> str | None:
        with self._session("read a release") as connection:
            return postgresql_fleet.released(connection, day)

    def release(self, day: date, document: str) -> str:
        with self._session("release") as connection:
            return postgresql_fleet.release(connection, day, document)

    def export(self, instance_id: str) -> Iterator[Ping]:
        query = sql.SQL("SELECT received_at, sender, {} FROM ping WHERE instance_id = %s ORDER BY received_at").format(
            sql.SQL(", ").join(map(sql.Identifier, NAMES))
        )
        with self._session("export") as connection:
            for at, sender, *values in connection.execute(query, (instance_id,)):
                yield Ping.of(at.astimezone(UTC), sender, restored_row(values))

    def forget(self, instance_id: str) -> int:
        with self._session("forget") as connection:
            with connection.transaction():
                # In the order in which pings are stored: the two wait for each other, and never lock each other out.
                connection.execute("DELETE FROM recent WHERE instance_id = %s", (instance_id,))
                deleted = connection.execute(
                    "DELETE FROM ping WHERE instance_id = %s RETURNING tableoid::regclass::text", (instance_id,)
                ).fetchall()
                connection.execute("DELETE FROM platform WHERE instance_id = %s", (instance_id,))
            for table in sorted({"platform", "recent", *(str(table) for (table,) in deleted)}):
                connection.execute(sql.SQL("VACUUM {}").format(sql.SQL(table)))  # a deleted row still is in its page
        return len(deleted)

    def prune(self, before: datetime) -> int:
        """Drops the partitions of whole days, so that pings are kept for less than a day longer than told."""
        with self._session("prune") as connection:
            dropped = drop_partitions(connection, before)
            connection.execute("DELETE FROM platform WHERE last_seen < %s", (before,))
        return dropped

    def tidy(self, now: datetime) -> None:
        with self._session("tidy up") as connection:
            connection.execute("DELETE FROM recent WHERE until < %s", (now,))
            connection.execute("UPDATE platform SET last_seen = %s WHERE last_seen > %s", (now, now + SKEW))
            add_partitions(connection, _days_from(now.date()))

    def interrupt(self) -> None:
        self._interruption.request()
