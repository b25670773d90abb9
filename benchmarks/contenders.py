"""The two Python servers of `benchmarks.scrape`, each to run in a process of its own: `NAME PORT HOME`."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ff_observe.clock import SystemClock
from ff_observe.config.settings import PlatformSettings, PrometheusSettings
from ff_observe.outputs.prometheus import Format, render
from ff_observe.self_metrics import SelfMetrics
from ff_observe.snapshots import Snapshots
from ff_observe.sources.installation import InstalledVersions
from ff_observe.sources.sqlite import SQLiteSource
from ff_observe.web.app import BridgeApp
from ff_observe.web.server import WebServer
from ff_observe.web.status_page import StatusPage, standard_links


class _Told:
    name, on, reason = "ping", False, "this is a benchmark"


def snapshots_of(home: Path, self_metrics: SelfMetrics) -> Snapshots:
    """Real snapshots of the SQLite platform in `home`, taken anew as often as in production."""
    platform = PlatformSettings(flowfuse_version="2.4.0", nodejs_version="v18.19.0")
    versions = InstalledVersions(home, platform)
    return Snapshots(SQLiteSource(home / "var" / "forge.db"), platform, SystemClock(), self_metrics, versions)


def exposition_of(home: Path) -> bytes:
    """What the bridge shows of the platform in `home`, as text."""
    self_metrics = SelfMetrics()
    self_metrics.process_started(SystemClock().now())
    snapshots = snapshots_of(home, self_metrics)
    shown = render(snapshots.take(), self_metrics.readings(), Format.TEXT_0_0_4)
    snapshots.stop(time.monotonic() + 5)
    return shown


def serve_ours(port: int, home: Path) -> None:
    """The bridge's own server over real, renewed snapshots."""
    self_metrics, settings = SelfMetrics(), PrometheusSettings(enabled=True)
    self_metrics.process_started(SystemClock().now())
    page = StatusPage(lambda: (), lambda _: _Told(), "localfs", standard_links(settings))
    application = BridgeApp(snapshots_of(home, self_metrics), self_metrics, settings, page)
    server = WebServer(application, "127.0.0.1", port, SystemClock())
    server.start()
    signal.pause()


def serve_prometheus_client(port: int, home: Path) -> None:
    """prometheus-client's own server with the same families, which cost it nothing to collect."""
    families = list(text_string_to_metric_families(exposition_of(home).decode()))

    class Same(Collector):
        def collect(self) -> Iterator[Family]:
            yield from families

    registry = CollectorRegistry()
    registry.register(Same())
    start_http_server(port, "127.0.0.1", registry)
    signal.pause()


if __name__ == "__main__":
    {"ours": serve_ours, "prometheus-client": serve_prometheus_client}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
