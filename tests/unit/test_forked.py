"""What a process that was forked from one with a running bridge does to that bridge: nothing."""

import subprocess
import sys
from pathlib import Path

from tests.network_guard import guarded_environment
from tests.platforms import case_named
from tests.real_parts.bridge import home_with
from tests.real_parts.postgresql import PASSWORD, Cluster

ROOT = Path(__file__).parents[2]

LEAVING = """
import os, sys, ff_observe, psycopg
from tests.unit.web.asgi import get

def sessions():
    with psycopg.connect(sys.argv[2]) as asking:
        return asking.execute(
            "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE 'ff-observe%' ORDER BY 1"
        ).fetchall()

with ff_observe.build_bridge(ff_observe.load_settings(home=sys.argv[1])) as bridge:
    while len(before := sessions()) < 2:  # that of the counts and that of the ping
        pass
    if not (child := os.fork()):
        print(get(bridge.app, "/metrics").text, end="", flush=True)
        sys.exit(7)  # leaves the block, and so stops the bridge
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert sessions() == before, before
    assert get(bridge.app, "/metrics").status == 200
"""

UNLOCKING = """
import os, pathlib, sys
from ff_observe.outputs.ping.election import FileElection
from ff_observe.outputs.ping.ledger_files import read_files, writable
from ff_observe.outputs.ping.memory import PingMemory
from ff_observe.system.clock import SystemClock

directory = pathlib.Path(sys.argv[1])
ledger = directory / "pings.jsonl"
memory = PingMemory(directory, "one", SystemClock())
election = FileElection(memory)
assert election.look(owed=False).role == "leader"
parent_ends, ours = os.pipe()
with writable(ledger) as files, files.locked(ledger.name, SystemClock()):
    if not os.fork():
        os.close(ours)
        os.read(parent_ends, 1)
        os._exit(0)
read_files(ledger, SystemClock())
election.close()
assert FileElection(memory).look(owed=False).role == "leader"
"""


def run(script: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-c", script, *arguments]
    environment = guarded_environment(PYTHONPATH=str(ROOT))
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_that_ends_leaves_its_sessions_open_and_one_that_serves_reads_over_none(
    postgres: Cluster, tmp_path: Path
) -> None:
    name = postgres.load("forked", case_named("v2.4.0-postgres-dev").home / "dump.sql")
    database = f"  {{type: postgres, host: 127.0.0.1, port: {postgres.port}, user: postgres, password: {PASSWORD}, "
    backend = "  url: http://127.0.0.1:9/ping\n  backend: {prometheus: {enabled: true, port: 0}}\n"
    home = home_with(tmp_path, f"{database}database: {name}}}\n", backend)
    answer = "the bridge runs in the process that this one was forked from: start it after forking\n"
    assert run(LEAVING, home, postgres.url(name)) == answer


def test_one_that_lives_on_keeps_neither_the_ledger_nor_the_lead_locked(tmp_path: Path) -> None:
    assert run(UNLOCKING, tmp_path) == ""
