"""What is deleted is in no file of the database any more: the raw files of a real data directory are searched."""

import contextlib
import logging
import re
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from ff_observe.collector.store import Ping, Store, StoreError, postgresql_erasure
from ff_observe.collector.store import sqlite as sqlite_store
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.postgresql_connections import Connection
from ff_observe.collector.store.postgresql_erasure import note
from ff_observe.collector.store.postgresql_schema import add_partitions, partitions
from ff_observe.collector.store.sqlite import SQLiteStore, open_sqlite
from tests.contract.conftest import WINDOW, MakeStore, counted, postgresql_store, three_days_of_pings, wait_for_lock
from tests.contract.test_collector_rollups import fold_all
from tests.real_parts import postgresql
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

ID = "9d1cf0ab-f04e-4caa-9e1d-forgotten-00"
VALUE = "6.66-planted-kernel"
SENDER = b"\xfa\xce planted sender hash".ljust(32, b"\xfa")
PARTITION = "ping_20261123"
MARKS = (ID.encode(), VALUE.encode(), SENDER, SENDER.hex().encode())


def planted(at_days: float = 0) -> list[Ping]:
    return [ping(ID, later(days=at_days), sender=SENDER, os__release=VALUE)]


def holding(store: Store, postgres: postgresql.Cluster | None, marks: Iterable[bytes] = MARKS) -> set[str]:
    """The files that hold a mark. The write-ahead log of PostgreSQL is not searched: docs/collector.md says what of it
    is kept, and until when."""
    if isinstance(store, SQLiteStore):
        files = list(store.path.parent.iterdir())
    else:
        assert postgres is not None
        with session_of(store) as session:
            session.execute("CHECKPOINT")
            oid = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
            assert oid is not None
        data = postgres.directory / "data"
        files = [path for part in (f"base/{oid[0]}", "global", "pg_stat") for path in (data / part).iterdir()]
    found = set()
    for path in files:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            content = path.read_bytes()
            found |= {path.name for mark in marks if mark in content}
    return found


@pytest.fixture
def cluster(request: pytest.FixtureRequest, make_store: MakeStore) -> postgresql.Cluster | None:
    is_sqlite = isinstance(make_store(), SQLiteStore)
    return None if is_sqlite else request.getfixturevalue("postgres")


def session_of(store: Store) -> "psycopg.Connection[tuple[object, ...]]":
    assert isinstance(store, PostgreSQLStore)
    return psycopg.connect(store.url.reveal(), autocommit=True)


def test_what_is_forgotten_is_in_no_file(
    store: Store, writer: BlockingWriter, cluster: postgresql.Cluster | None
) -> None:
    writer.write([ping(f"before-{index}", sender=None) for index in range(40)])
    for days in range(3):
        writer.write([*planted(days), *(ping(f"{days}-{index}", later(days=days), sender=None) for index in range(40))])
    if not isinstance(store, SQLiteStore):
        with session_of(store) as session:
            session.execute("ANALYZE")  # as autovacuum does by itself
    assert holding(store, cluster), "the search would find it"
    assert store.forget(ID) == 3
    assert holding(store, cluster) == set()
    assert len(list(store.export("2-7"))) == 1


def test_what_was_pruned_is_in_no_file_after_the_next_upkeep(
    store: Store, writer: BlockingWriter, cluster: postgresql.Cluster | None
) -> None:
    writer.write([*planted(), *(ping(f"{index}", sender=None) for index in range(40))])
    three_days_of_pings(writer, later(days=20))
    assert holding(store, cluster), "the search would find it"
    fold_all(store, later(days=20))
    assert store.prune(later(days=20), timedelta(days=10)).pings == 41
    store.tidy(later(days=20))
    assert holding(store, cluster) == set()


def test_no_copy_stays_where_a_ping_was_before_it_was_dated_anew(
    store: Store, writer: BlockingWriter, cluster: postgresql.Cluster | None
) -> None:
    three_days_of_pings(writer, NOON)
    writer.write(planted(2))  # by a clock that is ahead; its day has a partition already, which stays
    store.tidy(NOON)
    assert [each.received_at for each in store.export(ID)] == [NOON]
    assert store.forget(ID) == 1
    assert holding(store, cluster) == set()


VERSION = "6.6.6-planted"
WITHOUT_ID = (VERSION.encode(), SENDER, SENDER.hex().encode())


def test_what_was_made_of_pruned_pings_is_in_no_file_after_the_next_upkeep(
    store: Store, writer: BlockingWriter, cluster: postgresql.Cluster | None
) -> None:
    """Roll-ups, counts, and the rows of a platform that still pings: few, so that they are not written over."""
    for day in (0, 1, 17, 18, 19):
        planted = ping(ID, later(days=day), sender=SENDER, env__flowforge=VERSION)
        writer.write([planted if day == 0 else ping(ID, later(days=day), sender=None)])
        counted(store, later(days=day))
        fold_all(store, later(days=day + 1))
    assert holding(store, cluster, WITHOUT_ID), "the search would find it"
    assert store.prune(later(days=19), timedelta(days=17)).pings == 2, "with the day of the upgrade from it"
    store.tidy(later(days=19))
    assert holding(store, cluster, WITHOUT_ID) == set()


def test_roll_ups_that_were_deleted_are_in_no_file_after_the_next_upkeep(
    store: Store, writer: BlockingWriter, cluster: postgresql.Cluster | None
) -> None:
    writer.write([ping(f"{index}", env__flowforge=VERSION) for index in range(9)])
    three_days_of_pings(writer, later(days=20))
    fold_all(store, later(days=20))
    for rollups in (30, 15):
        store.prune(later(days=20), timedelta(days=10), timedelta(days=rollups))
        store.tidy(later(days=20))
        assert (holding(store, cluster, WITHOUT_ID) == set()) == (rollups == 15), "nine had it: it is kept until then"


@contextlib.contextmanager
def reading(store: Store) -> Iterator[None]:
    """A backup: it has begun before, and may still read what is deleted."""
    if isinstance(store, SQLiteStore):
        with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM ping").fetchone()
            yield
    else:
        with session_of(store) as backup, backup.transaction():
            backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            backup.execute("SELECT 1")
            yield


def test_a_platform_whose_pings_are_pruned_is_forgotten(store: Store, writer: BlockingWriter) -> None:
    """By a clock that is behind, which deletes a part of a day."""
    writer.write([ping(ID, later(days=-4, hours=-4))])
    for days in (3, 2, 1, 0):
        writer.write([ping("another", later(days=-days))])
    fold_all(store, NOON)
    store.prune(later(days=-1), timedelta(days=3))
    store.forget(ID)
    with store._session("look") as session:
        assert session.run("SELECT instance_id FROM fleet_seen") == [("another",)]


@pytest.mark.parametrize("then", ["forget", "upkeep"])
def test_copies_that_a_reader_keeps_are_an_error_and_removed_once_it_is_gone(
    store: Store,
    writer: BlockingWriter,
    cluster: postgresql.Cluster | None,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
) -> None:
    monkeypatch.setattr(sqlite_store, "CLEARING_ATTEMPTS", 1)
    writer.write([*planted(), ping("other")])
    with reading(store):
        with pytest.raises(StoreError, match="1 pings are deleted, but copies are left in") as caught:
            store.forget(ID)
        assert ID not in str(caught.value)
        assert list(store.export(ID)) == []
        assert holding(store, cluster), "the error is true"
        store.tidy(NOON)
        assert writer.write([ping("meanwhile")]) == [True]
    if then == "forget":
        assert store.forget(ID) == 0
    else:
        store.tidy(NOON)
    assert holding(store, cluster) == set()


def test_samples_taken_of_a_store_of_an_earlier_version_are_removed(
    postgres: postgresql.Cluster, in_postgresql: PostgreSQLStore
) -> None:
    store = in_postgresql
    with BlockingWriter(store) as writer:
        writer.write([*planted(), *(ping(f"{index}") for index in range(200))])
    columns = re.findall("[a-z_]+", "instance_id platform_license_id os_release sender")
    with session_of(store) as session:
        for table in ("ping", "ping_20261123", "platform"):
            for column in columns[: 3 if table == "platform" else 4]:
                session.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS -1".encode())
        session.execute("DROP TABLE collector_rewrite")
        session.execute("ANALYZE")
        samples = "SELECT count(*) FROM pg_stats WHERE attname = ANY(%s)"
        assert session.execute(samples, (columns,)).fetchone() != (0,), "as an earlier version left it"
        assert store.forget(ID) == 1
        assert session.execute(samples, (columns,)).fetchone() == (0,)
        assert holding(store, postgres) == set()
        session.execute("ANALYZE")
        assert session.execute(samples, (columns,)).fetchone() == (0,), "and none are taken again"


def test_whoever_may_not_rewrite_a_table_is_told_that_copies_are_left(postgres: postgresql.Cluster) -> None:
    url = postgres.url(name := postgres.create(f"owned_{uuid.uuid4().hex}"))
    with BlockingWriter(postgresql_store(url)) as writer:
        writer.write(planted())
    with postgres.connect(name) as session:
        session.execute("DROP ROLE IF EXISTS clerk")
        session.execute("CREATE ROLE clerk LOGIN PASSWORD 'clerk'")
        session.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk")
    by_clerk = postgresql_store(url.replace(f"postgres:{postgresql.PASSWORD}@", "clerk:clerk@"))
    with pytest.raises(StoreError, match="who must run VACUUM FULL on it"):
        by_clerk.forget(ID)


NOT_REWRITTEN = """
CREATE OR REPLACE FUNCTION indexed(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
$$BEGIN RAISE SQLSTATE '53100' USING MESSAGE = 'could not extend file'; END$$
"""
"""VACUUM FULL makes the indexes of a table anew, and fails as on a full disk."""
REWRITTEN = """
CREATE OR REPLACE FUNCTION indexed(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN $1; END$$
"""


def test_a_table_that_cannot_be_rewritten_is_an_error_of_forget_and_keeps_no_other_from_it(
    postgres: postgresql.Cluster, in_postgresql: PostgreSQLStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = in_postgresql
    with BlockingWriter(store) as writer:
        writer.write([*planted(), *(ping(f"{index}", sender=None) for index in range(40))])
    caplog.set_level(logging.INFO, "ff_observe.collector")
    with session_of(store) as session:
        session.execute(REWRITTEN)
        session.execute("CREATE INDEX ON platform (indexed(instance_id))")
        session.execute(NOT_REWRITTEN)
        with pytest.raises(
            StoreError, match=r"left in the files of platform after DiskFull \(SQLSTATE 53100\): a table"
        ):
            store.forget(ID)
        assert noted(session) == ["platform"]
        for _ in range(2):
            store.tidy(NOON)
        session.execute(REWRITTEN)
        store.tidy(NOON)
        assert noted(session) == []
    assert holding(store, postgres) == set()
    assert [(each.levelname, each.getMessage().partition(" until ")[0]) for each in caplog.records] == [
        (
            "WARNING",
            "copies of what was deleted stay in the files of platform after DiskFull (SQLSTATE 53100)",
        ),
        ("INFO", "no copies of what was deleted are left in the files of tables"),
    ]


def test_tables_are_rewritten_while_an_empty_partition_cannot_be_dropped(in_postgresql: PostgreSQLStore) -> None:
    store = in_postgresql
    with BlockingWriter(store) as writer:
        writer.write([ping("a")])
    with session_of(store) as session, psycopg.connect(store.url.reveal()) as backup:
        add_partitions(session, {later(days=-40).date()})
        note(session, ["recent"])
        backup.execute("LOCK TABLE ONLY ping IN ACCESS SHARE MODE")
        store.tidy(NOON)
        assert noted(session) == []
        assert later(days=-40).date() in partitions(session)


def test_rewriting_ends_with_its_connection(in_postgresql: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = in_postgresql
    with BlockingWriter(store) as writer:
        writer.write(planted())
    rewrite = postgresql_erasure._rewrite
    begun: list[str] = []

    def interrupted(connection: Connection, table: str) -> bool:
        begun.append(table)
        store.interrupt()
        return rewrite(connection, table)

    monkeypatch.setattr(postgresql_erasure, "_rewrite", interrupted)
    with pytest.raises(StoreError, match="could not rewrite tables: it cannot be reached"):
        store.forget(ID)
    assert begun == ["fleet_count"]


def noted(session: "psycopg.Connection[tuple[object, ...]]") -> list[object]:
    return [name for (name,) in session.execute("SELECT name FROM collector_rewrite ORDER BY name").fetchall()]


def test_sqlite_forgets_while_a_collector_has_the_file_open(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "pings.sqlite3", WINDOW, "collector")
    with BlockingWriter(store) as writer:
        writer.write(planted())
        assert store.forget(ID) == 1
        assert holding(store, None) == set()
        assert writer.write([ping("a")]) == [True]


@pytest.mark.parametrize("committed", ["before it is done", "after it is done"])
def test_what_is_deleted_while_another_rewrites_the_table_is_removed_too(
    postgres: postgresql.Cluster, in_postgresql: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch, committed: str
) -> None:
    store = in_postgresql
    with BlockingWriter(store) as writer:
        writer.write([*planted(), *(ping(f"{index}", sender=None) for index in range(40))])
    rewrite = postgresql_erasure._rewrite
    with psycopg.connect(store.url.reveal()) as meanwhile:

        def delete_after(connection: Connection, table: str) -> bool:
            is_clean = rewrite(connection, table)
            if table == PARTITION:
                meanwhile.execute("DELETE FROM ping WHERE instance_id = %s", (ID,))
                note(meanwhile, [PARTITION])
                if committed == "before it is done":
                    meanwhile.commit()
            return is_clean

        monkeypatch.setattr(postgresql_erasure, "_rewrite", delete_after)
        assert store.forget("7") == 1
        meanwhile.commit()
    monkeypatch.undo()
    assert holding(store, postgres), "the search would find it"
    assert store.forget(ID) == 0, "its pings are deleted already"
    assert holding(store, postgres) == set()


def test_who_notes_tables_while_others_do_never_deadlocks_with_them(in_postgresql: PostgreSQLStore) -> None:
    store = in_postgresql
    with BlockingWriter(store) as writer:
        writer.write(planted(-20))
        three_days_of_pings(writer, NOON)
    fold_all(store, NOON)
    with session_of(store) as session:
        assert noted(session) == [], "nothing was deleted from the days that were rolled up"
        session.execute("INSERT INTO fleet_seen (instance_id, day, days, sender) VALUES ('long ago', 1, 1, '')")
    with ThreadPoolExecutor() as pool, psycopg.connect(store.url.reveal()) as forgetting:
        forgetting.execute("DELETE FROM fleet_seen")
        pruning = pool.submit(store.prune, NOON, timedelta(days=10))
        wait_for_lock(store)
        note(forgetting, ["fleet_count", "fleet_seen", "platform", "recent"])
        forgetting.commit()
        assert pruning.result().pings == 1


def test_notes_are_locked_in_one_order(in_postgresql: PostgreSQLStore) -> None:
    store = in_postgresql
    assert list(store.export(ID)) == []
    with session_of(store) as session:
        note(session, ["platform", "recent"])
    with psycopg.connect(store.url.reveal()) as first, psycopg.connect(store.url.reveal()) as second:
        note(first, ["platform"])
        other = threading.Thread(target=note, args=(second, ["recent", "platform"]))
        other.start()
        wait_for_lock(store)
        try:
            with session_of(store) as session:
                session.execute("SET lock_timeout = '1s'")
                note(session, ["recent"])
        finally:
            first.commit()
            other.join()
