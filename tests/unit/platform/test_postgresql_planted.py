"""What another role made in FlowFuse's database, so that the bridge's session would run it with the bridge's rights."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.platform.sources import postgresql_session
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.postgresql_locks import AdvisoryLocks
from ff_observe.platform.sources.privileges import grants_of_every_version, present_columns, role_privileges
from tests.platforms import case_named, cluster_database
from tests.real_parts import pgbouncer
from tests.real_parts.postgresql import Cluster

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASE = case_named("v2.4.0-postgres-dev")
READER, TENANT = "planted_reader", "planted_tenant"

PLANTED = """
CREATE FUNCTION run() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'run as %', current_user; END $$;
CREATE FUNCTION equal(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN public.run(); END $$;
CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = equal);
CREATE FUNCTION join_text(name, text) RETURNS text LANGUAGE sql AS $$ SELECT public.run()::text $$;
CREATE OPERATOR || (LEFTARG = name, RIGHTARG = text, FUNCTION = join_text);
CREATE FUNCTION substr(varchar, int, int) RETURNS text LANGUAGE sql AS $$ SELECT public.run()::text $$;
CREATE FUNCTION format(text, name, text) RETURNS text LANGUAGE sql AS $$ SELECT public.run()::text $$;
CREATE FUNCTION format(text, name, name, name, text) RETURNS text LANGUAGE sql AS $$ SELECT public.run()::text $$;
CREATE TABLE "Tables" (id int);
INSERT INTO "Tables" VALUES (1);
GRANT SELECT ON "Tables" TO public;
ALTER TABLE "Tables" ENABLE ROW LEVEL SECURITY;
CREATE POLICY hostile ON "Tables" USING (run());
CREATE VIEW "GitTokens" AS SELECT 1 AS id WHERE run();
GRANT SELECT ON "GitTokens" TO public
"""


@pytest.fixture(scope="module")
def planted(postgres: Cluster) -> Iterator[PostgreSQLDatabase]:
    """A platform in whose database every role may make something, as before PostgreSQL 15, and one has."""
    name = postgres.load("planted", CASE.home / "dump.sql")
    database = cluster_database(postgres, name)
    with postgres.connect(name) as owner:
        owner.execute(
            f"CREATE ROLE {TENANT} LOGIN PASSWORD 'of-tenant'; GRANT CREATE ON SCHEMA public TO public".encode()
        )
        tenant = f"host=127.0.0.1 port={postgres.port} user={TENANT} password=of-tenant dbname={name}"
        with psycopg.connect(tenant) as connection:
            connection.execute(PLANTED.encode())
        owner.execute(grants_of_every_version(READER).encode())  # runs nothing that was planted
        owner.execute(f"ALTER ROLE {READER} PASSWORD 'of-reader'".encode())
        yield replace(database, user=READER, password=Secret("of-reader"))
        for role in (READER, TENANT):
            owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def assert_nothing_was_run(database: PostgreSQLDatabase) -> None:
    with contextlib.closing(PostgreSQLSource(database)) as source:
        for _ in range(3):  # the statement is prepared in the third
            answer = source.read(AT)
            assert set(answer.failures) == {"flowfuse_team_tables", "flowfuse_git_tokens"}
            assert "run as" not in str(answer.failures)
            assert answer.readings["flowfuse_users"] == {(): 10}


def test_a_reading_runs_no_operator_function_policy_or_view_of_another_role(planted: PostgreSQLDatabase) -> None:
    assert_nothing_was_run(planted)


def test_behind_a_pooler_neither(planted: PostgreSQLDatabase, postgres: Cluster) -> None:
    owner = cluster_database(postgres, planted.database)
    with pgbouncer.pooler(postgres, ignores="options") as port:
        assert_nothing_was_run(replace(owner, port=port))
        with psycopg.connect(postgres.url(planted.database).replace(f":{postgres.port}/", f":{port}/")) as flowfuse:
            assert flowfuse.execute("SHOW search_path").fetchall() == [('"$user", public',)]


def test_a_pooler_is_known_where_the_role_itself_only_reads(planted: PostgreSQLDatabase, postgres: Cluster) -> None:
    """Its server says so in a pooler's greeting too, whatever became of the options."""
    owner = cluster_database(postgres, planted.database)
    with postgres.connect(planted.database) as connection:
        connection.execute("ALTER DATABASE planted SET default_transaction_read_only = on")
    with pgbouncer.pooler(postgres, ignores="options") as port:
        assert role_privileges(replace(owner, port=port)).pooled
    assert not role_privileges(owner).pooled


def test_a_session_that_may_write_is_taken_for_a_poolers_on_servers_that_do_not_say_so_themselves(
    planted: PostgreSQLDatabase, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_session, "_OPTIONS", "")
    monkeypatch.setattr(postgresql_session, "_REPORTS_READ_ONLY", 1_000_000)
    server = postgresql_session.Server(cluster_database(postgres, planted.database))
    with postgres.connect() as connection:
        connection.execute("ALTER DATABASE planted RESET ALL")
    server.connect().close()
    assert server.pooled


def test_neither_does_what_else_asks_the_database(planted: PostgreSQLDatabase) -> None:
    assert role_privileges(planted).lacking == ()
    assert {column.schema for column in present_columns(planted)} == {"public"}
    with contextlib.closing(AdvisoryLocks(planted, "an instance")) as locks:
        assert locks.lead()
        assert locks.held().leader == locks.held().me


def test_tables_are_found_in_the_schema_of_the_roles_own_path(postgres: Cluster) -> None:
    name = postgres.create("elsewhere")
    schema = 'it\'s "here"'
    with postgres.connect(name) as owner:
        owner.execute(b'CREATE TABLE "Users" (id int, admin boolean)')
        quoted = '"' + schema.replace('"', '""') + '"'
        with contextlib.closing(PostgreSQLSource(cluster_database(postgres, name))) as source:
            assert source.read(AT).readings["flowfuse_users"] == {(): 0}
            owner.execute(
                f'CREATE SCHEMA {quoted}; ALTER TABLE "Users" SET SCHEMA {quoted};'
                f'ALTER DATABASE elsewhere SET search_path = {quoted}; INSERT INTO {quoted}."Users" VALUES (1)'.encode()
            )
            with pytest.raises(Exception, match="none of FlowFuse's tables"):
                source.read(AT)
            assert source.read(AT).readings["flowfuse_users"] == {(): 1}
