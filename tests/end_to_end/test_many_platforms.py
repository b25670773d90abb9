"""Many platforms in one process: found by a real Prometheus, isolated from each other, reloaded under load."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ff_observe.lifecycle.workers import MOST_THREADS
from tests.dashboards import ROOT, filled_in, query, variables
from tests.network_guard import guarded_environment
from tests.real_parts import prometheus
from tests.real_parts.bridge import Bridge, running_bridge
from tests.real_parts.many_platforms import (
    BROKEN,
    HANGING,
    TELEMETRY,
    broken_home,
    databases,
    postgresql_home,
    silent_server,
    sqlite_home,
)
from tests.real_parts.postgresql import Cluster
from tests.real_parts.processes import wait_until

SQLITE, POSTGRESQL = 34, 4
ALL = SQLITE + POSTGRESQL + 2
DASHBOARD = "flowfuse-platforms"


@dataclass
class Many:
    """A bridge of many platforms, and the directory of their homes."""

    bridge: Bridge
    homes: Path

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.bridge.process.pid}/task").iterdir()))

    def sessions(self, cluster: Cluster) -> int:
        with cluster.connect() as connection:
            statement = "select count(*) from pg_stat_activity where application_name like 'ff-observe%'"
            found = connection.execute(statement).fetchone()
        assert found is not None
        return int(str(found[0]))


def all_that_is_offered(server: prometheus.Prometheus) -> dict[str, str]:
    """What Grafana fills in for each variable of the dashboard where all is chosen."""
    chosen: dict[str, str] = {}
    for series, label in variables(DASHBOARD):
        found = server.query(f"group by ({label}) ({series.replace('$job', chosen.get('job', ''))})", keep_target=True)
        chosen[label] = "|".join(value for ((_, value),) in found)
    return chosen


def is_up(exposition: str, metric: str = "flowfuse_up") -> bool:
    return re.search(rf"^{metric}(\{{.*\}})? 1\.0$", exposition, re.MULTILINE) is not None


@pytest.fixture(scope="module")
def many(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Many]:
    directory = tmp_path_factory.mktemp("many")
    homes = directory / "homes"
    for number in range(SQLITE):
        sqlite_home(homes / f"sqlite-{number}")
    for number, database in enumerate(databases(postgres, POSTGRESQL)):
        postgresql_home(homes / f"postgresql-{number}", postgres.port, database)
    broken_home(homes / BROKEN)
    (directory / "platforms.yml").write_text(
        "port: 0\nhomes: homes\nplatforms:\n- {name: sqlite-0, home: homes/sqlite-0, labels: {customer: Acme}}\n"
    )
    with silent_server() as port:
        postgresql_home(homes / HANGING, port, "flowforge")
        with running_bridge(None, directory, options=("--platforms", str(directory / "platforms.yml"))) as bridge:
            yield Many(bridge, homes)


def test_prometheus_finds_and_scrapes_each_by_http_sd(many: Many, tmp_path: Path) -> None:
    if prometheus.PROMETHEUS is None:
        pytest.skip(prometheus.MISSING)
    config = (
        "global: {scrape_interval: 4s, scrape_timeout: 4s}\nscrape_configs:\n- job_name: flowfuse\n"
        f"  http_sd_configs: [{{url: '{many.bridge.url}/-/targets', refresh_interval: 1s}}]\n"
        f"- job_name: ff-observe\n  static_configs: [{{targets: ['{many.bridge.url.removeprefix('http://')}']}}]\n"
    )
    with prometheus.prometheus(tmp_path, config) as server:
        server.wait_for("count(up)", ALL + 1)
        server.wait_for("sum(up)", ALL)
        assert set(server.query("up == 0")) == {(("platform", BROKEN),)}
        server.wait_for("sum(flowfuse_up)", ALL - 2)
        assert set(server.query("flowfuse_up == 0")) == {(("platform", HANGING),)}
        labels = {"instance": "sqlite-0", "job": "flowfuse", "platform": "sqlite-0", "customer": "Acme"}
        found = [dict(each) for each in server.query('up{platform="sqlite-0"}', keep_target=True)]
        assert found == [labels]
        # The dashboard has one row for each, and those that need care have the lowest states.
        chosen = all_that_is_offered(server)
        not_scraped, of_process, table = (
            server.query(filled_in(query(f"{DASHBOARD}: {panel} A").expression, **chosen))
            for panel in ("Not scraped", "Platforms of the process", "All platforms")
        )
        assert list(not_scraped.values()) == [1]
        assert of_process[("state", "unusable"),] == 1
        rows = {dict(labels)["name"]: value for labels, value in table.items()}
        assert len(rows) == ALL
        assert {name: value for name, value in rows.items() if value < 2} == {BROKEN: 0, HANGING: 1}


def test_targets_name_platforms_and_neither_path_nor_database(many: Many) -> None:
    targets = json.loads(many.bridge.get("/-/targets").text)
    assert len(targets) == ALL
    assert {tuple(group["targets"]) for group in targets} == {(many.bridge.url.removeprefix("http://"),)}
    for group in targets:
        name = group["labels"]["platform"]
        assert group["labels"]["__metrics_path__"] == f"/platforms/{name}/metrics"
    assert str(many.homes) not in json.dumps(targets)


def test_threads_and_sessions_do_not_grow_with_scrapes(many: Many, postgres: Cluster) -> None:
    def scrape_all() -> None:
        for number in range(SQLITE):
            assert many.bridge.get(f"/platforms/sqlite-{number}/metrics").status == 200
        for number in range(POSTGRESQL):
            assert is_up(many.bridge.get(f"/platforms/postgresql-{number}/metrics").text)

    scrape_all()
    sessions = many.sessions(postgres)
    for _ in range(3):
        scrape_all()
    assert many.sessions(postgres) == sessions <= 2 * POSTGRESQL
    # Main, web server, schedule, time limit, and the watch of the workers: no thread of a platform's own.
    assert many.threads() <= 5 + MOST_THREADS


def test_pages_probe_and_readiness(many: Many) -> None:
    assert many.bridge.get("/-/healthy").status == 200
    for number in range(SQLITE):
        many.bridge.get(f"/platforms/sqlite-{number}/metrics")
    wait_until(lambda: f"of {ALL} platforms' databases answer" in many.bridge.get("/-/ready").text, "readiness")
    assert many.bridge.get("/-/ready").status == 200
    page = many.bridge.get("/").text
    assert page.index(f">{BROKEN}</a>") < page.index(f">{HANGING}</a>") < page.index(">sqlite-0</a>")
    assert is_up(many.bridge.get("/probe?target=sqlite-3").text)
    assert 'href="./../../"' in many.bridge.get("/platforms/sqlite-3").text  # moved to the path with a slash
    broken = many.bridge.get(f"/platforms/{BROKEN}/")
    assert (broken.status, "flowforge.yml:1:12" in broken.text) == (503, True)
    process = many.bridge.get("/metrics").text
    assert 'ff_observe_platforms{state="unusable"} 1.0' in process
    assert "process_resident_memory_bytes" in process


def test_the_steps_of_the_runbooks_lead_to_a_platform(many: Many) -> None:
    runbooks = (ROOT / "docs" / "runbooks.md").read_text("utf-8")
    [below] = re.findall(r"`HOST:10464(/\w+/)NAME`", runbooks)
    steps = sorted(set(re.findall(r"`curl http://INSTANCE(/\S*)`", runbooks)))
    many.bridge.get(f"{below}{HANGING}/metrics")
    broken, hanging = ([many.bridge.get(below + name + step) for step in steps] for name in (BROKEN, HANGING))
    assert steps == ["/", "/-/healthy"]
    assert [page.status for page in (*broken, *hanging)] == [503, 503, 200, 200]
    assert "flowforge.yml:1:12" in broken[0].text
    assert "configuration of this platform cannot be used" in broken[1].text
    assert "database does not answer" in hanging[0].text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/platforms/{BROKEN}/metrics", 503),
        ("/platforms/nobody/metrics", 404),
        ("/platforms//etc/passwd", 404),
        ("/platforms/../../etc/passwd", 404),
        ("/probe", 400),
        ("/probe?target=postgresql://user:password@127.0.0.1/flowforge", 404),
        ("/probe?target=sqlite-1&target=sqlite-2", 400),
        ("/nothing", 404),
    ],
)
def test_what_is_no_platform_is_refused(many: Many, path: str, status: int) -> None:
    answer = many.bridge.get(path)
    assert answer.status == status
    assert "password" not in answer.text


def test_the_log_says_which_platform_a_line_is_of(many: Many) -> None:
    assert f" ff_observe.running.platforms [{BROKEN}]: " in many.bridge.log
    wait_until(
        lambda: many.bridge.get(f"/platforms/{HANGING}/metrics") and f" [{HANGING}]: cannot connect" in many.bridge.log,
        "its line",
    )


def test_a_reload_adds_changes_and_removes_without_a_gap_for_the_others(many: Many) -> None:
    """While clients scrape all others as fast as they can."""
    others = [f"sqlite-{number}" for number in range(4, SQLITE)]
    failed: list[str] = []
    rounds = threading.Semaphore(0)
    ended = threading.Event()

    def scrape() -> None:
        connection = http.client.HTTPConnection(many.bridge.url.removeprefix("http://"), timeout=120)
        while not ended.is_set():
            for name in others:
                connection.request("GET", f"/platforms/{name}/metrics")
                answer = connection.getresponse()
                if not is_up(answer.read().decode()):
                    failed.append(name)
            rounds.release()
        connection.close()

    clients = [threading.Thread(target=scrape) for _ in range(2)]
    for client in clients:
        client.start()
    changed = many.homes / "sqlite-1" / "etc" / "flowforge.yml"
    before = many.bridge.get("/platforms/sqlite-2/metrics").text
    try:
        assert rounds.acquire(timeout=120)
        changed.write_text(changed.read_text().replace("type: stub", "type: docker"))
        sqlite_home(many.homes / "added")
        (many.homes / "sqlite-3" / "etc" / "flowforge.yml").unlink()
        (many.homes / "sqlite-2" / "etc" / "flowforge.yml").write_text("telemetry: [\n")
        many.bridge.signal(signal.SIGHUP)
        wait_until(lambda: "has read" in many.bridge.log, "the reload")
        for _ in range(2 * len(clients)):
            assert rounds.acquire(timeout=120)
    finally:
        ended.set()
        for client in clients:
            client.join()
    assert failed == []
    assert 'driver="docker"' in many.bridge.get("/platforms/sqlite-1/metrics").text
    assert many.bridge.get("/platforms/added/metrics").status == 200
    assert many.bridge.get("/platforms/sqlite-3/metrics").status == 404
    kept = many.bridge.get("/platforms/sqlite-2/metrics").text
    assert is_up(kept)
    assert is_up(before, "ff_observe_config_last_reload_successful")
    assert not is_up(kept, "ff_observe_config_last_reload_successful")


def test_it_stops_in_time_although_a_database_hangs(tmp_path: Path) -> None:
    sqlite_home(tmp_path / "homes" / "sound")
    with silent_server() as port:
        postgresql_home(tmp_path / "homes" / HANGING, port, "flowforge")
        (tmp_path / "platforms.yml").write_text("port: 0\nhomes: homes\n")
        with running_bridge(None, tmp_path, options=("--platforms", str(tmp_path / "platforms.yml"))) as bridge:
            scrape = threading.Thread(target=bridge.get, args=(f"/platforms/{HANGING}/metrics",))
            scrape.start()
            assert bridge.get("/platforms/sound/metrics").status == 200
            bridge.signal(signal.SIGTERM)
            assert bridge.wait() in (0, 1)
            scrape.join()


def test_it_serves_the_socket_of_the_service_manager(tmp_path: Path) -> None:
    """As sd_listen_fds(3) says: descriptor 3, named for this very process."""
    sqlite_home(tmp_path / "homes" / "acme", TELEMETRY.replace("port: 0", "port: 1"))
    program = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); "
        "os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[2], sys.argv[2:])"
    )
    run = [sys.executable, "-m", "ff_observe", "--home", str(tmp_path / "homes" / "acme"), "run"]
    with socket.create_server(("127.0.0.1", 0)) as listening, (tmp_path / "log").open("wb") as log:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(listening.fileno()), *run],
            env=guarded_environment(LISTEN_FDS="1"),
            pass_fds=(listening.fileno(),),
            stdout=log,
            stderr=log,
        )
        try:
            bridge = Bridge(process, tmp_path / "log")
            # No waiting for a port: who connects before the process is ready is answered when it is.
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("GET", "/metrics")
            assert is_up(connection.getresponse().read().decode())
            connection.close()
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: "has read" in bridge.log, "the reload")
            assert f"serves http://127.0.0.1:{port}" in bridge.log
            process.terminate()
            assert process.wait(120) == 0
        finally:
            process.kill()
            process.wait(60)
