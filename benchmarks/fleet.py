"""What a large store costs the collector: counting the fleet, rolling up, forgetting an instance, dropping a day.

`python -m benchmarks.fleet [--platforms 10000 100000 1000000] [--rebuilt 30]`: fills a PostgreSQL with fsync on, then
an SQLite file, with that many platforms and two days of their pings, and times what the collector does with them, and
how long single pings wait meanwhile. Then all roll-ups of so many days of 100,000 platforms are made from their pings.
Needs PostgreSQL, and some gigabytes of disk.
"""

import argparse
import asyncio
import contextlib
import os
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest import mock

import psycopg

from benchmarks import ratios
from benchmarks.durable import durable_server, on_disk, timed, used_here
from ff_observe.catalogue.ping_contract import FIELDS
from ff_observe.collector.fleet.figures import take_fleet, take_release
from ff_observe.collector.receiving.acceptance import Accepted, accept
from ff_observe.collector.store import Ping, Store, StoreError
from ff_observe.collector.store import counting as store_counting
from ff_observe.collector.store.columns import NAMES
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.sqlite import open_sqlite
from ff_observe.config.secret import Secret
from tests.recordings import COMMITTED

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAYS = 2
"""On so many days before today all platforms pinged; two of them ping today."""
REBUILT_PLATFORMS = 100_000
ROUND_SECONDS = 30.0
ROUNDS = 3
SLOWER = 1.2
"""How much the 99th percentile of a ping's wait may grow while the fleet is counted."""
WINDOW = timedelta(hours=1)
SCATTER = 2654435761
"""Ids are not in the order of the platforms."""
PING = COMMITTED / "v2.4.0-postgres-dev" / "ping.json"


FORGOTTEN = "00000000-0000-4000-8000-000000000000"
KEPT = "00000000-0000-4000-8000-000000000001"


def first_pings(instance_id: str, days: int = DAYS) -> list[Ping]:
    """One of an instance for each day, the oldest first."""
    found = accept(PING.read_bytes())
    assert isinstance(found, Accepted)
    values = (instance_id, *found.values[1:])
    return [Ping.of(NOW - timedelta(days=ago), bytes(32), values) for ago in range(days, -1, -1)]


async def write_first_pings(store: Store, days: int) -> None:
    """Of both instances, in the order of time: the store doubts a clock that goes back."""
    writer = store.writer()
    for ping in sorted(first_pings(FORGOTTEN, days) + first_pings(KEPT, days), key=lambda ping: ping.received_at):
        await writer.write([ping])
    await writer.close()


def multiply(execute: Callable[[str], object], number: str, uuid: str, sender: str, platforms: int) -> None:
    """Every other platform is as the first, but for its id, its sender, and the number of its users."""
    copied = ", ".join(
        {"instance_id": uuid, "platform_counts_users": "i % 1000"}.get(name, f"one.{name}") for name in NAMES
    )
    names = ", ".join(NAMES)
    rows = number.format(platforms)
    execute(
        f"INSERT INTO platform (first_seen, last_seen, {names}) "
        f"SELECT one.first_seen, one.last_seen, {copied} FROM platform AS one, {rows} "
        f"WHERE one.instance_id = '{KEPT}'"
    )
    execute(
        f"INSERT INTO ping (received_at, sender, {names}) "
        f"SELECT received_at, {sender}, {copied} FROM ping AS one, {rows} "
        f"WHERE one.instance_id = '{KEPT}' AND received_at < '{(NOW - timedelta(hours=1)).isoformat()}'"
    )


@contextlib.contextmanager
def on_postgresql(directory: Path, platforms: int, days: int) -> Iterator[tuple[Callable[[], Store], int | None]]:
    with durable_server(directory) as (url, postmaster):
        make_store = partial(PostgreSQLStore, Secret(url), WINDOW, lambda _: None)
        asyncio.run(write_first_pings(make_store(), days))
        with psycopg.connect(url, autocommit=True) as session:
            rows = "generate_series(1, {}) AS numbers (i)"
            multiply(
                lambda text: session.execute(text.encode()),
                rows,
                "md5(i::text)::uuid",
                "decode(md5(i::text), 'hex')",
                platforms,
            )
            session.execute("VACUUM ANALYZE")
            session.execute("CHECKPOINT")
        yield make_store, postmaster


@contextlib.contextmanager
def on_sqlite(directory: Path, platforms: int, days: int) -> Iterator[tuple[Callable[[], Store], int | None]]:
    store = open_sqlite(directory / "pings.sqlite3", WINDOW, "benchmark")
    asyncio.run(write_first_pings(store, days))
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as session:
        rows = "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) SELECT i FROM n)"
        session.execute("PRAGMA cache_size = -500000")
        uuid = f"printf('%08x000040008000%012x', i * {SCATTER} % 4294967296, i)"
        multiply(session.execute, rows, uuid, uuid, platforms)
    yield lambda: open_sqlite(store.path, WINDOW, "benchmark"), None


@contextlib.contextmanager
def pinging(store: Store) -> Iterator[list[float]]:
    """Write single pings, one after the other, until the block ends. Yields how long each has waited, in seconds."""
    stopped, waits = threading.Event(), list[float]()
    last = first_pings(KEPT)[-1]

    async def main() -> None:
        writer = store.writer()
        while not stopped.is_set():
            began = time.monotonic()
            with contextlib.suppress(StoreError):
                await writer.write([last._replace(digest=f"{time.monotonic_ns():032x}")])
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.01)
        await writer.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        yield waits
    finally:
        stopped.set()
        thread.join()


@contextlib.contextmanager
def counting(store: Store) -> Iterator[None]:
    """Count the fleet again and again, until the block ends: also in the midst of a count."""
    stopped = threading.Event()

    def count() -> None:
        with contextlib.suppress(StoreError):  # interrupted
            while not stopped.is_set():
                take_fleet(store, NOW, 5, 2)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        store.interrupt()
        thread.join()


def slowed(name: str, make_store: Callable[[], Store]) -> None:
    """Print how much longer pings wait while the fleet is counted, and keep the ratio. Rounds with and without
    alternate."""
    alone, beside = list[float](), list[float]()
    for _ in range(ROUNDS):
        with pinging(make_store()) as waits:
            time.sleep(ROUND_SECONDS)
        alone += waits
        with counting(make_store()), pinging(make_store()) as waits:
            time.sleep(ROUND_SECONDS)
        beside += waits
    before, after = (1e3 * statistics.quantiles(waits, n=100)[-1] for waits in (alone, beside))
    share = after / before
    print(f"    {'99 % of pings alone / counting':34} {before:6.1f} / {after:.1f} ms, {share:.2f} times", flush=True)
    ratios.note(f"{name}.ping_while_counting", share, less_is_better=True, target=SLOWER)


def measure(name: str, make_store: Callable[[], Store], platforms: int, used: Callable[[], float]) -> None:
    """What a collector does with a store of that size."""
    store = make_store()
    with mock.patch.object(store_counting, "LONGEST_REST_SECONDS", 0):
        timed("counting the fleet, without rests", lambda: take_fleet(store, NOW, 5, 2), used)
        timed("the same again", lambda: take_fleet(store, NOW, 5, 2), used)
    timed("reading the last count", lambda: take_fleet(store, NOW, 5, 2, timedelta(hours=1)), used)
    timed("rolling up two days", lambda: store.fold(NOW, DAYS + 1), used)
    timed("the day's public release", lambda: take_release(store, NOW, 5, 2, 2), used)
    fields = [field.dotted for field in FIELDS]
    timed("reading all of their roll-ups", lambda: store.rollups(date.min, date.max, fields), used)
    slowed(f"fleet.{name.lower()}.{platforms}", make_store)
    with pinging(store) as waits:
        timed("forgetting an instance", lambda: store.forget(FORGOTTEN), used)
        timed("pruning two days", lambda: store.prune(NOW, timedelta(hours=1)), used)
        timed("upkeep", lambda: store.tidy(NOW), used)
    print(f"    {'longest wait of a ping meanwhile':34} {max(waits):8.1f} s")


def rebuild(store: Store) -> None:
    """Roll up every day, as after the first start of a version that rolls up."""
    while store.fold(NOW, 3).oldest_due is not None:
        pass


@contextlib.contextmanager
def filled(name: str, platforms: int, days: int) -> Iterator[tuple[Callable[[], Store], Callable[[], float]]]:
    """A store that holds those pings, and what says how much of a processor it has used."""
    with on_disk() as directory, STORES[name](directory, platforms, days) as (make_store, postmaster):
        time.sleep(1)
        load = os.getloadavg()[0]
        print(f"{name}, {platforms} platforms, {days} days of their pings, load {load:.1f}", flush=True)
        yield make_store, partial(used_here, postmaster)


STORES = {"PostgreSQL": on_postgresql, "SQLite": on_sqlite}


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platforms", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rebuilt", type=int, metavar="DAYS", default=30)
    parser.add_argument("--only", choices=tuple(STORES))
    options = parser.parse_args(arguments or [])
    for name in STORES if options.only is None else (options.only,):
        for platforms in options.platforms:
            with filled(name, platforms, DAYS) as (make_store, used):
                measure(name, make_store, platforms, used)
        if options.rebuilt:
            with filled(name, REBUILT_PLATFORMS, options.rebuilt) as (make_store, used):
                timed("making all roll-ups anew", lambda: rebuild(make_store()), used)


if __name__ == "__main__":
    main(sys.argv[1:])
