"""A collector on a PostgreSQL that is replicated: what is acknowledged a standby has confirmed."""

import contextlib
import logging
import threading
from collections.abc import Iterator

import psycopg
import pytest

from ff_observe.collector.store import StoreError
from ff_observe.collector.store.postgresql_connections import WRITING, connect
from ff_observe.collector.store.postgresql_replication import what_could_be_lost
from ff_observe.config.secret import Secret
from tests.contract.conftest import documents, postgresql_store
from tests.real_parts import postgresql
from tests.real_parts.processes import free_port, wait_until
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, ping

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.Cluster]:
    """A server of its own: who has to confirm commits is a setting of the whole server."""
    with postgresql.cluster(tmp_path_factory.mktemp("replication") / "cluster") as made:
        yield made


@contextlib.contextmanager
def unconfirmed(cluster: postgresql.Cluster) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """Commits wait for a standby that is not there, until the block ends."""
    with cluster.connect() as session:
        session.execute("SET synchronous_commit = local")
        _confirmed_by(session, "absent")
        try:
            yield session
        finally:
            _confirmed_by(session, "")


def _confirmed_by(session: "psycopg.Connection[tuple[object, ...]]", names: str) -> None:
    session.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
    session.execute("SELECT pg_reload_conf()")
    wait_until(lambda: session.execute("SHOW synchronous_standby_names").fetchone() == (names,), "the new setting")


def outcome_of_a_cancelled_wait(
    session: "psycopg.Connection[tuple[object, ...]]", writer: BlockingWriter, name: str
) -> "list[bool] | StoreError":
    """What a write comes to whose wait for a standby an administrator cancels."""
    outcome: list[list[bool] | StoreError] = []

    def write() -> None:
        try:
            outcome.append(writer.write([ping(name, NOON)]))
        except StoreError as error:
            outcome.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    (pid,) = wait_until(lambda: session.execute(WAITING).fetchone(), "a commit that waits for a standby")
    session.execute("SELECT pg_cancel_backend(%s)", (pid,))
    thread.join()
    return outcome[0]


def test_neither_a_commit_nor_a_duplicate_counts_before_a_standby_has_confirmed_it(cluster: postgresql.Cluster) -> None:
    """A commit whose wait is cancelled succeeds, with no more than a warning; and the sender asks again."""
    store = postgresql_store(cluster.url(cluster.create("unconfirmed")))
    with BlockingWriter(store) as writer:
        writer.write([ping("before", NOON)])
        with unconfirmed(cluster) as session:
            for _ in range(2):  # the second finds what the first has stored
                assert isinstance(outcome_of_a_cancelled_wait(session, writer, "a"), StoreError)
        assert writer.write([ping("a", NOON)]) == [False]
    assert len(documents(store, "a")) == 1


@pytest.mark.parametrize(
    ("several", "standby", "commit", "said"),
    [
        (False, False, "on", None),
        (True, False, "on", "synchronous_standby_names is empty"),
        (True, True, "on", None),
        (True, True, "remote_apply", None),
        (False, False, "off", "synchronous_commit is off"),
        (True, True, "local", "synchronous_commit is local"),
        (True, True, "remote_write", "synchronous_commit is remote_write"),
    ],
)
def test_a_collector_knows_whether_an_acknowledged_ping_can_be_lost(
    cluster: postgresql.Cluster, several: bool, standby: bool, commit: str, said: str | None
) -> None:
    url = Secret(cluster.url("postgres"))
    with unconfirmed(cluster) if standby else contextlib.nullcontext(), connect(url, WRITING) as connection:
        connection.execute(f"SET synchronous_commit = {commit}".encode())
        found = what_could_be_lost(connection, several)
    assert found is None if said is None else said in (found or "")


def test_it_says_so_at_its_start_and_once(cluster: postgresql.Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Of several hosts, of which one is dead, it finds the one that takes writes."""
    name = cluster.create("warned")
    both = f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{free_port()},127.0.0.1:{cluster.port}/{name}"
    with BlockingWriter(postgresql_store(both)) as writer, caplog.at_level(logging.INFO):
        writer.write([])
        writer.abort()
        with pytest.raises(StoreError):
            writer.write([])
        writer.write([])
    assert [record.getMessage() for record in caplog.records if "fail-over" in record.getMessage()] == [
        "a fail-over can lose acknowledged pings: no standby confirms commits (synchronous_standby_names is empty); set "
        "synchronous_mode: true in Patroni, or name standbys there"
    ]
