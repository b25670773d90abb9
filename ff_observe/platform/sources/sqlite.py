"""Reads FlowFuse's SQLite database beside the live FlowFuse, without ever writing, creating or blocking anything."""

import contextlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from ff_observe.catalogue import COUNTS, Count
from ff_observe.errors import SourceError
from ff_observe.platform.sources.counting import SELECT_SECONDS, Counting, TooSlowError, traced
from ff_observe.platform.sources.limit import TimeLimit
from ff_observe.platform.sources.model import Answer
from ff_observe.platform.sources.sql import (
    MAX_ROWS,
    Dialect,
    Row,
    StatementError,
    StatementTooSlowError,
    as_text,
    literal,
    moments,
)
from ff_observe.system.presence import exists

READ_LIMIT_SECONDS = 4.0
"""With a rollback journal a reader blocks writers; after 5 s a live FlowFuse answers HTTP 500 (SQLITE_BUSY)."""
BUSY_SECONDS = 3.0
BUSY_RETRY_SECONDS = 0.002
"""A commit takes milliseconds. SQLite's own waiting grows to 100 ms per attempt and starves beside a busy writer."""
CLOSE_ATTEMPTS = 40  # for 2 s; a longer hang is in the operating system, and ends with the process
MAX_VALUE_BYTES = 16 * 2**20
"""A longer value in a column that is read is an error. SQLite itself would load a gigabyte into memory."""
_LIMITED_OPERATIONS = 10_000  # of SQLite's machine, between two looks at the clock: well below a millisecond
OLDEST_SQLITE = (3, 30, 0)  # aggregates with FILTER

_DAMAGED_HERE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_TOOBIG})
"""Primary error codes that may affect one table only."""

_TRANSIENT = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY_CANTINIT, sqlite3.SQLITE_READONLY_RECOVERY})
"""A writer is active; the last two: it is about to create the index of its log."""

_MAP, _UNMAP = "PRAGMA mmap_size = 2147418112", "PRAGMA mmap_size = 0"  # SQLite's own upper limit
_CONNECTION_SETTINGS = (
    "PRAGMA query_only = on",
    "PRAGMA trusted_schema = off",  # functions called by a file's schema are not trusted
    "PRAGMA temp_store = memory",  # or a sort that is larger than the page cache goes to a temporary file
    _UNMAP,  # a build of SQLite may have another default
)
_FEW_PAGES = "PRAGMA cache_size = -256"
"""KiB. A scan needs each page once: reusing the memory of a few is a fifth quicker than filling the default, 2 MiB. It
reads the schema: it belongs to the reading, not to the opening."""
_EXCLUSIVE = "PRAGMA locking_mode = exclusive"


_IS_STORED = "m.type = 'table' AND m.rootpage > 0"  # neither a view nor a virtual table, whose content is computed


def _json(column: str, path: tuple[str, ...]) -> str:
    """What FlowFuse keeps as text; one that is empty, or nested deeper than SQLite reads, is no JSON."""
    return f"CASE WHEN json_valid({column}) THEN {column} END, '$.{'.'.join(path)}'"


LARGEST_WALKED = 256 * 2**20
"""Bytes of a database of which every page may be read for the sizes of its tables."""
_SIZE = "(SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)"

DIALECT = Dialect(
    system="sqlite",
    columns=lambda tables: (
        "SELECT m.name, c.name, (SELECT schema_version FROM pragma_schema_version)"
        f" FROM sqlite_master m LEFT JOIN pragma_table_info(CASE WHEN {_IS_STORED} THEN m.name END) c"
        f" WHERE m.type IN ('table', 'view') AND m.name IN ({', '.join(map(literal, tables))})"
    ),
    schema_stamp=lambda _: "(SELECT schema_version FROM pragma_schema_version)",
    data_stamp="(SELECT data_version FROM pragma_data_version)",
    # FlowFuse's DATETIME columns have numeric affinity: bare, both sides would be converted to numbers for each row, at
    # nearly the cost of all the rest. A leading plus removes the affinity; they are compared as the text they are.
    moment=lambda column: f"+{column}",
    milliseconds=lambda column: (
        f"CAST(strftime('%s', substr({column}, 1, 19)) AS integer) * 1000 + CAST(substr({column}, 21, 3) AS integer)"
    ),
    writers=lambda _: "''",  # one at a time, and its commit is the next to be seen
    epoch=lambda expression: f"CAST(strftime('%s', {expression}) AS integer)",
    json_text=lambda column, path: f"json_extract({_json(column, path)})",
    json_integer=lambda column, path: f"CAST(json_extract({_json(column, path)}) AS integer)",
    json_elements=lambda column, path: f"json_each({_json(column, path)})",
    json_keys=lambda column, path: f"json_each({_json(column, path)})",
    database_size=f"SELECT {_SIZE}",
    table_sizes=(
        "SELECT m.tbl_name, CAST(sum(d.pgsize) AS integer) FROM dbstat d JOIN sqlite_master m ON m.name = d.name"
        " WHERE d.aggregate = TRUE GROUP BY m.tbl_name"
    ),
    may_size_tables=f"SELECT 1 FROM pragma_module_list WHERE name = 'dbstat' AND {_SIZE} <= {LARGEST_WALKED}",
)

T = TypeVar("T")
_Identity = tuple[int, int, int, int] | None


def _identity(path: Path) -> _Identity:
    """Device, inode, size and time of the last change; None if there is no such file. A pipe counts as none: opening
    it would wait for a writer for ever."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_other(found: _Identity, before: _Identity) -> bool:
    """Whether another file took its place, or is being copied over it, which begins with truncating it."""
    return before is not None and (found is None or found[:2] != before[:2] or found[2] < before[2])


def _readable(text: bytes) -> str:
    """SQLite does not validate text on writing. Invalid UTF-8 becomes U+FFFD, as in JavaScript, and affects no other
    value."""
    return text.decode("utf-8", "replace")


class SQLiteSource:
    """Reads the database file at `path`.

    No file is created beside it that FlowFuse could not open: if FlowFuse is not running and left a write-ahead log,
    the database is read as it is (`_ask_unattended`). Nothing here may open the file other than through SQLite:
    closing it would drop the locks of every other connection of this process (sqlite.org/howtocorrupt.html, 2.2).
    `maps` maps the file into memory while it is read, which takes about half the time, and is for a process of its own
    (see `sqlite_process`): a program that truncates a mapped file kills every process that reads on (SIGBUS).
    """

    dialect = DIALECT

    def __init__(self, path: Path, counts: Sequence[Count] = COUNTS, *, maps: bool = False) -> None:
        self._path = path
        self._maps = maps
        self._where = f"SQLite database {path}"
        self._counting = Counting(counts, DIALECT, self._where, path.parent)
        self._connection: sqlite3.Connection | None = None
        self._identity: _Identity = None
        self._index_identity: _Identity = None
        self._reading = threading.Lock()
        self._closing = threading.Event()
        self._limit = TimeLimit(READ_LIMIT_SECONDS, self._interrupt)
        self._select_limit = TimeLimit(SELECT_SECONDS, self._interrupt)

    def read(self, at: datetime) -> Answer:
        count = partial(self._count, at)
        try:
            try:
                return self._within(self._limit, count)
            except TooSlowError:
                if not self._counting.ask_for_less(at):
                    raise
                return self._within(self._limit, count)
        except StatementError as error:
            self._disconnect()
            raise SourceError(f"{self._where} cannot be read: {error}") from error
        except TooSlowError:
            raise SourceError(
                f"{self._where} was not read within {READ_LIMIT_SECONDS:.0f} s; is its disk busy, or is a program "
                "holding it locked?"
            ) from None

    def _count(self, at: datetime, session: "_Session", is_kept: bool) -> Answer:
        version: int | str | None = None
        if is_kept:
            with traced(DIALECT, "PRAGMA", "data_version"):
                ((version,),) = session.query("PRAGMA data_version")
        answer = self._counting.read(session, at, as_text(version))
        self._limit.restart()  # between two statements nothing is held
        return self._counting.read_due(session, at, answer, as_text(version))

    def select(self, sql: str) -> list[Row]:
        return self._within(self._select_limit, lambda session, _: session.query(sql))

    def _within(self, limit: TimeLimit, ask: "Callable[[_Session, bool], T]") -> "T":
        """Ask in a session, which is `kept` for the next time or not. Raises `TooSlowError` once `limit` has expired,
        and `StatementError` with the session intact."""
        with self._reading:
            self._closing.clear()
            try:
                with limit:
                    answer = self._ask(ask)
            except (SourceError, StatementError) as error:
                if limit.expired or isinstance(error, SourceError):
                    self._disconnect()
                if limit.expired:
                    raise TooSlowError(f"{self._where} did not answer in time") from None
                raise
            self._release_pages()
            return answer

    def _release_pages(self) -> None:
        """Hold no page until the next reading: of five hundred databases they would take most of the memory."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # interrupted by the end of this process
                self._connection.execute(_UNMAP)
                self._connection.execute("PRAGMA shrink_memory")

    def close(self) -> None:
        self._closing.set()
        self._limit.close()
        self._select_limit.close()
        for _ in range(CLOSE_ATTEMPTS):
            if self._reading.acquire(timeout=0.05):
                try:
                    self._disconnect()
                finally:
                    self._reading.release()
                return
            self._interrupt()  # repeatedly: it has no effect just before a statement begins

    def _interrupt(self) -> None:
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed at this very moment
                connection.interrupt()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._counting.forget()
        if connection is not None:
            connection.close()

    def _ask(self, ask: "Callable[[_Session, bool], T]") -> "T":
        found = _identity(self._path)
        if found is None:
            raise SourceError(
                f"{self._where} is not there or not accessible; check `db.storage` in flowforge.yml, and `--home`"
            )
        index = _identity(self._beside("-shm"))
        # With a log, nothing in the file reveals that another was copied over it: cached pages would pass for its own.
        rewritten = index is not None and found != self._identity
        is_other = _is_other(found, self._identity) or _is_other(index, self._index_identity)
        if rewritten or is_other:
            self._disconnect()
        if is_other:
            self._counting.forget_all()
        if self._connection is None:
            self._check_library()
            if not exists(self._beside("-shm")) and self._needs_its_log() and not self._may_rebuild_index():
                unattended = self._ask_unattended(ask)
                if unattended is not None:
                    return unattended
            self._connection = self._open("mode=ro")
        elif found != self._identity:
            self._counting.forget_counts()  # whatever its version number says: a backup may have been copied over it
        self._identity, self._index_identity = found, index
        session = _Session(self._connection, self._where, self._closing)
        session.query(_FEW_PAGES)
        if self._maps:
            session.query(_MAP)
        return ask(session, True)

    def _check_library(self) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            needed = ".".join(str(number) for number in OLDEST_SQLITE)
            raise SourceError(f"Python's SQLite library is {sqlite3.sqlite_version}; {needed} or later is needed")

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _open(self, options: str) -> sqlite3.Connection:
        address = f"file:{quote(str(self._path))}?{options}"
        try:
            # A statement's program takes 130 KiB if it is kept, and 0.1 ms to make anew.
            connection = sqlite3.connect(
                address, uri=True, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=0
            )
            connection.text_factory = _readable
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
            for setting in _CONNECTION_SETTINGS:
                connection.execute(setting)
        except sqlite3.Error as error:
            raise SourceError(f"{self._where} cannot be opened: {error}; is it readable for this user?") from error
        return connection

    def _needs_its_log(self) -> bool:
        """Whether the database is in write-ahead mode, checked without creating the log.

        Opening the log of such a database first takes an exclusive lock if the locking mode is exclusive, which a
        read-only connection cannot have. With a rollback journal the same statement just reads.
        """
        with contextlib.closing(self._open("mode=ro")) as connection:
            connection.execute(_EXCLUSIVE)
            try:
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            except sqlite3.OperationalError as error:
                return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
            except sqlite3.DatabaseError:
                return False  # the reading itself reports the error
            return False

    def _has_log(self) -> bool:
        log = _identity(self._beside("-wal"))
        return log is not None and log[2] > 0

    def _may_rebuild_index(self) -> bool:
        """Whether SQLite may create the index of a leftover log: FlowFuse must be able to open it later."""
        return self._has_log() and self._can_write_beside() and os.geteuid() in (0, self._path.stat().st_uid)

    def _can_write_beside(self) -> bool:
        return os.access(self._path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids)

    def _ask_unattended(self, ask: "Callable[[_Session, bool], T]") -> "T | None":
        """Ask a database in write-ahead mode that no process has open: its `-shm` file does not exist.

        A process that opens it for writing creates that file and writes to the log first, so the answer is valid if
        neither changed meanwhile; None if one did. The connection is not kept.
        """
        before = self._unattended_state()
        self._counting.forget()
        with contextlib.closing(self._open_unattended()) as connection:
            self._connection = connection
            session = _Session(connection, self._where, self._closing)
            try:
                answer = ask(session, False)
            finally:
                self._connection = None
                self._counting.forget()
        return answer if self._unattended_state() == before else None

    def _unattended_state(self) -> tuple[_Identity, _Identity, bool]:
        return _identity(self._path), _identity(self._beside("-wal")), exists(self._beside("-shm"))

    def _open_unattended(self) -> sqlite3.Connection:
        if not self._has_log():
            return self._open("immutable=1")
        if self._can_write_beside():
            raise SourceError(
                f"{self._where} has a write-ahead log without its index (-shm); start FlowFuse once, or run ff-observe "
                "as the user who owns the file"
            )
        # The index of the log is built in memory. Without locks, hence only where nothing can be removed either.
        connection = self._open("mode=ro&vfs=unix-none")
        connection.execute(_EXCLUSIVE)
        return connection


class _Session:
    def __init__(self, connection: sqlite3.Connection, where: str, closing: threading.Event) -> None:
        self._connection = connection
        self._where = where
        self._closing = closing

    def query(self, sql: str, at: datetime | None = None, limit_seconds: float | None = None) -> list[Row]:
        if limit_seconds is None:
            return self._query(sql, at)
        end = time.monotonic() + limit_seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > end, _LIMITED_OPERATIONS)
        try:
            return self._query(sql, at)
        except SourceError:
            if time.monotonic() > end and not self._closing.is_set():
                raise StatementTooSlowError(limit_seconds) from None
            raise
        finally:
            self._connection.set_progress_handler(None, _LIMITED_OPERATIONS)

    def _query(self, sql: str, at: datetime | None) -> list[Row]:
        present = {} if at is None else moments(sql, at)
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with contextlib.closing(self._connection.execute(sql, present)) as cursor:
                    rows = cursor.fetchmany(MAX_ROWS + 1)
            except MemoryError as error:
                raise StatementError("not enough memory") from error
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
                is_transient = code & 0xFF in _TRANSIENT or code in _TRANSIENT
                if is_transient and time.monotonic() < until and not self._closing.wait(BUSY_RETRY_SECONDS):
                    continue
                if code & 0xFF in _DAMAGED_HERE:
                    raise StatementError(str(error)) from error
                raise SourceError(f"{self._where}: {error}{_advice(code)}") from error
            if len(rows) > MAX_ROWS:
                raise StatementError(f"more than {MAX_ROWS} rows")
            return rows


def _advice(code: int) -> str:
    if code in (sqlite3.SQLITE_READONLY_ROLLBACK, *_TRANSIENT - {sqlite3.SQLITE_BUSY}):
        return "; FlowFuse was interrupted while writing: start it once so that it can recover"
    return {
        sqlite3.SQLITE_BUSY: "; a program holds it locked",
        sqlite3.SQLITE_NOTADB: "; check `db.storage` in flowforge.yml",
        sqlite3.SQLITE_CANTOPEN: "; is it readable for this user?",
    }.get(code & 0xFF, "")
