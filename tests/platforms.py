"""Recorded platforms as sources, and their counts asked one by one in the plainest SQL: the truth to compare with."""

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from ff_observe.catalogue.counts import REPORTED
from ff_observe.catalogue.questions import Is, IsTrue, MostFrequent, Question, RowsBy, RowsByAge, RowsWhere
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.schema import TABLES
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.real_parts import postgresql
from tests.recordings import COMMITTED, Case

Rows = Callable[[str], list[tuple[Any, ...]]]
Truth = Mapping[str, Mapping[tuple[str, ...], int]]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def cluster_database(cluster: postgresql.Cluster, name: str) -> PostgreSQLDatabase:
    """How `db` in flowforge.yml would name a database of the test cluster."""
    return PostgreSQLDatabase("127.0.0.1", cluster.port, "postgres", Secret(postgresql.PASSWORD), name)


def licence_of(case: Case) -> str:
    """The line of a recorded flowforge.yml that holds the licence."""
    lines = (case.home / "etc" / "flowforge.yml").read_text().splitlines()
    return next(line for line in lines if line.startswith("license:"))


def database_name(case: Case) -> str:
    return case.name.replace(".", "_").replace("-", "_")


def postgresql_source(case: Case, cluster: postgresql.Cluster) -> PostgreSQLSource:
    """A source that reads the recorded dump, loaded once in a run: for tests that change nothing."""
    name = database_name(case)
    with cluster.connect() as connection:
        loaded = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    if loaded is None:
        cluster.load(name, case.home / "dump.sql")
    return PostgreSQLSource(cluster_database(cluster, name))


def sqlite_source(case: Case) -> SQLiteSource:
    return SQLiteSource(case.home / "var" / "forge.db")


def case_named(name: str) -> Case:
    """One of the recordings that are committed, hence always there."""
    return Case(COMMITTED / name)


def writable_copy(case: Case, directory: Path) -> Path:
    """A copy of a recorded SQLite database that tests may write to."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "forge.db"
    shutil.copyfile(case.home / "var" / "forge.db", path)
    return path


def sqlite_rows(path: Path) -> Rows:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    return ask


def postgresql_rows(connection: "psycopg.Connection[Any]") -> Rows:
    return lambda statement: connection.execute(statement.encode()).fetchall()


def truth(rows: Rows, at: datetime) -> Truth:
    """Every count that FlowFuse reports, too, at that moment, each from the rows themselves and counted in Python."""
    counts: dict[str, Mapping[tuple[str, ...], int]] = {}
    for count in REPORTED:
        try:
            counts[count.name] = _counted(rows, count.of, at)
        except (sqlite3.OperationalError, psycopg.errors.UndefinedTable):
            continue
    return counts


Told = TypeVar("Told")


def reported(by_name: Mapping[str, Told]) -> dict[str, Told]:
    """What is told of the counts that `truth` has."""
    names = {count.name for count in REPORTED}
    return {name: told for name, told in by_name.items() if name in names}


def _counted(rows: Rows, question: Question, at: datetime) -> Mapping[tuple[str, ...], int]:
    def values(table: str, *columns: str) -> list[tuple[Any, ...]]:
        names = {"id": "id", **TABLES[table].columns}
        selected = ", ".join(f'"{names[column]}"' for column in columns)
        return rows(f'SELECT {selected} FROM "{TABLES[table].name}"')

    match question:
        case RowsWhere(table, IsTrue(column)):
            return {(): sum(bool(value) for (value,) in values(table, column))}
        case MostFrequent(table, column, other, name_column):
            names: dict[Any, Any] = dict(values(other, "id", name_column))
            return _tally([names.get(value) for (value,) in values(table, column)])
        case RowsByAge(table, column):
            seen = [_bucket(value, at) for (value,) in values(table, column)]
            return {(bucket,): seen.count(bucket) for bucket in ("day", "week", "month", "older", "never")}
        case RowsBy(table, column, expected, Is(condition, value)):
            kept = [found for found, other_value in values(table, column, condition) if other_value == value]
            return {(value,): 0 for value in expected} | _tally(kept)
        case RowsBy(table, column, expected):
            kept = [found for (found,) in values(table, column)]
            return {(value,): 0 for value in expected} | _tally(kept)
        case _:
            return {(): len(values(question.table, "id"))}


def _tally(values: list[Any]) -> dict[tuple[str, ...], int]:
    labels = [str(value) if value else "none" for value in values]
    return {(label,): labels.count(label) for label in labels}


def _bucket(seen: Any, at: datetime) -> str:
    if seen is None:
        return "never"
    when = datetime.fromisoformat(seen.replace(" +", "+")) if isinstance(seen, str) else seen
    age = at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000) - when
    for name, days in (("day", 1), ("week", 7), ("month", 28)):
        if age <= timedelta(days=days):
            return name
    return "older"
