"""Recorded platforms as sources, and their counts asked one by one in the plainest SQL: the truth to compare with."""

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.sources.postgresql import PostgreSQLSource
from ff_observe.sources.sqlite import SQLiteSource
from tests.real_parts import postgresql
from tests.recordings import COMMITTED, Case

Rows = Callable[[str], list[tuple[Any, ...]]]
Truth = Mapping[str, Mapping[tuple[str, ...], int]]

TABLES = {
    "flowfuse_users": "Users",
    "flowfuse_invitations": "Invitations",
    "flowfuse_teams": "Teams",
    "flowfuse_instances": "Projects",
    "flowfuse_devices": "Devices",
    "flowfuse_snapshots": "ProjectSnapshots",
    "flowfuse_templates": "ProjectTemplates",
    "flowfuse_stacks": "ProjectStacks",
    "flowfuse_library_entries": "StorageLibraries",
    "flowfuse_blueprints": "FlowTemplates",
    "flowfuse_shared_library_entries": "StorageSharedLibraries",
    "flowfuse_team_broker_clients": "TeamBrokerClients",
    "flowfuse_remote_brokers": "BrokerCredentials",
}


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
    """Every count of the platform at that moment, each from the rows themselves and counted in Python."""
    counts: dict[str, dict[tuple[str, ...], int]] = {}
    for name, table in TABLES.items():
        try:
            counts[name] = {(): len(rows(f'SELECT 1 FROM "{table}"'))}
        except (sqlite3.OperationalError, psycopg.errors.UndefinedTable):
            continue
    counts["flowfuse_admins"] = {(): len(rows('SELECT 1 FROM "Users" WHERE "admin"'))}
    type_names: dict[Any, Any] = dict(rows('SELECT "id", "name" FROM "TeamTypes"'))
    team_types = [type_names.get(row[0]) for row in rows('SELECT "TeamTypeId" FROM "Teams"')]
    counts["flowfuse_teams_by_type"] = _tally(team_types)
    counts["flowfuse_instances_by_state"] = {
        ("running",): 0,
        ("suspended",): 0,
        **_tally([row[0] for row in rows('SELECT "state" FROM "Projects"')]),
    }
    counts["flowfuse_devices_by_mode"] = {
        ("autonomous",): 0,
        ("developer",): 0,
        **_tally([row[0] for row in rows('SELECT "mode" FROM "Devices"')]),
    }
    seen = [_bucket(row[0], at) for row in rows('SELECT "lastSeenAt" FROM "Devices"')]
    counts["flowfuse_devices_by_last_seen"] = {
        (bucket,): seen.count(bucket) for bucket in ("day", "week", "month", "older", "never")
    }
    subscriptions = rows('SELECT "status", "trialStatus" FROM "Subscriptions"')
    counts["flowfuse_teams_by_billing_state"] = _tally([row[0] for row in subscriptions])
    counts["flowfuse_trials_by_state"] = _tally([row[1] for row in subscriptions if row[0] == "trial"])
    return counts


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
