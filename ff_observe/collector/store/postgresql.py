"""Pings in PostgreSQL, for production: several collectors may share one database."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from ff_observe.collector.store import postgresql_fleet
from ff_observe.collector.store.columns import COLUMNS, NAMES, restored, restored_row
from ff_observe.collector.store.model import (
    DAYS_PRUNED_AT_ONCE,
    Distribution,
    Ping,
    Pruned,
    Seen,
    StoreError,
)
from ff_observe.collector.store.postgresql_connections import (
    READING,
    Connection,
    Interruption,
    connect,
    failing_as,
)
from ff_observe.collector.store.postgresql_erasure import forget_statistics, note, rewrite_noted
from ff_observe.collector.store.postgresql_schema import (
    add_partitions,
    drop,
    drop_empty,
    migrate,
    newest_days,
    pings_before,
)
from ff_observe.collector.store.postgresql_writer import PostgresqlWriter, ServerClock, server_clock
from ff_observe.collector.store.present import EARLIEST, LATEST, Present, days_from, present
from ff_observe.collector.store.public import PublicStore
from ff_observe.config.secret import Secret

log = logging.getLogger(__name__)

FORGETTING_ATTEMPTS = 10
"""How many times `forget` tries to rewrite a table that is in use, for two seconds each time."""

_IMPATIENT = "SET LOCAL lock_timeout = '500ms'"  # pings queue up behind a lock request that waits


class PostgresqlStore(PublicStore[Connection]):
    """A database of pings."""

    name = "postgresql"
    public = postgresql_fleet

    def __init__(self, url: Secret, window: timedelta, clock: ServerClock = server_clock) -> None:
        self.url = url
        self._window = window
        self._clock = clock
        self._interruption = Interruption()

    def writer(self) -> PostgresqlWriter:
        return PostgresqlWriter(self.url, self._window, self._clock)

    @contextlib.contextmanager
    def _session(self, what: str) -> Iterator[Connection]:
        with (
            failing_as(what),
            contextlib.closing(connect(self.url, READING)) as connection,
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
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")  # one consistent read
            return {index: self._distribution(connection, index, since) for index in field_indexes}

    def _distribution(self, connection: Connection, index: int, since: datetime) -> Distribution:
        column = sql.Identifier(NAMES[index])
        query = sql.SQL("SELECT {}, count(*) FROM platform WHERE last_seen > %s GROUP BY 1 ORDER BY 1").format(column)
        rows = connection.execute(query, (since,)).fetchall()
        return [(restored(COLUMNS[index], value), count) for value, count in rows]

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
                # In the order in which pings are stored: the two wait for each other, and never deadlock.
                connection.execute("DELETE FROM recent WHERE instance_id = %s", (instance_id,))
                deleted = connection.execute(
                    "DELETE FROM ping WHERE instance_id = %s RETURNING tableoid::regclass::text", (instance_id,)
                ).fetchall()
                platforms = connection.execute("DELETE FROM platform WHERE instance_id = %s", (instance_id,)).rowcount
                if deleted or platforms:
                    note(connection, ["platform", "recent", *(str(table) for (table,) in deleted)])
            with connection.transaction():
                forget_statistics(connection)
            left = rewrite_noted(connection, FORGETTING_ATTEMPTS)
            if left:
                raise StoreError(
                    f"{len(deleted)} pings are deleted, but copies are left in the files of {', '.join(left)}: a table "
                    "is in use, a transaction that began before still is open (see pg_stat_activity; a backup is one), "
                    "or it belongs to another user, who must run VACUUM FULL on it. Do it again until nothing is "
                    "stored; the collector's hourly upkeep tries as well"
                )
        return len(deleted)

    def _clocks(self, connection: Connection, now: datetime) -> list[datetime]:
        server, now = self._clock(connection), min(now, LATEST)
        return [now] if server is None else [now, server]

    def prune(self, now: datetime, retention: timedelta) -> Pruned:
        """Drops the partitions of whole days, so that pings are kept less than a day longer than configured."""
        with self._session("prune") as connection:
            found = present(self._clocks(connection, now), newest_days(connection))
            old = found.old(retention)
            doubtful = found.doubts(now) and pings_before(connection, now - retention) != []
            if old is None:
                return Pruned(doubtful=doubtful)
            due = pings_before(connection, old)
            dropped = sum(drop(connection, name) for name in due[:DAYS_PRUNED_AT_ONCE])
            gone = "DELETE FROM platform WHERE last_seen < %s AND last_seen > %s"
            with connection.transaction():
                if connection.execute(gone, (old, EARLIEST)).rowcount or due:
                    note(connection, ["platform"])  # its pages still hold older pings of platforms
        return Pruned(dropped, len(due) > DAYS_PRUNED_AT_ONCE, doubtful)

    def tidy(self, now: datetime) -> None:
        with self._session("tidy up") as connection:
            clocks = self._clocks(connection, now)
            found = present(clocks, newest_days(connection))
            with connection.transaction():
                stale = "DELETE FROM recent WHERE until < %s OR received_at > %s"
                if connection.execute(stale, (now, found.future)).rowcount:
                    note(connection, ["recent"])
            add_partitions(connection, days_from(clocks[-1].date()) | {found.likely.date()})
            self._date_anew(connection, found, now)
            wanted = {*newest_days(connection), *(clock.date() for clock in clocks)}
            kept = {day for each in wanted for day in days_from(each - timedelta(days=1)) | days_from(each)}
            try:
                drop_empty(connection, kept)
                with connection.transaction():
                    connection.execute(_IMPATIENT)
                    forget_statistics(connection)
                left = rewrite_noted(connection, attempts=1)
            except psycopg.errors.LockNotAvailable:
                left = ["tables that are in use"]
            if left:
                log.info("copies of what was deleted stay in the files of %s until the next upkeep", ", ".join(left))

    def _date_anew(self, connection: Connection, found: Present, now: datetime) -> None:
        """Correct the dates of pings that a wrong clock dated in the future, or before the first collector."""
        past = EARLIEST if now > EARLIEST else datetime.min.replace(tzinfo=UTC)
        for table, column in (("ping", "received_at"), ("platform", "first_seen"), ("platform", "last_seen")):
            update = sql.SQL("UPDATE {table} SET {column} = %s WHERE {column} > %s OR {column} <= %s")
            named = update.format(table=sql.Identifier(table), column=sql.Identifier(column))
            connection.execute(named, (found.likely, found.future, past))

    def interrupt(self) -> None:
        self._interruption.request()
