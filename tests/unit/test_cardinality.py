"""However many states, versions and names of groups tenants invent, `/metrics` stays small, and is answered."""

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from ff_observe.catalogue.bridge import LABEL_VALUES_CAPPED
from ff_observe.exposition.formats import Format
from ff_observe.outputs.prometheus import render
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources import questions
from ff_observe.platform.sources.model import Installation
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.pace import in_full
from tests.reduced.crowded import rows
from tests.reduced.platforms import write_sqlite
from tests.reduced.schema import script

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NUMBER = in_full(1_000_000, else_=3_000)


def test_the_help_names_the_size_of_a_table_in_which_values_are_summed() -> None:
    assert f"more than {questions.MOST_GROUPED_ROWS:,} rows" in LABEL_VALUES_CAPPED.help


def test_invented_values_add_few_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MOST_GROUPED_ROWS", NUMBER // 10)
    path = tmp_path / "forge.db"
    write_sqlite(path, script(rows(Random(1), AT), AT))
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {NUMBER})"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table, columns, values in (
            ("DeviceGroups", "id, name", "1000 + i, 'group ' || i || ' ' || hex(randomblob(60))"),
            (
                "Devices",
                "name, type, credentialSecret, state, mode, agentVersion, nodeRedVersion, nodejsVersion, DeviceGroupId",
                "'d', 't', 's', 'state ' || i, 'mode ' || i, '1.0.' || i, '2.' || i, 'v' || i, 1000 + i",
            ),
            ("ProjectStacks", "id, name", "1000 + i, 'stack ' || i"),
            ("ProjectTypes", "id, name", "1000 + i, 'type ' || i"),
            (
                "Projects",
                "id, name, type, url, state, safeName, ProjectStackId, ProjectTypeId",
                "'i' || i, 'n', 't', 'u', 'state ' || i, 's' || i, 1000 + i, 1000 + i",
            ),
            ("PipelineStageGitRepos", "url, branch, PipelineStageId, status", "'u', 'b', 1, 'status ' || i"),
            (
                "BrokerCredentials",
                "name, host, port, protocol, protocolVersion, ssl, verifySSL, clientId, credentials, state",
                "'b' || i, 'h', 1, 'p', 4, 0, 0, 'c', 's', 'state ' || i",
            ),
        ):
            stamps = "" if table == "PipelineStageGitRepos" else ", createdAt, updatedAt"
            moments = ", '2026-11-01 00:00:00.000 +00:00'" * 2 if stamps else ""
            insert = f"INSERT INTO {table} ({columns}{stamps}) {numbers} SELECT {values}{moments} FROM n"
            connection.execute(insert)
        connection.execute("COMMIT")
        ((suspended,),) = connection.execute("SELECT count(*) FROM Projects WHERE state = 'suspended'").fetchall()
    with contextlib.closing(SQLiteSource(path)) as source:
        answer = source.read(AT)
    assert answer.readings["flowfuse_devices"] == {(): NUMBER + 150}
    shown = render(Snapshot(AT, 0.1, True, Installation(), answer.readings), {}, next(iter(Format)))
    samples = [line for line in shown.decode().splitlines() if not line.startswith("#")]
    assert len(samples) < 2_000
    assert len(shown) < 2**20
    for name in ("flowfuse_instances_by_state", "flowfuse_devices_by_mode", "flowfuse_remote_brokers_by_state"):
        assert NUMBER <= answer.readings[name]["other",] < NUMBER + 20
        assert answer.caps[name].number > 0
    assert answer.readings["flowfuse_instances_by_state"]["suspended",] == suspended
    for name in ("flowfuse_devices_by_state", "flowfuse_device_group_devices", "flowfuse_instances_by_stack"):
        if name not in answer.failures:  # of a million, the database may need more time than it is given
            assert sum(answer.readings[name].values()) >= NUMBER
            assert "other" in {key[0] for key in answer.readings[name]}
