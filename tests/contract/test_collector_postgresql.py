"""What the collector's store does on PostgreSQL alone: partitions, reconnection, errors that tell nothing."""

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest

from ff_observe.collector.receiving import ingest
from ff_observe.collector.settings import CollectorSettings, PostgreSQLServer
from ff_observe.collector.settings_kinds import parse_database
from ff_observe.collector.store import Pruned, StoreError
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.postgresql_schema import LOCK
from ff_observe.config.secret import Secret
from tests.contract.conftest import counted, postgresql_store, three_days_of_pings, wait_for_lock
from tests.contract.test_collector_rollups import fold_all
from tests.real_parts import postgresql
from tests.real_parts.collector import collecting, sample
from tests.real_parts.processes import free_port, wait_until
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping


def test_pings_of_a_day_are_in_a_partition_of_their_own(in_postgresql: PostgreSQLStore) -> None:
    store = in_postgresql
    with BlockingWriter(store) as writer:
        writer.write([ping("a", later(days=-1)), ping("b", NOON)])
        writer.write([ping("a", later(days=10))])
    with psycopg.connect(store.url.reveal(), autocommit=True) as session:
        rows = session.execute("SELECT tableoid::regclass::text, count(*) FROM ping GROUP BY 1 ORDER BY 1").fetchall()
        assert rows == [("ping_20261122", 1), ("ping_20261123", 1), ("ping_20261203", 1)]
        with BlockingWriter(store) as writer:
            three_days_of_pings(writer, later(days=10))
        fold_all(store, later(days=10))
        assert store.prune(later(days=10), timedelta(days=10)) == Pruned(1)
        left = session.execute("SELECT min(inhrelid::regclass::text) FROM pg_inherits").fetchone()
    assert left == ("ping_20261123",)


@pytest.mark.parametrize("others", ["", ",127.0.0.1"])
def test_the_server_is_the_one_that_the_url_names_whatever_the_environment_says(
    in_postgresql: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")  # nothing listens there
    url = in_postgresql.url.reveal()
    if others:
        url = url.replace("@127.0.0.1:", f"@127.0.0.1:{free_port()}{others}:")
    store = postgresql_store(url)
    with BlockingWriter(store) as writer:
        assert writer.write([ping("a", NOON)]) == [True]
    assert counted(store, later(seconds=1)).seen.by_window["1d"] == 1


@pytest.mark.parametrize("work", ["fold", "prune", "drop empty ones"])
def test_what_names_a_partition_locks_the_table_before_it(in_postgresql: PostgreSQLStore, work: str) -> None:
    """As `ALTER TABLE` does, an operator's or that of a newer collector: in the other order the two deadlock."""
    store, url, now = in_postgresql, in_postgresql.url.reveal(), later(days=10)
    with BlockingWriter(store) as writer:
        writer.write([ping("a", NOON)])  # the day after it gets a partition, too
        three_days_of_pings(writer, now)
    stopped = threading.Event()
    works: dict[str, Callable[[], object]] = {
        "fold": partial(store.fold, now, 100),
        "prune": partial(store.prune, now, timedelta(days=5)),
        "drop empty ones": partial(drop_empty_partitions, store),
    }

    def keep_working() -> None:
        while not stopped.is_set():
            with contextlib.suppress(StoreError, psycopg.Error):  # it waits half a second for a lock
                works[work]()

    thread = threading.Thread(target=keep_working)
    with psycopg.connect(url) as altering, psycopg.connect(url, autocommit=True) as looking:
        altering.execute("LOCK TABLE ONLY ping IN ACCESS EXCLUSIVE MODE")
        thread.start()
        try:
            held: list[tuple[object, ...]] = []

            def waits() -> bool:
                held[:] = looking.execute(_HELD_BY_WHO_WAITS).fetchall()
                return held != []

            wait_until(waits, "the collector to wait for the table")
        finally:
            stopped.set()
            altering.rollback()
            thread.join()
    assert held == [(0,)]


def drop_empty_partitions(store: PostgreSQLStore) -> None:
    with store._session("drop partitions") as session:
        session.drop_empty(set())


_HELD_BY_WHO_WAITS = """
SELECT (SELECT count(*) FROM pg_locks AS held JOIN pg_inherits ON inhrelid = held.relation
        WHERE held.pid = waiting.pid AND held.granted AND inhparent = 'ping'::regclass)
FROM pg_locks AS waiting WHERE NOT granted AND relation = 'ping'::regclass
"""


def test_a_day_begins_and_ends_in_utc_wherever_the_database_is(postgres: postgresql.Cluster) -> None:
    url = postgres.url(name := postgres.create("antipodes"))
    with postgres.connect() as session:
        session.execute(f"ALTER DATABASE {name} SET timezone = 'Pacific/Auckland'".encode())
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    edges = {midnight - timedelta(microseconds=1): "ping_20261123", midnight: "ping_20261124"}
    store = postgresql_store(url)
    writer = BlockingWriter(store)
    writer.write([ping(partition, at) for at, partition in edges.items()])
    with psycopg.connect(url) as session:
        rows = session.execute("SELECT instance_id, tableoid::regclass::text FROM ping").fetchall()
    assert sorted(rows) == [(partition, partition) for partition in edges.values()]
    assert [each.received_at for partition in edges.values() for each in store.export(partition)] == list(edges)
    three_days_of_pings(writer, midnight + timedelta(days=10))
    writer.close()
    fold_all(store, midnight + timedelta(days=10))
    assert store.prune(midnight + timedelta(days=10, microseconds=-1), timedelta(days=10)).pings == 0
    assert store.prune(midnight + timedelta(days=10), timedelta(days=10)).pings == 1


def test_a_day_begins_without_another_connection(postgres: postgresql.Cluster) -> None:
    """The server may have none to give just then."""
    url = postgres.url(name := postgres.create("midnight"))
    with BlockingWriter(postgresql_store(url)) as writer:
        writer.write([ping("a", NOON)])
        with postgres.connect() as session:
            session.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            assert writer.write([ping("b", later(days=1)), ping("c", later(days=3))]) == [True, True]
            session.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def test_a_partition_that_upkeep_has_dropped_is_made_again(in_postgresql: PostgreSQLStore) -> None:
    with BlockingWriter(in_postgresql) as writer:
        three_days_of_pings(writer, NOON)
        writer.write([ping("a", later(days=40))])  # by a clock that is ahead, which upkeep corrects
        in_postgresql.tidy(NOON)
        with psycopg.connect(in_postgresql.url.reveal()) as session:
            there = session.execute("SELECT count(*) FROM pg_class WHERE relname = 'ping_20270103'").fetchone()
        assert there == (0,)
        assert writer.write([ping("b", later(days=41))]) == [True]


def test_postgresql_that_went_away_is_an_error_and_then_found_again(postgres: postgresql.Cluster) -> None:
    with BlockingWriter(postgresql_store(postgres.url(postgres.create("gone")))) as writer:
        writer.write([ping("a")])
        with postgres.connect() as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'gone'")
        with pytest.raises(StoreError, match="AdminShutdown"):
            writer.write([ping("b")])
        assert writer.write([ping("b")]) == [True]


def test_a_database_in_another_encoding_is_refused(postgres: postgresql.Cluster) -> None:
    with postgres.connect() as session:
        session.execute("DROP DATABASE IF EXISTS latin")
        session.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    refused = pytest.raises(StoreError, match="ENCODING 'UTF8'")
    with BlockingWriter(postgresql_store(postgres.url("latin"))) as writer, refused:
        writer.write([ping("a")])


def test_an_error_of_the_database_tells_neither_password_nor_ping(postgres: postgresql.Cluster) -> None:
    store = postgresql_store(postgres.url("no-such-database"))
    reason = "could not store pings: it cannot be reached, or does not let this"
    with BlockingWriter(store) as writer, pytest.raises(StoreError, match=reason) as caught:
        writer.write([ping("canary")])
    assert postgresql.PASSWORD not in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("tables_are_there", "lock"),
    [
        (True, "LOCK TABLE recent IN ACCESS EXCLUSIVE MODE"),
        (False, f"SELECT pg_advisory_xact_lock({LOCK})"),  # they are made over another connection
    ],
)
def test_a_write_that_hangs_in_postgresql_is_aborted(
    in_postgresql: PostgreSQLStore, tables_are_there: bool, lock: str
) -> None:
    with BlockingWriter(in_postgresql) as writer:
        if tables_are_there:
            writer.write([])
        with psycopg.connect(in_postgresql.url.reveal()) as holder, ThreadPoolExecutor() as pool:
            holder.execute(lock.encode())
            writing = pool.submit(writer.write, [ping("a")])
            wait_for_lock(in_postgresql)
            writer.abort()
            assert isinstance(writing.exception(3), StoreError), "by itself it would wait for 9 s"
        assert writer.write([ping("a")]) == [True]


def test_a_backup_that_holds_the_tables_keeps_no_ping_from_being_stored(in_postgresql: PostgreSQLStore) -> None:
    """pg_dump holds this lock on every table until it is done, hours perhaps."""
    store = in_postgresql
    with BlockingWriter(store) as writer:
        writer.write([ping("old", later(days=-5))])
        three_days_of_pings(writer, NOON)
        fold_all(store, NOON)
        with psycopg.connect(store.url.reveal()) as backup, ThreadPoolExecutor() as pool:
            backup.execute("LOCK TABLE ping, platform, recent IN ACCESS SHARE MODE")
            store.tidy(later(days=10))  # makes the partitions of days to come
            pruning = pool.submit(store.prune, NOON, timedelta(days=2))
            wait_for_lock(store)
            assert writer.write([ping("in between")]) == [True]
            assert "LockNotAvailable" in str(pruning.exception())
        assert store.prune(NOON, timedelta(days=2)).pings == 1


def test_a_database_that_writes_dates_in_another_way_is_read(postgres: postgresql.Cluster) -> None:
    name = postgres.create("german")
    with postgres.connect() as session:
        session.execute(f"ALTER DATABASE {name} SET datestyle = 'German, DMY'".encode())
    store = postgresql_store(postgres.url(name))
    with BlockingWriter(store) as writer:
        writer.write([ping("old", later(days=-5))])
        three_days_of_pings(writer, NOON)
    assert store.fold(NOON, 9).oldest_due is None
    assert store.prune(NOON, timedelta(days=2)).pings == 1
    assert store.kept_since() == later(days=-4).date()
    assert counted(store, NOON) == store.last_count()


def test_of_several_hosts_the_one_that_takes_writes_is_used(postgres: postgresql.Cluster, open_directory: Path) -> None:
    name = postgres.create("several")
    with postgresql.cluster(open_directory / "standby") as standby:
        with standby.connect() as session:
            session.execute("CREATE DATABASE several")
            session.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            session.execute("SELECT pg_reload_conf()")
        hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), standby.port, postgres.port))
        url = f"postgresql://postgres:{postgresql.PASSWORD}@{hosts}/{name}?target_session_attrs=read-write"
        database = parse_database(url)
        assert isinstance(database, PostgreSQLServer)
        store = postgresql_store(database.url.reveal())
        with BlockingWriter(store) as writer:
            assert writer.write([ping("a")]) == [True]
        assert len(list(store.export("a"))) == 1
    assert len(list(postgresql_store(postgres.url(name)).export("a"))) == 1


def test_the_store_is_probed_without_pings_and_its_recovery_noticed(
    tmp_path: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "PROBE_SECONDS", 0.05)
    directory, port = open_directory / "cluster", free_port()
    postgresql.initialise(directory)
    url = Secret(f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{port}/postgres")
    settings = CollectorSettings(port=0, data_dir=tmp_path / "data", database=PostgreSQLServer(url))

    def up(value: float) -> Callable[[], bool]:
        return lambda: sample(running.port, "ff_observe_collector_store_up") == value

    with collecting(settings) as running:
        wait_until(up(0), "the missing database to be noticed")
        for _ in range(2):
            with postgresql.server(directory, port):
                wait_until(up(1), "the database to be noticed")
            wait_until(up(0), "its end to be noticed")


def test_a_schema_in_which_every_role_may_make_functions_is_named(
    in_postgresql: PostgreSQLStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with psycopg.connect(in_postgresql.url.reveal(), autocommit=True) as owner, BlockingWriter(in_postgresql) as writer:
        writer.write([])
        assert caplog.messages == []
        for change, said in (
            ("GRANT CREATE ON SCHEMA public TO PUBLIC", "make functions in its schema public that run with"),
            ("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "only the owner"),
        ):
            owner.execute(change)
            for _ in range(2):
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                    "AND application_name = 'ff-observe-collector' AND datname = current_database()"
                )
                with contextlib.suppress(StoreError):  # the session that was ended
                    writer.write([])
                writer.write([])
            (message,) = caplog.messages
            assert said in message
            caplog.clear()
