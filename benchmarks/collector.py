"""Acknowledged durable pings per second and their 99th percentile, against what the collector could have been.

`python -m benchmarks.collector`: at 16 and 64 connections, on a PostgreSQL of its own with fsync on,

* `collector`: ff-observe's, in a process of its own;
* `naive`: an equivalent of what FlowFuse runs: a new connection and one INSERT for each request;
* `pgbench`: prepared INSERTs of the same row into the same table, one commit each: the limit without group commit,
  with no HTTP, no JSON, no recognition of duplicates and no table of platforms;
* `uvicorn`: answers the same requests without looking at them: the limit of an HTTP server in Python;

and on SQLite with synchronous=FULL, with shared commits and with one commit for each ping. Rounds are interleaved and
the ratios are medians of those within a round, because what else the machine does changes from round to round. The
processor time of a ping, in microseconds, is that of the server, of PostgreSQL and of wrk or pgbench. Requests that
fail are counted in the table; those of the collector make the benchmark fail, after its last row. Needs wrk, PostgreSQL
and two idle cores.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path

import psycopg

from benchmarks import ratios, wrk
from benchmarks.durable import durable_server, on_disk, seconds_used_by
from benchmarks.receivers import SENDER, Receiver, receiving
from ff_observe.collector.receiving.acceptance import Accepted, accept
from ff_observe.collector.store.columns import NAMES
from tests.real_parts import postgresql
from tests.recordings import COMMITTED

CONNECTIONS = (16, 64)
PING = (COMMITTED / "v2.4.0-postgres-dev" / "ping.json").read_bytes()

_LOAD = """\
local n, id, before, after = 0, 0, %s, %s
function setup(thread) thread:set("id", id); id = id + 1 end
function init() wrk.method = "POST"; wrk.headers["Content-Type"] = "application/json" end
function request()
  n = n + 1
  return wrk.format(nil, "/ping", nil, before .. string.format("%%s-%%04x-4000-8000-%%012x", "%s", id, n) .. after)
end
"""


@dataclass(frozen=True)
class Result:
    """Pings (or transactions) per second; the 99th percentile in milliseconds, where it was measured; how many requests
    failed or took longer than wrk waits; microseconds of processor time for each, by process."""

    per_second: float
    p99: float = float("nan")
    failed: int = 0
    processor: tuple[float, ...] = ()


def load(port: int, connections: int, seconds: int, run: str) -> Result:
    """What wrk sees, every ping that of another instance."""
    before, after = PING.decode().split(json.loads(PING)["instanceId"])
    script = _LOAD % (json.dumps(before), json.dumps(after), blake2b(run.encode(), digest_size=4).hexdigest())
    found = wrk.load(f"http://127.0.0.1:{port}", seconds, connections, script)
    return Result(found.requests_per_second, found.p99_seconds * 1e3, found.failed)


def pgbench(url: str, connections: int, seconds: int, script: Path, variables: list[str]) -> Result:
    """Single prepared INSERTs of the row, the values bound as parameters."""
    assert postgresql.BINARIES is not None
    command = [
        *(str(postgresql.BINARIES / "pgbench"), "-n", "-M", "prepared", "-c", str(connections), "-j", "2"),
        *("-T", str(seconds), "-f", str(script), *variables, url),
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Result(float(re.findall(r"tps = ([0-9.]+)", output)[0]))


def using(ask: Callable[[], Result], seconds: int, server: int | None, database: int | None) -> Result:
    """What a program finds out that runs for `seconds`, with the processor time of these processes, and its own."""

    def used() -> list[float]:
        times = os.times()
        others = [float("nan") if pid is None else seconds_used_by(pid) for pid in (server, database)]
        return [*others, times.children_user + times.children_system]

    before = used()
    found = ask()
    spent = [after - once for after, once in zip(used(), before, strict=True)]
    return replace(found, processor=tuple(each / max(1.0, found.per_second * seconds) * 1e6 for each in spent))


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


def row(name: str, connections: int, results: Sequence[Result]) -> None:
    """One line of the table: medians, and how many requests failed in all rounds."""
    per_second = statistics.median(result.per_second for result in results)
    p99 = statistics.median(result.p99 for result in results)
    failed = sum(result.failed for result in results)
    used = "".join(
        f"{statistics.median(each):8.1f}" for each in zip(*(result.processor for result in results), strict=True)
    )
    print(f"{name:34} {connections:4} {per_second:12,.0f} {p99:10.1f} {failed:7}{used}", flush=True)


def ratio(ours: Sequence[Result], theirs: Sequence[Result]) -> float:
    both = [(a.per_second, b.per_second) for a, b in zip(ours, theirs, strict=True) if b.per_second]
    return statistics.median(a / b for a, b in both) if both else float("nan")


def compare(database: str, connections: int, found: Mapping[str, Sequence[Result]]) -> None:
    """A line for each contender, and how many times as fast as each of the others the first one is."""
    for name, results in found.items():
        row(f"{database}, {name}", connections, results)
    ours, *rivals = found
    times = {rival: ratio(found[ours], found[rival]) for rival in rivals}
    shown = "   ".join(f"x {rival}: {share:.2f}" for rival, share in times.items())
    print(f"    {shown}   (load {os.getloadavg()[0]:.1f})", flush=True)
    for rival, share in times.items():
        ratios.note(f"collector.{database.lower()}.{connections}_connections.times_{rival.replace(' ', '_')}", share)


def on_postgresql(directory: Path, rounds: int, seconds: int) -> int:
    """The collector against its rivals. Returns how many of the collector's requests failed."""
    failed = 0
    runs = itertools.count()
    with (
        durable_server(directory) as (url, postmaster),
        receiving("collector", directory / "collector", "data", url) as ours,
        receiving("naive", directory / "naive", url) as theirs,
        receiving("uvicorn", directory / "uvicorn") as alone,
    ):
        script, variables = insert_script(directory)

        def loaded(server: Receiver, connections: int) -> Result:
            ask = partial(load, server.port, connections, seconds, f"p{next(runs)}")
            return using(ask, seconds, server.pid, postmaster)

        for connections in CONNECTIONS:
            found: dict[str, list[Result]] = {"collector": [], "naive": [], "pgbench": [], "uvicorn": []}
            insert = partial(pgbench, url, connections, seconds, script, variables)
            for _ in range(rounds):
                found["collector"].append(loaded(ours, connections))
                found["pgbench"].append(using(insert, seconds, None, postmaster))
                found["naive"].append(loaded(theirs, connections))
                found["uvicorn"].append(loaded(alone, connections))
            compare("PostgreSQL", connections, found)
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
        receiving("collector", directory / "shared", "data", f"sqlite:{directory}/shared.db") as shared,
        receiving("collector", directory / "single", "data", f"sqlite:{directory}/single.db", "1") as single,
    ):
        for connections in CONNECTIONS:
            found: dict[str, list[Result]] = {"collector": [], "a commit each": []}
            for _ in range(rounds):
                for server, results in zip((shared, single), found.values(), strict=True):
                    ask = partial(load, server.port, connections, seconds, f"s{next(runs)}")
                    results.append(using(ask, seconds, server.pid, None))
            compare("SQLite", connections, found)
            failed += sum(result.failed for result in found["collector"])
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
    print(
        f"{'':34} {'conn':>4} {'pings/s':>12} {'p99 ms':>10} {'failed':>7}  us of processor: server, database, sender"
    )
    with on_disk() as directory:
        failed = sum(on(directory, options.rounds, options.seconds) for on in (on_postgresql, on_sqlite))
    if failed:
        raise SystemExit(f"{failed} requests of the collector failed: see the table")


if __name__ == "__main__":
    main(sys.argv[1:])
