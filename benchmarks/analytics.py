"""The weekly questions of a fleet, asked of PostgreSQL and of ClickHouse.

`python -m benchmarks.analytics [--platforms 100000] [--days 7]`: fills a PostgreSQL with that many platforms and days
of their pings, rolls them up, copies them to ClickHouse, and prints what each takes. ClickHouse is the engine in the
package `chdb`.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

import psycopg

from benchmarks.durable import durable_server, on_disk, seconds_used_by, timed, used_here
from benchmarks.fleet import NOW, WINDOW, first_pings
from ff_observe.catalogue.ping_contract import FIELDS
from ff_observe.collector.clickhouse.engine import ClickHouseEngine
from ff_observe.collector.clickhouse.sink import Sink
from ff_observe.collector.commands import FleetStore
from ff_observe.collector.settings_kinds import ClickHouse
from ff_observe.collector.store import Store
from ff_observe.collector.store.columns import COLUMNS, NAMES
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.config.secret import Secret
from tests.real_parts import clickhouse

INSTANCE = "00000000-0000-4000-8000-000000000000"
TODAY = NOW.date()
VERSION, DRIVER = (
    next(i for i, field in enumerate(FIELDS) if field.dotted.endswith(end)) for end in ("flowforge", "driver")
)
USERS = next(field.dotted for field in FIELDS if field.dotted.endswith("counts.users"))
QUESTIONS = {
    "adoption": [FIELDS[VERSION].dotted],
    "upgrades": ["upgrade"],
    "cohorts": ["cohort"],
    "silent": ["seen", "gap"],
    "histogram of users": [USERS],
    "every field": [field.dotted for field in FIELDS],
}


def fill(url: str, store: Store, platforms: int, days: int) -> None:
    """Counts differ from platform to platform, most are small, and one in ten changes from day to day."""

    async def first() -> None:
        writer = store.writer()
        (one, *_) = first_pings(INSTANCE)
        for ago in range(days, 0, -1):
            await writer.write([one._replace(received_at=NOW - timedelta(days=ago), digest=f"{ago:032x}")])
        await writer.close()

    asyncio.run(first())
    values = {name: f"one.{name}" for name in NAMES}
    values["instance_id"] = "md5(i::text)::uuid"
    values[NAMES[VERSION]] = "'2.' || (20 + (i % 7 + {day}) / 4) || '.0'"
    values[NAMES[DRIVER]] = "(ARRAY['localfs', 'docker', 'kubernetes'])[1 + i % 3]"
    for place, column in enumerate(COLUMNS):
        if column.field.type is int:
            drawn = f"((i * {place + 7919}::bigint * 2654435761) % 100003) / 100003.0"
            values[column.name] = (
                f"floor(power(10, 4 * {drawn} * {drawn}))::bigint + CASE i % 10 WHEN 0 THEN {{day}} ELSE 0 END"
            )
    names, copied = ", ".join(NAMES), ", ".join(values.values())
    with psycopg.connect(url, autocommit=True) as session:
        rows = f"ping AS one, generate_series(1, {platforms}) AS numbers (i) WHERE one.instance_id = '{INSTANCE}'"
        for day in range(days):
            received = NOW - timedelta(days=days - day)
            session.execute(
                f"INSERT INTO ping (received_at, sender, {names}) SELECT received_at + i * interval '1 microsecond', "
                f"sha256(i::text::bytea), {copied.replace('{day}', str(day))} FROM {rows} "
                f"AND received_at = '{received}'".encode()
            )
        session.execute(
            f"INSERT INTO platform (first_seen, last_seen, {names}) "
            f"SELECT received_at - i % 500 * interval '1 day', received_at, {copied.replace('{day}', '0')} FROM {rows} "
            f"AND received_at = '{received}'".encode()
        )
        session.execute("CHECKPOINT")


def ask(name: str, engine: FleetStore, days: int, used: Callable[[], float]) -> None:
    print(f"{name}:")
    since, until = TODAY - timedelta(days=days), TODAY - timedelta(days=1)
    for question, fields in QUESTIONS.items():
        timed(question, partial(engine.rollups, since, until, fields), used)
    timed("crosstab of version and driver", lambda: engine.crosstab(until, VERSION, DRIVER), used)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platforms", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=7)
    options = parser.parse_args(arguments or [])
    with (
        on_disk() as directory,
        durable_server(directory) as (url, postmaster),
        clickhouse.running(directory / "clickhouse") as server,
    ):
        compare(url, postmaster, server, options.platforms, options.days)


def compare(url: str, postmaster: int, server: clickhouse.ClickHouse, platforms: int, days: int) -> None:
    store = PostgreSQLStore(Secret(url), WINDOW, lambda _: None)
    fill(url, store, platforms, days)
    pings = (platforms + 1) * days
    print(f"{platforms} platforms, {days} days of their pings, load {os.getloadavg()[0]:.1f}", flush=True)
    by_postgresql = partial(used_here, postmaster)

    def used() -> float:
        return by_postgresql() + seconds_used_by(server.pid)

    timed(f"rolling up {days} days", lambda: store.fold(NOW, days), by_postgresql)
    database = ClickHouse(Secret(server.url("fleet")))
    sink = Sink(database, timedelta(days=36_500))
    timed(f"copying {days} days", lambda: sink.send(store, TODAY, days), used)
    with psycopg.connect(url) as session:
        size = "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'ping'::regclass"
        ((held,),) = session.execute(size).fetchall()
    parts = "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND table = 'ping'"
    ((copied, rows),) = sink.server.run("measure", parts)
    assert rows == pings
    print(f"    bytes of a ping: {float(held) / pings:.0f} in PostgreSQL, {copied / rows:.0f} in ClickHouse")
    ask("roll-ups, or pings where there are none, in PostgreSQL", store, days, by_postgresql)
    ask("pings in ClickHouse", ClickHouseEngine(database), days, used)
    fields = QUESTIONS["every field"]
    answers = [set(engine.rollups(date.min, date.max, fields)) for engine in (store, ClickHouseEngine(database))]
    assert answers[0] == answers[1]


if __name__ == "__main__":
    main(sys.argv[1:])
