"""Pings in an embedded SQLite file: no setup, one collector."""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ff_observe.collector.store import sqlite_fleet
from ff_observe.collector.store.batch import moment
from ff_observe.collector.store.columns import COLUMNS, NAMES, restored, restored_row
from ff_observe.collector.store.model import (
    DAYS_PRUNED_AT_ONCE,
    Distribution,
    Ping,
    Pruned,
    Seen,
    StoreError,
)
from ff_observe.collector.store.present import EARLIEST, Present, present
from ff_observe.collector.store.public import PublicStore
from ff_observe.collector.store.sqlite_schema import clear_log, connect, failing_as, migrate, newest_days, transaction
from ff_observe.collector.store.sqlite_writer import SqliteWriter
from ff_observe.errors import ConfigurationError, Problem

log = logging.getLogger(__name__)

CLEARING_ATTEMPTS = 30
"""How many times `forget` tries to empty the write-ahead log, a second each time, while something reads the file."""
STEPS_BETWEEN_LOOKS = 100_000
"""A read checks whether it is interrupted after this many steps of SQLite's virtual machine, one or two milliseconds.
"""
PRUNED_AT_ONCE = 2000  # so that no ping waits long for the daily prune

_COLUMN_LIST = ", ".join(NAMES)

_MOMENTS = (("ping", "received_at"), ("platform", "first_seen"), ("platform", "last_seen"))
_SEEN = "SELECT " + ", ".join(["count(*) FILTER (WHERE last_seen > ?)"] * 4) + " FROM platform"  # noqa: S608 - no value in it
_OLDEST = "SELECT min(received_at) FROM ping WHERE received_at < ? AND received_at > ?"
_EARLIEST = moment(EARLIEST)


class SqliteStore(PublicStore[sqlite3.Connection]):
    """A file of pings. Readers and the writer do not wait for each other (WAL)."""

    name = "sqlite"
    public = sqlite_fleet

    def __init__(self, path: Path, window: timedelta) -> None:
        self.path = path
        self._window = window
        self._made = threading.Event()
        self._interrupted = threading.Event()

    def writer(self) -> SqliteWriter:
        return SqliteWriter(self.path, self._window)

    @contextlib.contextmanager
    def _session(self, what: str) -> Iterator[sqlite3.Connection]:
        with failing_as(what), contextlib.closing(connect(self.path)) as connection:
            connection.set_progress_handler(self._interrupted.is_set, STEPS_BETWEEN_LOOKS)
            if not self._made.is_set():
                migrate(connection)
                self._made.set()
            yield connection

    def seen(self, at: datetime, silent_after_days: int) -> Seen:
        days = (1, 7, 30, silent_after_days)
        with self._session("count platforms") as connection:
            day, week, month, lately = connection.execute(
                _SEEN, [moment(at - timedelta(days=n)) for n in days]
            ).fetchone()
        return Seen({"1d": day, "7d": week, "30d": month}, silent=month - lately)

    def distributions(self, field_indexes: Sequence[int], since: datetime) -> Mapping[int, Distribution]:
        with self._session("read the fleet") as connection:
            connection.execute("BEGIN")  # one consistent read, ended by closing
            return {index: self._distribution(connection, index, since) for index in field_indexes}

    def _distribution(self, connection: sqlite3.Connection, index: int, since: datetime) -> Distribution:
        column = COLUMNS[index]
        query = f"SELECT {column.name}, count(*) FROM platform WHERE last_seen > ? GROUP BY 1 ORDER BY 1"  # noqa: S608 - only names of our own columns
        rows = connection.execute(query, (moment(since),)).fetchall()
        return [(restored(column, value), count) for value, count in rows]

    def export(self, instance_id: str) -> Iterator[Ping]:
        query = f"SELECT received_at, sender, {_COLUMN_LIST} FROM ping WHERE instance_id = ? ORDER BY received_at"  # noqa: S608 - only names of our own columns
        with self._session("export") as connection:
            for at, sender, *values in connection.execute(query, (instance_id,)):
                hashed = None if sender is None else bytes.fromhex(sender)
                yield Ping.of(datetime.fromisoformat(at), hashed, restored_row(values))

    def forget(self, instance_id: str) -> int:
        with self._session("forget") as connection:
            with transaction(connection):
                forgotten = connection.execute("DELETE FROM ping WHERE instance_id = ?", (instance_id,)).rowcount
                connection.execute("DELETE FROM platform WHERE instance_id = ?", (instance_id,))
                connection.execute("DELETE FROM recent WHERE instance_id = ?", (instance_id,))
            if not clear_log(connection, CLEARING_ATTEMPTS, self._interrupted):
                raise StoreError(
                    f"{forgotten} pings are deleted, but copies are left in {self.path}-wal, because something reads "
                    "the database all the time; end what has it open (a backup, a shell) and do it again until nothing "
                    "is stored; the collector's hourly upkeep removes the copies as well, once it can"
                )
        return forgotten

    def prune(self, now: datetime, retention: timedelta) -> Pruned:
        with self._session("prune") as connection:
            found = _present(connection, now)
            old = found.old(retention)
            doubtful = found.doubts(now) and _oldest(connection, now - retention) is not None
            if old is None:
                return Pruned(doubtful=doubtful)
            pruned = days = 0
            while days < DAYS_PRUNED_AT_ONCE and (oldest := _oldest(connection, old)) is not None:
                pruned += self._delete(connection, min(old, oldest + timedelta(days=1)))
                days += 1
            connection.execute("DELETE FROM platform WHERE last_seen < ? AND last_seen > ?", (moment(old), _EARLIEST))
            more = _oldest(connection, old) is not None
        return Pruned(pruned, more, doubtful)

    def _delete(self, connection: sqlite3.Connection, before: datetime) -> int:
        """Delete pings in portions, so that others are stored in between."""
        pruned = 0
        while True:
            deleted = connection.execute(
                "DELETE FROM ping WHERE rowid IN "
                "(SELECT rowid FROM ping WHERE received_at < ? AND received_at > ? LIMIT ?)",
                (moment(before), _EARLIEST, PRUNED_AT_ONCE),
            ).rowcount
            pruned += deleted
            if deleted < PRUNED_AT_ONCE:
                return pruned

    def tidy(self, now: datetime) -> None:
        with self._session("tidy up") as connection:
            found = _present(connection, now)
            future, likely = moment(found.future), moment(found.likely)
            past = _EARLIEST if now > EARLIEST else ""
            connection.execute("DELETE FROM recent WHERE until < ? OR received_at > ?", (moment(now), future))
            for table, column in _MOMENTS:
                wrong = f"FROM {table} WHERE {column} > ? OR {column} <= ?"
                if connection.execute(f"SELECT 1 {wrong} LIMIT 1", (future, past)).fetchone():  # usually writes nothing
                    update = f"UPDATE {table} SET {column} = ? WHERE rowid IN (SELECT rowid {wrong})"  # noqa: S608 - our own names
                    connection.execute(update, (likely, future, past))
            if not clear_log(connection, 1, self._interrupted):
                log.info("copies of what was deleted stay in %s-wal until no reader holds it", self.path)

    def interrupt(self) -> None:
        self._interrupted.set()


def _present(connection: sqlite3.Connection, now: datetime) -> Present:
    return present([now], newest_days(connection))


def _oldest(connection: sqlite3.Connection, before: datetime) -> datetime | None:
    """When the oldest ping that was received before then was received."""
    (oldest,) = connection.execute(_OLDEST, (moment(before), _EARLIEST)).fetchone()
    return None if oldest is None else datetime.fromisoformat(oldest)


def open_sqlite(path: Path, window: timedelta, named_in: str) -> SqliteStore:
    """The store in the file at `path`, created if missing. Raises `ConfigurationError` if it cannot be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        message = f"cannot make the directory {path.parent} ({error.strerror}); choose another with --data-dir"
        raise ConfigurationError((Problem(named_in, 0, 0, "data_dir", message),)) from None
    return SqliteStore(path, window)
