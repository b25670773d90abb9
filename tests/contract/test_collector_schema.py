"""The tables of every store: made and widened by collectors themselves, several at once, and written durably."""

import contextlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ff_observe.catalogue.ping_contract import FIELDS
from ff_observe.collector.store import Store
from ff_observe.collector.store.columns import COLUMNS, column_name
from ff_observe.collector.store.postgresql_connections import READING, WRITING
from ff_observe.collector.store.postgresql_connections import connect as connect_postgresql
from ff_observe.collector.store.sqlite import open_sqlite
from ff_observe.collector.store.sqlite_schema import connect as connect_sqlite
from ff_observe.config.secret import Secret
from tests.contract.conftest import WINDOW, MakeStore, documents
from tests.contract.test_collector_rollups import change
from tests.real_parts import postgresql
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import ping


def test_every_field_of_the_contract_has_a_column_of_its_own() -> None:
    assert len({column.name for column in COLUMNS}) == len(FIELDS)
    assert (
        column_name(("platform", "counts", "projectsByState", "suspended"))
        == "platform_counts_projects_by_state_suspended"
    )
    with pytest.raises(ValueError, match="no legal column name"):
        column_name(("drop table",))


def test_a_store_of_an_earlier_contract_gets_the_new_columns_and_keeps_its_pings(
    make_store: MakeStore,
) -> None:
    store = make_store()
    with BlockingWriter(store) as writer:
        writer.write([ping("old", platform__counts__users=7)])
    _forget_a_column(store, "platform_counts_teams")
    again = make_store()
    with BlockingWriter(again) as writer:
        assert writer.write([ping("new", platform__counts__teams=8)]) == [True]
    (old,), (new,) = documents(again, "old"), documents(again, "new")
    assert old["platform"]["counts"] == {"users": 7, "projectsByState": {"suspended": 5}}  # type: ignore[index]  # any JSON
    assert new["platform"]["counts"]["teams"] == 8  # type: ignore[index]  # any JSON


def _forget_a_column(store: Store, column: str) -> None:
    """Make the store as a collector would have made it whose contract lacks a field."""
    change(store, *(f"ALTER TABLE {table} DROP COLUMN {column}" for table in ("ping", "platform")))


def test_collectors_that_start_at_once_on_a_store_of_an_earlier_contract_widen_it_together(
    make_store: MakeStore,
) -> None:
    with BlockingWriter(make_store()) as writer:
        writer.write([ping("old")])
    lacking = ["platform_counts_teams", "platform_config_email_enabled", "env_nodejs", "platform_license_id"]
    for column in lacking:
        _forget_a_column(make_store(), column)
    _start_at_once(make_store)
    for index in range(5):
        assert documents(make_store(), f"{index}") == [ping(f"{index}").document()]
    assert len(documents(make_store(), "old")) == 1


def test_a_store_of_a_later_contract_is_used_as_it_is(store: Store, writer: BlockingWriter) -> None:
    writer.write([])
    change(store, "ALTER TABLE ping ADD COLUMN platform_counts_pipelines bigint")
    assert writer.write([ping("a")]) == [True]
    assert len(documents(store, "a")) == 1


def test_collectors_that_start_at_once_make_the_schema_together(make_store: MakeStore) -> None:
    _start_at_once(make_store)
    assert all(len(documents(make_store(), f"{index}")) == 1 for index in range(5))


def _start_at_once(make_store: MakeStore) -> None:
    """Five collectors, each of which stores a ping."""

    def start(index: int) -> list[bool]:
        with BlockingWriter(make_store()) as writer:
            return writer.write([ping(f"{index}")])

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(start, range(5))) == [[True]] * 5


@pytest.mark.parametrize("setting", ["off", "local"])
def test_postgresql_commits_durably_whatever_the_database_says(postgres: postgresql.Cluster, setting: str) -> None:
    url = postgres.url(name := postgres.create("not_durable"))
    with postgres.connect() as session:
        session.execute(f"ALTER DATABASE {name} SET synchronous_commit = {setting}".encode())
    with contextlib.closing(connect_postgresql(Secret(url), WRITING)) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_count_takes_one_core_of_postgresql_at_most(postgres: postgresql.Cluster) -> None:
    url = postgres.url(name := postgres.create("one_core"))
    with postgres.connect() as session:
        session.execute(f"ALTER DATABASE {name} SET max_parallel_workers_per_gather = 8".encode())
    with contextlib.closing(connect_postgresql(Secret(url), READING)) as connection:
        assert connection.execute("SHOW max_parallel_workers_per_gather").fetchone() == ("0",)


def test_a_new_sqlite_file_that_another_is_writing_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "pings.sqlite3"
    with (
        contextlib.closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other,
        BlockingWriter(open_sqlite(file, WINDOW, "collector")) as writer,
    ):
        other.execute("BEGIN IMMEDIATE")
        rollback = threading.Timer(0.2, other.execute, ["ROLLBACK"])
        rollback.start()
        assert writer.write([ping("a")]) == [True]
        rollback.join()


def test_sqlite_commits_durably(tmp_path: Path) -> None:
    """Killing a process cannot show it: what the system was not told to put on the disk outlives a process."""
    with contextlib.closing(connect_sqlite(tmp_path / "pings.sqlite3")) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
