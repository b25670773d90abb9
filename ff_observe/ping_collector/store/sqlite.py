"""Pings in an embedded SQLite file: no set-up, one collector."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from ff_observe.errors import ConfigurationError, Problem
from ff_observe.ping_collector.store import sqlite_fleet
from ff_observe.ping_collector.store.batch import OWN_COLUMNS, distinct, encode, moment, outcomes
from ff_observe.ping_collector.store.blocking import BlockingThread
from ff_observe.ping_collector.store.columns import COLUMNS, NAMES, restored, restored_row
from ff_observe.ping_collector.store.model import SKEW, Distribution, Ping, Sample, Seen, StoreError

BUSY_SECONDS = 5.0
STEPS_BETWEEN_LOOKS = 100_000
"""After how many steps of SQLite's machine, a millisecond's or two, a reading looks whether it is interrupted."""
PRUNED_AT_ONCE = 2000  # so that a ping never waits long for the daily prune

_TYPES = {str: "TEXT", int: "INTEGER", bool: "INTEGER"}
_TABLES = ("ping", "platform")
_OWN = {
    "ping": "received_at TEXT NOT NULL, sender TEXT",
    "platform": "first_seen TEXT NOT NULL, last_seen TEXT NOT NULL",
}
_COLUMN_LIST = ", ".join(NAMES)

# Each statement takes the whole batch at once: Python's lock is not asked for again with every row.
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


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """SQLite's errors as ours. Their text names files and tables, never values."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"SQLite could not {what}: {error}") from None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it is acknowledged
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten, not only unlinked
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _use_wal(connection: sqlite3.Connection) -> None:
    """Have a write-ahead log. While somebody else writes a new file SQLite refuses this at once, where it waits with
    all else: so wait by a transaction, and try again."""
    for _ in range(100):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
            with _transaction(connection):
                pass
        else:
            return
    raise sqlite3.OperationalError("others keep the new file busy")


def _migrate(connection: sqlite3.Connection) -> None:
    """Make what is not there yet, column by column. Nothing is ever removed or changed."""
    with _transaction(connection):
        for table in _TABLES:
            definitions = [f"{column.name} {_TYPES[column.field.type]}" for column in COLUMNS]
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({_OWN[table]}, {', '.join(definitions)})")
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for name, definition in zip(NAMES, definitions, strict=True):
                if name not in there:
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {definition}")
        connection.execute("CREATE INDEX IF NOT EXISTS ping_by_instance ON ping (instance_id, received_at)")
        connection.execute("CREATE INDEX IF NOT EXISTS ping_by_time ON ping (received_at)")
        connection.execute("CREATE UNIQUE INDEX IF NOT EXISTS platform_by_instance ON platform (instance_id)")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS recent "
            "(digest TEXT PRIMARY KEY, instance_id TEXT NOT NULL, received_at TEXT NOT NULL, until TEXT NOT NULL) "
            "WITHOUT ROWID"
        )
        for statement in sqlite_fleet.TABLES:
            connection.execute(statement)
        connection.execute("CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY CHECK (id = 1), at TEXT)")


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
        self._thread = BlockingThread("collector-writer")

    async def write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        return await self._thread.call(partial(self._write, pings))

    def _write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        with _told("store pings"):
            try:
                connection = self._connected()
                with _transaction(connection):
                    stored = self._store(connection, pings) if pings else self._probe(connection)
                self._check_that_it_is_kept()
            except sqlite3.Error:
                self._close()
                raise
            return stored

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = _connect(self._path)
            try:
                _migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._file = connection, _file(self._path)
        return self._connection

    def _check_that_it_is_kept(self) -> None:
        """SQLite itself would go on writing to a file that nobody finds any more."""
        if self._file is None or _file(self._path) != self._file:
            raise sqlite3.OperationalError("its file has been moved or deleted")

    def _probe(self, connection: sqlite3.Connection) -> Sequence[bool]:
        connection.execute("REPLACE INTO probe (id, at) VALUES (1, datetime('now'))")
        return []

    def _store(self, connection: sqlite3.Connection, pings: Sequence[Ping]) -> Sequence[bool]:
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
            with contextlib.suppress(sqlite3.ProgrammingError):  # its thread has just closed it
                connection.interrupt()

    async def close(self) -> None:
        await self._thread.call(self._close)
        await self._thread.close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
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
        with _told(what), contextlib.closing(_connect(self.path)) as connection:
            connection.set_progress_handler(self._interrupted.is_set, STEPS_BETWEEN_LOOKS)
            if not self._made.is_set():
                _migrate(connection)
                self._made.set()
            yield connection

    def seen(self, at: datetime, silent_after_days: int) -> Seen:
        with self._session("count platforms") as connection:

            def since(days: int) -> int:
                found = connection.execute(
                    "SELECT count(*) FROM platform WHERE last_seen > ?", (moment(at - timedelta(days=days)),)
                )
                return int(found.fetchone()[0])

            month = since(30)
            return Seen({"1d": since(1), "7d": since(7), "30d": month}, silent=month - since(silent_after_days))

    def distributions(self, field_indexes: Sequence[int], since: datetime) -> Mapping[int, Distribution]:
        with self._session("read the fleet") as connection:
            connection.execute("BEGIN")  # one moment for all: ended by closing
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
            with _transaction(connection):
                forgotten = connection.execute("DELETE FROM ping WHERE instance_id = ?", (instance_id,)).rowcount
                connection.execute("DELETE FROM platform WHERE instance_id = ?", (instance_id,))
                connection.execute("DELETE FROM recent WHERE instance_id = ?", (instance_id,))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the journal held a copy
        return forgotten

    def prune(self, before: datetime) -> int:
        pruned = 0
        with self._session("prune") as connection:
            while True:
                deleted = connection.execute(
                    "DELETE FROM ping WHERE rowid IN (SELECT rowid FROM ping WHERE received_at < ? LIMIT ?)",
                    (moment(before), PRUNED_AT_ONCE),
                ).rowcount
                pruned += deleted
                if deleted < PRUNED_AT_ONCE:
                    break
            connection.execute("DELETE FROM platform WHERE last_seen < ?", (moment(before),))
        return pruned

    def tidy(self, now: datetime) -> None:
        with self._session("tidy up") as connection:
            connection.execute("DELETE FROM recent WHERE until < ?", (moment(now),))
            connection.execute(
                "UPDATE platform SET last_seen = ? WHERE last_seen > ?", (moment(now), moment(now + SKEW))
            )

    def interrupt(self) -> None:
        self._interrupted.set()


def open_sqlite(path: Path, window: timedelta, named_in: str) -> SqliteStore:
    """The store in the file at `path`, made if it is not there. Raises `ConfigurationError` if it cannot be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        message = f"cannot make the directory {path.parent} ({error.strerror}); choose another with --data-dir"
        raise ConfigurationError((Problem(named_in, 0, 0, "data_dir", message),)) from None
    return SqliteStore(path, window)
