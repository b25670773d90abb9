"""A database with a write-ahead log is read in a process of its own: started when needed, replaced when killed."""

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from ff_observe.errors import SourceError
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.platform.sources.sqlite_process import GuardedSQLiteSource
from tests.platforms import case_named, reported, writable_copy

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)


@pytest.fixture
def with_log(path: Path) -> Iterator[sqlite3.Connection]:
    """The connection of a FlowFuse that has the database open in write-ahead mode."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE written (a)")
        yield connection


@pytest.fixture
def source(path: Path) -> Iterator[GuardedSQLiteSource]:
    with contextlib.closing(GuardedSQLiteSource(path)) as opened:
        yield opened


def _readers(path: Path) -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if str(path) in each.cmdline()]


def test_without_a_log_no_process_is_started(source: GuardedSQLiteSource, path: Path) -> None:
    assert source.read(AT).readings["flowfuse_devices"]
    assert _readers(path) == []


@pytest.mark.usefixtures("with_log")
def test_with_a_log_it_answers_the_same_from_another_process(source: GuardedSQLiteSource, path: Path) -> None:
    answer = source.read(AT)
    assert len(_readers(path)) == 1
    with contextlib.closing(SQLiteSource(path)) as here:
        assert reported(answer.readings) == reported(here.read(AT).readings)
    source.read(AT)
    assert len(_readers(path)) == 1, "one process serves all readings"


@pytest.mark.usefixtures("with_log")
def test_a_reader_that_was_killed_is_replaced(source: GuardedSQLiteSource, path: Path) -> None:
    expected = source.read(AT)
    (reader,) = _readers(path)
    reader.kill()
    psutil.wait_procs([reader])
    with contextlib.suppress(SourceError):  # it was noticed only when it was asked
        source.read(AT)
    assert reported(source.read(AT).readings) == reported(expected.readings)
    (other,) = _readers(path)
    assert other.pid != reader.pid


@pytest.mark.usefixtures("with_log")
def test_an_error_of_the_reading_is_told_as_here(source: GuardedSQLiteSource, path: Path) -> None:
    source.read(AT)
    path.unlink()
    with pytest.raises(SourceError, match=r"is not there or not accessible; check `db\.storage`"):
        source.read(AT)


@pytest.mark.usefixtures("with_log")
def test_closing_ends_the_process(source: GuardedSQLiteSource, path: Path) -> None:
    source.read(AT)
    (reader,) = _readers(path)
    source.close()
    assert not reader.is_running()
    assert _readers(path) == []
