"""The ledger of pings under several real processes, and under one that is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ff_observe.outputs.ping.ledger import Ledger, entries
from ff_observe.outputs.ping.ledger_proof import verify
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.system.clock import SystemClock
from tests import network_guard

ROOT = Path(__file__).resolve().parents[3]
DELIVERED = Outcome(Result.DELIVERED, "fine", 200, "ping.example.com:443")

_WRITER = """
import sys
from pathlib import Path
from ff_observe.system.clock import SystemClock
from ff_observe.outputs.ping.ledger import Ledger
from ff_observe.outputs.ping.outcome import Outcome, Result
ledger = Ledger(Path(sys.argv[1]), SystemClock(), int(sys.argv[4]))
for number in range(int(sys.argv[3])):
    ledger.append(Outcome(Result.DELIVERED, "", 200, "r:1"), b"%s %d" % (sys.argv[2].encode(), number))
    print(number, flush=True)
"""


def writer(path: Path, name: str, count: int, largest_file: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), name, str(count), str(largest_file)],
        cwd=ROOT,
        env=network_guard.guarded_environment(),
        stdout=subprocess.PIPE,
    )


def test_concurrent_processes_lose_nothing_and_keep_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    writers = [writer(path, str(index), 25, 1_000_000) for index in range(4)]
    for process in writers:
        process.communicate(timeout=60)
    assert [process.returncode for process in writers] == [0] * 4
    expected = {f"{index} {number}" for index in range(4) for number in range(25)}
    assert {entry.body for entry in entries(path)} == expected
    assert verify(path) == []


@pytest.mark.parametrize("after", [1, 7, 30])
def test_a_writer_killed_in_the_middle_loses_nothing_that_was_recorded(tmp_path: Path, after: int) -> None:
    path = tmp_path / "pings.jsonl"
    with writer(path, "w", 100_000, 20_000) as process:
        assert process.stdout is not None
        for _ in range(after):
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        told = max([told, *map(int, process.stdout.read().split())])
    ledger = Ledger(path, SystemClock(), 20_000)
    ledger.append(DELIVERED, b"w after")
    held = [entry.body for entry in entries(path)]
    assert f"w {told}" in held
    assert held[-1] == "w after"
    assert verify(path) == []
