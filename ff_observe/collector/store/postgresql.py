"""Pings in PostgreSQL, for production: several collectors may share one database."""

import contextlib
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from functools import partial

import psycopg
from psycopg import sql

from ff_observe.collector.store import postgresql_keys, postgresql_rollups, sightings, statements
from ff_observe.collector.store.columns import NAMES, restored_row
from ff_observe.collector.store.copies import CopiedStore
from ff_observe.collector.store.folding import FoldingStore
from ff_observe.collector.store.model import (
    DAYS_PRUNED_AT_ONCE,
    READ_AT_ONCE,
    Columns,
    Count,
    Ping,
    Pruned,
    StoreError,
)
from ff_observe.collector.store.postgresql_connections import (
    LOCKING,
    READING,
    REWRITING,
    Connection,
    Interruption,
    connect,
    failing_as,
)
from ff_observe.collector.store.postgresql_erasure import forget_statistics, note, rewrite_noted
from ff_observe.collector.store.postgresql_schema import (
    add_partitions,
    days_before,
    drop,
    drop_empty,
    migrate,
    newest_days,
)
from ff_observe.collector.store.postgresql_writer import PostgreSQLWriter, ServerClock, server_clock
from ff_observe.collector.store.present import EARLIEST, LATEST, Present, days_from, present
from ff_observe.collector.store.public import PublicStore
from ff_observe.collector.store.rollups import Pruning
from ff_observe.collector.store.sessions import Run
from ff_observe.config.secret import Secret
from ff_observe.log import StateLog

log = logging.getLogger(__name__)

FORGETTING_ATTEMPTS = 10
"""How many times `forget` tries to rewrite a table that is in use, for two seconds each time."""

_LIKELY = "%(likely)s::timestamptz"
_FIRST = f"(SELECT min(received_at) FROM ping WHERE ping.instance_id = platform.instance_id), {_LIKELY}"  # noqa: S608 - our own names
_RIGHT = (
    ("ping", "received_at", _LIKELY),
    ("platform", "first_seen", f"coalesce({_FIRST})"),
    ("platform", "last_seen", _LIKELY),
)
COPY_LOCK = 0x66665F636F7079  # "ff_copy": one collector at a time copies days
COUNT_LOCK = 0x66665F636E74  # "ff_cnt": one collector at a time counts
_SELECT = sql.SQL("SELECT received_at, sender, {} FROM ping WHERE {}")
_FIRST_SEEN = sql.SQL("(SELECT first_seen FROM platform WHERE platform.instance_id = ping.instance_id), {}")
_COLUMN_LIST = sql.SQL(", ").join(map(sql.Identifier, NAMES))
_IMPATIENT = "SET LOCAL lock_timeout = '500ms'"  # pings queue up behind a lock request that waits


class PostgreSQLStore(PublicStore[Connection], FoldingStore[Connection], CopiedStore[Connection]):
    """A database of pings."""

    name = "postgresql"
    rolling_up = postgresql_rollups

    def __init__(self, url: Secret, window: timedelta, clock: ServerClock = server_clock) -> None:
        super().__init__()
        self.url = url
        self._window = window
        self._clock = clock
        self._interruption = Interruption()
        self._rewriting = StateLog(log)

    def writer(self) -> PostgreSQLWriter:
        return PostgreSQLWriter(self.url, self._window, self._clock)

    @contextlib.contextmanager
    def _session(self, what: str, options: str = READING) -> Iterator[Connection]:
        with (
            failing_as(what),
            contextlib.closing(connect(self.url, options)) as connection,
            self._interruption.of(connection),
        ):
            migrate(connection)
            yield connection

    @contextlib.contextmanager
    def _alone(self, what: str, lock: int) -> Iterator[bool]:
        """Whether no other collector holds the lock, until the block ends. It belongs to a transaction, over a
        connection of its own: behind a pooler other collectors get the same session."""
        with self._session(what, LOCKING) as connection:
            connection.execute("BEGIN")
            # Without a parameter: the portal of one would hold a snapshot, for which vacuum waits.
            query = f"SELECT pg_try_advisory_xact_lock({lock:d})"
            yield connection.execute(query.encode("ascii")).fetchone() == (True,)
            connection.execute("COMMIT")

    def _rewrite_noted(self, attempts: int) -> list[str]:
        with self._session("rewrite tables", REWRITING) as connection:
            return rewrite_noted(connection, attempts)

    def _rewrite_what_can_be(self, in_use: Sequence[str] = ()) -> None:
        """Rewrite the recorded tables, once each; the next upkeep tries those that are left."""
        left = [*in_use, *self._rewrite_noted(attempts=1)]
        if left:
            self._rewriting.failing(
                f"copies of what was deleted stay in the files of {', '.join(left)} until an upkeep can rewrite them"
            )
        else:
            self._rewriting.working("no copies of what was deleted are left in the files of tables")

    def _run_by(self, connection: Connection) -> Run:
        return postgresql_rollups.run_by(connection)

    def _present(self, connection: Connection, now: datetime) -> Present:
        return present(self._clocks(connection, now), newest_days(connection))

    def count(self, at: datetime, silent_after_days: int) -> Count | None:
        what = "count platforms"
        with self._alone(what, COUNT_LOCK) as is_alone, self._session(what) as connection:
            if not is_alone:
                return None
            found = self._present(connection, at)
            interrupted = self._interruption.requested
            return postgresql_rollups.count(connection, at, silent_after_days, found, interrupted)

    def sample(self, at: datetime, days: int, silent_after_days: int) -> Count | None:
        with self._session("sample the fleet") as connection, connection.transaction():
            connection.execute(postgresql_rollups.CONSISTENT)
            connection.execute("SET LOCAL work_mem = '64MB'")
            distributions = partial(postgresql_rollups.distributions, connection)
            return sightings.sample(self._run_by(connection), distributions, at, days, silent_after_days)

    def export(self, instance_id: str) -> Iterator[Ping]:
        query = _SELECT.format(_COLUMN_LIST, sql.SQL("instance_id = %s ORDER BY received_at"))
        with self._session("export") as connection:
            for at, sender, *values in connection.execute(query, (instance_id,)):
                yield Ping.of(at.astimezone(UTC), sender, restored_row(values))

    def pings_by_day(self, since: date, until: date) -> Mapping[date, int]:
        with self._session("count pings") as connection:
            return postgresql_rollups.pings_by_day(connection, since, until)

    def read_day(self, day: date) -> Generator[Columns, None, None]:
        where = sql.SQL("received_at >= %s AND received_at < %s ORDER BY received_at, instance_id")
        with (
            self._session("export") as connection,
            connection.transaction(),
            connection.cursor("day") as rows,  # of the server, which hands out what is asked for
        ):
            rows.execute(_SELECT.format(_FIRST_SEEN.format(_COLUMN_LIST), where), (day, day + timedelta(days=1)))
            while portion := rows.fetchmany(READ_AT_ONCE):
                yield list(zip(*portion, strict=True))

    def copying(self) -> AbstractContextManager[bool]:
        return self._alone("copy days", COPY_LOCK)

    def forget(self, instance_id: str) -> int:
        with self._session("forget") as connection:
            with connection.transaction():
                # In the order in which pings are stored: the two wait for each other, and never deadlock.
                connection.execute("DELETE FROM recent WHERE instance_id = %s", (instance_id,))
                deleted = connection.execute(
                    "DELETE FROM ping WHERE instance_id = %s RETURNING tableoid::regclass::text, received_at::date",
                    (instance_id,),
                ).fetchall()
                platforms = connection.execute("DELETE FROM platform WHERE instance_id = %s", (instance_id,)).rowcount
                if deleted or platforms:
                    postgresql_rollups.mark(connection, (day for _, day in deleted), erased=True)
                    connection.execute("DELETE FROM fleet_count")
                    connection.execute("DELETE FROM fleet_seen WHERE instance_id = %s", (instance_id,))
                    erased = ["fleet_count", "fleet_seen", "platform", "recent"]
                    note(connection, [*erased, *(str(table) for table, _ in deleted)])
            with connection.transaction():
                forget_statistics(connection)
            left = self._rewrite_noted(FORGETTING_ATTEMPTS)
            if left:
                raise StoreError(
                    f"{len(deleted)} pings are deleted, but copies are left in the files of {', '.join(left)}: a table "
                    "is in use, a transaction that began before still is open (see pg_stat_activity; a backup is one), "
                    "it belongs to another user, who must run VACUUM FULL on it, or PostgreSQL failed to rewrite it "
                    "(see its log; it needs room for a second copy). Do it again until nothing is stored; the "
                    "collector's hourly upkeep tries as well"
                )
        return len(deleted)

    def _clocks(self, connection: Connection, now: datetime) -> list[datetime]:
        server, now = self._clock(connection), min(now, LATEST)
        return [now] if server is None else [now, server]

    def prune(self, now: datetime, retention: timedelta, rollups: timedelta = timedelta(days=36_500)) -> Pruned:
        """Drops the partitions of whole days, so that pings are kept less than a day longer than configured."""
        with self._session("prune") as connection:
            found = self._present(connection, now)
            old = found.old(retention)
            doubtful = found.doubts(now) and days_before(connection, now - retention) != []
            if old is None:
                return Pruned(doubtful=doubtful)
            present_at = old + retention
            pruning = Pruning(old, present_at.date())
            postgresql_rollups.mark_changed(connection, found)
            postgresql_rollups.wait(connection, pruning)
            awaited = statements.awaited(self._run_by(connection), pruning)
            end = pruning.end(awaited)
            dropped = [drop(connection, day, pruning) for day in days_before(connection, end)[:DAYS_PRUNED_AT_ONCE]]
            too_old = present_at.date() - rollups
            gone = "DELETE FROM platform WHERE last_seen < %s AND last_seen > %s"
            counts_from = max(end, present_at - timedelta(days=sightings.DAYS + 1)).toordinal()
            with connection.transaction():
                changed = {
                    "fleet_day": connection.execute("DELETE FROM fleet_day WHERE day < %s", (too_old,)).rowcount,
                    "platform": connection.execute(gone, (end, EARLIEST)).rowcount,
                    "fleet_seen": connection.execute("DELETE FROM fleet_seen WHERE day < %s", (counts_from,)).rowcount,
                }
                note(connection, [table for table, rows in changed.items() if rows])
            more = days_before(connection, old) != []
        lost = tuple(day for _, days in dropped for day in days)
        return Pruned(sum(pings for pings, _ in dropped), more, doubtful, awaited=awaited if more else None, lost=lost)

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
            in_use = []
            try:
                drop_empty(connection, kept)
                with connection.transaction():
                    connection.execute(_IMPATIENT)
                    forget_statistics(connection)
            except psycopg.errors.LockNotAvailable:
                in_use = ["tables that are in use"]
            self._rewrite_what_can_be(in_use)

    def _date_anew(self, connection: Connection, found: Present, now: datetime) -> None:
        """Correct the dates of pings that a wrong clock dated in the future, or before the first collector."""
        past = EARLIEST if now > EARLIEST else datetime.min.replace(tzinfo=UTC)
        limits = {"future": found.future, "past": past, "likely": found.likely}
        with connection.transaction():
            # Every day on which one of these platforms pinged says something else now: which of its pings came before.
            wrong = connection.execute(
                "SELECT instance_id FROM ping WHERE received_at > %(future)s OR received_at <= %(past)s "
                "UNION SELECT instance_id FROM platform WHERE first_seen > %(future)s OR first_seen <= %(past)s "
                "OR last_seen > %(future)s OR last_seen <= %(past)s",
                limits,
            ).fetchall()
            names = [str(name) for (name,) in wrong]
            moved_from = connection.execute(
                "SELECT DISTINCT tableoid::regclass::text FROM ping "
                "WHERE received_at > %(future)s OR received_at <= %(past)s",
                limits,
            ).fetchall()
            days = connection.execute(
                "SELECT DISTINCT received_at::date FROM ping WHERE instance_id = ANY(%s)", (names,)
            ).fetchall()
            if days:
                postgresql_rollups.mark(connection, [*(day for (day,) in days), found.likely.date()])
                connection.execute("DELETE FROM fleet_seen WHERE instance_id = ANY(%s)", (names,))
            for table, column, right in _RIGHT:
                update = sql.SQL("UPDATE {0} SET {1} = {2} WHERE {1} > %(future)s OR {1} <= %(past)s")
                named = update.format(sql.Identifier(table), sql.Identifier(column), sql.SQL(right))
                connection.execute(named, limits)
            note(connection, [str(table) for (table,) in moved_from])  # where `forget` will find no rows

    def wrapped_key(self, name: str) -> bytes | None:
        with self._session("read a key") as connection:
            return postgresql_keys.select(connection, name)

    def wrapped_key_names(self) -> Sequence[str]:
        with self._session("read the keys") as connection:
            return postgresql_keys.names(connection)

    def replace_wrapped_key(self, name: str, old: bytes | None, new: bytes) -> bool:
        with self._session("keep a key") as connection:
            is_replaced = postgresql_keys.replace(connection, name, old, new)
            if is_replaced and old is not None:
                self._rewrite_what_can_be()
            return is_replaced

    def interrupt(self) -> None:
        self._interruption.request()
