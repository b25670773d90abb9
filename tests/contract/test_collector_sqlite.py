"""What the collector's store does on SQLite alone: its file can be taken away from under it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ff_observe.ping_collector.store import StoreError
from ff_observe.ping_collector.store.sqlite import open_sqlite
from tests.unit.ping_collector.blocking_writer import BlockingWriter
from tests.unit.ping_collector.pings import ping


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
