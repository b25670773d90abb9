"""The role of `ff-observe database grants` on a real PostgreSQL: all that is read can be read, and nothing written."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ff_observe.cli import main
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError, UsageError
from ff_observe.platform import history
from ff_observe.platform.history import Span
from ff_observe.platform.sources import privileges
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.postgresql_locks import AdvisoryLocks
from ff_observe.platform.sources.privileges import (
    Column,
    grants,
    grants_of_every_version,
    read_columns,
    role_privileges,
)
from ff_observe.system.clock import SystemClock
from tests.platforms import case_named, cluster_database, database_name, moment
from tests.real_parts.bridge import home_with
from tests.real_parts.postgresql import PASSWORD, Cluster

CASE = case_named("v2.4.0-postgres-dev")
NOW = "2026-11-01T00:00:00+00:00"
ROLE = "only_reads"


@pytest.fixture(scope="module")
def database(postgres: Cluster) -> str:
    """A recorded platform of its own: roles and rights are changed here."""
    return postgres.load(f"{database_name(CASE)}_privileges", CASE.home / "dump.sql")


@pytest.fixture
def home(tmp_path: Path, postgres: Cluster, database: str) -> Path:
    """Whose flowforge.yml has FlowFuse's own role, the owner of the tables."""
    section = f"  type: postgres\n  host: 127.0.0.1\n  port: {postgres.port}\n  user: postgres\n"
    return home_with(tmp_path, f"{section}  password: {PASSWORD}\n  database: {database}\n", "  enabled: true\n")


@contextlib.contextmanager
def role_made_by(printed: str, cluster: Cluster, database: str) -> Iterator[PostgreSQLDatabase]:
    """The database as that role, until the block ends."""
    with cluster.connect(database) as owner:
        owner.execute(printed.encode())
        owner.execute(f"ALTER ROLE {ROLE} PASSWORD 'planted'".encode())
        try:
            yield replace(cluster_database(cluster, database), user=ROLE, password=Secret("planted"))
        finally:
            owner.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}".encode())


@pytest.fixture(params=["", "--offline"], ids=["asked", "offline"])
def reader(
    request: pytest.FixtureRequest,
    home: Path,
    postgres: Cluster,
    database: str,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[PostgreSQLDatabase]:
    options = [request.param] if request.param else []
    assert main(["--home", str(home), "database", "grants", "--role", ROLE, *options]) == 0
    printed = capsys.readouterr().out
    with role_made_by(printed, postgres, database) as reader:
        with postgres.connect(database) as owner:
            owner.execute(printed.encode())  # once more: it does no harm
        yield reader


def test_the_role_reads_all_that_the_owner_reads(reader: PostgreSQLDatabase, postgres: Cluster, database: str) -> None:
    answers = []
    for one in (cluster_database(postgres, database), reader):
        source = PostgreSQLSource(one)
        answers.append(source.read(moment(NOW)))
        source.close()
    of_owner, of_role = answers
    private = {"flowfuse_sso_certificate_expiry_timestamp_seconds", "flowfuse_certified_nodes"}
    sizes = {name for name in of_owner.readings if name.endswith("_size_bytes")}
    assert of_owner.readings.keys() - of_role.readings.keys() == private, "their columns hold secrets as well"
    assert {**of_role.readings, **{name: {} for name in private | sizes}} == {
        **of_owner.readings,
        **{name: {} for name in private | sizes},
    }
    assert of_role.failures == of_owner.failures == {}
    assert len(of_role.readings) > 10
    found = role_privileges(reader)
    assert (found.role, found.superuser, found.lacking, found.writable) == (ROLE, False, (), ())
    assert abs(found.epoch_seconds - SystemClock().now().timestamp()) < 3600


def test_the_role_reads_the_same_history(reader: PostgreSQLDatabase, postgres: Cluster, database: str) -> None:
    at = datetime.fromisoformat(NOW)
    histories = []
    for one in (cluster_database(postgres, database), reader):
        with contextlib.closing(PostgreSQLSource(one)) as source:
            span = Span(None, at + timedelta(days=60), timedelta(days=1))
            histories.append("".join(history.write(source, span, {}, lambda *_: None)))
    of_owner, of_role = histories
    assert of_role == of_owner
    for name in history.GROWING:
        assert f"\n{name}{{" in of_role


def test_the_role_takes_part_in_the_election(reader: PostgreSQLDatabase) -> None:
    with contextlib.closing(AdvisoryLocks(reader, "an instance")) as locks:
        locks.share(1)
        assert locks.lead()
        assert locks.held().leader is not None


def test_a_write_is_refused(reader: PostgreSQLDatabase, postgres: Cluster, database: str) -> None:
    """Also where the session says that it writes; and what is not read cannot be read."""
    assert reader.password is not None
    with (
        postgres.connect(database) as owner,
        psycopg.connect(
            host=reader.host, port=reader.port, user=ROLE, password=reader.password.reveal(), dbname=database
        ) as connection,
    ):
        connection.autocommit = True
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute('DELETE FROM "Users"')
        connection.execute("SET default_transaction_read_only = off")
        tables = [str(row[0]) for row in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        assert {"Users", "AuditLogs", "Sessions"} < set(tables)
        for table in tables:
            for statement in ("DELETE FROM {}", "TRUNCATE {}", "INSERT INTO {} DEFAULT VALUES", "SELECT * FROM {}"):
                if table in ("PlatformSettings", "TeamMembers") and statement.startswith("SELECT"):
                    continue  # all that they hold is read, or their rows are not told apart: see docs/configuration.md
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL(statement).format(sql.Identifier(table)))


def test_columns_that_are_taken_away_or_may_be_written_are_noticed(
    reader: PostgreSQLDatabase, postgres: Cluster, database: str
) -> None:
    with postgres.connect(database) as owner:
        owner.execute(f'REVOKE SELECT (admin) ON "Users" FROM {ROLE}'.encode())
        owner.execute(f'GRANT DELETE ON "Teams" TO {ROLE}'.encode())
        owner.execute(f'GRANT UPDATE (password) ON "Users" TO {ROLE}'.encode())
    found = role_privileges(reader)
    assert found.lacking == ("Users.admin",)
    assert found.writable == ("Teams", "Users")


def test_an_owner_of_the_tables_may_make_the_role_only_with_createrole(postgres: Cluster, database: str) -> None:
    with postgres.connect(database) as superuser:
        superuser.execute('CREATE ROLE tables_owner; ALTER TABLE "Users" OWNER TO tables_owner; SET ROLE tables_owner')
        made = grants(ROLE, [Column("public", "Users", "id")]).encode()
        try:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied to create role"):
                superuser.execute(made)
            superuser.execute("ROLLBACK; RESET ROLE; ALTER ROLE tables_owner CREATEROLE; SET ROLE tables_owner")
            superuser.execute(made)
            superuser.execute(f"RESET ROLE; DROP OWNED BY {ROLE}; DROP ROLE {ROLE}".encode())
        finally:
            superuser.execute('ROLLBACK; RESET ROLE; ALTER TABLE "Users" OWNER TO postgres; DROP ROLE tables_owner')


def test_the_owner_may_write(postgres: Cluster, database: str) -> None:
    found = role_privileges(cluster_database(postgres, database))
    assert found.superuser
    assert "Users" in found.writable
    assert found.pooled is False


def test_an_examination_has_a_name_and_says_which_database_refuses_it(postgres: Cluster, database: str) -> None:
    one = cluster_database(postgres, database)
    assert privileges._ask(one, "SELECT current_setting('application_name')") == ([("ff-observe examination",)], False)
    with pytest.raises(SourceError, match=rf"^PostgreSQL database {one.host}:{one.port}/{database}: .*a_mistake"):
        privileges._ask(one, "SELECT a_mistake")


@pytest.mark.parametrize("role", ["", "a b", 'a"b', "a'b", "é", "x" * 64, "1a"])
def test_a_name_that_would_need_quoting_is_refused(role: str) -> None:
    with pytest.raises(UsageError, match=r"is no name for a role: take letters, digits, _ and -, at most 63$"):
        grants(role, [Column("public", "Users", "id")])


def test_names_of_the_database_are_quoted() -> None:
    assert 'ON "a""b"."Users"' in grants("r", [Column('a"b', "Users", "id")])


WORDS_OF_SQL = (
    "ALTER AND AS BEGIN COMMIT CONNECT CREATE DATABASE DECLARE DO END EXECUTE EXISTS FOR FROM GRANT IF IN JOIN LOGIN "
    "LOOP NOT ON ROLE SCHEMA SELECT SET THEN TO USAGE VALUES WHERE"
)


@pytest.mark.parametrize(
    "printed",
    [lambda: grants(ROLE, [Column("public", "Users", "id")]), lambda: grants_of_every_version(ROLE)],
    ids=["asked", "offline"],
)
def test_what_is_printed_says_how_to_run_it_and_has_the_words_of_sql_in_capitals(printed: Callable[[], str]) -> None:
    how, statements = printed().split("BEGIN;", 1)
    assert how == (
        "-- What ff-observe needs of FlowFuse's database, and nothing besides. Run it in that database as a\n"
        "-- superuser, or as the owner of its tables if that role has CREATEROLE. Then give the role a password:\n"
        f"-- \\password {ROLE}\n"
    )
    of_sql = set(re.findall(r"\w+", WORDS_OF_SQL))
    words = set(re.findall(r"\w+", re.sub(r"'[^']*'|\"[^\"]*\"|= on;", " ", statements)))
    assert {word.lower() for word in words - of_sql} == words - of_sql
    assert not {word.upper() for word in words - of_sql} & of_sql


def test_secrets_of_the_platform_are_not_among_what_is_read() -> None:
    columns = read_columns()
    assert columns["Users"] == ("id", "admin", "mfa_enabled", "sso_enabled", "suspended", "email_verified", "createdAt")
    assert columns["SAMLProviders"] == ("id", "name", "active", "type")
    assert columns["ProjectSettings"] == ("id", "ProjectId", "key", "valueType")
    assert columns["ProjectSnapshots"] == ("id", "name", "createdAt")
    assert "password" not in str(columns)


def test_sqlite_has_no_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = home_with(tmp_path, "  type: sqlite\n", "  enabled: true\n")
    assert main(["--home", str(home), "database", "grants"]) == 1
    assert f"let the user of ff-observe read {home / 'var' / 'forge.db'}" in capsys.readouterr().err
