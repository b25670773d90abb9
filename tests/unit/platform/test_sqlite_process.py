"""A database with a write-ahead log is read in a process of its own: started when needed, replaced when killed."""

import contextlib
import io
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from ff_observe.errors import SourceError
from ff_observe.platform.sources import sqlite_process
from ff_observe.platform.sources.sql import StatementError
from ff_observe.platform.sources.sqlite import DIALECT, SQLiteSource
from ff_observe.platform.sources.sqlite_process import GuardedSQLiteSource
from tests.other_users import unable_to_enter
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


def test_a_directory_that_may_not_be_entered_is_an_error_of_the_source(source: GuardedSQLiteSource, path: Path) -> None:
    with unable_to_enter(path.parent), pytest.raises(SourceError, match=r" is not there or not accessible; check "):
        source.read(AT)
    assert source.read(AT).readings["flowfuse_devices"]


@pytest.mark.usefixtures("with_log")
def test_with_a_log_it_answers_the_same_from_another_process(source: GuardedSQLiteSource, path: Path) -> None:
    answer = source.read(AT)
    assert len(_readers(path)) == 1
    with contextlib.closing(SQLiteSource(path)) as here:
        assert reported(answer.readings) == reported(here.read(AT).readings)
    source.read(AT)
    assert len(_readers(path)) == 1, "one process serves all readings"


@pytest.mark.usefixtures("with_log")
def test_the_process_runs_nothing_that_lies_where_it_is_started(
    source: GuardedSQLiteSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "selectors.py").write_text("raise SystemExit('a module that another user has put there')\n")
    monkeypatch.chdir(tmp_path)
    assert source.read(AT).readings["flowfuse_devices"]


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


@pytest.mark.usefixtures("with_log")
def test_single_statements_are_answered_by_the_same_process_and_refused_as_here(
    source: GuardedSQLiteSource, path: Path
) -> None:
    assert source.dialect is DIALECT
    for _ in range(2):
        assert source.select("SELECT 1, 'a'") == [(1, "a")]
        with pytest.raises(StatementError, match="no such table: nowhere"):
            source.select("SELECT 1 FROM nowhere")
    assert len(_readers(path)) == 1


def test_a_python_that_does_not_know_its_own_program_reads_here(
    source: GuardedSQLiteSource, path: Path, with_log: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    assert source.select("SELECT count(*) FROM written") == [(0,)]
    assert _readers(path) == []


def test_a_large_database_is_read_by_a_process_that_maps_it_while_it_reads(
    source: GuardedSQLiteSource, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_process, "LARGE_BYTES", path.stat().st_size + 1)
    assert source.select("PRAGMA mmap_size") == [(0,)]
    assert _readers(path) == []
    monkeypatch.setattr(sqlite_process, "LARGE_BYTES", path.stat().st_size)
    assert source.select("PRAGMA mmap_size") > [(2**30,)]
    (reader,) = _readers(path)
    assert str(path) not in {mapped.path for mapped in reader.memory_maps()}, "mapped while nothing is read"


def test_for_a_database_that_is_not_there_no_process_is_started(source: GuardedSQLiteSource, path: Path) -> None:
    path.unlink()
    with pytest.raises(SourceError, match="is not there or not accessible"):
        source.read(AT)
    assert source._process is None


def test_a_log_that_appears_and_goes_is_read_where_it_can_be(source: GuardedSQLiteSource, path: Path) -> None:
    source.read(AT)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE written (a)")
        assert source.select("SELECT count(*) FROM written") == [(0,)]
        assert vars(vars(source)["_here"])["_connection"] is None, "the file is open once"


class Program:
    """A program in the place of the process that reads."""

    def __init__(self, source: GuardedSQLiteSource, *command: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)
        vars(source)["_process"] = self.process

    @property
    def is_gone(self) -> bool:
        streams = (self.process.stdin, self.process.stdout)
        return self.process.returncode is not None and all(stream and stream.closed for stream in streams)


@pytest.mark.usefixtures("with_log")
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("head", "-c", "1"), "one of its files was cut off while it was read"),
        (("head", "-c", "9"), "one of its files was cut off while it was read"),
        (("sleep", "600"), "no answer within 0 s"),
    ],
)
def test_a_process_that_ends_or_hangs_while_it_reads_is_an_error_and_is_ended(
    source: GuardedSQLiteSource, path: Path, command: tuple[str, ...], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_process, "ANSWER_SECONDS", 0.05 if command[0] == "sleep" else 60)
    program = Program(source, *command)
    with pytest.raises(SourceError) as caught:
        source.select("SELECT 1")
    assert str(caught.value) == f"SQLite database {path} cannot be read: {reason}"
    assert program.is_gone


@pytest.mark.usefixtures("with_log")
def test_a_reading_that_is_ended_by_closing_says_so(
    source: GuardedSQLiteSource, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(source, "sleep", "600")
    plain = sqlite_process._ask

    def close_meanwhile(process: "subprocess.Popen[bytes]", question: tuple[str, object]) -> object:
        source.close()
        return plain(process, question)

    monkeypatch.setattr(sqlite_process, "_ask", close_meanwhile)
    with pytest.raises(SourceError) as caught:
        source.select("SELECT 1")
    assert str(caught.value) == f"SQLite database {path} cannot be read: its reading was stopped"
    assert program.is_gone


def test_what_is_written_is_what_is_read(source: GuardedSQLiteSource) -> None:
    program = Program(source, "cat")
    for question in (("select", "x" * 300), ("read", AT)):
        assert sqlite_process._ask(program.process, question) == question


class Slow(io.BytesIO):
    """Gives a byte at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 1))


def test_an_answer_in_pieces_is_put_together_and_one_cut_off_is_an_error() -> None:
    assert sqlite_process._exactly(Slow(b"abcdef"), 4) == b"abcd"
    assert sqlite_process._exactly(io.BytesIO(b""), 0) == b""
    with pytest.raises(EOFError, match=r"^one of its files was cut off while it was read$"):
        sqlite_process._exactly(Slow(b"abc"), 4)


def test_a_process_answers_each_question_until_there_is_no_more(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE PlatformSettings SET value = '{', valueType = 1 WHERE key = 'setup:initialised'")
    questions: list[tuple[str, Any]] = [
        *[("read", AT)] * 2,
        ("select", "PRAGMA mmap_size"),
        ("select", "SELECT 1 FROM nowhere"),
        ("select", 'DELETE FROM "Users"'),
    ]

    class Input:
        buffer = io.BytesIO(b"".join(map(sqlite_process._framed, questions)))

    plain = open
    monkeypatch.setattr(sys, "stdin", Input)
    monkeypatch.setattr("os.fdopen", lambda number, mode: plain(tmp_path / f"answers {number}", mode))
    sqlite_process.main(path)
    with (tmp_path / "answers 1").open("rb") as answers:
        found = [
            pickle.loads(sqlite_process._exactly(answers, int.from_bytes(answers.read(8), "big"))) for _ in questions
        ]
        assert answers.read() == b""
    first, last, mapped, statement_error, error = found
    with contextlib.closing(SQLiteSource(path)) as here:
        expected = here.read(AT)
        again = here.read(AT)
    assert first.failures
    for answer, here_too in ((first, expected), (last, again)):
        assert reported(answer.readings) == reported(here_too.readings)
        assert replace(answer, readings={}) == replace(here_too, readings={})
    assert (first.unchanged, last.unchanged) == (False, True)
    assert mapped > [(2**30,)], "is the database mapped?"
    assert (type(statement_error), str(statement_error)) == (StatementError, "no such table: nowhere")
    assert (type(error), str(error)) == (SourceError, f"SQLite database {path}: attempt to write a readonly database")


def test_a_fault_of_the_reader_is_not_written_into_the_bridges_log(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    process = sqlite_process._start(path)
    with process, pytest.raises(EOFError):
        sqlite_process._ask(process, ("select", None))
    assert process.returncode == 1
    assert capfd.readouterr() == ("", "")
