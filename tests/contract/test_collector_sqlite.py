"""What the collector's store does on SQLite alone: its file can be taken away from under it."""

import contextlib
import itertools
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ff_observe.collector.store import StoreError, sqlite, sqlite_schema
from ff_observe.collector.store.sqlite import open_sqlite
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import later, ping


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


def test_forgotten_platforms_are_deleted_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    monkeypatch.setattr(sqlite, "PRUNED_AT_ONCE", 3)
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
        monkeypatch.setattr(sqlite, "connect", connect)
        store.prune(later(days=7), timedelta(days=2))
    left.append(platforms())
    assert (left[0], left[-1]) == (11, 1)
    assert max(before - after for before, after in itertools.pairwise(left)) <= 3
