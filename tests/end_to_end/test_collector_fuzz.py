"""A short run of the fuzzers, and a flood of odd requests at a running collector: no 5xx, no traceback, no growth."""

import random
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.network_guard import guarded_environment
from tests.real_parts.collector import process, send
from tests.recordings import ROOT
from tests.unit.ping_collector.pings import body

RUNS = 20_000


@pytest.mark.timeout(170)
def test_the_coverage_guided_fuzzer_finds_nothing() -> None:
    pytest.importorskip("atheris", reason="needs atheris: pip install atheris")
    fuzzed = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.collector_acceptance", f"-runs={RUNS}", "-max_total_time=60"],
        cwd=ROOT,
        env=guarded_environment(),
        capture_output=True,
        text=True,
    )
    assert fuzzed.returncode == 0, fuzzed.stderr[-3000:]
    assert "Done " in fuzzed.stderr


def mutated(chance: random.Random) -> bytes:
    """A ping with a few bytes changed, cut, doubled or put elsewhere."""
    sent = bytearray(body(f"fuzz-{chance.randrange(50)}"))
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(sent))
        match chance.randrange(4):
            case 0:
                sent[place] = chance.randrange(256)
            case 1:
                del sent[place : place + chance.randrange(20)]
            case 2:
                sent[place:place] = sent[: chance.randrange(200)]
            case _:
                sent[place:place] = chance.choice(
                    [b"null", b"1e999", b'"\\ud800"', b"[" * 50, b"\xff\xfe", b"-0", b"{}"]
                )
    return bytes(sent)


def test_odd_bodies_never_make_a_running_collector_fail_or_grow(tmp_path: Path) -> None:
    chance = random.Random(7)
    with process(tmp_path) as collector:
        memory = psutil.Process(collector.pid).memory_info
        for _ in range(200):
            send(collector.port, mutated(chance))
        before = memory().rss
        statuses = {send(collector.port, mutated(chance)).status for _ in range(3000)}
        assert statuses <= {200, 400}
        assert memory().rss - before < 20 * 2**20
    log = next(tmp_path.glob("*.log")).read_text()
    assert "Traceback" not in log
