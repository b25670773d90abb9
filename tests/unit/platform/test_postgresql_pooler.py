"""FlowFuse's PostgreSQL behind a pooler: no session options, and FlowFuse gets the session we had."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.platform.sources import postgresql_session
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.reduction import REASON
from tests.platforms import case_named, cluster_database, postgresql_rows, reported, truth
from tests.real_parts import pgbouncer
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.unit.platform.hostile import compute_team_type_names

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASE = case_named("v2.4.0-postgres-dev")


@pytest.fixture(params=["extra_float_digits", "options"], ids=["refused", "ignored"])
def pooled(postgres: Cluster, request: pytest.FixtureRequest) -> Iterator[PostgreSQLDatabase]:
    """A platform behind a pooler that refuses session options, or says nothing and drops them."""
    database = cluster_database(postgres, postgres.load("pooled", CASE.home / "dump.sql"))
    with pgbouncer.pooler(postgres, ignores=request.param) as port:
        yield replace(database, port=port)


@pytest.fixture
def source(pooled: PostgreSQLDatabase) -> Iterator[PostgreSQLSource]:
    opened = PostgreSQLSource(pooled)
    yield opened
    opened.close()


@contextlib.contextmanager
def flowfuse(pooled: PostgreSQLDatabase) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """Another client of the pooler: what it is given is the session in which we have read."""
    url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{pooled.port}/{pooled.database}"
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def test_it_is_read_and_flowfuse_finds_nothing_of_it_in_the_session(
    source: PostgreSQLSource, pooled: PostgreSQLDatabase, postgres: Cluster
) -> None:
    with postgres.connect("pooled") as connection:
        expected = truth(postgresql_rows(connection), AT)
    for _ in range(3):
        assert reported(source.read(AT).readings) == expected
    with flowfuse(pooled) as connection:
        for name in ("default_transaction_read_only", "statement_timeout", "lock_timeout", "jit"):
            changed = connection.execute(
                "SELECT setting FROM pg_settings WHERE name = %s AND setting <> reset_val", [name]
            ).fetchall()
            assert changed == []
        connection.execute('DELETE FROM "Invitations"')
    assert source.read(AT).readings["flowfuse_invitations"] == {(): 0}


def test_what_would_write_is_refused(source: PostgreSQLSource, postgres: Cluster) -> None:
    with postgres.connect("pooled") as connection:
        connection.execute("CREATE SEQUENCE written")
        compute_team_type_names(connection, "RETURN nextval('public.written')::text")
    answer = source.read(AT)
    assert set(answer.failures) == {"flowfuse_teams", "flowfuse_teams_by_type"}
    assert "read-only transaction" in answer.failures["flowfuse_teams_by_type"]


def test_a_lock_ends_a_reading_and_leaves_no_transaction_open(
    source: PostgreSQLSource, pooled: PostgreSQLDatabase, postgres: Cluster
) -> None:
    source.read(AT)
    with postgres.connect("pooled") as connection:
        connection.execute('BEGIN; LOCK TABLE "Invitations" IN ACCESS EXCLUSIVE MODE')
        assert set(source.read(AT).failures) == {"flowfuse_invitations"}
    with flowfuse(pooled) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    source: PostgreSQLSource, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        postgresql_session, "POOLED_PREFIX", postgresql_session.POOLED_PREFIX.replace("'8s'", "'100ms'")
    )
    with postgres.connect("pooled") as connection:
        compute_team_type_names(connection, "PERFORM pg_sleep(9); RETURN 'slow'")
    answer = source.read(AT)
    assert answer.failures["flowfuse_teams_by_type"] == REASON
    assert answer.readings["flowfuse_teams"] == {(): 7}


def test_a_session_cut_behind_the_pooler_is_no_failure(pooled: PostgreSQLDatabase, postgres: Cluster) -> None:
    with contextlib.closing(PostgreSQLSource(pooled)) as source:
        source.read(AT)
        with postgres.connect() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'pooled'")
        assert source.read(AT).readings["flowfuse_users"] == {(): 10}
