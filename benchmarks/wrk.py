"""Keep-alive load from wrk (Debian package `wrk`), and its figures."""

import re
import subprocess
import tempfile
from dataclasses import dataclass

_DONE = """
function done(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout
  io.write(string.format("RESULT %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, failed))
end
"""


@dataclass(frozen=True)
class Load:
    """Figures of one run. Latencies in seconds; `failed` are answers that were errors, and socket errors."""

    requests_per_second: float
    p50_seconds: float
    p99_seconds: float
    failed: int


def load(url: str, seconds: int, connections: int = 16, script: str = "") -> Load:
    """Ask `url` over `connections` kept-alive connections from one thread, as fast as it answers; `script` makes the
    requests."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script + _DONE)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", file.name, url]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    per_second, p50, p99, failed = re.findall(r"RESULT (\S+) (\S+) (\S+) (\S+)", printed)[0]
    return Load(float(per_second), float(p50), float(p99), int(failed))
