"""Reading FlowFuse's SQLite file: right in every state it can be in, without a trace, and in nobody's way."""

import contextlib
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.errors import SourceError
from ff_observe.sources import sqlite
from ff_observe.sources.sqlite import SQLiteSource
from tests.network_guard import guarded_environment
from tests.platforms import case_named, sqlite_rows, truth, writable_copy
from tests.real_parts.processes import wait_until

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASE = case_named("v2.4.0-sqlite-dev")
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return writable_copy(CASE, tmp_path / "var")


@pytest.fixture
def source(path: Path) -> Iterator[SQLiteSource]:
    opened = SQLiteSource(path)
    yield opened
    opened.close()


def connection_of(source: SQLiteSource) -> sqlite3.Connection:
    connection = vars(source)["_connection"]
    assert isinstance(connection, sqlite3.Connection)
    return connection


def write(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def add_device(path: Path, name: str, mode: str | None = "autonomous") -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO Devices (name, type, credentialSecret, mode, createdAt, updatedAt) VALUES (?, 1, 1, ?, 1, 1)",
            (name, mode),
        )


def files(path: Path) -> set[str]:
    return {found.name for found in path.parent.iterdir()}


def test_it_cannot_write(source: SQLiteSource) -> None:
    source.read(AT)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection_of(source).execute('DELETE FROM "Users"')


def test_no_lock_is_held_between_readings(source: SQLiteSource, path: Path) -> None:
    source.read(AT)
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("COMMIT")


def test_what_was_written_since_is_counted(source: SQLiteSource, path: Path) -> None:
    before = source.read(AT).readings["flowfuse_devices"][()]
    for more in (1, 2, 3):
        add_device(path, f"d{more}")
        assert source.read(AT).readings["flowfuse_devices"] == {(): before + more}


def test_where_nothing_was_written_only_the_last_seen_buckets_are_counted_again(source: SQLiteSource) -> None:
    source.read(AT)
    source.read(AT)
    asked: list[str] = []
    connection_of(source).set_trace_callback(asked.append)
    later = AT + timedelta(days=10)
    answer = source.read(later)
    assert answer.readings == truth(sqlite_rows(CASE.home / "var" / "forge.db"), later)
    assert any('"Devices"' in statement for statement in asked)
    assert not any('"ProjectSnapshots"' in statement or '"Users"' in statement for statement in asked)


def test_one_statement_reads_each_table_once(source: SQLiteSource, path: Path) -> None:
    source.read(AT)
    asked: list[str] = []
    connection_of(source).set_trace_callback(asked.append)
    add_device(path, "new")
    source.read(AT)
    counting = [statement for statement in asked if "count(*)" in statement]
    assert len(counting) == 1
    for table in ("Users", "Projects", "Devices", "ProjectSnapshots", "Teams", "Subscriptions", "PlatformSettings"):
        assert counting[0].count(f'FROM "{table}"') == 1, table


@pytest.mark.parametrize("mode", ["Fleet Mode", None, "", "none", 'it\'s "odd"; --', "Équipe", "x" * 100])
def test_a_mode_never_seen_before_is_counted(source: SQLiteSource, path: Path, mode: str | None) -> None:
    source.read(AT)
    source.read(AT)
    add_device(path, "odd one", mode)
    for _ in range(3):
        add_device(path, f"more {_}")
        answer = source.read(AT)
        assert answer.readings == truth(sqlite_rows(path), AT)
        assert answer.readings["flowfuse_devices_by_mode"][(mode or "none",)] == 1


def test_more_values_than_can_be_asked_for_are_counted_by_grouping(source: SQLiteSource, path: Path) -> None:
    for number in range(40):
        add_device(path, f"d{number}", f"mode {number}")
    for _ in range(3):
        assert source.read(AT).readings == truth(sqlite_rows(path), AT)


def test_a_value_that_vanishes_is_not_told_at_zero(source: SQLiteSource, path: Path) -> None:
    add_device(path, "odd one", "Fleet Mode")
    source.read(AT)
    source.read(AT)
    write(path, "DELETE FROM Devices WHERE mode = 'Fleet Mode'")
    assert set(source.read(AT).readings["flowfuse_devices_by_mode"]) == {("autonomous",), ("developer",)}


def test_an_upgrade_is_noticed_while_running(
    source: SQLiteSource, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source.read(AT)
    assert "flowfuse_remote_brokers" not in source.read(AT).readings
    assert caplog.text.count("no table BrokerCredentials: flowfuse_remote_brokers is not reported") == 1
    write(path, "CREATE TABLE BrokerCredentials (id INTEGER PRIMARY KEY)", "INSERT INTO BrokerCredentials VALUES (1)")
    assert source.read(AT).readings["flowfuse_remote_brokers"] == {(): 1}
    assert caplog.text.count("flowfuse_remote_brokers is reported from now on") == 1


def test_a_table_that_goes_makes_its_counts_absent(source: SQLiteSource, path: Path) -> None:
    source.read(AT)
    write(path, "DROP TABLE Subscriptions", "ALTER TABLE Devices RENAME COLUMN mode TO kind")
    answer = source.read(AT)
    assert answer.failures == {}
    assert not {"flowfuse_teams_by_billing_state", "flowfuse_devices_by_mode"} & answer.readings.keys()
    assert answer.readings["flowfuse_devices"] == {(): 16}


def test_a_file_put_in_its_place_is_read(source: SQLiteSource, path: Path) -> None:
    source.read(AT)
    other = writable_copy(case_named("v2.4.0-sqlite-ce"), path.parent / "other")
    other.replace(path)
    assert source.read(AT).readings == truth(sqlite_rows(path), AT)


def test_a_backup_copied_over_it_is_read(source: SQLiteSource, path: Path) -> None:
    for _ in range(3):
        source.read(AT)
    path.write_bytes((case_named("v2.4.0-sqlite-ce").home / "var" / "forge.db").read_bytes())
    assert source.read(AT).readings == truth(sqlite_rows(path), AT)


def test_a_file_that_is_gone_is_an_error_until_it_is_back(source: SQLiteSource, path: Path) -> None:
    source.read(AT)
    away = path.rename(path.with_name("away.db"))
    with pytest.raises(SourceError, match=r"not there.*db\.storage"):
        source.read(AT)
    assert not path.exists()
    away.rename(path)
    assert source.read(AT).readings["flowfuse_users"] == {(): 5}


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"this is not a database, but a text\n" * 100, "not a database"), (b"", "none of FlowFuse's tables")],
)
def test_a_file_that_is_no_platform_is_an_error_that_says_what_to_check(
    path: Path, source: SQLiteSource, content: bytes, says: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(SourceError, match=says) as caught:
        source.read(AT)
    assert str(path) in str(caught.value)
    assert "flowforge.yml" in str(caught.value)


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with contextlib.closing(SQLiteSource(tmp_path)) as source, pytest.raises(SourceError):
        source.read(AT)


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    path = writable_copy(CASE, tmp_path / "50% off?mode=rwc#& ü")
    with contextlib.closing(SQLiteSource(path)) as source:
        assert source.read(AT).readings["flowfuse_users"] == {(): 5}


def test_a_locked_database_is_an_error_soon(path: Path, source: SQLiteSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match="locked"):
            source.read(AT)
    assert source.read(AT).readings["flowfuse_users"] == {(): 5}


NEVER_ENDS = (
    "DROP TABLE Devices",
    (
        "CREATE VIEW Devices AS WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s)"
        " SELECT i AS id, 'autonomous' AS mode, NULL AS lastSeenAt FROM s"
    ),
)


def test_a_reading_that_takes_too_long_is_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, *NEVER_ENDS)
    monkeypatch.setattr(sqlite, "READ_LIMIT_SECONDS", 0.2)
    with contextlib.closing(SQLiteSource(path)) as source, pytest.raises(SourceError, match="not read within"):
        source.read(AT)


def test_close_ends_a_reading_in_another_thread(path: Path) -> None:
    write(path, *NEVER_ENDS)
    source = SQLiteSource(path)
    errors: list[SourceError] = []

    def read() -> None:
        try:
            source.read(AT)
        except SourceError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    wait_until(lambda: vars(source)["_connection"], "the reading to begin")
    source.close()
    thread.join(2)
    assert not thread.is_alive()
    assert len(errors) == 1
    source.close()


def test_a_damaged_table_does_not_take_the_others_down(
    path: Path, source: SQLiteSource, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ProjectSnapshots'").fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(b"\xff" * page_size)
    expected = truth(sqlite_rows(CASE.home / "var" / "forge.db"), AT)
    for moment in (AT, AT + timedelta(seconds=5), AT + timedelta(hours=1), AT + timedelta(hours=2)):
        answer = source.read(moment)
        assert set(answer.failures) == {"flowfuse_snapshots"}
        assert "malformed" in answer.failures["flowfuse_snapshots"]
        assert answer.readings.keys() == expected.keys() - {"flowfuse_snapshots"}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_a_setting_that_is_not_json_is_told_as_a_failure(source: SQLiteSource, path: Path) -> None:
    write(path, "UPDATE PlatformSettings SET value = '{oops', valueType = 1 WHERE key = 'setup:initialised'")
    answer = source.read(AT)
    assert "setup:initialised" not in answer.settings
    assert "setup:initialised" in answer.failures["platform_settings"]
    assert answer.readings["flowfuse_users"] == {(): 5}


def test_settings_are_decoded_by_their_type(source: SQLiteSource, path: Path) -> None:
    write(
        path,
        "DELETE FROM PlatformSettings",
        "INSERT INTO PlatformSettings VALUES ('telemetry:enabled', 'false', 0, 1, 1)",
        "INSERT INTO PlatformSettings VALUES ('setup:initialised', 'false', 1, 1, 1)",
        "INSERT INTO PlatformSettings VALUES ('license', NULL, 1, 1, 1)",
        "INSERT INTO PlatformSettings VALUES ('instanceId', '17', 0, 1, 1)",
        "INSERT INTO PlatformSettings VALUES ('cookieSecret', 'planted', 0, 1, 1)",
    )
    assert source.read(AT).settings == {
        "telemetry:enabled": "false",
        "setup:initialised": False,
        "license": None,
        "instanceId": "17",
    }


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
                assert source.read(AT).readings == truth(sqlite_rows(CASE.home / "var" / "forge.db"), AT)
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
        refused = pytest.raises(SourceError, match="start FlowFuse once")
        with contextlib.closing(SQLiteSource(left)) as source, somebody_else(), refused:
            source.read(AT)
        assert files(left) == {"forge.db", "forge.db-wal"}


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """Be another user until the block ends, if we are root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@contextlib.contextmanager
def unable_to_write(directory: Path) -> Iterator[None]:
    """Have no right to write to a directory until the block ends; root has it everywhere, so be somebody else."""
    directory.chmod(0o555)
    try:
        with somebody_else():
            yield
    finally:
        directory.chmod(0o755)


WRITER = """
import sqlite3, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
connection = sqlite3.connect(path, timeout=5, isolation_level=None)
end = time.monotonic() + seconds
slowest, written = 0.0, 0
print("ready", flush=True)
while time.monotonic() < end:
    started = time.monotonic()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute('INSERT INTO "Devices" (name, type, credentialSecret, mode, createdAt, updatedAt)'
                       " VALUES ('d', 1, 1, 'developer', 1, 1)")
    connection.execute('INSERT INTO "ProjectSnapshots" (name, createdAt, updatedAt) VALUES (1, 1, 1)')
    connection.execute("COMMIT")
    written += 1
    slowest = max(slowest, time.monotonic() - started)
    time.sleep(0.005)
print(slowest, written, flush=True)
"""


@pytest.mark.parametrize("journal_mode", ["delete", "wal", "truncate", "persist"])
def test_beside_a_writer_at_work_neither_waits_for_the_other_and_no_count_is_torn(
    path: Path, source: SQLiteSource, journal_mode: str
) -> None:
    """Each transaction of the writer adds one device and one snapshot: their difference never changes."""
    write(path, f"PRAGMA journal_mode = {journal_mode}")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "1.5"], stdout=subprocess.PIPE, text=True, env=guarded_environment()
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
    slowest, written = writer.stdout.read().split()
    writer.stdout.close()
    assert writer.returncode == 0
    assert differences == {1}
    assert len(seen) > 1
    assert int(written) > 20
    assert float(slowest) < 1.0
