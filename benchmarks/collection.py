"""How much faster a snapshot is than the same figures asked FlowFuse's way: `python -m benchmarks.collection`.

FlowFuse asks one COUNT for each figure, one after the other: the statements below are those it sent for one ping and
one request for statistics (recorded with `log_statement=all`). Some figures are in both; "each once" leaves the second
asking out. Both sides go through the same Python drivers, so that the ratio is that of the databases' work. Rounds are
interleaved. The platform is written to between the rounds; "idle" is SQLite without a write since the last snapshot.

A snapshot holds more than FlowFuse reports: the last lines compare it with one of just the figures that FlowFuse has,
in three states: written to, idle, and with the counts due that have an interval of their own.
"""

import argparse
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from benchmarks import ratios
from benchmarks.platforms import Size, postgresql_platform, read_anew, sqlite_platform
from ff_observe.catalogue.counts import REPORTED
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.platform.sources.sqlite_process import LARGE_BYTES, GuardedSQLiteSource
from tests.real_parts import postgresql
from tests.real_parts.processes import open_directory

GIB = 2**30
FIGURES = len(REPORTED) - 2  # what FlowFuse reports, but for the two of the broker, which 2.4.0 does not have


def _count(table: str, where: str = "") -> str:
    return f'SELECT count(*) AS "count" FROM "{table}" AS "T"{where};'


def _count_by(table: str, column: str, where: str = "") -> str:
    return f'SELECT "{column}", count(*) AS "count" FROM "{table}" AS "T"{where} GROUP BY "{column}";'


def flowfuse_statements(at: datetime) -> list[str]:
    """What FlowFuse 2.33.2 asks for a ping and for its statistics, but for the broker's tables, which the platforms
    here (of 2.4.0) do not have."""

    def seen_since(days: int) -> str:
        return f' WHERE "T"."lastSeenAt" >= \'{at - timedelta(days=days):%Y-%m-%d %H:%M:%S}.000 +00:00\''

    never_seen = ' WHERE "T"."lastSeenAt" IS NULL'
    ping = [
        _count("FlowTemplates"),
        _count("StorageSharedLibraries"),
        _count_by("Projects", "state"),
        _count("Devices", never_seen),
        _count("Devices", seen_since(1)),
        _count("Users"),
        _count("Teams"),
        _count("Projects"),
        _count("Devices"),
        _count("ProjectSnapshots"),
        _count("ProjectStacks"),
        _count("ProjectTemplates"),
        _count("StorageLibraries"),
    ]
    statistics_request = [
        _count_by("Users", "admin"),
        _count_by("Projects", "state"),
        _count_by("Teams", "TeamTypeId"),
        'SELECT "id", "name" FROM "TeamTypes" AS "TeamType";',
        _count("Invitations"),
        _count("Teams"),
        _count("Devices"),
        _count_by("Devices", "mode"),
        _count("Devices", never_seen),
        *(_count("Devices", seen_since(days)) for days in (1, 7, 28)),
        _count_by("Subscriptions", "status"),
        _count_by("Subscriptions", "trialStatus", ' WHERE "T"."status" = \'trial\''),
    ]
    return ping + statistics_request


def median_seconds(rounds: int, *contenders: Callable[[], object]) -> list[float]:
    """The median time of each contender."""
    return [statistics.median(times) for times in seconds_taken(rounds, *contenders)]


def seconds_taken(rounds: int, *contenders: Callable[[], object]) -> list[list[float]]:
    """The times of each contender; they take turns, after one round that does not count."""
    taken: list[list[float]] = [[] for _ in contenders]
    for turn in range(rounds + 1):
        for contender, times in zip(contenders, taken, strict=True):
            started = time.perf_counter()
            contender()
            if turn:
                times.append(time.perf_counter() - started)
    return taken


def report(what: str, size: str, theirs: float, each_once: float, ours: float, idle: float | None = None) -> None:
    """One line of the table; all in seconds."""
    line = (
        f"{what:<11} {size:<31} {theirs * 1000:11.2f} {ours * 1000:9.2f} {theirs / ours:7.2f} {each_once / ours:10.2f}"
    )
    name = f"collection.{what}.{size.split(' (')[0]}".lower().replace(" ", "_")
    ratios.note(f"{name}.times_flowfuse", theirs / ours)
    if idle is not None:
        ratios.note(f"{name}.times_flowfuse_idle", theirs / idle)
        line += f" {idle * 1000:9.2f} {theirs / idle:7.2f}"
    print(line, flush=True)


def measure_sqlite(directory: Path, size: Size, rounds: int) -> None:
    """Two lines for a SQLite platform of that size: as it was just written, and read again from the disk, as after the
    machine was restarted. Linux keeps what it reads ahead in larger pieces, which are mapped at a fraction of the cost.
    """
    path = sqlite_platform(directory / f"{size.devices}-{size.flow_characters}.db", size)
    _measure_sqlite(path, f"{size.devices:,} devices, just written", rounds)
    read_anew(path)
    _measure_sqlite(path, f"{size.devices:,} devices, {path.stat().st_size / GIB:.2f} GiB", rounds)
    path.unlink()


def _measure_sqlite(path: Path, label: str, rounds: int) -> None:
    flowfuse = sqlite3.connect(path, isolation_level=None)
    source = GuardedSQLiteSource(path)
    numbers = count(1)

    def ask(statements: Iterable[str]) -> None:
        for statement in statements:
            flowfuse.execute(statement).fetchall()

    def write() -> None:
        flowfuse.execute('UPDATE "Devices" SET "agentVersion" = ? WHERE "id" = 1', (str(next(numbers)),))

    def ours() -> None:
        answer = source.read(datetime.now(UTC))
        assert len(answer.readings) >= FIGURES, answer.failures

    theirs_seconds, once_seconds, _, ours_seconds, idle_seconds = median_seconds(
        rounds,
        lambda: ask(flowfuse_statements(datetime.now(UTC))),
        lambda: ask(dict.fromkeys(flowfuse_statements(datetime.now(UTC)))),
        write,
        ours,
        ours,
    )
    report("SQLite", label, theirs_seconds, once_seconds, ours_seconds, idle_seconds)
    source.close()
    maps = path.stat().st_size >= LARGE_BYTES
    whole, reported = SQLiteSource(path, maps=maps), SQLiteSource(path, REPORTED, maps=maps)
    measure_additions("SQLite", label, whole, reported, rounds, write)
    whole.close()
    flowfuse.close()


def measure_additions(
    what: str,
    label: str,
    source: PostgreSQLSource | SQLiteSource,
    reported: PostgreSQLSource | SQLiteSource,
    rounds: int,
    write: Callable[[], object],
) -> None:
    """What the counts cost that FlowFuse does not report."""
    at = datetime.now(UTC)
    source.read(at)
    hours = count(1)
    old, old_idle = (lambda: reported.read(at)), (lambda: reported.read(at))
    new, new_idle = (lambda: source.read(at)), (lambda: source.read(at))
    _, before, before_idle, _, after, after_idle = median_seconds(rounds, write, old, old_idle, write, new, new_idle)
    (due,) = median_seconds(min(rounds, 8), lambda: source.read(at + timedelta(hours=next(hours))))
    print(
        f"{what:<11} {label:<31} additions: {before * 1000:.2f} -> {after * 1000:.2f} ms ({after / before:.2f}), idle"
        f" {before_idle * 1000:.2f} -> {after_idle * 1000:.2f} ms ({after_idle / before_idle:.2f}),"
        f" with all due {due * 1000:.2f} ms",
        flush=True,
    )
    reported.close()


def measure_postgresql(cluster: postgresql.Cluster, size: Size, rounds: int) -> None:
    """A line for a PostgreSQL platform of that size."""
    name = postgresql_platform(cluster, "bench", size)
    database = PostgreSQLDatabase("127.0.0.1", cluster.port, "postgres", Secret(postgresql.PASSWORD), name)
    source = PostgreSQLSource(database)

    def ask(statements: Iterable[str]) -> None:
        for statement in statements:
            flowfuse.execute(statement.encode()).fetchall()

    def ours() -> None:
        answer = source.read(datetime.now(UTC))
        assert len(answer.readings) >= FIGURES, answer.failures

    with cluster.connect(name) as flowfuse:
        theirs_seconds, once_seconds, ours_seconds = median_seconds(
            rounds,
            lambda: ask(flowfuse_statements(datetime.now(UTC))),
            lambda: ask(dict.fromkeys(flowfuse_statements(datetime.now(UTC)))),
            ours,
        )
    label = f"{size.devices:,} devices"
    report("PostgreSQL", label, theirs_seconds, once_seconds, ours_seconds)
    measure_additions("PostgreSQL", label, source, PostgreSQLSource(database, REPORTED), rounds, lambda: None)
    source.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="neither a million devices nor SQLite beyond 2 GiB")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--only", choices=("sqlite", "postgresql"))
    chosen = arguments.parse_args()
    sizes = [Size(10_000), Size(100_000)]
    headings = f"{'FlowFuse ms':>11} {'ours ms':>9} {'ratio':>7} {'each once':>10} {'idle ms':>9} {'ratio':>7}"
    print(f"{'':<11} {'':<31} {headings}")
    with open_directory() as directory:
        if chosen.only != "postgresql":
            for size in [*sizes, *([Size(1_000_000), Size(1_000_000, 2_400)] if not chosen.quick else [])]:
                measure_sqlite(directory, size, chosen.rounds)
        if chosen.only != "sqlite":
            if postgresql.BINARIES is None:
                print("PostgreSQL is not installed (apt-get install postgresql): not measured")
                return
            with postgresql.cluster(directory / "cluster") as cluster:
                for size in [*sizes, *([Size(1_000_000)] if not chosen.quick else [])]:
                    measure_postgresql(cluster, size, chosen.rounds)


if __name__ == "__main__":
    main()
