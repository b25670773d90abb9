"""Keep-alive load from wrk (Debian package `wrk`), and its figures."""

import re
import subprocess
from dataclasses import dataclass

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Load:
    """Figures of one run. Latencies in seconds; `failed` are answers that were no 2xx and socket errors."""

    requests_per_second: float
    p50_seconds: float
    p99_seconds: float
    failed: int


def load(url: str, seconds: int, connections: int = 16) -> Load:
    """Ask `url` over `connections` kept-alive connections from one thread, as fast as it answers."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "5s", url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    assert rate is not None, printed
    return Load(float(rate[1]), _percentile(printed, 50), _percentile(printed, 99), sum(map(int, _failures(printed))))


def _percentile(printed: str, percent: int) -> float:
    found = re.search(rf"\s{percent}%\s+([\d.]+)(us|ms|s)\s", printed)
    assert found is not None, printed
    return float(found[1]) * _SECONDS[found[2]]


def _failures(printed: str) -> list[str]:
    refused = re.findall(r"Non-2xx or 3xx responses: (\d+)", printed)
    broken = re.findall(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", printed)
    return [*refused, *(number for numbers in broken for number in numbers)]
