"""The SQLite file of pings: its connections, its tables, and clearing its write-ahead log."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from ff_observe.collector.store.columns import COLUMNS, TABLES
from ff_observe.collector.store.model import StoreError
from ff_observe.system.presence import exists, is_file

BUSY_SECONDS = 5.0
CLEARING_MILLISECONDS = 1000
"""How long one attempt to empty the log waits for readers. Pings wait meanwhile, for less than their own limit."""
CLEARING_PAUSE_SECONDS = 0.1
MOVED = "its file has been moved or deleted"

_TYPES = {str: "TEXT", int: "INTEGER", bool: "INTEGER"}
_TABLES = ("ping", "platform")
_OWN = {
    "ping": "received_at TEXT NOT NULL, sender TEXT",
    "platform": "first_seen TEXT NOT NULL, last_seen TEXT NOT NULL",
}


@contextlib.contextmanager
def failing_as(what: str, path: Path) -> Iterator[None]:
    """Raise SQLite's errors as ours. Their text names files and tables, never values."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"SQLite database {path}: could not {what}: {error}") from None


def why_never_usable(path: Path) -> str | None:
    """Why SQLite can make no database of what is at `path` now; None also if it is busy, full or read-only, which
    passes. Waits for no lock and writes nothing."""
    if not exists(path):
        return None if os.access(path.parent, os.W_OK | os.X_OK) else f"this user can make no file in {path.parent}"
    if not is_file(path):
        return "it is not a file"
    address = f"file://{quote(os.fsencode(path.absolute()))}?immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB):
            return str(error)
    return None


class Connection(sqlite3.Connection):
    """A connection to the file that has this path now, which all that are open in this process have.

    SQLite would open another file in its place with the log of the first, and shorten the index of that log, which is
    mapped into memory: the process would end (SIGBUS). It knows that another process has it open, but not its own.
    """

    _open: ClassVar[dict["Connection", tuple[Path, tuple[int, int] | None]]] = {}

    def begin(self, path: Path) -> None:
        """Open the file at `path`. Raises `OperationalError` while the process has one open that was there before."""
        if any(each == path and file != _file_at(path) for each, file in tuple(self._open.values())):
            raise sqlite3.OperationalError(MOVED)
        _use_wal(self)
        self._open[self] = path, _file_at(path)

    def check_that_it_is_kept(self) -> None:
        """SQLite itself would go on writing to a deleted file."""
        path, file = self._open[self]
        if file is None or _file_at(path) != file:
            raise sqlite3.OperationalError(MOVED)

    def close(self) -> None:
        path, file = self._open.get(self, (None, None))
        if path is not None and _file_at(path) != file:
            self._empty_log()
        super().close()
        self._open.pop(self, None)

    def _empty_log(self) -> None:
        """SQLite would leave the log of a file that has been moved, and take it for that of the one in its place. The
        last of several connections succeeds, which is early enough."""
        with contextlib.suppress(sqlite3.Error):
            self.execute("PRAGMA busy_timeout = 0")
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file has this name, None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(path: Path) -> Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=Connection
    )
    try:
        connection.begin(path)
        connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it is acknowledged
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA secure_delete = ON")  # deleted data is overwritten, not only unlinked
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. While another process initialises a new file SQLite refuses this at once instead of
    waiting as it does elsewhere: so wait by opening a transaction, and retry."""
    for _ in range(100):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
            with transaction(connection):
                pass
        else:
            return
    raise sqlite3.OperationalError("others keep the new file busy")


def migrate(connection: sqlite3.Connection) -> None:
    """Create what is missing, column by column. Nothing is ever removed or changed."""
    with transaction(connection):
        for table in _TABLES:
            definitions = [f"{column.name} {_TYPES[column.field.type]}" for column in COLUMNS]
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({_OWN[table]}, {', '.join(definitions)})")
            _widen(connection, table, definitions)
        connection.execute("CREATE INDEX IF NOT EXISTS ping_by_instance ON ping (instance_id, received_at)")
        connection.execute("CREATE INDEX IF NOT EXISTS ping_by_time ON ping (received_at)")
        connection.execute("CREATE UNIQUE INDEX IF NOT EXISTS platform_by_instance ON platform (instance_id)")
        for statement in TABLES.values():
            made = statement.format(
                moment="TEXT", date="TEXT", key="BLOB", hash="TEXT", marked="mark BLOB", by_key="WITHOUT ROWID"
            )
            connection.execute(made.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
        _widen(connection, "fleet_due", ["waits_since TEXT"])
        connection.execute("CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY CHECK (id = 1), at TEXT)")


def _widen(connection: sqlite3.Connection, table: str, definitions: Iterable[str]) -> None:
    """Add the columns that a table of an earlier version lacks."""
    there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    for definition in definitions:
        if definition.partition(" ")[0] not in there:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {definition}")


def clear_log(connection: sqlite3.Connection, attempts: int, stopped: threading.Event) -> bool:
    """Move the write-ahead log into the file and truncate it: it holds copies of deleted rows. False if readers
    prevented it at each of the attempts."""
    connection.execute(f"PRAGMA busy_timeout = {CLEARING_MILLISECONDS}")
    try:
        for _ in range(attempts):
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return True
            if stopped.wait(CLEARING_PAUSE_SECONDS):  # let the writer proceed
                break
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
