"""A platform's audit log in both databases, as a test writes, deletes and restores it, and what it then comes to."""

import contextlib
import errno
import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Protocol

import psycopg

from ff_observe.platform.audit_counters import AuditCounters
from ff_observe.platform.sources.audit_log import AuditLog
from ff_observe.platform.sources.counting import Queryable
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sqlite_process import GuardedSQLiteSource
from tests.platforms import cluster_database
from tests.real_parts.postgresql import Cluster

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
STEP = timedelta(milliseconds=7)
"""From one entry to the next."""
EVENTS = (
    *("account.login", "account.logout", "project.created", "project.started", "project.restarted", "flows.set"),
    *("crashed", "safe-mode", "project.start-failed", "resource.cpu", "resource.memory", "device.start-failed"),
    *("application.pipeline.stage-deployed", "device.snapshot.deployed", "project.snapshot.rolled-back"),
    *("project.snapshot.device-target-set", "device.restart-failed", "an invented name", "", "CRASHED", None),
)
SOURCES = (None, None, None, "api", "mcp", "mcp:expert", "invented")
BODIES = (
    None,
    '{"error":{"code":"x"},"user":{}}',
    '{"error":"x","type":"full"}',
    '{"user":{"name":"\\"error\\":"}}',
    "{}",
    "",
    '{"error":null}',
)
KINDS = ("project", "device", "team", "platform", "user", None)

Row = tuple[str | None, str | None, str | None, str | None]
"""Event, source, kind of entity, body."""
Found = dict[str, dict[tuple[str, ...], int]]


class Log(Protocol):
    """An audit log under test."""

    def begin(self) -> Any:
        """A transaction of its own; None where another is open and only one can be."""

    def insert(self, transaction: Any, row: Row) -> None:
        """Add a row."""

    def end(self, transaction: Any, *, commit: bool) -> None:
        """Commit or roll back."""

    def execute(self, statement: str) -> None:
        """One statement, committed."""

    def backup(self) -> None:
        """Keep the log as it is."""

    def restore(self) -> None:
        """Put the kept one back."""

    def rows(self) -> list[Row]:
        """All rows."""

    def source(self) -> contextlib.AbstractContextManager[Queryable]:
        """A source to read it through."""


class Times:
    """No two rows are of the same millisecond, also after a backup was restored."""

    def __init__(self) -> None:
        self._next = BEGAN

    def next(self) -> datetime:
        self._next += STEP
        return self._next


class SQLiteLog:
    """In a file of its own; one writer at a time."""

    def __init__(self, path: Path, journal: str = "wal") -> None:
        self.path, self._times, self._writer, self._restored = path, Times(), False, 0
        with contextlib.closing(sqlite3.connect(path)) as made:
            made.execute(f"PRAGMA journal_mode = {journal}")
            made.execute(
                'CREATE TABLE "AuditLogs" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "event" VARCHAR(255), "body" TEXT,'
                ' "entityId" VARCHAR(255), "entityType" VARCHAR(255), "source" VARCHAR(255), "createdAt" DATETIME)'
            )
            made.commit()
        self._kept = path.with_name("kept.db")
        self.backup()

    def begin(self) -> sqlite3.Connection | None:
        if self._writer:
            return None
        self._writer = True
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def insert(self, transaction: sqlite3.Connection, row: Row) -> None:
        at = f"{self._times.next():%Y-%m-%d %H:%M:%S.%f}"[:-3] + " +00:00"
        transaction.execute(
            'INSERT INTO "AuditLogs" ("event", "source", "entityType", "body", "createdAt") VALUES (?, ?, ?, ?, ?)',
            (*row, at),
        )

    def end(self, transaction: sqlite3.Connection, *, commit: bool) -> None:
        transaction.execute("COMMIT" if commit else "ROLLBACK")
        transaction.close()
        self._writer = False

    def execute(self, statement: str) -> None:
        if not self._writer:
            with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=10)) as connection:
                connection.execute(statement)

    def backup(self) -> None:
        self._copy(self.path, self._kept)

    def restore(self) -> None:
        """In turns into the file and in its place, as by `cp` and by `mv`. `sqlite3` would wait for an open writer
        without end."""
        if self._writer:
            return
        self._restored += 1
        if self._restored % 2:
            self._copy(self._kept, self.path)
            return
        fresh = self.path.with_name("fresh.db")
        self._copy(self._kept, fresh)
        for beside in ("-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + beside).unlink(missing_ok=True)
        fresh.replace(self.path)

    @staticmethod
    def _copy(of: Path, to: Path) -> None:
        with contextlib.closing(sqlite3.connect(of)) as one, contextlib.closing(sqlite3.connect(to, timeout=10)) as two:
            one.backup(two)

    def rows(self) -> list[Row]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return connection.execute('SELECT "event", "source", "entityType", "body" FROM "AuditLogs"').fetchall()

    @contextlib.contextmanager
    def source(self) -> Iterator[Queryable]:
        with contextlib.closing(GuardedSQLiteSource(self.path)) as source:
            yield source


class PostgreSQLLog:
    """In a database of its own; ids are given out in another order than that of the commits."""

    def __init__(self, cluster: Cluster, database: str) -> None:
        self._cluster, self._times = cluster, Times()
        self._database = cluster.create(database)
        self._idle: list[psycopg.Connection[Any]] = []
        self.execute(
            'CREATE TABLE "AuditLogs" (id serial PRIMARY KEY, event varchar(255), body text, "entityId" varchar(255),'
            ' "entityType" varchar(255), source varchar(255), "createdAt" timestamptz NOT NULL)'
        )
        self.backup()

    def begin(self) -> "psycopg.Connection[Any]":
        connection = self._idle.pop() if self._idle else self._cluster.connect(self._database)
        connection.execute("BEGIN")
        return connection

    def insert(self, transaction: "psycopg.Connection[Any]", row: Row) -> None:
        transaction.execute(
            'INSERT INTO "AuditLogs" (event, source, "entityType", body, "createdAt") VALUES (%s, %s, %s, %s, %s)',
            (*row, self._times.next()),
        )

    def end(self, transaction: "psycopg.Connection[Any]", *, commit: bool) -> None:
        transaction.execute("COMMIT" if commit else "ROLLBACK")
        self._idle.append(transaction)

    def execute(self, statement: str) -> None:
        connection = self._idle.pop() if self._idle else self._cluster.connect(self._database)
        connection.execute(statement.encode())
        self._idle.append(connection)

    def backup(self) -> None:
        self.execute('DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM "AuditLogs"')

    def restore(self) -> None:
        self.execute(
            'BEGIN; DELETE FROM "AuditLogs"; INSERT INTO "AuditLogs" SELECT * FROM kept; '
            """SELECT setval('"AuditLogs_id_seq"', greatest(1, (SELECT max(id) FROM kept)));"""
            " COMMIT"
        )

    def rows(self) -> list[Row]:
        connection = self._idle[0]
        return connection.execute('SELECT event, source, "entityType", body FROM "AuditLogs"').fetchall()

    @contextlib.contextmanager
    def source(self) -> Iterator[Queryable]:
        with contextlib.closing(PostgreSQLSource(cluster_database(self._cluster, self._database))) as source:
            yield source

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


def random_row(random: Random) -> Row:
    return random.choice(EVENTS), random.choice(SOURCES), random.choice(KINDS), random.choice(BODIES)


def recount(rows: list[Row]) -> Found:
    """What the counters must be, row by row, from FlowFuse's documentation of its events and not from our rules."""
    events: Counter[tuple[str, ...]] = Counter()
    failures: Counter[tuple[str, ...]] = Counter(
        dict.fromkeys((("crashed",), ("safe_mode",), ("start_failed",), ("cpu",), ("memory",)), 0)
    )
    devices: Counter[tuple[str, ...]] = Counter(dict.fromkeys((("crashed",), ("safe_mode",), ("start_failed",)), 0))
    deployments: Counter[tuple[str, ...]] = Counter(dict.fromkeys((("people",), ("api",), ("ai",), ("pipeline",)), 0))
    sign_ins: Counter[tuple[str, ...]] = Counter(dict.fromkeys((("success",), ("failure",)), 0))
    told_apart = {event for event in EVENTS if event not in ("an invented name", "", "CRASHED", None)}
    for event, source, kind, body in rows:
        error = json.loads(body or "{}").get("error") is not None
        known_source = source if source in ("api", "mcp", "mcp:expert") else "none" if source is None else "other"
        events[event if event in told_apart else "other", known_source] += 1
        if event == "account.login":
            sign_ins["failure" if error else "success",] += 1
        if kind == "device":
            if event in ("crashed", "safe-mode"):
                devices[event.replace("-", "_"),] += 1
            if event in ("device.start-failed", "device.restart-failed"):
                devices["start_failed",] += 1
        else:
            if event in ("crashed", "safe-mode"):
                failures[event.replace("-", "_"),] += 1
            if event in ("resource.cpu", "resource.memory"):
                failures[event.removeprefix("resource."),] += 1
            if event == "project.start-failed" or (event in ("project.started", "project.restarted") and error):
                failures["start_failed",] += 1
        if not error:
            if event == "application.pipeline.stage-deployed":
                deployments["pipeline",] += 1
            elif event in (
                *("flows.set", "device.snapshot.deployed", "project.snapshot.rolled-back"),
                "project.snapshot.device-target-set",
            ):
                deployments[{"api": "api", "mcp": "ai", "mcp:expert": "ai"}.get(source or "", "people"),] += 1
    return {
        "flowfuse_audit_events_total": dict(events),
        "flowfuse_instance_failures_total": dict(failures),
        "flowfuse_device_failures_total": dict(devices),
        "flowfuse_deployments_total": dict(deployments),
        "flowfuse_sign_ins_total": dict(sign_ins),
    }


def counters(source: Queryable, clock: Any, memory: Any = None) -> AuditCounters:
    return AuditCounters(AuditLog(source), clock, memory)


def forget(directory: Path) -> None:
    """The state that a disk loses."""
    shutil.rmtree(directory, ignore_errors=True)


def full_disk(*_: object, **__: object) -> int:
    """In place of `os.write`."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
