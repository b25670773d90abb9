"""Single statements to SQLite and its connections: what they distrust, and what becomes of each of their errors."""

import contextlib
import functools
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ff_observe.errors import SourceError
from ff_observe.platform.sources import sqlite
from ff_observe.platform.sources.counting import TooSlowError
from ff_observe.platform.sources.sql import Row, StatementError, StatementTooSlowError
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.fakes import full_disk
from tests.unit.platform.hostile import ENDLESS
from tests.unit.platform.test_sqlite import connection_of

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LONG = "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 20000) SELECT max(i) FROM s"


class Failing(sqlite3.Connection):
    """Fails to run statements with these codes of SQLite in turn, or for want of memory where one is None."""

    codes: Sequence[int | None] = ()

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if not self.codes:
            return super().execute(*arguments)
        code, *self.codes = self.codes
        if code is None:
            raise MemoryError
        error = sqlite3.OperationalError("the reason")
        error.sqlite_errorcode = code
        raise error


def test_a_single_statement_is_answered_besides_the_readings(source: SQLiteSource) -> None:
    assert source.select("SELECT 1, 'a' UNION ALL SELECT NULL, ''") == [(1, "a"), (None, "")]


def test_a_single_statement_that_takes_too_long_is_ended_by_a_limit_of_its_own(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "SELECT_SECONDS", 0.05)
    with contextlib.closing(SQLiteSource(path)) as source:
        with pytest.raises(TooSlowError, match=rf"^SQLite database {re.escape(str(path))} did not answer in time$"):
            source.select(ENDLESS)
        assert source.select("SELECT 1") == [(1,)]


def test_a_statement_that_would_write_is_refused_by_name(source: SQLiteSource, path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        source.select('DELETE FROM "Users"')
    assert str(caught.value) == f"SQLite database {path}: attempt to write a readonly database"


def test_a_statement_refused_after_the_time_was_over_took_too_long(source: SQLiteSource, path: Path) -> None:
    limit = vars(source)["_select_limit"]

    def ask(*_: object) -> None:
        limit.expired = True
        raise StatementError("refused")

    with pytest.raises(TooSlowError) as caught:
        source._within(limit, ask)
    assert str(caught.value) == f"SQLite database {path} did not answer in time"
    assert vars(source)["_connection"] is None


def test_a_connection_distrusts_the_file_whatever_the_build_of_sqlite_does_by_default(
    source: SQLiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = sqlite3.connect
    asked: list[dict[str, object]] = []
    modes: set[str] = set()

    def of_another_build(address: str, **options: Any) -> sqlite3.Connection:
        asked.append(options)
        modes.add(address.rpartition("?")[2])
        connection: sqlite3.Connection = plain(address, **options)
        connection.execute("PRAGMA mmap_size = 1000000")
        return connection

    monkeypatch.setattr(sqlite3, "connect", of_another_build)
    source.read(AT)
    connection = connection_of(source)
    settings = {"query_only": 1, "trusted_schema": 0, "mmap_size": 0, "busy_timeout": 0, "cache_size": -256}
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings} == settings
    assert all(options["uri"] and options["cached_statements"] == 0 for options in asked)
    assert modes == {"mode=ro"}
    assert connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == sqlite.MAX_VALUE_BYTES
    assert connection.isolation_level is None


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_sort_larger_than_the_page_cache_writes_no_temporary_file(
    source: SQLiteSource, path: Path, journal: str
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as writer:
        assert writer.execute(f"PRAGMA journal_mode = {journal}").fetchone() == (journal,)
    numbers = "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 20000)"
    sort = f"{numbers} SELECT count(*) FROM (SELECT hex(zeroblob(100)) || i AS t FROM s ORDER BY t LIMIT -1 OFFSET 1)"
    with full_disk(0):
        assert source.select(sort) == [(19999,)]


def test_a_file_that_cannot_be_opened_is_an_error_that_says_what_to_check(
    source: SQLiteSource, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("too many open files")

    monkeypatch.setattr(sqlite3, "connect", fail)
    with pytest.raises(SourceError) as caught:
        source.read(AT)
    reason = "too many open files; is it readable for this user?"
    assert str(caught.value) == f"SQLite database {path} cannot be opened: {reason}"


@pytest.mark.parametrize(("later", "is_refused"), [(0, False), (1, True)])
def test_a_library_that_is_too_old_is_refused(
    source: SQLiteSource, monkeypatch: pytest.MonkeyPatch, later: int, is_refused: bool
) -> None:
    major, minor, patch = sqlite3.sqlite_version_info
    monkeypatch.setattr(sqlite, "OLDEST_SQLITE", (major, minor, patch + later))
    if not is_refused:
        assert source.read(AT).readings
        return
    with pytest.raises(SourceError) as caught:
        source.read(AT)
    needed = f"{major}.{minor}.{patch + 1} or later is needed"
    assert str(caught.value) == f"Python's SQLite library is {sqlite3.sqlite_version}; {needed}"


def test_a_version_that_cannot_be_read_is_an_error_until_it_can(
    source: SQLiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Failing))
    source.read(AT)
    connection = connection_of(source)
    assert isinstance(connection, Failing)
    connection.codes = [sqlite3.SQLITE_IOERR]
    with pytest.raises(SourceError, match=r"forge\.db cannot be read: the reason$"):
        source.read(AT)
    assert source.read(AT).readings["flowfuse_users"] == {(): 5}
    assert connection_of(source) is not connection


@pytest.fixture
def connection() -> Iterator[Failing]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None, factory=Failing)) as opened:
        yield opened


def ask(connection: sqlite3.Connection, sql: str, limit: float | None = None, *, closing: bool = False) -> list[Row]:
    is_closing = threading.Event()
    if closing:
        is_closing.set()
    return sqlite._Session(connection, "the database", is_closing).query(sql, None, limit)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (sqlite3.SQLITE_BUSY, "; a program holds it locked"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "; a program holds it locked"),
        (sqlite3.SQLITE_NOTADB, "; check `db.storage` in flowforge.yml"),
        (sqlite3.SQLITE_CANTOPEN, "; is it readable for this user?"),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, "; is it readable for this user?"),
        (sqlite3.SQLITE_READONLY, ""),
        *(
            (code, "; FlowFuse was interrupted while writing: start it once so that it can recover")
            for code in (
                sqlite3.SQLITE_READONLY_ROLLBACK,
                sqlite3.SQLITE_READONLY_CANTINIT,
                sqlite3.SQLITE_READONLY_RECOVERY,
            )
        ),
    ],
)
def test_an_error_says_what_to_do(connection: Failing, monkeypatch: pytest.MonkeyPatch, code: int, advice: str) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", -1)
    connection.codes = [code, code]
    with pytest.raises(SourceError) as caught:
        ask(connection, "SELECT 1")
    assert str(caught.value) == f"the database: the reason{advice}"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (sqlite3.SQLITE_CORRUPT, "the reason"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, "the reason"),
        (sqlite3.SQLITE_TOOBIG, "the reason"),
        (None, "not enough memory"),
    ],
)
def test_an_error_that_may_be_of_one_table_refuses_the_statement_alone(
    connection: Failing, code: int | None, reason: str
) -> None:
    connection.codes = [code]
    with pytest.raises(StatementError) as caught:
        ask(connection, "SELECT 1")
    assert str(caught.value) == reason
    assert ask(connection, "SELECT 1") == [(1,)]


def test_a_writer_at_work_is_waited_for_unless_the_source_is_being_closed(connection: Failing) -> None:
    at_work = [
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT),
        *(sqlite3.SQLITE_READONLY_CANTINIT, sqlite3.SQLITE_READONLY_RECOVERY),
    ]
    connection.codes = at_work
    assert ask(connection, "SELECT 1") == [(1,)]
    connection.codes = at_work
    with pytest.raises(SourceError, match="a program holds it locked"):
        ask(connection, "SELECT 1", closing=True)


def test_an_error_without_a_code_is_told_as_it_is(connection: Failing) -> None:
    connection.close()
    with pytest.raises(SourceError, match=r"^the database: Cannot operate on a closed database\.$"):
        ask(connection, "SELECT 1")


def test_more_rows_than_any_answer_has_are_refused(connection: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MAX_ROWS", 2)
    assert ask(connection, "SELECT 1 UNION ALL SELECT 2") == [(1,), (2,)]
    with pytest.raises(StatementError, match=r"^more than 2 rows$"):
        ask(connection, "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")


def test_a_limit_ends_its_own_statement_alone(connection: Failing) -> None:
    for _ in range(2):
        with pytest.raises(StatementTooSlowError) as caught:
            ask(connection, ENDLESS, 0.001)
        assert str(caught.value) == str(StatementTooSlowError(0.001))
        assert ask(connection, LONG) == ask(connection, LONG, 60) == [(20000,)]


def test_what_fails_for_another_reason_than_its_limit_says_so(connection: Failing) -> None:
    connection.codes = [sqlite3.SQLITE_NOTADB]
    with pytest.raises(SourceError, match="the reason"):
        ask(connection, "SELECT 1", 60)
    with pytest.raises(SourceError, match=r"^the database: interrupted$"):
        ask(connection, ENDLESS, 0.001, closing=True)


def test_a_text_in_json_is_found_by_its_path(connection: Failing) -> None:
    content = """'{"a": {"b": "found"}}'"""
    assert ask(connection, f"SELECT {sqlite.DIALECT.json_text(content, ('a', 'b'))}") == [("found",)]
