"""The counts beyond FlowFuse's own reports, against statements that were written from FlowFuse's models."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psycopg
import pytest

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.counts import REPORTED
from ff_observe.catalogue.questions import DatabaseSize, DiskFree, TableSizes
from ff_observe.platform.sources.model import Answer, Source
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.platforms import cluster_database, database_name, moment, postgresql_rows, postgresql_source, sqlite_rows
from tests.platforms import sqlite_source as recorded_sqlite
from tests.real_parts.postgresql import Cluster
from tests.recordings import Case, cases
from tests.recounts import IN_PYTHON, STATEMENTS, Rows, recount
from tests.reduced.crowded import rows as crowded_rows
from tests.reduced.platforms import write_sqlite
from tests.reduced.schema import script

AT = datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC)
SIZES = {count.name for count in COUNTS if isinstance(count.of, DatabaseSize | TableSizes | DiskFree)}
RECOUNTED = [count.name for count in COUNTS if count not in REPORTED and count.name not in SIZES]
LACKING = (sqlite3.OperationalError, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)


def test_every_count_has_a_recount_and_every_recount_a_count() -> None:
    recounts = {*STATEMENTS, *IN_PYTHON}
    assert set(RECOUNTED) - recounts == set(), "tests/data/recounts.toml: add its SQL, written from FlowFuse's models"
    assert recounts - set(RECOUNTED) == set(), "tests/data/recounts.toml, tests/recounts.py: a recount of no count"


def compare(answer: Answer, rows: Rows, at: datetime, *, postgresql: bool) -> None:
    assert answer.failures == {}
    for name in RECOUNTED:
        try:
            expected = recount(name, rows, at, postgresql=postgresql)
        except LACKING:
            assert name not in answer.readings, name
        else:
            assert answer.readings[name] == expected, name


@contextlib.contextmanager
def opened(case: Case, request: pytest.FixtureRequest) -> Iterator[tuple[Source, Rows]]:
    if case.is_postgresql:
        cluster = request.getfixturevalue("postgres")
        with (
            contextlib.closing(postgresql_source(case, cluster)) as source,
            cluster.connect(database_name(case)) as connection,
        ):
            yield source, postgresql_rows(connection)
    else:
        with contextlib.closing(recorded_sqlite(case)) as source:
            yield source, sqlite_rows(case.home / "var" / "forge.db")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_count_of_a_recorded_platform_is_its_recount(case: Case, request: pytest.FixtureRequest) -> None:
    at = moment(case.meta.get("stats_at") or "2026-11-23T12:00:00Z")
    with opened(case, request) as (source, rows):
        compare(source.read(at), rows, at, postgresql=case.is_postgresql)


@pytest.mark.parametrize("seed", range(6))
def test_every_count_of_a_crowded_sqlite_platform_is_its_recount(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "forge.db"
    write_sqlite(path, script(crowded_rows(Random(seed), AT), AT))
    with contextlib.closing(SQLiteSource(path)) as source:
        answer = source.read(AT)
        compare(answer, sqlite_rows(path), AT, postgresql=False)
        assert_nothing_is_zero_everywhere(answer)


@pytest.mark.parametrize("seed", range(3))
def test_every_count_of_a_crowded_postgresql_platform_is_its_recount(
    seed: int, postgres: Cluster, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.sql"
    dump.write_text(script(crowded_rows(Random(seed), AT), AT, postgresql=True))
    name = postgres.load(f"crowded_{seed}", dump)
    with contextlib.closing(PostgreSQLSource(cluster_database(postgres, name))) as source:
        answer = source.read(AT)
        with postgres.connect(name) as connection:
            compare(answer, postgresql_rows(connection), AT, postgresql=True)
            (size,) = postgresql_rows(connection)("SELECT pg_database_size(current_database())")[0]
        assert answer.readings["flowfuse_database_size_bytes"] == {(): pytest.approx(size, rel=0.05)}
        assert len(answer.readings["flowfuse_table_size_bytes"]) == 10
        assert answer.readings["flowfuse_database_disk_free_bytes"] == {}
        assert_nothing_is_zero_everywhere(answer)


def assert_nothing_is_zero_everywhere(answer: Answer) -> None:
    """A platform on which a count is 0 would show nothing."""
    absent = [name for name in RECOUNTED if name not in answer.readings]
    assert absent == [], "tests/reduced/schema.py: FlowFuse 2.33 lacks it; what a later one has goes into _COLUMNS"
    empty = [name for name in RECOUNTED if not any(answer.readings[name].values())]
    assert empty == [], "tests/reduced/crowded.py: add rows that it counts"


def test_the_sizes_of_an_sqlite_database_are_those_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "forge.db"
    write_sqlite(path, script(crowded_rows(Random(1), AT), AT))
    with contextlib.closing(SQLiteSource(path)) as source:
        readings = source.read(AT).readings
    assert readings["flowfuse_database_size_bytes"] == {(): path.stat().st_size}
    tables = readings["flowfuse_table_size_bytes"]
    assert len(tables) == 10
    assert 0 < sum(tables.values()) < path.stat().st_size
    assert list(tables.values()) == sorted(tables.values(), reverse=True)
    assert readings["flowfuse_database_disk_free_bytes"][()] > 0


def test_no_name_of_a_person_nor_secret_is_in_any_answer(tmp_path: Path) -> None:
    path = tmp_path / "forge.db"
    write_sqlite(path, script(crowded_rows(Random(2), AT), AT))
    with contextlib.closing(SQLiteSource(path)) as source:
        answer = source.read(AT)
    assert not re.search(r"planted|u\d+@|token \d", repr((answer.readings, answer.failures)))
