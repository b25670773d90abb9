"""What counting FlowFuse's audit log, and the rest that FlowFuse does not report, costs: `python -m benchmarks.audit`.

A snapshot with all of it against one of just FlowFuse's own figures, in turns, on one database: while the platform is
written to (each time also its audit log), and with nothing new. Then the log is counted from its beginning while a
writer beside it inserts as FlowFuse does, each insertion a transaction that waits for at most a second. Exit status 1
if a target is missed.
"""

import argparse
import contextlib
import os
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from benchmarks import ratios
from benchmarks.collection import seconds_taken
from benchmarks.platforms import Size, audit_rows, postgresql_platform, sqlite_platform
from ff_observe.catalogue.counts import REPORTED
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.platform.audit_counters import AuditCounters
from ff_observe.platform.sources.audit_log import AuditLog
from ff_observe.platform.sources.counting import Queryable
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sql import Dialect, Row
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.platform.sources.sqlite_process import GuardedSQLiteSource
from ff_observe.system.clock import SystemClock
from tests.real_parts import postgresql
from tests.real_parts.processes import open_directory

WRITTEN_TO, UNCHANGED = 1.3, 1.5
"""How many times as long as a snapshot of FlowFuse's own figures one may take."""
TRANSACTION_SECONDS = 1.0
"""How long a statement of the counting may take. It runs in no transaction but its own."""
WRITER_SECONDS = 1.0
"""node-sqlite3 waits as long for a lock; FlowFuse then tries again, the writer here does not."""
PLATFORM, ROUNDS = "bench", 15
Write = Callable[[], object]
Source = SQLiteSource | PostgreSQLSource


class Timed:
    """A source that notes how long its statements took."""

    def __init__(self, source: Queryable) -> None:
        self._source = source
        self.seconds: list[float] = []

    @property
    def dialect(self) -> Dialect:
        return self._source.dialect

    def select(self, sql: str) -> list[Row]:
        began = time.perf_counter()
        try:
            return self._source.select(sql)
        finally:
            self.seconds.append(time.perf_counter() - began)


class Writer:
    """Inserts one entry after the other until it is stopped."""

    def __init__(self, write: Callable[[], Write]) -> None:
        self._connect = write
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds: list[float] = []
        self.errors: list[str] = []

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        write = self._connect()
        while not self._done.wait(0.01):
            began = time.perf_counter()
            try:
                write()
            except Exception as error:
                self.errors.append(str(error))
            self.seconds.append(time.perf_counter() - began)


def snapshots(what: str, source: Source, of_flowfuse: Source, write: Write) -> bool:
    """Whether a snapshot with everything meets its targets. Prints a line.

    Of each, the shortest of the rounds: other processes, and the state of the caches, only ever add to the cost.
    """
    audit = AuditCounters(AuditLog(source), SystemClock())
    at = datetime.now(UTC)
    while audit.look(PLATFORM).share != 1:
        audit.catch_up()

    def with_all() -> None:
        answer = source.read(at)
        counted = audit.look(PLATFORM, unchanged=answer.unchanged)
        assert counted.readings, counted

    def reported() -> None:
        of_flowfuse.read(at)

    taken = seconds_taken(ROUNDS, write, reported, reported, write, with_all, with_all)
    _, before, before_idle, _, after, after_idle = map(min, taken)
    medians = [f"{statistics.median(times) * 1000:.0f}" for times in taken]
    written, idle = after / before, after_idle / before_idle
    print(
        f"{what:<11} snapshot, written to: {before * 1000:.2f} -> {after * 1000:.2f} ms, {written:.2f} times (target"
        f" {WRITTEN_TO}); nothing new: {before_idle * 1000:.2f} -> {after_idle * 1000:.2f} ms, {idle:.2f} times (target"
        f" {UNCHANGED}); medians {medians[1]} -> {medians[4]} and {medians[2]} -> {medians[5]} ms",
        flush=True,
    )
    name = f"audit.{what.lower()}.snapshot"
    ratios.note(f"{name}.written_to", written, less_is_better=True, target=WRITTEN_TO)
    ratios.note(f"{name}.unchanged", idle, less_is_better=True, target=UNCHANGED)
    return written <= WRITTEN_TO and idle <= UNCHANGED


def catch_up(what: str, source: Queryable, connect: Callable[[], Write], entries: int) -> bool:
    """Count the whole log beside a writer; whether no statement was long, and the writer saw no error."""
    timed = Timed(source)
    audit = AuditCounters(AuditLog(timed), SystemClock())
    began = time.perf_counter()
    with Writer(connect) as writer:
        while not (found := audit.look(PLATFORM)).readings:
            assert found.failure is None, found.failure
            audit.catch_up()
    took = time.perf_counter() - began
    counted = sum(found.readings["flowfuse_audit_events_total"].values())
    assert counted >= entries, counted
    print(
        f"{what:<11} {counted:,.0f} entries in {took:.1f} s, {len(timed.seconds)} statements, the longest"
        f" {max(timed.seconds) * 1000:.0f} ms (target {TRANSACTION_SECONDS * 1000:.0f}); beside it"
        f" {len(writer.seconds)} insertions, the longest {max(writer.seconds) * 1000:.0f} ms,"
        f" {len(writer.errors)} failed {'; '.join(sorted(set(writer.errors)))}",
        flush=True,
    )
    return max(timed.seconds) <= TRANSACTION_SECONDS and not writer.errors


def in_sqlite(directory: Path, size: Size, entries: int) -> bool:
    path = sqlite_platform(directory / "forge.db", size)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute(audit_rows(entries, sqlite=True))
    os.sync()  # gigabytes that wait for the disk would delay readers and writers alike

    def connect() -> Write:
        database = sqlite3.connect(path, isolation_level=None, timeout=WRITER_SECONDS, check_same_thread=False)
        return lambda: database.execute(audit_rows(1, sqlite=True))

    return measure_sqlite(path, entries, connect)


def measure_sqlite(path: Path, entries: int, connect: Callable[[], Write]) -> bool:
    with contextlib.closing(GuardedSQLiteSource(path)) as guarded:
        caught_up = catch_up("SQLite", guarded, connect, entries)
    with (
        contextlib.closing(SQLiteSource(path)) as source,
        contextlib.closing(SQLiteSource(path, REPORTED)) as reported,
    ):
        return snapshots("SQLite", source, reported, _also_a_device(connect(), path)) and caught_up


def _also_a_device(write: Write, path: Path) -> Write:
    database, numbers = sqlite3.connect(path, isolation_level=None), count(1)

    def both() -> None:
        write()
        database.execute('UPDATE "Devices" SET "agentVersion" = ? WHERE "id" = 1', (str(next(numbers)),))

    return both


def in_postgresql(cluster: postgresql.Cluster, size: Size, entries: int) -> bool:
    name = postgresql_platform(cluster, "audited", size)
    with cluster.connect(name) as database:
        database.execute(audit_rows(entries, sqlite=False).encode())
        database.execute('vacuum analyze "AuditLogs"')
        database.execute("checkpoint")
    os.sync()
    described = PostgreSQLDatabase("127.0.0.1", cluster.port, "postgres", Secret(postgresql.PASSWORD), name)

    def connect() -> Write:
        database = cluster.connect(name)
        return lambda: database.execute(audit_rows(1, sqlite=False).encode())

    with contextlib.closing(PostgreSQLSource(described)) as source:
        caught_up = catch_up("PostgreSQL", source, connect, entries)
        with contextlib.closing(PostgreSQLSource(described, REPORTED)) as reported:
            return snapshots("PostgreSQL", source, reported, connect()) and caught_up


def outcomes(chosen: argparse.Namespace) -> Iterator[bool]:
    """Whether each database meets its targets."""
    size = Size(chosen.devices)
    with open_directory() as directory:
        if chosen.only != "postgresql":
            yield in_sqlite(directory, size, chosen.entries)
        if chosen.only != "sqlite":
            if postgresql.BINARIES is None:
                print("PostgreSQL is not installed (apt-get install postgresql): not measured")
                return
            with postgresql.cluster(directory / "cluster") as cluster:
                yield in_postgresql(cluster, size, chosen.entries)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    arguments.add_argument("--devices", type=int, default=1_000_000, help="and as many snapshots")
    arguments.add_argument("--entries", type=int, default=10_000_000, help="of the audit log")
    arguments.add_argument("--only", choices=("sqlite", "postgresql"))
    return 0 if all(list(outcomes(arguments.parse_args()))) else 1


if __name__ == "__main__":
    sys.exit(main())
