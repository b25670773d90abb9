"""Pings in an embedded SQLite file: no setup, one collector."""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from ff_observe.collector.store import sqlite_fleet
from ff_observe.collector.store.batch import OWN_COLUMNS, distinct, encode, moment, outcomes
from ff_observe.collector.store.blocking import BlockingThread
from ff_observe.collector.store.columns import COLUMNS, NAMES, restored, restored_row
from ff_observe.collector.store.model import (
    DAYS_PRUNED_AT_ONCE,
    Distribution,
    Ping,
    Pruned,
    Sample,
    Seen,
    StoreError,
)
from ff_observe.collector.store.present import EARLIEST, LATEST, WITNESSES, Dating, Present, present, vouched_for
from ff_observe.collector.store.sqlite_schema import clear_log, connect, migrate, transaction
from ff_observe.errors import ConfigurationError, Problem

log = logging.getLogger(__name__)

CLEARING_ATTEMPTS = 30
"""How many times `forget` tries to empty the write-ahead log, a second each time, while something reads the file."""
STEPS_BETWEEN_LOOKS = 100_000
"""A read checks whether it is interrupted after this many steps of SQLite's virtual machine, one or two milliseconds.
"""
PRUNED_AT_ONCE = 2000  # so that no ping waits long for the daily prune

_COLUMN_LIST = ", ".join(NAMES)

# Each statement takes the whole batch at once, so that Python's lock is not needed for every row.
_DIGEST, _AT, _UNTIL, _SENDER, *_VALUES = (
    f"json_extract(row.value, '$[{index}]')" for index in range(OWN_COLUMNS + len(NAMES))
)
_VALUE_LIST = ", ".join(_VALUES)
_RECOGNISE = f"""
INSERT INTO recent (digest, instance_id, received_at, until)
SELECT {_DIGEST}, {_VALUES[0]}, {_AT}, {_UNTIL} FROM json_each(?) AS row WHERE true
ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at, until = excluded.until
WHERE recent.until < excluded.received_at OR excluded.until < recent.received_at
RETURNING digest
"""  # noqa: S608 - only names of our own columns
_STORE = f"""
INSERT INTO ping (received_at, sender, {_COLUMN_LIST})
SELECT {_AT}, {_SENDER}, {_VALUE_LIST} FROM json_each(?) AS row
"""  # noqa: S608 - only names of our own columns
_LATEST = f"""
INSERT INTO platform (first_seen, last_seen, {_COLUMN_LIST})
SELECT {_AT}, {_AT}, {_VALUE_LIST} FROM json_each(?) AS row WHERE true
ON CONFLICT (instance_id) DO UPDATE SET last_seen = excluded.last_seen,
{", ".join(f"{name} = excluded.{name}" for name in NAMES[1:])}
WHERE platform.last_seen <= excluded.last_seen
"""  # noqa: S608 - only names of our own columns
_MOMENTS = (("ping", "received_at"), ("platform", "first_seen"), ("platform", "last_seen"))
_SEEN = "SELECT " + ", ".join(["count(*) FILTER (WHERE last_seen > ?)"] * 4) + " FROM platform"  # noqa: S608 - no value in it
_OLDEST = "SELECT min(received_at) FROM ping WHERE received_at < ? AND received_at > ?"
_EARLIEST = moment(EARLIEST)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Raise SQLite's errors as ours. Their text names files and tables, never values."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"SQLite could not {what}: {error}") from None


def _file(path: Path) -> tuple[int, int] | None:
    """Which file has this name, None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class SqliteWriter:
    """The connection that stores pings."""

    def __init__(self, path: Path, window: timedelta) -> None:
        self._path = path
        self._window = window
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._dating = Dating()
        self._thread = BlockingThread("collector-writer")

    async def write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        return await self._thread.call(partial(self._write, pings))

    def _write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        with _told("store pings"):
            try:
                connection = self._connected()
                with transaction(connection):
                    stored = self._store(connection, pings) if pings else self._probe(connection)
                self._check_that_it_is_kept()
            except sqlite3.Error:
                self._close()
                raise
            return stored

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connect(self._path)
            try:
                migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._file = connection, _file(self._path)
        return self._connection

    def _check_that_it_is_kept(self) -> None:
        """SQLite itself would go on writing to a deleted file."""
        if self._file is None or _file(self._path) != self._file:
            raise sqlite3.OperationalError("its file has been moved or deleted")

    def _probe(self, connection: sqlite3.Connection) -> Sequence[bool]:
        connection.execute("REPLACE INTO probe (id, at) VALUES (1, datetime('now'))")
        return []

    def _store(self, connection: sqlite3.Connection, pings: Sequence[Ping]) -> Sequence[bool]:
        if not self._dating.knows(pings):
            pings = self._dating.date(pings, vouched_for(_newest_days(connection)))
        batch = distinct(pings)
        rows = encode(batch.values(), self._window)
        fresh = {digest for (digest,) in connection.execute(_RECOGNISE, (rows,)).fetchall()}
        if len(fresh) < len(batch):
            rows = encode((ping for digest, ping in batch.items() if digest in fresh), self._window)
        connection.execute(_STORE, (rows,))
        connection.execute(_LATEST, (rows,))
        return outcomes(pings, batch, fresh)

    def abort(self) -> None:
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # its own thread has just closed it
                connection.interrupt()

    async def close(self) -> None:
        await self._thread.call(self._close)
        await self._thread.close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._dating.forget()
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


class SqliteStore:
    """A file of pings. Readers and the writer do not wait for each other (WAL)."""

    name = "sqlite"

    def __init__(self, path: Path, window: timedelta) -> None:
        self.path = path
        self._window = window
        self._made = threading.Event()
        self._interrupted = threading.Event()

    def writer(self) -> SqliteWriter:
        return SqliteWriter(self.path, self._window)

    @contextlib.contextmanager
    def _session(self, what: str) -> Iterator[sqlite3.Connection]:
        with _told(what), contextlib.closing(connect(self.path)) as connection:
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

    def sample(self, field_indexes: Sequence[int], at: datetime, days: int, silent_after_days: int) -> Sample:
        with self._session("sample the fleet") as connection:
            return sqlite_fleet.sample(connection, field_indexes, at, days, silent_after_days)

    def rounding_key(self) -> bytes:
        with self._session("read the fleet's key") as connection:
            return sqlite_fleet.rounding_key(connection)

    def released(self, day: date) -> str | None:
        with self._session("read a release") as connection:
            return sqlite_fleet.released(connection, day)

    def release(self, day: date, document: str) -> str:
        with self._session("release") as connection:
            return sqlite_fleet.release(connection, day, document)

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


def _newest_days(connection: sqlite3.Connection) -> list[date]:
    """The newest days that have pings; a date from a clock far off is no witness."""
    days: list[date] = []
    before = moment(LATEST)
    while len(days) < WITNESSES:
        (newest,) = connection.execute("SELECT max(received_at) FROM ping WHERE received_at < ?", (before,)).fetchone()
        if newest is None or newest <= _EARLIEST:
            break
        before = newest[: len("2026-11-23")]
        days.append(date.fromisoformat(before))
    return days


def _present(connection: sqlite3.Connection, now: datetime) -> Present:
    return present([now], _newest_days(connection))


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
