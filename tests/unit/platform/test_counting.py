"""Whatever the rows hold: both databases give what counting the rows one by one gives, on every reading in a row."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ff_observe.platform.sources.model import Source
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sql import moment
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.platforms import (
    Rows,
    case_named,
    cluster_database,
    postgresql_rows,
    reported,
    sqlite_rows,
    truth,
    writable_copy,
)
from tests.real_parts.postgresql import Cluster

AT = datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC)
EDGES = [timedelta(days=days) for days in (1, 7, 28)]
MILLISECOND = timedelta(milliseconds=1)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
modes = st.none() | st.sampled_from(["autonomous", "developer", "", "none", "Autonomous", "developer "]) | texts
states = st.sampled_from(["running", "suspended", "stopped", "error"]) | texts
last_seen = st.none() | st.one_of(
    st.sampled_from([AT - edge + shift for edge in EDGES for shift in (-MILLISECOND, timedelta(0), MILLISECOND)]),
    st.integers(-(10**10), 10**10).map(lambda milliseconds: AT + timedelta(milliseconds=milliseconds)),
)
devices = st.lists(st.tuples(modes, last_seen), max_size=8)
instances = st.lists(states, max_size=5)
admins = st.lists(st.booleans(), max_size=4)
team_types = st.lists(st.none() | st.integers(0, 2), max_size=5)
subscriptions = st.lists(
    st.tuples(st.sampled_from(["active", "trial", "canceled"]), st.sampled_from(["none", "created", "ended"])),
    max_size=4,
)
stages = st.lists(st.tuples(devices, instances, admins, team_types, subscriptions), min_size=2, max_size=3)

Execute = Callable[[str, Sequence[Any]], object]


def fill(execute: Execute, mark: str, stage: tuple[Any, ...], as_moment: Callable[[datetime], Any]) -> None:
    """Make the tables hold just these rows. `mark` is how the driver writes a parameter."""
    for table in ("Devices", "Projects", "Users", "Subscriptions", "Teams", "TeamTypes"):
        execute(f'DELETE FROM "{table}"', ())
    device_rows, instance_rows, user_rows, team_rows, subscription_rows = stage
    now = (as_moment(AT), as_moment(AT))
    for mode, seen in device_rows:
        execute(
            'INSERT INTO "Devices" (name, type, "credentialSecret", mode, "lastSeenAt", "createdAt", "updatedAt")'
            f" VALUES ('d', 't', 's', {mark}, {mark}, {mark}, {mark})",
            (mode, None if seen is None else as_moment(seen), *now),
        )
    for number, state in enumerate(instance_rows):
        execute(
            'INSERT INTO "Projects" (id, name, type, url, state, "safeName", "createdAt", "updatedAt")'
            f" VALUES ('00000000-0000-0000-0000-00000000000{number}', 'n', 't', 'u', {mark}, 'n{number}',"
            f" {mark}, {mark})",
            (state, *now),
        )
    for number, admin in enumerate(user_rows):
        execute(
            'INSERT INTO "Users" (username, admin, "createdAt", "updatedAt")'
            f" VALUES ('u{number}', {mark}, {mark}, {mark})",
            (admin, *now),
        )
    for number in range(3):
        execute(
            'INSERT INTO "TeamTypes" (id, name, "createdAt", "updatedAt")'
            f" VALUES ({90 + number}, 'Type {number}', {mark}, {mark})",
            now,
        )
    for team_type in team_rows:
        execute(
            'INSERT INTO "Teams" (name, "TeamTypeId", "createdAt", "updatedAt")'
            f" VALUES ('t', {mark}, {mark}, {mark})",
            (None if team_type is None else 90 + team_type, *now),
        )
    for status, trial in subscription_rows:
        execute(
            'INSERT INTO "Subscriptions" (customer, subscription, status, "trialStatus", "createdAt", "updatedAt")'
            f" VALUES ('c', 's', {mark}, {mark}, {mark}, {mark})",
            (status, trial, *now),
        )


def counts_what_is_there(source: Source, rows: Rows) -> None:
    for later in (timedelta(0), timedelta(0), timedelta(days=3)):
        answer = source.read(AT + later)
        assert reported(answer.readings) == truth(rows, AT + later)
        assert answer.failures == {}


@given(stages)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sqlite_gives_what_counting_the_rows_gives(tmp_path: Path, stages: list[tuple[Any, ...]]) -> None:
    path = tmp_path / "forge.db"
    if not path.exists():
        writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA synchronous = off")
    source = SQLiteSource(path)
    try:
        for stage in stages:
            writer.execute("BEGIN")
            fill(writer.execute, "?", stage, moment)
            writer.execute("COMMIT")
            counts_what_is_there(source, sqlite_rows(path))
    finally:
        source.close()
        writer.close()


@pytest.fixture(scope="module")
def random_database(postgres: Cluster) -> str:
    return postgres.load("random", case_named("v2.4.0-postgres-dev").home / "dump.sql")


@given(stages)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgresql_gives_what_counting_the_rows_gives(
    postgres: Cluster, random_database: str, stages: list[tuple[Any, ...]]
) -> None:
    source = PostgreSQLSource(cluster_database(postgres, random_database))
    try:
        with postgres.connect(random_database) as writer:
            for stage in stages:
                with writer.transaction():
                    fill(lambda sql, given: writer.execute(sql.encode(), given), "%s", stage, lambda value: value)
                counts_what_is_there(source, postgresql_rows(writer))
    finally:
        source.close()
