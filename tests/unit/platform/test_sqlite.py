"""Reading FlowFuse's SQLite file: right in every state it can be in, without a trace, and in nobody's way."""

import contextlib
import logging
import os
import re
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.catalogue.model import Reading
from ff_observe.errors import SourceError
from ff_observe.platform.sources import sqlite
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.telemetry import tracing
from tests.platforms import case_named, reported, sqlite_rows, truth, writable_copy
from tests.real_parts.processes import wait_until
from tests.unit.otlp.test_work_is_traced import Listener
from tests.unit.platform.hostile import make_endless

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASE = case_named("v2.4.0-sqlite-dev")


def connection_of(source: SQLiteSource) -> sqlite3.Connection:
    connection = vars(source)["_connection"]
    assert isinstance(connection, sqlite3.Connection)
    return connection


def statements_of(source: SQLiteSource) -> list[str]:
    """Every statement it asks from now on."""
    asked: list[str] = []
    connection_of(source).set_trace_callback(asked.append)
    return asked


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


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "forge.db")
    source = SQLiteSource(tmp_path / "forge.db")
    with contextlib.closing(source), pytest.raises(SourceError, match="not there or not accessible"):
        source.read(AT)


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
    asked = statements_of(source)
    later = AT + timedelta(days=10)
    answer = source.read(later)
    assert reported(answer.readings) == truth(sqlite_rows(CASE.home / "var" / "forge.db"), later)
    assert any('"Devices"' in statement for statement in asked)
    assert not any('"StorageLibraries"' in statement or '"Users"' in statement for statement in asked)


def test_one_statement_reads_each_table_once(source: SQLiteSource, path: Path) -> None:
    source.read(AT)
    asked = statements_of(source)
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
        assert reported(answer.readings) == truth(sqlite_rows(path), AT)
        assert answer.readings["flowfuse_devices_by_mode"][(mode or "none",)] == 1


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
    assert reported(source.read(AT).readings) == truth(sqlite_rows(path), AT)


def test_a_backup_copied_over_it_is_read(source: SQLiteSource, path: Path) -> None:
    for _ in range(3):
        source.read(AT)
    path.write_bytes((case_named("v2.4.0-sqlite-ce").home / "var" / "forge.db").read_bytes())
    assert reported(source.read(AT).readings) == truth(sqlite_rows(path), AT)


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


def test_a_reading_that_takes_too_long_is_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_endless(path, "Devices")
    monkeypatch.setattr(sqlite, "READ_LIMIT_SECONDS", 0.05)
    says = re.escape("forge.db was not read within 0 s; is its disk busy, or is a program holding it locked?")
    with contextlib.closing(SQLiteSource(path)) as source, pytest.raises(SourceError, match=f"{says}$"):
        source.read(AT)


def test_close_ends_a_reading_in_another_thread(path: Path) -> None:
    make_endless(path, "Devices")
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
        assert set(reported(answer.failures)) == {"flowfuse_snapshots"}
        assert "malformed" in answer.failures["flowfuse_snapshots"]
        assert reported(answer.readings).keys() == expected.keys() - {"flowfuse_snapshots"}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_a_text_that_is_not_utf8_spoils_no_other_value(source: SQLiteSource, path: Path) -> None:
    write(path, "UPDATE Devices SET mode = CAST(x'ff41' AS text) WHERE id = 1")
    for _ in range(3):
        answer = source.read(AT)
        assert answer.failures == {}
        assert answer.readings["flowfuse_devices_by_mode"][("\ufffdA",)] == 1
        assert sum(answer.readings["flowfuse_devices_by_mode"].values()) == answer.readings["flowfuse_devices"][()]


def test_it_is_read_by_one_thread_after_the_other(source: SQLiteSource) -> None:
    source.read(AT)
    found: list[Reading] = []
    thread = threading.Thread(target=lambda: found.append(source.read(AT).readings["flowfuse_users"]))
    thread.start()
    thread.join()
    assert found == [{(): 5}]


def test_asking_for_the_version_of_the_data_is_a_span(source: SQLiteSource) -> None:
    listener = Listener()
    tracing.install(listener)
    try:
        source.read(AT)
    finally:
        tracing.remove(listener)
    assert listener.named("PRAGMA data_version")


@pytest.mark.parametrize(
    ("found", "is_other"),
    [
        (None, True),
        ((1, 2, 100, 5), False),
        ((1, 2, 200, 6), False),
        ((1, 2, 99, 6), True),
        ((1, 3, 100, 5), True),
        ((2, 2, 100, 5), True),
    ],
)
def test_a_file_is_another_one_if_it_has_another_place_or_became_shorter(
    found: tuple[int, int, int, int] | None, is_other: bool
) -> None:
    assert sqlite._is_other(found, (1, 2, 100, 5)) is is_other
    assert not sqlite._is_other(found, None)


def test_no_page_is_held_between_readings(source: SQLiteSource) -> None:
    source.read(AT)
    asked = statements_of(source)
    source.read(AT)
    assert asked[-1] == "PRAGMA shrink_memory"


def test_pages_that_cannot_be_released_are_no_failure(source: SQLiteSource) -> None:
    source.read(AT)

    def refuse(_: int, name: str | None, *__: object) -> int:
        return sqlite3.SQLITE_DENY if name == "shrink_memory" else sqlite3.SQLITE_OK

    connection_of(source).set_authorizer(refuse)
    assert source.read(AT).readings["flowfuse_users"] == {(): 5}


def test_a_limit_that_expires_as_the_connection_is_closed_is_no_error(source: SQLiteSource) -> None:
    source.read(AT)
    connection_of(source).close()
    vars(source)["_limit"].abort()
