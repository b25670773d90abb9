"""Many platforms in one process, scraped by a real Prometheus through `http_sd`, beside as many processes.

`python -m benchmarks.many_platforms [--platforms N] [--processes N]`. One database hangs, and one file is broken. Exit
status 1 if a target is missed.
"""

import argparse
import contextlib
import http.client
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tests.real_parts import postgresql, prometheus
from tests.real_parts.bridge import Bridge, running_bridge
from tests.real_parts.many_platforms import (
    BROKEN,
    HANGING,
    broken_home,
    databases,
    postgresql_home,
    silent_server,
    sqlite_home,
)
from tests.real_parts.processes import wait_until

RESIDENT_TARGET_BYTES = 300 * 2**20
DELAY_TARGET_SECONDS = 0.010
INTERVAL_SECONDS = 15
ON_POSTGRESQL = 5  # every so many-th platform


def resident(pid: int, what: str = "Rss") -> int:
    """Bytes of memory of a process; with `Pss`, those it shares with others counted in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def threads(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def homes(directory: Path, count: int, cluster: postgresql.Cluster) -> list[str]:
    """Homes in `directory`, each fifth on PostgreSQL; returns their names."""
    on_postgresql = range(0, count, ON_POSTGRESQL)
    names = []
    for number, database in zip(on_postgresql, databases(cluster, len(on_postgresql)), strict=True):
        names.append(postgresql_home(directory / f"platform-{number:03}", cluster.port, database).name)
    names += [
        sqlite_home(directory / f"platform-{number:03}").name for number in range(count) if number not in on_postgresql
    ]
    return names


def scrape_seconds(url: str, names: Sequence[str], seconds: float) -> list[float]:
    """How long scrapes of these platforms take, one after another, spread over `seconds`."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    took = []
    began = time.monotonic()
    for number, name in enumerate(names):
        time.sleep(max(0.0, began + seconds * number / len(names) - time.monotonic()))
        started = time.perf_counter()
        connection.request("GET", f"/platforms/{name}/metrics")
        response = connection.getresponse()
        body = response.read()
        took.append(time.perf_counter() - started)
        assert response.status == 200, body
        assert re.search(rb"^flowfuse_up\S* 1\.0$", body, re.MULTILINE), body[:500]
    connection.close()
    return took


@contextlib.contextmanager
def scraped_again_and_again(url: str, names: Sequence[str]) -> Iterator[None]:
    """Scrape these without a pause, each by a client of its own."""
    ended = threading.Event()

    def scrape(name: str) -> None:
        while not ended.is_set():
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
            connection.request("GET", f"/platforms/{name}/metrics")
            connection.getresponse().read()
            connection.close()
            ended.wait(0.05)

    clients = [threading.Thread(target=scrape, args=(name,)) for name in names]
    for client in clients:
        client.start()
    yield
    ended.set()
    for client in clients:
        client.join()


@contextlib.contextmanager
def one_process(directory: Path, log: Path) -> Iterator[Bridge]:
    log.mkdir(exist_ok=True)
    source = directory.parent / "platforms.yml"
    source.write_text(f"port: 0\nhomes: {directory.name}\n")
    with running_bridge(None, log, options=("--platforms", str(source))) as bridge:
        yield bridge


def prometheus_config(url: str) -> str:
    return (
        f"global: {{scrape_interval: {INTERVAL_SECONDS}s, scrape_timeout: 10s}}\n"
        "scrape_configs:\n- job_name: flowfuse\n"
        f"  http_sd_configs: [{{url: '{url}/-/targets', refresh_interval: 5s}}]\n"
    )


def full_round(directory: Path, bridge: Bridge, count: int) -> tuple[float, float, float]:
    """By a real Prometheus: targets that are up, all targets, and the longest scrape."""
    with prometheus.prometheus(directory / "prometheus", prometheus_config(bridge.url)) as server:
        wait_until(lambda: server.value("count(up)") == count, "a round of scrapes", 10 * INTERVAL_SECONDS)
        began = time.monotonic()
        wait_until(lambda: server.value("min(count_over_time(up[10m]))") == 3, "three rounds", 10 * INTERVAL_SECONDS)
        waited = time.monotonic() - began
        up, longest = server.value("sum(up)"), server.value("max(scrape_duration_seconds{platform!='hanging'})")
        assert up is not None
        assert longest is not None
        return up, longest, waited


def separate(directory: Path, names: Sequence[str]) -> tuple[int, int, int]:
    """As many processes: resident bytes, those of it that they do not share, and threads."""
    with contextlib.ExitStack() as stack:
        bridges = []
        for name in names:
            (directory / "logs" / name).mkdir(parents=True)
            bridge = stack.enter_context(running_bridge(directory / "homes" / name, directory / "logs" / name))
            bridges.append(bridge)
            assert bridge.value("flowfuse_up") == 1
        pids = [bridge.process.pid for bridge in bridges]
        return sum(map(resident, pids)), sum(resident(pid, "Pss") for pid in pids), sum(map(threads, pids))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_platforms", description=__doc__)
    parser.add_argument("--platforms", type=int, default=500)
    parser.add_argument("--processes", type=int, default=50)
    options = parser.parse_args()
    count, missed = options.platforms, []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        cluster = stack.enter_context(
            postgresql.cluster(directory / "cluster", "max_connections = 1000\nlog_statement = none\n")
        )
        names = homes(directory / "homes", count - 2, cluster)
        with one_process(directory / "homes", directory / "without") as bridge:
            scrape_seconds(bridge.url, names, 0)  # the first reading of each looks at the schema
            without = scrape_seconds(bridge.url, names, INTERVAL_SECONDS)
        postgresql_home(directory / "homes" / HANGING, stack.enter_context(silent_server()), "flowforge")
        broken_home(directory / "homes" / BROKEN)
        began = time.monotonic()
        with one_process(directory / "homes", directory / "with") as bridge:
            started = time.monotonic() - began
            pid = bridge.process.pid
            scrape_seconds(bridge.url, names, 0)
            with scraped_again_and_again(bridge.url, (HANGING, BROKEN)):
                within = scrape_seconds(bridge.url, names, INTERVAL_SECONDS)
            up, longest, _ = full_round(directory, bridge, count)
            page_began = time.perf_counter()
            assert bridge.get("/").status == 200
            page = time.perf_counter() - page_began
            memory, used, files = resident(pid), threads(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
        delay = statistics.median(within) - statistics.median(without)
        print(f"{count} platforms in one process, each {ON_POSTGRESQL}th on PostgreSQL, one hangs, one is broken")
        print(f"  start                          {started:8.1f} s")
        print(f"  resident memory                {memory / 2**20:8.0f} MiB   (target {RESIDENT_TARGET_BYTES >> 20})")
        print(f"  threads, open files            {used:8d}, {files}")
        for title, took in (("scrape of the others", within), ("without hanging and broken", without)):
            p99 = statistics.quantiles(took, n=100)[98]
            print(f"  {title:30} {statistics.median(took) * 1000:8.1f} ms median, {p99 * 1000:.1f} ms p99")
        print(
            f"  Prometheus, every {INTERVAL_SECONDS} s          {up:8.0f} of {count} up; longest scrape {longest:.3f} s"
        )
        print(f"  list of all                    {page:8.2f} s")
        if memory >= RESIDENT_TARGET_BYTES:
            missed.append("memory")
        if delay >= DELAY_TARGET_SECONDS:
            missed.append("delay of the others")
        if up != count - 1:
            missed.append("targets that are up")
        if options.processes:
            rss, pss, used = separate(directory, names[: options.processes])
            print(f"{options.processes} separate processes: {rss / 2**20:.0f} MiB resident, {pss / 2**20:.0f} MiB with")
            print(f"shared memory counted once, {used} threads")
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
