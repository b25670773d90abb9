"""A collector on a PostgreSQL that is replicated: what is acknowledged a standby has confirmed."""

import contextlib
import logging
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ff_observe.cli import main
from ff_observe.collector.store import StoreError
from ff_observe.collector.store.postgresql_connections import WRITING, connect
from ff_observe.collector.store.postgresql_replication import SETTINGS, what_could_be_lost
from ff_observe.config.secret import Secret
from tests.contract.conftest import documents, postgresql_store
from tests.real_parts import postgresql
from tests.real_parts.processes import free_port, wait_until
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, ping

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def cluster(open_module_directory: Path) -> Iterator[postgresql.Cluster]:
    """A server of its own: who has to confirm commits is a setting of the whole server."""
    with postgresql.cluster(open_module_directory / "cluster") as made:
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
    session.execute("CHECKPOINT")  # its process decides whether commits wait, and reads its settings before it begins


def outcome_of_a_cancelled_wait(
    session: "psycopg.Connection[tuple[object, ...]]", writer: BlockingWriter, name: str
) -> BaseException | None:
    """What a write comes to whose wait for a standby an administrator cancels."""
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(writer.write, [ping(name, NOON)])
        (pid,) = wait_until(lambda: session.execute(WAITING).fetchone(), "a commit that waits for a standby")
        session.execute("SELECT pg_cancel_backend(%s)", (pid,))
        return writing.exception()


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
        answer = connection.execute(SETTINGS).fetchone()
    assert answer is not None
    found = what_could_be_lost(several, *answer)
    assert found is None if said is None else said in (found or "")


@pytest.mark.parametrize(
    ("program", "options", "connections"),
    [
        ("pg_basebackup", ("--max-rate=32", "--checkpoint=fast", "--pgdata=copy", "--dbname"), 2),
        ("pg_recvlogical", ("--create-slot", "--start", "--slot=subscriber", "--file=-", "--dbname"), 1),
    ],
)
def test_neither_a_backup_nor_a_subscriber_is_a_standby(
    open_module_directory: Path, program: str, options: tuple[str, ...], connections: int
) -> None:
    assert postgresql.BINARIES is not None
    directory = open_module_directory / program
    with postgresql.cluster(directory, "wal_level = logical\n") as cluster, cluster.connect() as session:
        session.execute("CREATE ROLE collector LOGIN PASSWORD 'planted'")
        url = cluster.url("postgres").replace(f"postgres:{postgresql.PASSWORD}@", "collector:planted@")
        following = subprocess.Popen(
            [str(postgresql.BINARIES / program), *options, cluster.url("postgres")],
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            there = "SELECT count(*) FROM pg_stat_replication"
            wait_until(lambda: session.execute(there).fetchone() == (connections,), "what follows the server")
            with connect(Secret(url), WRITING) as connection:
                assert connection.execute(SETTINGS).fetchone() == ("on", False, False)
        finally:
            following.kill()
            following.wait()


@pytest.fixture(scope="module")
def replica(cluster: postgresql.Cluster) -> Iterator[postgresql.Cluster]:
    """A standby of the cluster, from now on."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    store = postgresql_store(cluster.url(cluster.create("fleet")))
    cluster.create("without_tables")
    with BlockingWriter(store) as writer:
        writer.write([ping("a", yesterday - timedelta(days=1), env__flowforge="2.32.1")])
        writer.write([ping("a", yesterday, env__flowforge="2.33.2")])
    store.fold(datetime.now(UTC), 100)
    with postgresql.standby(cluster, cluster.directory / "standby") as standby:
        yield standby


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (["adoption"], ",2.33.2,1,"),
        (["crosstab", "flowforge", "driver"], "2.33.2,stub,1"),
        (["upgrades"], "2.32.1,2.33.2"),
        (["cohorts"], ""),
        (["histogram", "users"], ""),
        (["silent"], ""),
        (["missing-days"], ""),
    ],
)
def test_fleet_reads_a_replica(
    replica: postgresql.Cluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    question: list[str],
    answer: str,
) -> None:
    dead = f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{free_port()}/fleet"
    settings = tmp_path / "collector.yml"
    settings.write_text(f"database: {dead}\nfleet:\n  database: {replica.url('fleet')}\n")
    status = main(["fleet", *question, "--settings", str(settings), "--format", "csv"])
    said = capsys.readouterr()
    assert status == 0, said.err
    assert answer in said.out


def test_a_replica_without_tables_is_left_alone(replica: postgresql.Cluster) -> None:
    with pytest.raises(StoreError, match="start a collector on the database it follows"):
        postgresql_store(replica.url("without_tables")).rollups(NOON.date(), NOON.date(), ["seen"])


def test_it_says_so_once_at_its_start_and_when_it_is_over(
    cluster: postgresql.Cluster, replica: postgresql.Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, and as a metric. Of several hosts, of which one is dead, it finds the one that takes writes."""
    name = cluster.create("warned")
    both = f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{free_port()},127.0.0.1:{cluster.port}/{name}"
    with BlockingWriter(postgresql_store(both)) as writer, caplog.at_level(logging.INFO):
        survives = [writer.survives_failover]
        writer.write([])
        writer.write([])
        (said,) = caplog.messages
        assert said.startswith("a fail-over can lose acknowledged pings: synchronous_standby_names is empty")
        survives.append(writer.survives_failover)
        with cluster.connect() as session:
            _confirmed_by(session, "*")
            try:
                writer.write([])
            finally:
                _confirmed_by(session, "")
        survives.append(writer.survives_failover)
    assert survives == [None, False, True]
    assert caplog.messages[1:] == ["acknowledged pings can no longer be lost at a fail-over"]
