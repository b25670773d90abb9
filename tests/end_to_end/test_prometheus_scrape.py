"""A real Prometheus scrapes a recorded platform, and PromQL gives the figures that platform itself told."""

import contextlib
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ff_observe.catalogue.model import Reading
from ff_observe.cli import main
from ff_observe.config.settings import PlatformSettings, PrometheusSettings
from ff_observe.exposition.formats import Format
from ff_observe.outputs.prometheus import render
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.app import BridgeApp
from ff_observe.web.server import WebServer
from ff_observe.web.status_page import StatusPage
from tests import recordings
from tests.attack.victims import NODE_EXPORTER, node_exporter
from tests.real_parts import prometheus
from tests.real_parts.bridge import home_with
from tests.unit.web.platforms import HOSTILE, Provider, app, settings, snapshot, source

pytestmark = prometheus.needed

CASE = recordings.named("v2.4.0-sqlite-ce")
SETTINGS = PrometheusSettings(enabled=True)


@contextlib.contextmanager
def serving(application: BridgeApp) -> Iterator[WebServer]:
    server = WebServer(application, "127.0.0.1", 0, SystemClock())
    server.start()
    try:
        yield server
    finally:
        server.stop(time.monotonic() + 5)


@contextlib.contextmanager
def bridge(database: Path) -> Iterator[WebServer]:
    """The HTTP edge on a platform's database, with all that lies between."""
    clock, self_metrics = SystemClock(), SelfMetrics()
    self_metrics.process_started()
    platform = PlatformSettings(flowfuse_version="2.4.0", nodejs_version="v18.19.0")
    snapshots = Snapshots(SQLiteSource(database), platform, clock, self_metrics, InstalledVersions(CASE.home, platform))
    page = StatusPage(source(settings(SETTINGS, platform=platform), self_metrics))
    try:
        with serving(BridgeApp(snapshots, self_metrics, SETTINGS, page)) as server:
            yield server
    finally:
        snapshots.stop(time.monotonic() + 5)


@pytest.mark.skipif(NODE_EXPORTER is None, reason="needs prometheus-node-exporter: apt-get install it")
def test_node_exporter_passes_on_what_metrics_writes_beside_its_own(tmp_path: Path) -> None:
    home = home_with(tmp_path / "home", "  type: sqlite\n", "  enabled: false\n")
    shutil.copyfile(CASE.home / "var" / "forge.db", home / "var" / "forge.db")
    directory = tmp_path / "textfile"
    directory.mkdir()
    assert main(["--home", str(home), "metrics", "-o", str(directory / "flowfuse.prom")]) == 0
    options = ("--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={directory}")
    with node_exporter(tmp_path, "", *options) as victim:
        shown = urllib.request.urlopen(f"http://127.0.0.1:{victim.port}/metrics", timeout=10).read().decode()
    assert "\nnode_textfile_scrape_error 0\n" in shown
    samples = [line for line in (directory / "flowfuse.prom").read_text().splitlines() if not line.startswith("#")]
    assert [sample for sample in samples if f"\n{sample.partition('{')[0]}{{" not in shown] == []
    assert "level=error" not in next(tmp_path.glob("*node*exporter.log")).read_text()


def test_promql_gives_the_users_of_a_recorded_platform(tmp_path: Path) -> None:
    assert CASE.stats is not None
    with (
        bridge(CASE.home / "var" / "forge.db") as server,
        prometheus.prometheus(tmp_path, prometheus.scrape({"flowfuse": f"127.0.0.1:{server.port}"})) as asked,
    ):
        asked.wait_for("flowfuse_up", 1)
        assert asked.value("flowfuse_users") == CASE.stats["userCount"]
        assert asked.value("sum(flowfuse_instances_by_state)") == CASE.stats["instanceCount"]
        assert asked.query("flowfuse_platform_info") == {
            (("driver", "localfs"), ("nodejs_version", "v18.19.0"), ("version", "2.4.0")): 1.0
        }
        assert [target["health"] for target in asked.targets()] == ["up"]


def test_promtool_is_silent_about_a_recorded_platform() -> None:
    with bridge(CASE.home / "var" / "forge.db") as server, urllib.request.urlopen(server.url + "/metrics") as reply:
        assert prometheus.lint(reply.read()) == ""


def test_prometheus_sees_a_hanging_database_as_up_0_and_its_return(tmp_path: Path) -> None:
    provider = Provider(snapshot())
    with (
        serving(app(provider)) as server,
        prometheus.prometheus(tmp_path, prometheus.scrape({"flowfuse": f"127.0.0.1:{server.port}"}, "1s")) as asked,
    ):
        asked.wait_for("flowfuse_users", 7)
        provider.now = None  # asked, the provider does not answer
        asked.wait_for("flowfuse_up", 0)
        assert asked.value("up") == 1
        assert asked.value("flowfuse_users") is None
        provider.now = snapshot()
        asked.wait_for("flowfuse_users", 7)
        assert asked.value("flowfuse_up") == 1
        provider.release()


def test_prometheus_reads_hostile_label_values_as_they_are(tmp_path: Path) -> None:
    values = [HOSTILE, "\u2028\x85", "a\\nb", "{} 9 # EOF", 'x"} 9', "Команда", "\x1b[31m"]
    reading: Reading = {(value,): float(number) for number, value in enumerate(values)}
    bodies = {
        f"/{form.name}": (form.value, render(snapshot({"flowfuse_teams_by_type": reading}), {}, form))
        for form in Format
    }

    class Fixed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content_type, body = bodies[self.path]
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not in the output of the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Fixed)
    threading.Thread(target=server.serve_forever, name="fixed expositions", daemon=True).start()
    target = f"127.0.0.1:{server.server_port}"
    config = json.dumps(
        {
            "scrape_configs": [
                {
                    "job_name": form.name,
                    "metrics_path": f"/{form.name}",
                    "scrape_interval": "300ms",
                    "scrape_timeout": "300ms",
                    "static_configs": [{"targets": [target]}],
                }
                for form in Format
            ]
        }
    )
    try:
        with prometheus.prometheus(tmp_path, config) as asked:
            for form in Format:
                asked.wait_for(f'count(flowfuse_teams_by_type{{job="{form.name}"}})', len(values))
                found = asked.query(f'flowfuse_teams_by_type{{job="{form.name}"}}')
                assert found == {(("team_type", value),): number for (value,), number in reading.items()}
    finally:
        server.shutdown()
        server.server_close()
