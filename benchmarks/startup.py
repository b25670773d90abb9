"""What starting costs: `ff-observe --help`, `run` to its first successful scrape, memory, and the share of each import.

`python -m benchmarks.startup [--rounds N]`. Runs `python -m ff_observe` of this tree on the demo platform with
Prometheus and the ping on; the ping is due later than any round lasts, so that nothing is sent. Exit status 1 if a
target is missed.
"""

import argparse
import contextlib
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from ff_observe.demo.platform import DemoPlatform
from ff_observe.system.clock import SystemClock
from tests.network_guard import guarded_environment
from tests.real_parts.processes import free_port, running, wait_until

HELP_TARGET_SECONDS = 0.150
FIRST_SCRAPE_TARGET_SECONDS = 1.0
RESIDENT_TARGET_BYTES = 60 * 2**20
SCRAPES_BEFORE_MEMORY = 50  # of each form, so that memory is that of a bridge at work
MOST_IMPORTS_SHOWN = 12

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = guarded_environment(PYTHONPATH=str(ROOT))  # without the guard itself, whose import would be measured too
PROGRAM = [sys.executable, "-m", "ff_observe"]
_FORMS = (
    {"Accept": "text/plain;version=0.0.4"},
    {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"},
)


@contextlib.contextmanager
def home(port: int) -> Iterator[Path]:
    """The home of the demo platform, standing still."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "flowfuse"
        chance = random.Random(1)  # the same company each time
        nowhere = "http://127.0.0.1:9/never-reached"
        DemoPlatform(directory, SystemClock(), chance, ping_url=nowhere, metrics_port=port).create()
        yield directory


def help_seconds() -> float:
    """Wall time of `ff-observe --help`."""
    began = time.perf_counter()
    subprocess.run([*PROGRAM, "--help"], check=True, capture_output=True, env=ENVIRONMENT)
    return time.perf_counter() - began


def run_once() -> tuple[float, int]:
    """Seconds from the start of `run` to a scrape that holds users, and resident bytes after some scrapes."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"

    def has_users() -> bool:
        return re.search(rb"\nflowfuse_users[ {]", _scrape(url, {})) is not None

    with home(port) as directory:
        command = [*PROGRAM, "--home", str(directory), "run"]
        began = time.perf_counter()
        with running(command, directory, None, environment=ENVIRONMENT) as process:
            wait_until(has_users, "the first successful scrape")
            seconds = time.perf_counter() - began
            for _ in range(SCRAPES_BEFORE_MEMORY):
                for headers in _FORMS:
                    _scrape(url, headers)
            return seconds, _resident_bytes(process.pid)


def _scrape(url: str, headers: dict[str, str]) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as reply:
        body: bytes = reply.read()
        return body


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|(\s+)(\S+)")


def import_shares(arguments: list[str]) -> list[tuple[str, float]]:
    """Seconds each top-level package takes to import (its own modules only), the largest first."""
    command = [sys.executable, "-X", "importtime", *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stderr
    shares: dict[str, float] = {}
    for own, _, _, module in _IMPORT.findall(printed):
        package = module.split(".")[0]
        shares[package] = shares.get(package, 0.0) + int(own) / 1e6
    return sorted(shares.items(), key=lambda share: -share[1])


def _print_shares(title: str, arguments: list[str]) -> None:
    shares = import_shares(arguments)
    whole = sum(seconds for _, seconds in shares)
    print(f"imports of {title}: {whole * 1e3:.0f} ms in {len(shares)} packages (the tracing itself costs some)")
    for package, seconds in shares[:MOST_IMPORTS_SHOWN]:
        print(f"  {package:<24}{seconds * 1e3:>7.1f} ms {seconds / whole:>6.0%}")


def _reaches(what: str, value: float, target: float, unit: str) -> bool:
    met = value < target
    print(f"{what:<40}{value:>9.1f} {unit:<4} target below {target:g} {unit}{'' if met else '  MISSED'}")
    return met


def main() -> int:
    """Run all of it."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    help_seconds()  # warm: compiles what was never run
    run_once()
    helps = statistics.median(help_seconds() for _ in range(rounds))
    runs = [run_once() for _ in range(rounds)]
    met = [
        _reaches("ff-observe --help", helps * 1e3, HELP_TARGET_SECONDS * 1e3, "ms"),
        _reaches(
            "run to the first successful scrape",
            statistics.median(seconds for seconds, _ in runs) * 1e3,
            FIRST_SCRAPE_TARGET_SECONDS * 1e3,
            "ms",
        ),
        _reaches(
            "resident memory, Prometheus and ping on",
            statistics.median(resident for _, resident in runs) / 2**20,
            RESIDENT_TARGET_BYTES / 2**20,
            "MiB",
        ),
    ]
    _print_shares("ff-observe --help", ["-m", "ff_observe", "--help"])
    _print_shares("the web server", ["-c", "import ff_observe.web.app, ff_observe.http.server"])
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
