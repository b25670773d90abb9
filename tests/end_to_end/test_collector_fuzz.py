"""A short run of the fuzzers, and a flood of odd requests at a running collector: no 5xx, no traceback, no growth."""

import asyncio
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.network_guard import guarded_environment
from tests.pace import in_full
from tests.real_parts.collector import process, send
from tests.recordings import ROOT
from tests.unit.collector.pings import body

RUNS = in_full(100_000, else_=30_000)


@pytest.mark.timeout(170)
def test_the_coverage_guided_fuzzer_finds_nothing() -> None:
    pytest.importorskip("atheris", reason="needs atheris: wheels for CPython before 3.14 on x86-64 Linux")
    # By a shell that forks: what libFuzzer limits as the peak of its memory would begin with that of this process.
    shell = ["/bin/sh", "-c", '"$@"; exit $?', "sh"]
    fuzzed = subprocess.run(
        [*shell, sys.executable, "-m", "tests.fuzz.collector_acceptance", f"-runs={RUNS}", "-max_total_time=60"],
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
    nothing_went_wrong(tmp_path)


def nothing_went_wrong(directory: Path) -> None:
    log = next(directory.glob("*.log")).read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log


def odd_request(chance: random.Random) -> bytes:
    """A request whose lines are changed, doubled, left out or put elsewhere."""
    sent = body(f"odd-{chance.randrange(50)}")
    lines = [
        chance.choice(
            [b"POST /ping HTTP/1.1", b"POST / HTTP/1.1", b"GET /metrics HTTP/1.1", b"HEAD /-/ready HTTP/1.0"]
        ),
        *(
            b"Host: localhost",
            b"Connection: close",
            b"Content-Type: application/json",
            b"X-Forwarded-For: 192.0.2.1, 10.0.0.1",
        ),
        b"Content-Length: %d" % len(sent),
    ]
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                lines.insert(place, chance.choice(ODD_LINES))
            case 1:
                lines[place] = lines[place].replace(
                    b": ", b": " + chance.choice([b"0" * 5000, b"\xff", b"-", b'"', b",,"])
                )
            case 2:
                del lines[place]
            case _:
                lines.append(lines[place])
    return b"\r\n".join(lines) + b"\r\n\r\n" + sent


ODD_LINES = (
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Content-Encoding: br", b"Content-Length: 18"),
    *(
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Expect: 100-continue",
        b"Accept: \xff",
        b"Accept-Encoding: gzip;q=x",
    ),
    *(
        b"",
        b" folded",
        b"no colon",
        b": no name",
        b"Trailer: a",
        b"X: " + b"x" * 40_000,
        b"Host: a\x00",
        b"PRI * HTTP/2.0",
    ),
)


def test_odd_requests_never_make_a_running_collector_fail(tmp_path: Path) -> None:
    chance = random.Random(7)
    trusting = {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}
    with process(tmp_path, address=trusting, limits={"request_seconds": 1, "idle_seconds": 1}) as collector:

        async def answered(sent: bytes) -> list[bytes]:
            reader, writer = await asyncio.open_connection("127.0.0.1", collector.port)
            try:
                writer.write(sent)
                received = await asyncio.wait_for(reader.read(), 20)
            except ConnectionError:
                return []
            finally:
                writer.close()
            return re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)

        async def main() -> Counter[bytes]:
            found: Counter[bytes] = Counter()
            for _ in range(8):
                for statuses in await asyncio.gather(*(answered(odd_request(chance)) for _ in range(250))):
                    found.update(statuses)
            return found

        statuses = asyncio.run(main())
        assert send(collector.port, body("and others")).status == 200
    assert statuses[b"200"] > 300
    assert statuses[b"400"] > 300
    assert not [status for status in statuses if status >= b"500"]
    nothing_went_wrong(tmp_path)
