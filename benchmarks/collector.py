"""Acknowledged durable pings per second and their 99th percentile, against what the collector could have been.

`python -m benchmarks.collector`: at 16 and 64 connections, on a PostgreSQL of its own with fsync on,

* `collector`: ff-observe's, in a process of its own;
* `naive`: an equivalent of what FlowFuse runs: a new connection and one INSERT for each request;
* `pgbench`: prepared INSERTs of the same row into the same table, one commit each: the limit without group commit,
  with no HTTP, no JSON, no recognition of duplicates and no table of platforms;

and on SQLite with synchronous=FULL, with shared commits and with one commit for each ping. Rounds are interleaved and
the ratios are medians of those within a round, because what else the machine does changes from round to round. Requests
that fail are counted in the table; those of the collector make the benchmark fail, after its last row. Needs wrk,
PostgreSQL and two idle cores.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import psycopg

from benchmarks import ratios
from ff_observe.collector.acceptance import Accepted, accept
from ff_observe.collector.store.columns import NAMES
from tests.network_guard import guarded_environment
from tests.real_parts import postgresql
from tests.real_parts.processes import accepts, answers, free_port, running
from tests.recordings import COMMITTED, ROOT

CONNECTIONS = (16, 64)
PING = (COMMITTED / "v2.4.0-postgres-dev" / "ping.json").read_bytes()
SENDER = "ab" * 32

_LOAD = """\
local n, id, before, after = 0, 0, %s, %s
function setup(thread) thread:set("id", id); id = id + 1 end
function init() wrk.method = "POST"; wrk.headers["Content-Type"] = "application/json" end
function request()
  n = n + 1
  return wrk.format(nil, "/ping", nil, before .. string.format("%%s-%%04x-4000-8000-%%012x", "%s", id, n) .. after)
end
function done(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout
  io.write(string.format("RESULT %%f %%f %%d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(99) / 1e3, failed))
end
"""


@dataclass(frozen=True)
class Result:
    """Pings (or transactions) per second; the 99th percentile in milliseconds, where it was measured; how many requests
    failed or took longer than wrk waits."""

    per_second: float
    p99: float = float("nan")
    failed: int = 0


def load(port: int, connections: int, seconds: int, run: str) -> Result:
    """What wrk sees, every ping that of another instance."""
    before, after = PING.decode().split(json.loads(PING)["instanceId"])
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LOAD % (json.dumps(before), json.dumps(after), blake2b(run.encode(), digest_size=4).hexdigest()))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, f"http://127.0.0.1:{port}"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    per_second, p99, failed = re.findall(r"RESULT (\S+) (\S+) (\S+)", output)[0]
    return Result(float(per_second), float(p99), int(failed))


def pgbench(url: str, connections: int, seconds: int, script: Path, variables: list[str]) -> Result:
    """Single prepared INSERTs of the row, the values bound as parameters."""
    assert postgresql.BINARIES is not None
    command = [
        *(str(postgresql.BINARIES / "pgbench"), "-n", "-M", "prepared", "-c", str(connections), "-j", "2"),
        *("-T", str(seconds), "-f", str(script), *variables, url),
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Result(float(re.findall(r"tps = ([0-9.]+)", output)[0]))


def insert_script(directory: Path) -> tuple[Path, list[str]]:
    """The INSERT for pgbench, and the variables that hold the values."""
    found = accept(PING)
    assert isinstance(found, Accepted)
    present = [(name, value) for name, value in zip(NAMES, found.values, strict=True) if value is not None][1:]
    columns = ", ".join(["received_at", "sender", NAMES[0], *(name for name, _ in present)])
    values = ", ".join(["now()", ":sender", "'pgbench-' || :n", *(f":{name}" for name, _ in present)])
    script = directory / "insert.sql"
    script.write_text(f"\\set n random(1, 1000000000000)\nINSERT INTO ping ({columns}) VALUES ({values});\n")
    texts = [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in present]
    return script, [part for name, text in [("sender", f"\\x{SENDER}"), *texts] for part in ("-D", f"{name}={text}")]


@contextlib.contextmanager
def collecting(directory: Path, database: str, *options: str) -> Iterator[int]:
    """A collector in a process of its own; its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.collector", "--serve", str(port), str(directory), database, *options]
    with running(command, directory, answers(f"http://127.0.0.1:{port}/-/ready"), environment=guarded_environment()):
        yield port


@contextlib.contextmanager
def naive(directory: Path, url: str) -> Iterator[int]:
    """The equivalent of what runs today, in a process of its own; its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.collector", "--naive", str(port), url]
    with running(command, directory, accepts(port), environment=guarded_environment()):
        yield port


def serve(port: int, directory: Path, database: str, max_batch: int) -> None:
    """What the collector's process does."""
    from dataclasses import replace

    from ff_observe.collector.commands import prepare_process
    from ff_observe.collector.service import Collector
    from ff_observe.collector.settings_file import collector_settings
    from ff_observe.collector.settings_kinds import parse_database

    prepare_process()
    settings = replace(
        collector_settings(listen=f"127.0.0.1:{port}", data_dir=directory),
        database=parse_database(database),
        max_batch=max_batch,
        fleet_interval_seconds=3600,
    )
    Collector(settings).start()
    threading.Event().wait()


def serve_naive(port: int, url: str) -> None:
    """A new connection and one INSERT for each request, on the same server software."""
    import uvicorn

    from ff_observe.collector.responses import SUCCESS
    from ff_observe.http.messages import Receive, Scope, Send

    columns = ", ".join(["received_at", "sender", *NAMES])
    statement = f"INSERT INTO ping ({columns}) VALUES (now(), %s, {', '.join(['%s'] * len(NAMES))})".encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = accept((await receive())["body"])
        assert isinstance(found, Accepted)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(statement, (bytes.fromhex(SENDER), *found.values))
        await SUCCESS.send(scope, send)

    uvicorn.run(app, port=port, log_level="error", access_log=False, lifespan="off", loop="uvloop")


def durable_cluster(directory: Path) -> None:
    """A cluster as one would run it: the tests' own has fsync off."""
    postgresql.initialise(directory)
    config = directory / "data" / "postgresql.conf"
    settings = config.read_text().replace("fsync = off", "fsync = on").replace("log_statement = all", "")
    config.write_text(f"{settings}\nmax_connections = 200\nshared_buffers = 512MB\nmax_wal_size = 4GB\n")


def row(name: str, connections: int, results: list[Result]) -> None:
    per_second = statistics.median(result.per_second for result in results)
    p99 = statistics.median(result.p99 for result in results)
    failed = sum(result.failed for result in results)
    print(f"{name:34} {connections:4} {per_second:12,.0f} {p99:10.1f} {failed:7}", flush=True)


def ratio(ours: list[Result], theirs: list[Result]) -> float:
    both = [(a.per_second, b.per_second) for a, b in zip(ours, theirs, strict=True) if b.per_second]
    return statistics.median(a / b for a, b in both) if both else float("nan")


def on_postgresql(directory: Path, rounds: int, seconds: int) -> int:
    """The collector against the naive one and pgbench. Returns how many of the collector's requests failed."""
    failed = 0
    cluster, port = directory / "cluster", free_port()
    durable_cluster(cluster)
    url = f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{port}/postgres"
    runs = itertools.count()
    with (
        postgresql.server(cluster, port),
        collecting(directory / "collector", url) as ours,
        naive(directory / "naive", url) as theirs,
    ):
        script, variables = insert_script(directory)
        for connections in CONNECTIONS:
            found: dict[str, list[Result]] = {"collector": [], "naive": [], "pgbench": []}
            for _ in range(rounds):
                found["collector"].append(load(ours, connections, seconds, f"c{next(runs)}"))
                found["pgbench"].append(pgbench(url, connections, seconds, script, variables))
                found["naive"].append(load(theirs, connections, seconds, f"n{next(runs)}"))
            for name, results in found.items():
                row(f"PostgreSQL, {name}", connections, results)
            times = {rival: ratio(found["collector"], found[rival]) for rival in ("naive", "pgbench")}
            print(f"    x naive: {times['naive']:.1f}   x pgbench: {times['pgbench']:.2f}")
            for rival, share in times.items():
                ratios.note(f"collector.postgresql.{connections}_connections.times_{rival}", share)
            failed += sum(result.failed for result in found["collector"])
        with psycopg.connect(url) as session:
            session.execute("ANALYZE")
            for table, per in (("ping", "ping_%"), ("platform", "platform%"), ("recent", "recent%")):
                size = session.execute(
                    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE %s",
                    (per,),
                ).fetchone()
                count = session.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                assert size is not None
                assert count is not None
                print(f"    {table}: {int(size[0]) / max(1, int(count[0])):.0f} bytes for each of {count[0]} rows")
    return failed


def on_sqlite(directory: Path, rounds: int, seconds: int) -> int:
    """Shared commits against one commit for each ping. Returns how many requests of the former failed."""
    failed = 0
    runs = itertools.count()
    with (
        collecting(directory / "shared", f"sqlite:{directory}/shared.db") as shared,
        collecting(directory / "single", f"sqlite:{directory}/single.db", "1") as single,
    ):
        for connections in CONNECTIONS:
            found: dict[str, list[Result]] = {"collector": [], "one commit for each ping": []}
            for _ in range(rounds):
                found["collector"].append(load(shared, connections, seconds, f"s{next(runs)}"))
                found["one commit for each ping"].append(load(single, connections, seconds, f"o{next(runs)}"))
            for name, results in found.items():
                row(f"SQLite, {name}", connections, results)
            ours, theirs = found.values()
            times = ratio(ours, theirs)
            print(f"    x one commit for each ping: {times:.1f}")
            ratios.note(f"collector.sqlite.{connections}_connections.times_a_commit_each", times)
            failed += sum(result.failed for result in ours)
    return failed


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args(arguments or [])
    if shutil.which("wrk") is None or postgresql.BINARIES is None:
        raise SystemExit("needs wrk and PostgreSQL: apt-get install wrk postgresql")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds of {options.seconds} s")
    print(f"{'':34} {'conn':>4} {'pings/s':>12} {'p99 ms':>10} {'failed':>7}")
    disk = ROOT / ".cache"  # not a temporary directory, which may be in memory
    disk.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=disk, prefix="bench-") as made:
        directory = Path(made)
        directory.chmod(0o755)  # PostgreSQL runs as a user of its own
        failed = sum(on(directory, options.rounds, options.seconds) for on in (on_postgresql, on_sqlite))
    if failed:
        raise SystemExit(f"{failed} requests of the collector failed: see the table")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve", port, directory, database, *batch]:
            serve(int(port), Path(directory), database, int(batch[0]) if batch else 1000)
        case ["--naive", port, url]:
            serve_naive(int(port), url)
        case options:
            main(options)
