"""SQLite's journals: read in every mode, with FlowFuse at work beside or gone, without a trace and in nobody's way."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.errors import SourceError
from ff_observe.platform.sources import sqlite
from ff_observe.platform.sources.counting import TooSlowError
from ff_observe.platform.sources.sql import StatementTooSlowError
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.network_guard import guarded_environment
from tests.other_users import NOBODY, somebody_else, unable_to_write
from tests.platforms import case_named, reported, sqlite_rows, truth, writable_copy
from tests.unit.platform.hostile import ENDLESS

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASE = case_named("v2.4.0-sqlite-dev")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return writable_copy(CASE, tmp_path / "var")


@pytest.fixture
def source(path: Path) -> Iterator[SQLiteSource]:
    opened = SQLiteSource(path)
    yield opened
    opened.close()


def write(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def files(path: Path) -> set[str]:
    return {found.name for found in path.parent.iterdir()}


class TestWriteAheadLog:
    """`journal_mode = wal`, with FlowFuse running or not."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = writable_copy(CASE, tmp_path / "var")
        write(path, "PRAGMA journal_mode = wal")
        return path

    def test_a_database_nobody_has_open_is_read_without_a_trace(self, path: Path) -> None:
        with contextlib.closing(SQLiteSource(path)) as source:
            for _ in range(2):
                assert reported(source.read(AT).readings) == truth(sqlite_rows(CASE.home / "var" / "forge.db"), AT)
                assert files(path) == {"forge.db"}

    def test_beside_a_live_writer_what_is_only_in_the_log_is_read(self, path: Path) -> None:
        with (
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer,
            contextlib.closing(SQLiteSource(path)) as source,
        ):
            writer.execute("DELETE FROM Invitations")
            assert source.read(AT).readings["flowfuse_invitations"] == {(): 0}
            writer.execute('UPDATE "Users" SET admin = 1')
            assert source.read(AT).readings["flowfuse_admins"] == {(): 5}
            assert files(path) == {"forge.db", "forge.db-wal", "forge.db-shm"}

    def test_beside_a_live_writer_a_file_that_was_touched_or_an_index_that_is_another_is_opened_anew(
        self, path: Path
    ) -> None:
        with (
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer,
            contextlib.closing(SQLiteSource(path)) as source,
        ):
            writer.execute("DELETE FROM Invitations")
            known, connections = vars(source), []
            for change in ("nothing", "nothing", "file", "index", "nothing"):
                if change == "file":
                    os.utime(path, ns=(1, 1))
                if change == "index":  # cut off in truth, it would end every process that has it mapped
                    device, inode, size, changed = known["_index_identity"]
                    known["_index_identity"] = (device, inode, size + 1, changed)
                source.read(AT)
                connections.append(known["_connection"])
            first, second, third, fourth, fifth = connections
            assert first is second is not third is not fourth is fifth

    def left_behind(self, path: Path, directory: Path) -> Path:
        """A copy with a log that holds the last transaction, and without the index of the log."""
        directory.mkdir()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("DELETE FROM Invitations")
            for suffix in ("", "-wal"):
                (directory / f"forge.db{suffix}").write_bytes(path.with_name(f"forge.db{suffix}").read_bytes())
        return directory / "forge.db"

    def test_a_log_left_behind_without_its_index_is_read(self, path: Path, tmp_path: Path) -> None:
        left = self.left_behind(path, tmp_path / "left")
        with contextlib.closing(SQLiteSource(left)) as source:
            assert source.read(AT).readings["flowfuse_invitations"] == {(): 0}
            assert source.read(AT).readings["flowfuse_users"] == {(): 5}

    def test_an_empty_log_is_none(self, path: Path) -> None:
        path.with_name("forge.db-wal").touch()
        with contextlib.closing(SQLiteSource(path)) as source:
            assert source.read(AT).readings["flowfuse_invitations"] == {(): 2}
        assert files(path) == {"forge.db", "forge.db-wal"}

    def test_a_dear_count_is_asked_again_when_due_whatever_was_written_meanwhile(self, path: Path) -> None:
        with contextlib.closing(SQLiteSource(path)) as source:
            before = source.read(AT).readings["flowfuse_memberships_by_role"]
            write(path, "DELETE FROM TeamMembers")
            after = source.read(AT + timedelta(hours=1)).readings["flowfuse_memberships_by_role"]
        assert sum(before.values()) > sum(after.values()) == 0

    @pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
    def test_what_was_read_while_a_process_opened_it_is_read_again(self, path: Path, suffix: str) -> None:
        asked: list[bool] = []

        def ask(_: object, is_kept: bool) -> int:
            asked.append(is_kept)
            path.with_name(f"forge.db{suffix}").touch()
            return len(asked)

        with contextlib.closing(SQLiteSource(path)) as source:
            assert source._ask(ask) == 2
        assert asked == [False, True]

    def test_an_error_says_of_which_database_it_is_and_leaves_no_trace(self, path: Path) -> None:
        with contextlib.closing(SQLiteSource(path)) as source, pytest.raises(SourceError) as caught:
            source.select('DELETE FROM "Users"')
        assert str(caught.value) == f"SQLite database {path}: attempt to write a readonly database"
        assert files(path) == {"forge.db"}

    def test_a_statement_has_the_limit_that_it_is_given(self, path: Path) -> None:
        with contextlib.closing(SQLiteSource(path)) as source, pytest.raises(StatementTooSlowError):
            source._ask(lambda session, _: session.query(ENDLESS, None, 0.001))

    def test_a_statement_that_takes_too_long_is_ended(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite, "SELECT_SECONDS", 0.05)
        with contextlib.closing(SQLiteSource(path)) as source, pytest.raises(TooSlowError):
            source.select(ENDLESS)

    @pytest.mark.parametrize("has_log", [True, False])
    def test_in_a_directory_that_cannot_be_written_it_is_read_without_a_trace(
        self, path: Path, open_directory: Path, *, has_log: bool
    ) -> None:
        if has_log:
            read_only = self.left_behind(path, open_directory / "var")
        else:
            (open_directory / "var").mkdir()
            read_only = Path(shutil.copy(path, open_directory / "var"))
        before = files(read_only)
        with contextlib.closing(SQLiteSource(read_only)) as source, unable_to_write(read_only.parent):
            answer = source.read(AT)
        assert answer.readings["flowfuse_invitations"] == {(): 0 if has_log else 2}
        assert files(read_only) == before

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who does not own the file")
    def test_another_user_who_could_write_creates_no_index_that_flowfuse_could_not_open(
        self, path: Path, open_directory: Path
    ) -> None:
        left = self.left_behind(path, open_directory / "var")
        left.parent.chmod(0o777)
        refused = pytest.raises(
            SourceError,
            match=r" has a write-ahead log without its index \(-shm\); start FlowFuse once, or run ff-observe as the "
            r"user who owns the file$",
        )
        with contextlib.closing(SQLiteSource(left)) as source, somebody_else(), refused:
            source.read(AT)
        assert files(left) == {"forge.db", "forge.db-wal"}

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who does not own the file")
    def test_another_user_reads_beside_a_live_writer(self, path: Path, open_directory: Path) -> None:
        open_directory.chmod(0o777)
        live = Path(shutil.copy(path, open_directory))
        with (
            contextlib.closing(sqlite3.connect(live, isolation_level=None)) as writer,
            contextlib.closing(SQLiteSource(live)) as source,
        ):
            writer.execute("DELETE FROM Invitations")
            with somebody_else():
                assert source.read(AT).readings["flowfuse_invitations"] == {(): 0}

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give the file to another user")
    def test_root_reads_a_log_left_behind_by_another_user(self, path: Path, tmp_path: Path) -> None:
        left = self.left_behind(path, tmp_path / "left")
        os.chown(left, NOBODY, NOBODY)
        with contextlib.closing(SQLiteSource(left)) as source:
            assert source.read(AT).readings["flowfuse_invitations"] == {(): 0}


WRITER = """
import sqlite3, sys, threading
connection = sqlite3.connect(sys.argv[1], timeout=1, isolation_level=None)  # who waits longer for a lock ends
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute('INSERT INTO "Devices" (name, type, credentialSecret, mode, createdAt, updatedAt)'
                       " VALUES ('d', 1, 1, 'developer', 1, 1)")
    connection.execute('INSERT INTO "ProjectSnapshots" (name, createdAt, updatedAt) VALUES (1, 1, 1)')
    connection.execute("COMMIT")
    threading.Event().wait(0.005)
"""


@pytest.mark.parametrize("journal_mode", ["delete", "wal", "truncate", "persist"])
def test_beside_a_writer_at_work_neither_waits_for_the_other_and_no_count_is_torn(
    path: Path, source: SQLiteSource, journal_mode: str
) -> None:
    """Each transaction of the writer adds one device and one snapshot: their difference never changes."""
    write(path, f"PRAGMA journal_mode = {journal_mode}")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "150"], stdout=subprocess.PIPE, text=True, env=guarded_environment()
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    differences = set()
    seen = set()
    while writer.poll() is None:
        readings = source.read(AT).readings
        devices, snapshots = readings["flowfuse_devices"][()], readings["flowfuse_snapshots"][()]
        differences.add(devices - snapshots)
        seen.add(devices)
        assert sum(readings["flowfuse_devices_by_mode"].values()) == devices
        assert sum(readings["flowfuse_devices_by_last_seen"].values()) == devices
    writer.stdout.close()
    assert writer.returncode == 0
    assert differences == {1}
    assert len(seen) > 1
