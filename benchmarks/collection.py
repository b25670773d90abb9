"""How much faster a snapshot is than the same figures asked FlowFuse's way: `python -m benchmarks.collection`.

FlowFuse asks one COUNT for each figure, one after the other (recorded with `log_statement=all`). Both sides run
through the same Python driver, so that the ratio is that of the databases' work. Rounds are interleaved; a platform
that is written to between the rounds is the rule, one that nobody writes to the exception ("idle").
"""

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.platforms import Size, postgresql_platform, sqlite_platform
from ff_observe.catalogue import COUNTS
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.sources.postgresql import PostgreSQLSource
from ff_observe.sources.sqlite import SQLiteSource
from tests.real_parts import postgresql

GIB = 2**30
FIGURES = len(COUNTS) - 2  # of the catalogue's counts, FlowFuse 2.4.0 does not have the two of the broker
_PLAIN = (
    "Users",
    "Teams",
    "Projects",
    "Devices",
    "ProjectSnapshots",
    "ProjectStacks",
    "ProjectTemplates",
    "StorageLibraries",
    "Invitations",
    "FlowTemplates",
    "StorageSharedLibraries",
)


def flowfuse_statements(at: datetime) -> list[str]:
    """What FlowFuse 2.4.0 asks for its ping and its statistics, each figure once: the broker's tables came later."""

    def since(days: int) -> str:
        return f"{at - timedelta(days=days):%Y-%m-%d %H:%M:%S}.000 +00:00"

    return [
        *(f'SELECT count(*) AS "count" FROM "{table}" AS "T";' for table in _PLAIN),
        'SELECT "state", count(*) AS "count" FROM "Projects" AS "Project" GROUP BY "state";',
        'SELECT "admin", count(*) AS "count" FROM "Users" AS "User" GROUP BY "admin";',
        'SELECT "TeamTypeId", count(*) AS "count" FROM "Teams" AS "Team" GROUP BY "TeamTypeId";',
        'SELECT "id", "name" FROM "TeamTypes" AS "TeamType";',
        'SELECT "mode", count(*) AS "count" FROM "Devices" AS "Device" GROUP BY "mode";',
        'SELECT count(*) AS "count" FROM "Devices" AS "Device" WHERE "Device"."lastSeenAt" IS NULL;',
        *(
            f'SELECT count(*) AS "count" FROM "Devices" AS "Device" WHERE "Device"."lastSeenAt" >= \'{since(days)}\';'
            for days in (1, 7, 28)
        ),
        'SELECT "status", count(*) AS "count" FROM "Subscriptions" AS "Subscription" GROUP BY "status";',
        (
            'SELECT "trialStatus", count(*) AS "count" FROM "Subscriptions" AS "Subscription"'
            ' WHERE "Subscription"."status" = \'trial\' GROUP BY "trialStatus";'
        ),
        *(
            f'SELECT * FROM "PlatformSettings" WHERE "key" = \'{key}\';'
            for key in ("instanceId", "setup:initialised", "telemetry:enabled", "license")
        ),
    ]


def median_seconds(rounds: int, *contenders: Callable[[], object]) -> list[float]:
    """The median time of each contender; they take turns, after one round that does not count."""
    taken: list[list[float]] = [[] for _ in contenders]
    for turn in range(rounds + 1):
        for contender, times in zip(contenders, taken, strict=True):
            started = time.perf_counter()
            contender()
            if turn:
                times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in taken]


def report(what: str, size: str, theirs: float, ours: float, idle: float | None) -> None:
    idle_text = f"{idle * 1000:10.2f} {theirs / idle:6.1f} x" if idle is not None else ""
    print(
        f"{what:<11} {size:<30} {theirs * 1000:10.2f} {ours * 1000:10.2f} {theirs / ours:6.2f} x {idle_text}",
        flush=True,
    )


def measure_sqlite(directory: Path, size: Size, rounds: int) -> None:
    path = sqlite_platform(directory / f"{size.devices}-{size.flow_characters}.db", size)
    flowfuse = sqlite3.connect(path, isolation_level=None)
    source = SQLiteSource(path)
    writes = 0

    def theirs() -> None:
        for statement in flowfuse_statements(datetime.now(UTC)):
            flowfuse.execute(statement).fetchall()

    def write() -> None:
        nonlocal writes
        writes += 1
        flowfuse.execute('UPDATE "Devices" SET "agentVersion" = ? WHERE "id" = 1', (str(writes),))

    def ours() -> None:
        answer = source.read(datetime.now(UTC))
        assert len(answer.readings) == FIGURES, answer.failures

    theirs_seconds, _, ours_seconds, idle_seconds = median_seconds(rounds, theirs, write, ours, ours)
    file_size = path.stat().st_size
    label = f"{size.devices:,} devices, {file_size / GIB:.2f} GiB"
    report("SQLite", label, theirs_seconds, ours_seconds, idle_seconds)
    source.close()
    flowfuse.close()
    path.unlink()


def measure_postgresql(cluster: postgresql.Cluster, size: Size, rounds: int) -> None:
    name = postgresql_platform(cluster, "bench", size)
    flowfuse = cluster.connect(name)
    source = PostgreSQLSource(
        PostgreSQLDatabase("127.0.0.1", cluster.port, "postgres", Secret(postgresql.PASSWORD), name)
    )

    def theirs() -> None:
        for statement in flowfuse_statements(datetime.now(UTC)):
            flowfuse.execute(statement.encode()).fetchall()

    def ours() -> None:
        answer = source.read(datetime.now(UTC))
        assert len(answer.readings) == FIGURES, answer.failures

    theirs_seconds, ours_seconds = median_seconds(rounds, theirs, ours)
    report("PostgreSQL", f"{size.devices:,} devices", theirs_seconds, ours_seconds, None)
    source.close()
    flowfuse.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--full", action="store_true", help="also a million devices, and SQLite at and beyond 2 GiB")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--only", choices=("sqlite", "postgresql"))
    chosen = arguments.parse_args()
    sizes = [Size(10_000), Size(100_000)]
    print(f"{'':<11} {'':<30} {'FlowFuse ms':>10} {'ours ms':>10} {'ratio':>8} {'idle ms':>10} {'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="collection-") as name:
        directory = Path(name)
        if chosen.only != "postgresql":
            for size in [*sizes, *([Size(1_000_000), Size(1_000_000, 2_400)] if chosen.full else [])]:
                measure_sqlite(directory, size, chosen.rounds)
        if chosen.only != "sqlite":
            if postgresql.BINARIES is None:
                print("PostgreSQL is not installed (apt-get install postgresql): not measured")
                return
            with postgresql.cluster(directory / "cluster") as cluster:
                for size in [*sizes, *([Size(1_000_000)] if chosen.full else [])]:
                    measure_postgresql(cluster, size, chosen.rounds)


if __name__ == "__main__":
    main()
