"""`kill -9` at random moments under load: what was acknowledged is stored, and nothing twice."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from ff_observe.collector.settings import PostgreSQLServer
from ff_observe.collector.settings_file import collector_settings
from tests.pace import in_full
from tests.real_parts import postgresql
from tests.real_parts.collector import process, send
from tests.real_parts.load import CLIENTS, Load, settle_in_the_end
from tests.real_parts.processes import PATIENCE_SECONDS, free_port
from tests.unit.collector.pings import body

ROUNDS = in_full(100, 12)


def killed_under_load(load: Load, port: int, pid: int, after_pings: int, and_seconds: float) -> None:
    """Send until the process has been killed, a moment after so many more pings were acknowledged."""

    async def main() -> None:
        load.arrived = asyncio.Event()
        enough = len(load.acknowledged) + after_pings
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(port, asyncio.Event()))
            await load.until(lambda: len(load.acknowledged) >= enough)
            await asyncio.sleep(and_seconds)
            os.kill(pid, signal.SIGKILL)

    asyncio.run(main())


def counted(directory: Path) -> Counter[str]:
    """How many times each instance is stored, asked of the database itself. An SQLite file is copied first, with its
    journal: opening it would repair what the collector is to repair."""
    query = "SELECT instance_id, count(*) FROM ping GROUP BY 1"
    database = collector_settings(directory / "collector.yml").database
    if isinstance(database, PostgreSQLServer):
        with psycopg.connect(database.url.reveal()) as session:
            return Counter(dict(session.execute(query).fetchall()))
    copied = shutil.copytree(directory / "data" / "pings", directory / "copied", dirs_exist_ok=True)
    with contextlib.closing(sqlite3.connect(copied / "pings.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return Counter(dict(connection.execute(query).fetchall()))


@pytest.mark.timeout(60 * ROUNDS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_acknowledged_ping_is_lost_and_none_is_stored_twice(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings: dict[str, Any] = {}
    if kind == "postgresql":
        cluster: postgresql.Cluster = request.getfixturevalue("postgres")
        settings = {"database": cluster.url(cluster.create(f"crash_{uuid.uuid4().hex}"))}
    chance = random.Random(ROUNDS)
    load = Load()
    port = free_port()
    for done in range(ROUNDS):
        with process(tmp_path, port, **settings) as collector:
            killed_under_load(load, port, collector.pid, chance.randrange(1, 250), chance.uniform(0, 0.01))
        if done % 10 == 9:
            _all_and_none_twice(load, counted(tmp_path))
    with process(tmp_path, port, **settings) as collector:
        for name in load.unsettled:  # as a client would, later
            assert send(port, body(name)).status == 200
            load.acknowledged.add(name)
    assert counted(tmp_path) == Counter(load.acknowledged)
    assert set(load.refused) <= {503}


def _all_and_none_twice(load: Load, stored: Counter[str]) -> None:
    """Between rounds: what was sent and not acknowledged may be there or not."""
    assert load.acknowledged <= stored.keys() <= {*load.acknowledged, *load.unsettled}
    assert set(stored.values()) <= {1}


def test_postgresql_killed_under_load_loses_nothing_and_the_collector_recovers(
    tmp_path: Path, open_directory: Path
) -> None:
    """The database dies, not the collector: nobody is told of a success that is none."""
    cluster = open_directory / "cluster"
    postgresql.initialise(cluster)
    config = cluster / "data" / "postgresql.conf"
    config.write_text(config.read_text().replace("fsync = off", "fsync = on").replace("log_statement = all", ""))
    database_port, port = free_port(), free_port()
    url = f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{database_port}/postgres"
    load = Load()
    with process(tmp_path / "collector", port, database=url):
        for _ in range(3):
            with postgresql.server(cluster, database_port):
                postmaster = int((cluster / "data" / "postmaster.pid").read_text().split()[0])
                killed_and_stopped(load, port, postmaster)
            (cluster / "data" / "postmaster.pid").unlink(missing_ok=True)
        with postgresql.server(cluster, database_port):
            for name in load.unsettled:
                settle_in_the_end(port, name)
                load.acknowledged.add(name)
            assert counted(tmp_path / "collector") == Counter(load.acknowledged)
    assert load.refused[503] > 0
    assert set(load.refused) == {503}


def killed_and_stopped(load: Load, port: int, postmaster: int) -> None:
    """Send; kill the server; go on sending until clients are turned away; stop. Returns when the server's other
    processes, too, are gone: while one is left, another server neither can nor may be started on the same files."""
    others: list[psutil.Process] = []

    def kill() -> None:
        others.extend(psutil.Process(postmaster).children())
        os.kill(postmaster, signal.SIGKILL)

    async def main() -> None:
        load.arrived = asyncio.Event()
        until = asyncio.Event()
        enough, refused = len(load.acknowledged) + 50, load.refused[503]
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(port, until))
            await load.until(lambda: len(load.acknowledged) >= enough)
            kill()
            await load.until(lambda: load.refused[503] > refused + CLIENTS)
            until.set()

    asyncio.run(main())
    _, left = psutil.wait_procs(others, PATIENCE_SECONDS)
    assert left == []
