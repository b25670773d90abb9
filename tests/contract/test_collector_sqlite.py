"""What the collector's store does on SQLite alone: its file can be taken away from under it."""

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from ff_observe.collector.commands import existing_store
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.settings_kinds import SQLiteFile
from ff_observe.collector.store import Released, StoreError, counting, sqlite, sqlite_schema, sqlite_session
from ff_observe.collector.store.opening import open_store
from ff_observe.collector.store.sqlite import SQLiteStore, open_sqlite
from tests.contract.test_collector_counting import resting
from tests.contract.test_collector_rollups import fold_all
from tests.other_users import somebody_else, unable_to_enter
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping


def deleted(file: Path) -> None:
    for each in file.parent.iterdir():
        each.unlink()


def replaced(file: Path) -> None:
    """As whoever brings a backup back does."""
    deleted(file)
    file.touch()


@pytest.mark.parametrize("lose", [deleted, replaced])
def test_nothing_is_stored_in_a_file_that_nobody_finds_any_more(lose: Callable[[Path], None], tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "pings" / "pings.sqlite3", timedelta(hours=1), "collector")
    with BlockingWriter(store) as writer:
        assert writer.write([ping("a")]) == [True]
        lose(store.path)
        with pytest.raises(StoreError, match="its file has been moved or deleted"):
            writer.write([])
        assert writer.write([ping("b")]) == [True]
        assert [each.instance_id for each in store.export("b")] == ["b"]


@pytest.mark.parametrize("content", [None, b""], ids=["moved", "another in its place"])
def test_no_other_file_is_opened_while_one_is_open_under_its_name(content: bytes | None, tmp_path: Path) -> None:
    """SQLite would take the log of the first for that of the second, and shorten what is mapped into memory."""
    file = tmp_path / "pings.sqlite3"
    first = sqlite_schema.connect(file)
    first.execute("CREATE TABLE first (x)")
    file.rename(tmp_path / "taken away")
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(sqlite3.OperationalError, match="its file has been moved or deleted"):
        sqlite_schema.connect(file)
    assert first.execute("SELECT * FROM first").fetchall() == []
    first.close()
    with contextlib.closing(sqlite_schema.connect(file)) as second:
        assert second.execute("SELECT name FROM sqlite_schema").fetchall() == []


def test_a_backup_in_the_place_of_the_file_is_not_given_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would write the log into the backup, and pings into what comes of that."""
    monkeypatch.setattr(sqlite_session, "READ_AT_ONCE", 1)
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    backup, taken_away = tmp_path / "backup", tmp_path / "taken away"
    with BlockingWriter(store) as writer:
        writer.write([ping("in the backup")])
        with contextlib.closing(sqlite3.connect(store.path)) as connection:
            connection.execute("VACUUM INTO ?", [str(backup)])
        for number in range(300):
            writer.write([ping(f"later-{number}")])
        reading = store.read_day(NOON.date())
        next(reading)
        store.path.rename(taken_away)
        backup.rename(store.path)
        with pytest.raises(StoreError, match="its file has been moved or deleted"):
            writer.write([])
        with pytest.raises(StoreError, match="its file has been moved or deleted"):
            next(reading)
        assert writer.write([ping("after")]) == [True]
    for file, pings in ((store.path, 2), (taken_away, 301)):
        with contextlib.closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM ping").fetchone() == (pings,)


def test_a_count_ends_with_its_file_for_which_pings_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "COUNTED_AT_ONCE", 1)
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    rests = resting(store, lambda _: store.path.rename(tmp_path / "taken away"))
    moved = "its file has been moved or deleted"
    with BlockingWriter(store) as writer:
        writer.write([ping(f"{index}") for index in range(3)])
        with pytest.raises(StoreError, match=f"could not count platforms: {moved}"):
            store.count(NOON, 2)
        assert len(rests.asked) == 1
        with pytest.raises(StoreError, match=moved):
            writer.write([ping("a")])
        assert writer.write([ping("a")]) == [True]


def test_the_reading_of_a_day_ends_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_session, "READ_AT_ONCE", 1)
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    with BlockingWriter(store) as writer:
        writer.write([ping(f"{index}") for index in range(3)])
    portions = store.read_day(NOON.date())
    next(portions)
    store.path.rename(tmp_path / "taken away")
    with pytest.raises(StoreError, match="could not export: its file has been moved or deleted"):
        next(portions)


def no_database(file: Path) -> None:
    file.write_bytes(b"root:x:0:0:root:/root:/bin/sh\n" * 50)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (no_database, "file is not a database"),
        (lambda file: file.write_bytes(b"text"), "file is not a database"),
        (Path.mkdir, "it is not a file"),
        (os.mkfifo, "it is not a file"),
    ],
    ids=["other content", "few bytes", "directory", "pipe"],
)
def test_a_collector_does_not_start_on_what_is_no_database(
    make: Callable[[Path], object], why: str, tmp_path: Path
) -> None:
    file = tmp_path / "it is 100 % #1?.sqlite3"
    make(file)
    with pytest.raises(StoreError) as raised:
        Collector(CollectorSettings(port=0, data_dir=tmp_path / "data", database=SQLiteFile(file)))
    assert str(raised.value) == f"SQLite database {file}: {why}; check --database"


def test_a_file_in_the_data_directory_that_is_no_database_names_that_option(tmp_path: Path) -> None:
    settings = CollectorSettings(data_dir=tmp_path)
    assert settings.database_file is not None
    settings.database_file.parent.mkdir()
    no_database(settings.database_file)
    with pytest.raises(StoreError, match=r" file is not a database; check --data-dir$"):
        open_store(settings)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_directory_that_may_not_be_entered_is_named(is_there: bool, open_directory: Path) -> None:
    closed = open_directory / "closed"
    closed.mkdir()
    settings = CollectorSettings(database=SQLiteFile(closed / "pings.sqlite3"))
    if is_there:
        open_store(settings).tidy(later())
    missing = pytest.raises(
        StoreError, match=f"^SQLite database {closed}/pings.sqlite3: this user can make no file in "
    )
    with unable_to_enter(closed):
        with missing:
            open_store(settings)
        with missing:
            existing_store(settings)


def test_a_file_that_may_not_be_read_is_named(open_directory: Path) -> None:
    file = open_directory / "pings.sqlite3"
    settings = CollectorSettings(database=SQLiteFile(file))
    open_store(settings).tidy(later())
    file.chmod(0)
    unread = pytest.raises(
        StoreError, match=f"^SQLite database {file}: unable to open database file; check --database$"
    )
    with somebody_else(), unread:
        open_store(settings)


def test_a_busy_or_empty_file_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "pings.sqlite3"
    file.touch()
    store = open_sqlite(file, timedelta(hours=1), "collector")
    assert file.read_bytes() == b""
    store.tidy(later())
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        assert open_sqlite(file, timedelta(hours=1), "collector").path == file


def test_an_error_names_the_file(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    no_database(store.path)
    of_store = pytest.raises(
        StoreError, match=f"^SQLite database {store.path}: could not count platforms: file is not a "
    )
    with of_store:
        store.count(later(), 30)
    of_writer = pytest.raises(StoreError, match=f"^SQLite database {store.path}: could not store pings: file is ")
    with BlockingWriter(store) as writer, of_writer:
        writer.write([ping("a")])


def test_forgotten_platforms_are_deleted_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    monkeypatch.setattr(sqlite_session, "PRUNED_AT_ONCE", 3)
    left: list[int] = []

    def platforms() -> int:
        with contextlib.closing(sqlite_schema.connect(store.path)) as connection:
            return int(connection.execute("SELECT count(*) FROM platform").fetchone()[0])

    def connect(path: Path) -> sqlite3.Connection:
        connection = sqlite_schema.connect(path)
        connection.set_trace_callback(lambda sql: left.append(platforms()) if "FROM platform" in sql else None)
        return connection

    with BlockingWriter(store) as writer:
        writer.write([ping(f"{index}") for index in range(10)])
        for days in (5, 6, 7):
            writer.write([ping("new", later(days=days))])
        fold_all(store, later(days=7))
        monkeypatch.setattr(sqlite, "connect", connect)
        store.prune(later(days=7), timedelta(days=2))
    left.append(platforms())
    assert (left[0], left[-1]) == (11, 1)
    assert max(before - after for before, after in itertools.pairwise(left)) <= 3


def test_upkeep_searches_pings_by_their_dates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hourly scan of all would read gigabytes."""
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    statements: list[str] = []

    def connect(path: Path) -> sqlite3.Connection:
        connection = sqlite_schema.connect(path)
        connection.set_trace_callback(statements.append)
        return connection

    with BlockingWriter(store) as writer:
        writer.write([ping("a")])
    monkeypatch.setattr(sqlite, "connect", connect)
    store.tidy(NOON)
    with contextlib.closing(sqlite3.connect(store.path)) as reader:
        asked = [each for each in statements if each.startswith("SELECT") and " ping" in each]
        steps = {step for each in asked for *_, step in reader.execute(f"EXPLAIN QUERY PLAN {each}")}
    assert any("SEARCH ping" in step for step in steps)
    assert not any("SCAN ping" in step for step in steps)


WORKS: dict[str, Callable[[SQLiteStore], object]] = {
    "roll up": lambda store: store.fold(NOON, 3),
    "read roll-ups": lambda store: store.rollups(date.min, date.max, ["seen"]),
    "read a day": lambda store: store.crosstab(NOON.date(), 1, 2),
    "read the last count": SQLiteStore.last_count,
    "count platforms": lambda store: store.count(NOON, 2),
    "sample the fleet": lambda store: store.sample(NOON, 3, 2),
    "read its days": lambda store: store.contradicts(NOON),
    "read the fleet's key": SQLiteStore.rounding_key,
    "read releases": lambda store: store.releases(0),
    "release": lambda store: store.release(Released(0, NOON.date(), "", "")),
    "read its state": SQLiteStore.kept_since,
    "note a copy": lambda store: store.announce_copy("a copy", NOON.date()),
    "forget": lambda store: store.forget("a"),
    "prune": lambda store: store.prune(NOON, timedelta(days=3)),
    "tidy up": lambda store: store.tidy(NOON),
}


@pytest.mark.parametrize("what", WORKS)
def test_an_error_names_the_work_that_failed(what: str, tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    store.path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=f"pings.sqlite3: could not {what}: file is not a database$"):
        WORKS[what](store)
