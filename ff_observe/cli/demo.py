"""`ff-observe demo`: a simulated platform, the bridge on it, and a local collector that prints the pings."""

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ff_observe.cli.options import port, start_logging
from ff_observe.cli.run import STOP_SECONDS, leave, stop
from ff_observe.cli.signals import Signals
from ff_observe.errors import FFObserveError, UsageError

if TYPE_CHECKING:
    from ff_observe.lifecycle.service import Component
    from ff_observe.system.clock import Clock

_FIRST_PING_SECONDS = 3.0
_COLLECTOR = "collector"
_BANNER = """\
ff-observe demo: a made-up company on an embedded FlowFuse platform. No other machine is contacted.

  status page   {bridge}/
  metrics       {bridge}/metrics
  collector     {collector}/
  its metrics   {collector}/metrics
  platform      {home}

One second here is ten minutes there. Pings are shown as the collector accepts them; the first comes by itself. More:
  {program} --home {home} ping send

Ctrl-C ends the demo.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "demo",
        help="everything at once, on an embedded platform",
        description="Starts an embedded demo platform (SQLite), the bridge on it, and a local ping collector. "
        "Needs nothing else and contacts no other machine.",
    )
    parser.add_argument("--port", type=port, default=10464, help="port of the bridge (0: any; default 10464)")
    parser.add_argument("--collector-port", type=port, default=10465, help="port of the collector (default 10465)")
    parser.add_argument("--directory", type=Path, help="an empty directory for the platform (default: a temporary one)")
    parser.set_defaults(run=run, usual_log_level="info")


def run(options: argparse.Namespace) -> int:
    import tempfile

    start_logging(options)
    with contextlib.ExitStack() as cleanup:
        directory = options.directory
        if directory is None:
            directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="ff-observe-demo-")))
        else:
            _claim(directory)
        status = _run(directory, options)
    return leave(status)


def _claim(directory: Path) -> None:
    """Raises `UsageError` if the directory is not empty: the demo changes the database it finds, which must never be a
    real one."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        is_empty = not any(directory.iterdir())
        if is_empty:
            (directory / _COLLECTOR).mkdir()
    except OSError as error:
        raise FFObserveError(
            f"the demo cannot use {directory} ({error.strerror}); choose another with --directory"
        ) from None
    if not is_empty:
        raise UsageError(f"{directory} is not empty; give the demo an empty directory, or none for a temporary one")


def _run(directory: Path, options: argparse.Namespace) -> int:
    import random

    from ff_observe.collector.service import Collector
    from ff_observe.collector.settings import CollectorSettings
    from ff_observe.config import load_settings
    from ff_observe.demo.platform import DemoPlatform
    from ff_observe.running.bridge import build_bridge
    from ff_observe.system.clock import SystemClock

    clock = SystemClock()
    signals = Signals()
    collector = Collector(
        CollectorSettings(
            port=options.collector_port,
            data_dir=directory / _COLLECTOR,
            k=1,
            public_k=1,
            public=True,
            fleet_interval_seconds=2.0,
        ),
        clock,
        on_ping=lambda ping: _show(ping.document()),
    )
    with _running(collector, clock):
        platform = DemoPlatform(
            directory / "flowfuse",
            clock,
            random.Random(),  # noqa: S311 - a made-up company, not a secret
            ping_url=f"http://127.0.0.1:{collector.port}/ping",
            metrics_port=options.port,
        )
        with _running(platform, clock):
            # Telemetry variables of this shell are meant for a real platform, not for the made-up one.
            settings = load_settings(home=platform.home, variables={})
            bridge = build_bridge(
                settings, serve=True, stop_seconds=STOP_SECONDS, first_ping_seconds=_FIRST_PING_SECONDS
            )
            bridge.start()
            addresses = {"bridge": bridge.url, "collector": f"http://127.0.0.1:{collector.port}"}
            program = "ff-observe" if shutil.which("ff-observe") else sys.argv[0]  # not on the PATH of `make demo`
            print(_BANNER.format(home=platform.home, program=program, **addresses), flush=True)
            signals.wait()
            print("Stopping.", flush=True)
            return stop(bridge.stop)


def _show(values: Mapping[str, object]) -> None:
    print(f"\nThe collector accepted a ping:\n{json.dumps(values, indent=2)}\n", flush=True)


@contextlib.contextmanager
def _running(component: "Component", clock: "Clock") -> "Iterator[None]":
    """Start a component now and stop it at the end of the block."""
    component.start()
    try:
        yield
    finally:
        component.stop(clock.monotonic() + STOP_SECONDS)
