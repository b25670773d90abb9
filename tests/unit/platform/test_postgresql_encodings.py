"""Databases of PostgreSQL whose encoding is not UTF-8."""

import contextlib
from datetime import UTC, datetime

import pytest

from ff_observe.platform.sources.model import Answer
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from tests.platforms import cluster_database
from tests.real_parts.postgresql import Cluster

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def read(postgres: Cluster, encoding: str, team_type: str) -> Answer:
    """What is read of a database in `encoding` with one team, of a type whose name is the SQL `team_type`."""
    name = f"in_{encoding.lower()}"
    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'".encode())
    with postgres.connect(name) as connection:
        connection.execute(
            'CREATE TABLE "TeamTypes" (id int, name text); CREATE TABLE "Teams" (id int, "TeamTypeId" int);'
            f'INSERT INTO "TeamTypes" VALUES (1, {team_type}); INSERT INTO "Teams" VALUES (1, 1);'
            'CREATE TABLE "Invitations" (id int)'.encode()
        )
    with contextlib.closing(PostgreSQLSource(cluster_database(postgres, name))) as source:
        return source.read(AT)


@pytest.mark.parametrize("encoding", ["LATIN1", "UTF8"])
def test_a_team_type_arrives_whatever_the_encoding_of_database_and_environment(
    postgres: Cluster, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    answer = read(postgres, encoding, r"U&'\00C9quipe'")
    assert answer.failures == {}
    assert answer.readings["flowfuse_teams_by_type"] == {("Équipe",): 1}


def test_a_text_in_no_encoding_spoils_its_own_table_only(postgres: Cluster) -> None:
    answer = read(postgres, "SQL_ASCII", r"E'\xe9quipe'")
    assert set(answer.failures) == {"flowfuse_teams", "flowfuse_teams_by_type"}
    assert answer.readings["flowfuse_invitations"] == {(): 0}
