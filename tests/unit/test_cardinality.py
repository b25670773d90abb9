"""However many states, versions and names of groups tenants invent, `/metrics` stays small, and is answered."""

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from ff_observe.catalogue.bridge import LABEL_VALUES_CAPPED
from ff_observe.exposition.formats import Format
from ff_observe.outputs.prometheus import render
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources import questions
from ff_observe.platform.sources.model import Installation
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.pace import in_full
from tests.platforms import cluster_database
from tests.real_parts.postgresql import Cluster
from tests.reduced.crowded import rows
from tests.reduced.platforms import write_sqlite
from tests.reduced.schema import script

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NUMBER = in_full(1_000_000, else_=3_000)
SUSPENDED = """SELECT count(*) FROM "Projects" WHERE state = 'suspended'"""


def test_the_help_names_the_size_of_a_table_in_which_values_are_summed() -> None:
    assert f"more than {questions.MOST_GROUPED_ROWS:,} rows" in LABEL_VALUES_CAPPED.help


@pytest.fixture
def grouped_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MOST_GROUPED_ROWS", NUMBER // 10)


@pytest.mark.usefixtures("grouped_in_proportion")
def test_values_invented_in_sqlite_add_few_series(tmp_path: Path) -> None:
    path = tmp_path / "forge.db"
    write_sqlite(path, script(rows(Random(1), AT), AT))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for statement in invented(postgresql=False):
            connection.execute(statement)
        connection.execute("COMMIT")
        ((suspended,),) = connection.execute(SUSPENDED).fetchall()
    check(SQLiteSource(path), suspended)


@pytest.mark.usefixtures("grouped_in_proportion")
def test_values_invented_in_postgresql_add_few_series(postgres: Cluster, tmp_path: Path) -> None:
    dump = tmp_path / "dump.sql"
    dump.write_text(script(rows(Random(1), AT), AT, postgresql=True))
    name = postgres.load("invented", dump)
    with postgres.connect(name) as connection:
        for statement in invented(postgresql=True):
            connection.execute(statement.encode())
        ((suspended,),) = connection.execute(SUSPENDED).fetchall()
    check(PostgreSQLSource(cluster_database(postgres, name)), suspended)


def invented(postgresql: bool) -> Iterator[str]:
    """Statements that add `NUMBER` rows to each table, each with values of its own."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {NUMBER})"
    columns: dict[str, dict[str, str]] = {
        "DeviceGroups": {"id": "1000 + i", "name": f"'group ' || i || ' {'x' * 120}'"},
        "Devices": {
            "name": "'d'",
            "type": "'t'",
            "credentialSecret": "'s'",
            "state": "'state ' || i",
            "mode": "'mode ' || i",
            "agentVersion": "'1.0.' || i",
            "nodeRedVersion": "'2.' || i",
            "nodejsVersion": "'v' || i",
            "DeviceGroupId": "1000 + i",
        },
        "ProjectStacks": {"id": "1000 + i", "name": "'stack ' || i"},
        "ProjectTypes": {"id": "1000 + i", "name": "'type ' || i"},
        "Projects": {
            "id": "CAST(md5('i' || i) AS uuid)" if postgresql else "'i' || i",
            "name": "'n'",
            "type": "'t'",
            "url": "'u'",
            "state": "'state ' || i",
            "safeName": "'s' || i",
            "ProjectStackId": "1000 + i",
            "ProjectTypeId": "1000 + i",
        },
        "PipelineStageGitRepos": {"url": "'u'", "branch": "'b'", "PipelineStageId": "1", "status": "'status ' || i"},
        "BrokerCredentials": {
            "name": "'b' || i",
            "host": "'h'",
            "port": "1",
            "protocol": "'p'",
            "protocolVersion": "4",
            "ssl": "FALSE",
            "verifySSL": "FALSE",
            "clientId": "'c'",
            "credentials": "'s'",
            "state": "'state ' || i",
        },
    }
    for table, values in columns.items():
        if table != "PipelineStageGitRepos":
            values |= dict.fromkeys(("createdAt", "updatedAt"), "'2026-11-01 00:00:00.000 +00:00'")
        names = ", ".join(f'"{name}"' for name in values)
        yield f'INSERT INTO "{table}" ({names}) {numbers} SELECT {", ".join(values.values())} FROM n'


def check(source: SQLiteSource | PostgreSQLSource, suspended: object) -> None:
    """All numbers of rows are there; of a million, the database may need more time for the others than it is given."""
    with contextlib.closing(source):
        for turn in range(10):  # dear counts wait for one another
            answer = source.read(AT + timedelta(seconds=5 * turn))
            for name, number in (("devices", NUMBER + 150), ("instances", NUMBER + 40), ("users", 30), ("teams", 12)):
                assert answer.readings[f"flowfuse_{name}"] == {(): number}
    assert NUMBER == 1_000_000 or not answer.failures
    shown = render(Snapshot(AT, 0.1, True, Installation(), answer.readings), {}, next(iter(Format)))
    samples = [line for line in shown.decode().splitlines() if not line.startswith("#")]
    assert len(samples) < 2_000
    assert len(shown) < 2**20
    for name in ("flowfuse_instances_by_state", "flowfuse_devices_by_mode", "flowfuse_remote_brokers_by_state"):
        if name not in answer.failures:
            assert NUMBER <= answer.readings[name]["other",] < NUMBER + 20
            assert answer.caps[name].number > 0
    if "flowfuse_instances_by_state" not in answer.failures:
        assert answer.readings["flowfuse_instances_by_state"]["suspended",] == suspended
    for name in ("flowfuse_devices_by_state", "flowfuse_device_group_devices", "flowfuse_instances_by_stack"):
        if name not in answer.failures:
            assert sum(answer.readings[name].values()) >= NUMBER
            assert "other" in {key[0] for key in answer.readings[name]}
