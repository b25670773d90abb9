"""`/metrics` under load: ours against prometheus-client's server, Debian's sql_exporter (Go) and nginx.

`python -m benchmarks.scrape [--rounds N] [--seconds N]`. All on loopback, 16 kept-alive connections, text 0.0.4,
uncompressed. The rounds are interleaved; medians are printed. Exit status 1 if a target is missed.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import ratios
from benchmarks.contenders import exposition_of
from benchmarks.wrk import Load, load
from tests.real_parts import postgresql
from tests.real_parts.processes import answers, free_port, open_directory, running
from tests.recordings import COMMITTED

HOME = COMMITTED / "v2.4.0-sqlite-ce"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Target:
    """Ours is to do at least `ratio` times as many requests per second as `rival`."""

    rival: str
    ratio: float


TARGETS = (Target("prometheus-client", 20.0), Target("sql_exporter", 10.0), Target("nginx", 0.35))
P99_TARGET_SECONDS = 0.002


@contextlib.contextmanager
def python_server(name: str, directory: Path) -> Iterator[str]:
    """Ours, or prometheus-client's."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    command = [sys.executable, "-m", "benchmarks.contenders", name, str(port), str(HOME)]
    with running(command, directory / name, answers(url), environment={"PYTHONPATH": str(ROOT)}):
        yield url


@contextlib.contextmanager
def nginx(directory: Path, exposition: bytes) -> Iterator[str]:
    """One worker that serves the same bytes from a file."""
    port = free_port()
    (directory / "nginx" / "files").mkdir(parents=True)
    (directory / "nginx" / "files" / "metrics").write_bytes(exposition)
    (directory / "nginx" / "nginx.conf").write_text(
        f"""
        daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
        events {{ worker_connections 256; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=10;
            default_type "text/plain; version=0.0.4; charset=utf-8";
            client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
            server {{ listen 127.0.0.1:{port}; root files; }}
        }}
        """
    )
    (directory / "nginx" / "files").chmod(0o755)
    (directory / "nginx").chmod(0o755)  # nginx' worker is another user
    url = f"http://127.0.0.1:{port}/metrics"
    command = ["nginx", "-p", f"{directory}/nginx/", "-c", "nginx.conf"]
    with running(command, directory / "nginx", answers(url)):
        yield url


@contextlib.contextmanager
def sql_exporter(directory: Path, exposition: bytes) -> Iterator[str]:
    """Debian's prometheus-sql-exporter with one query per family of ours, each giving the same samples.

    It queries every five minutes and serves what it has: a scrape costs it no query either. It puts five labels more
    on each sample.
    """
    queries = []
    for family in text_string_to_metric_families(exposition.decode()):
        rows: list[list[str | float]] = [[*sample.labels.values(), sample.value] for sample in family.samples]
        names = [*(f"of_{name}" for name in family.samples[0].labels), "value"]  # it has a label `driver` of its own
        values = ", ".join(f"({', '.join(_literal(each) for each in row)})" for row in rows)
        query = f"SELECT * FROM (VALUES {values}) AS t({', '.join(names)})"
        queries.append(
            {
                "name": family.name,
                "help": family.documentation,
                "labels": names[:-1],
                "values": ["value"],
                "query": query,
            }
        )
    with postgresql.cluster(directory / "postgresql") as database:
        connection = database.url("postgres").replace("postgresql://", "postgres://") + "?sslmode=disable"
        job = {"name": "same", "interval": "5m", "connections": [connection], "queries": queries}
        port = free_port()
        (directory / "sql_exporter").mkdir()
        (directory / "sql_exporter" / "config.yml").write_text(json.dumps({"jobs": [job]}))
        url = f"http://127.0.0.1:{port}/metrics"
        command = ["prometheus-sql-exporter", "-config.file=config.yml", f"-web.listen-address=127.0.0.1:{port}"]

        def has_all() -> bool:
            with urllib.request.urlopen(url, timeout=1) as reply:
                body: str = reply.read().decode()
            return all(f"sql_{query['name']}{{" in body for query in queries)

        with running(command, directory / "sql_exporter", has_all):
            yield url


def _literal(value: str | float) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def measure(urls: dict[str, str], rounds: int, seconds: int) -> dict[str, Load]:
    """Medians per server, of rounds in which each has its turn."""
    runs: dict[str, list[Load]] = {name: [] for name in urls}
    for url in urls.values():
        load(url, 1)  # warm
    for _ in range(rounds):
        for name, url in urls.items():
            runs[name].append(load(url, seconds))
    return {
        name: Load(
            statistics.median(run.requests_per_second for run in of_one),
            statistics.median(run.p50_seconds for run in of_one),
            statistics.median(run.p99_seconds for run in of_one),
            sum(run.failed for run in of_one),
        )
        for name, of_one in runs.items()
    }


def report(measured: dict[str, Load], body_bytes: int) -> bool:
    """Print the table and the ratios; whether all targets are met."""
    ours = measured["ours"]
    print(f"/metrics, 16 connections, {body_bytes} bytes")
    print(f"{'server':<18}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}{'ours is':>10}{'target':>9}")
    met = ours.p99_seconds < P99_TARGET_SECONDS and ours.failed == 0
    targets = {target.rival: target.ratio for target in TARGETS}
    for name, run in measured.items():
        ratio = ours.requests_per_second / run.requests_per_second
        wanted = targets.get(name)
        met = met and (wanted is None or ratio >= wanted)
        if wanted is not None:
            ratios.note(f"scrape.times_{name}".replace(" ", "_"), ratio, target=wanted)
        compared = "" if wanted is None else f"{ratio:>9.2f}x{wanted:>8g}x"
        latencies = f"{run.p50_seconds * 1e3:>9.2f}{run.p99_seconds * 1e3:>9.2f}"
        print(f"{name:<18}{run.requests_per_second:>12.0f}{latencies}{run.failed:>8}{compared}")
    print(f"ours: p99 {ours.p99_seconds * 1e3:.2f} ms, target below {P99_TARGET_SECONDS * 1e3:g} ms")
    return met


def main() -> int:
    """Run all of it. What is not installed is left out, and said so."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.scrape", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=3)
    chosen = options.parse_args()
    exposition = exposition_of(HOME)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(open_directory())
        urls = {name: stack.enter_context(python_server(name, directory)) for name in ("ours", "prometheus-client")}
        if shutil.which("prometheus-sql-exporter") and postgresql.BINARIES is not None:
            urls["sql_exporter"] = stack.enter_context(sql_exporter(directory, exposition))
        if shutil.which("nginx"):
            urls["nginx"] = stack.enter_context(nginx(directory, exposition))
        for target in TARGETS:
            if target.rival not in urls:
                print(f"{target.rival} is not installed and left out")
        return 0 if report(measure(urls, chosen.rounds, chosen.seconds), len(exposition)) else 1


if __name__ == "__main__":
    sys.exit(main())
