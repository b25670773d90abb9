"""Reading FlowFuse's PostgreSQL: one read-only statement for each snapshot, and back by itself after any failure."""

import contextlib
import logging
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.platform.sources import postgresql_session
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.postgresql_session import ConnectionLostError
from tests.network_guard import guarded_environment
from tests.pace import pace, within
from tests.platforms import case_named, cluster_database, reported
from tests.real_parts.postgresql import PASSWORD, Cluster, initialise, server
from tests.real_parts.processes import free_port, wait_until
from tests.unit.platform.hostile import compute_team_type_names

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASE = case_named("v2.4.0-postgres-dev")


@pytest.fixture(scope="module")
def log_begins(postgres: Cluster) -> int:
    """Where the log of these tests begins."""
    return postgres.log.stat().st_size


@pytest.fixture
def database(postgres: Cluster) -> PostgreSQLDatabase:
    return cluster_database(postgres, postgres.load("changed", CASE.home / "dump.sql"))


@pytest.fixture
def source(database: PostgreSQLDatabase) -> Iterator[PostgreSQLSource]:
    opened = PostgreSQLSource(database)
    yield opened
    opened.close()


SENT = re.compile("(?:statement|execute ff_observe_[0-9a-f]+): ")


def connection_of(source: PostgreSQLSource) -> "psycopg.Connection[tuple[object, ...]]":
    connection = vars(source)["_connection"]
    assert isinstance(connection, psycopg.Connection)
    return connection


def write(cluster: Cluster, *statements: str) -> None:
    with cluster.connect("changed") as connection:
        for statement in statements:
            connection.execute(statement.encode())


def logged(cluster: Cluster, source: PostgreSQLSource, since: int) -> list[str]:
    """The statements that this source's session has sent, as the server logged them."""
    session = str(connection_of(source).info.backend_pid)
    entries = re.split(r"^(?=\d+ \S* ?LOG:|\d+ )", cluster.logged(since), flags=re.MULTILINE)
    return [
        SENT.split(entry, maxsplit=1)[1]
        for entry in entries
        if entry.startswith(f"{session} ff-observe LOG:") and SENT.search(entry)
    ]


def test_the_session_cannot_write(source: PostgreSQLSource, postgres: Cluster) -> None:
    source.read(AT)
    for statement in (
        'DELETE FROM public."Users"',
        'UPDATE public."Devices" SET mode = NULL',
        "CREATE TABLE public.own (id int)",
    ):
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection_of(source).execute(statement.encode())


def test_each_snapshot_is_one_statement(source: PostgreSQLSource, postgres: Cluster, log_begins: int) -> None:
    source.read(AT)
    before = logged(
        postgres, source, log_begins
    )  # a look at the schema when connecting, and what has an interval of its own
    for _ in range(3):
        source.read(AT)
    statements = logged(postgres, source, log_begins)
    counting = statements[len(before) :]
    assert len(counting) == 3
    for table in ("Users", "Projects", "Devices", "ProjectSnapshots", "Teams", "TeamTypes", "PlatformSettings"):
        for statement in counting:
            assert len(re.findall(f'(?:FROM|JOIN) "public"."{table}"', statement)) == 1, table
    assert not any(word in statement for statement in statements for word in ("BEGIN", "COMMIT", "MetaVersions"))


def test_the_session_is_never_left_in_a_transaction(source: PostgreSQLSource, postgres: Cluster) -> None:
    source.read(AT)
    with postgres.connect() as connection:
        rows = connection.execute(
            "SELECT state, application_name FROM pg_stat_activity WHERE pid = %s",
            [connection_of(source).info.backend_pid],
        ).fetchall()
    assert rows == [("idle", "ff-observe")]


def test_an_upgrade_is_noticed_while_running(
    source: PostgreSQLSource, postgres: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source.read(AT)
    assert "flowfuse_remote_brokers" not in source.read(AT).readings
    assert caplog.text.count("no table BrokerCredentials: flowfuse_remote_brokers is not reported") == 1
    write(postgres, 'CREATE TABLE "BrokerCredentials" (id int)', 'INSERT INTO "BrokerCredentials" VALUES (1)')
    assert source.read(AT).readings["flowfuse_remote_brokers"] == {(): 1}
    assert caplog.text.count("flowfuse_remote_brokers is reported from now on") == 1


def test_tables_and_columns_that_go_make_their_counts_absent(source: PostgreSQLSource, postgres: Cluster) -> None:
    source.read(AT)
    write(postgres, 'DROP TABLE "Subscriptions"', 'ALTER TABLE "Devices" DROP COLUMN mode')
    answer = source.read(AT)
    assert answer.failures == {}
    assert not {"flowfuse_teams_by_billing_state", "flowfuse_devices_by_mode"} & answer.readings.keys()
    assert answer.readings["flowfuse_devices"] == {(): 17}
    write(postgres, 'ALTER TABLE "Devices" ADD COLUMN mode varchar(255)')
    assert source.read(AT).readings["flowfuse_devices_by_mode"][("none",)] == 17


def test_a_table_that_may_not_be_read_does_not_take_the_others_down(
    database: PostgreSQLDatabase, postgres: Cluster, log_begins: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(
        postgres,
        "DO $$ BEGIN CREATE ROLE reader LOGIN PASSWORD 'reader-password'; EXCEPTION WHEN duplicate_object THEN END $$",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        'REVOKE SELECT ON "Devices" FROM reader',
    )
    reader = replace(database, user="reader", password=Secret("reader-password"))
    with contextlib.closing(PostgreSQLSource(reader)) as source:
        for seconds in range(3):
            answer = source.read(AT + timedelta(seconds=seconds))
            assert set(reported(answer.failures)) == {
                "flowfuse_devices",
                "flowfuse_devices_by_mode",
                "flowfuse_devices_by_last_seen",
            }
            assert "permission denied for table Devices" in answer.failures["flowfuse_devices"]
            assert answer.readings["flowfuse_users"] == {(): 10}
        counting = [statement for statement in logged(postgres, source, log_begins) if "count(*)" in statement]
        assert sum('"Users"' in statement and '"Projects"' in statement for statement in counting[-2:]) == 2
        write(postgres, 'GRANT SELECT ON "Devices" TO reader')
        answer = source.read(AT + timedelta(minutes=2))
        assert answer.failures == {}
        assert answer.readings["flowfuse_devices"] == {(): 17}
    assert [record.levelname for record in caplog.records if "table Devices" in record.getMessage()] == ["WARNING"]
    assert caplog.text.count("devices can be read again") == 1


def test_a_table_that_is_locked_does_not_take_the_others_down(source: PostgreSQLSource, postgres: Cluster) -> None:
    source.read(AT)
    with postgres.connect("changed") as connection:
        connection.execute('BEGIN; LOCK TABLE "Invitations" IN ACCESS EXCLUSIVE MODE')
        answer = source.read(AT)
    assert set(answer.failures) == {"flowfuse_invitations"}
    assert answer.readings["flowfuse_users"] == {(): 10}
    assert set(source.read(AT + timedelta(seconds=9)).failures) == {"flowfuse_invitations"}
    assert source.read(AT + timedelta(seconds=15)).failures == {}, "the next scrape has it again"


def test_a_table_that_stays_locked_is_asked_ever_more_rarely(
    source: PostgreSQLSource, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = vars(postgresql_session)["_OPTIONS"].replace("lock_timeout=1s", "lock_timeout=20ms")
    assert "lock_timeout=20ms" in options
    monkeypatch.setattr(postgresql_session, "_OPTIONS", options)
    begins = postgres.log.stat().st_size

    def refused() -> int:
        return postgres.logged(begins).count("canceling statement due to lock timeout at character")

    def is_asked(seconds: int) -> bool:
        before = refused()
        assert set(reported(source.read(AT + timedelta(seconds=seconds)).failures)) == {"flowfuse_invitations"}
        return refused() > before

    with postgres.connect("changed") as connection:
        connection.execute('BEGIN; LOCK TABLE "Invitations" IN ACCESS EXCLUSIVE MODE')
        asked = [seconds for seconds in range(0, 240, 5) if is_asked(seconds)]
    assert asked == [0, 10, 30, 70, 130, 190]
    assert source.read(AT + timedelta(seconds=250)).failures == {}


def test_a_connection_cut_while_idle_is_no_failure(source: PostgreSQLSource, postgres: Cluster) -> None:
    source.read(AT)
    session = connection_of(source).info.backend_pid
    with postgres.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [session])

        def gone() -> bool:
            found = connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [session]).fetchone()
            return found is None

        wait_until(gone, "the session to end")
    assert source.read(AT).readings["flowfuse_users"] == {(): 10}


def test_the_server_stopped_and_started_is_an_error_meanwhile_and_none_after(open_directory: Path) -> None:
    initialise(open_directory / "own")
    port = free_port()
    cluster = Cluster(open_directory / "own", port)
    with contextlib.ExitStack() as running:
        running.enter_context(server(cluster.directory, port))
        source = PostgreSQLSource(cluster_database(cluster, cluster.load("platform", CASE.home / "dump.sql")))
        running.callback(source.close)
        assert source.read(AT).readings["flowfuse_users"] == {(): 10}
        running.pop_all().close()
        for _ in range(2):
            with pytest.raises(SourceError, match=rf"127\.0\.0\.1:{port}/platform.*refused"):
                source.read(AT)
    with server(cluster.directory, port), contextlib.closing(source):
        assert source.read(AT).readings["flowfuse_users"] == {(): 10}


def test_a_server_that_accepts_and_is_silent_is_an_error_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_session, "CONNECT_SECONDS", 2)  # the least that libpq knows
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = PostgreSQLDatabase("127.0.0.1", listener.getsockname()[1], "forge", Secret("secret-word"))
        with (
            contextlib.closing(PostgreSQLSource(settings)) as source,
            within(4),
            pytest.raises(SourceError, match="timeout"),
        ):
            source.read(AT)


class _Relay:
    """Passes bytes on to a server, until it is told to hold them back."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.held = threading.Event()
        self._server_port = port
        self._open: list[socket.socket] = [self.listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                upstream = socket.create_connection(("127.0.0.1", self._server_port))
                self._open += [client, upstream]
                for pair in ((client, upstream), (upstream, client)):
                    thread = threading.Thread(target=self._pass_on, args=pair)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.held.is_set():
                    target.sendall(data)

    def close(self) -> None:
        for opened in self._open:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        for thread in self._threads:
            thread.join(5)


def test_a_way_to_the_server_that_goes_silent_is_an_error_within_the_limit(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_session, "READ_LIMIT_SECONDS", 0.3 * pace().slowness)
    with (
        contextlib.closing(_Relay(database.port)) as relay,
        contextlib.closing(PostgreSQLSource(replace(database, port=relay.port))) as source,
    ):
        source.read(AT)
        relay.held.set()
        with pytest.raises(SourceError, match="did not answer within"):
            source.read(AT)
        relay.held.clear()
        assert source.read(AT).readings["flowfuse_users"] == {(): 10}


def test_close_ends_a_reading_in_another_thread(source: PostgreSQLSource, postgres: Cluster) -> None:
    source.read(AT)
    errors: list[SourceError] = []

    def read() -> None:
        try:
            source.read(AT)
        except SourceError as error:
            errors.append(error)

    with postgres.connect("changed") as connection:
        # The statement waits for names that take their time, not for a lock.
        compute_team_type_names(connection, "PERFORM pg_sleep(5); RETURN 'slow'")
        thread = threading.Thread(target=read)
        thread.start()
        session = connection_of(source).info.backend_pid
        wait_until(
            lambda: connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'", [session]
            ).fetchone(),
            "the reading to be under way",
        )
        with within(3):
            source.close()
            thread.join(60)
    assert not thread.is_alive()
    (error,) = errors
    assert isinstance(error, ConnectionLostError)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": Secret("wrong-secret-word")}, "password authentication failed"),
        ({"database": "nowhere"}, "nowhere.*does not exist"),
        ({"database": "postgres"}, "none of FlowFuse's tables"),
        ({"port": 1}, "refused"),
        ({"host": "/nonexistent"}, "No such file"),
    ],
)
def test_an_error_says_where_and_what_to_do_and_never_the_password(
    database: PostgreSQLDatabase, change: dict[str, object], says: str
) -> None:
    settings = replace(database, **change)  # type: ignore[arg-type]  # the parameters are fields of it
    with contextlib.closing(PostgreSQLSource(settings)) as source, pytest.raises(SourceError, match=says) as caught:
        source.read(AT)
    message = str(caught.value)
    assert f"{settings.host}:{settings.port}/{settings.database}" in message
    assert "flowforge.yml" in message
    assert PASSWORD not in message
    assert "secret-word" not in message
    assert "\n" not in message


def test_only_a_postgresql_platform_pays_for_its_driver() -> None:
    program = (
        "import sys, ff_observe.platform.snapshots;"
        "from ff_observe.platform.sources import postgresql, sqlite;"
        "sys.exit(any(name in sys.modules for name in ('psycopg', 'jwt', 'cryptography')))"
    )
    assert subprocess.run([sys.executable, "-c", program], env=guarded_environment(), timeout=30).returncode == 0
