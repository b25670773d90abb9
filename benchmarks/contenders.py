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

from ff_observe.config.environment import Environment
from ff_observe.config.settings import PlatformSettings, PrometheusSettings, Settings, SQLiteDatabase
from ff_observe.exposition.formats import Format
from ff_observe.outputs.prometheus import render
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.running.bridge import build_bridge
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics

PLATFORM = PlatformSettings(flowfuse_version="2.4.0", nodejs_version="v18.19.0")


def snapshots_of(home: Path, self_metrics: SelfMetrics) -> Snapshots:
    """Real snapshots of the SQLite platform in `home`, taken anew as often as in production."""
    versions = InstalledVersions(home, PLATFORM)
    return Snapshots(SQLiteSource(home / "var" / "forge.db"), PLATFORM, SystemClock(), self_metrics, versions)


def exposition_of(home: Path) -> bytes:
    """What the bridge shows of the platform in `home`, as text."""
    self_metrics = SelfMetrics()
    self_metrics.process_started()
    snapshots = snapshots_of(home, self_metrics)
    shown = render(snapshots.take(), self_metrics.readings(), Format.TEXT_0_0_4)
    snapshots.stop(time.monotonic() + 5)
    return shown


def serve_ours(port: int, home: Path) -> None:
    """The bridge itself, as `ff-observe run` has it, over real, renewed snapshots; without the ping."""
    settings = Settings(
        home,
        home / "etc" / "flowforge.yml",
        SQLiteDatabase(home / "var" / "forge.db"),
        platform=PLATFORM,
        prometheus=PrometheusSettings(enabled=True, port=port),
        environment=Environment(ff_telemetry_disabled=True),
    )
    build_bridge(settings, serve=True).start()
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
