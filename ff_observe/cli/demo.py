"""`ff-observe demo`: an embedded platform that lives, the bridge on it, and a local collector that shows the pings."""

import argparse
import contextlib
import json
import logging
import sys
import tempfile
from pathlib import Path

from ff_observe.cli.run import STOP_SECONDS, receive_signals, stop

log = logging.getLogger("ff_observe")

_FIRST_PING_SECONDS = 3.0
_BANNER = """\
ff-observe demo: a made-up company on an embedded FlowFuse platform. Nobody outside this machine is contacted.

  status page   {bridge}/
  metrics       {bridge}/metrics
  collector     {collector}/
  its metrics   {collector}/metrics
  platform      {home}

One second here is ten minutes there. Pings are shown as the collector accepts them. Ctrl-C ends the demo.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "demo",
        help="the whole thing on an embedded platform",
        description="Starts an embedded demo platform (SQLite), the bridge on it, and a local ping collector. "
        "Needs nothing else and contacts nobody.",
    )
    parser.add_argument("--port", type=int, default=10464, help="port of the bridge (0: any; default 10464)")
    parser.add_argument("--collector-port", type=int, default=10465, help="port of the collector (default 10465)")
    parser.add_argument("--directory", type=Path, help="an empty directory for the platform (default: a temporary one)")
    parser.set_defaults(run=run)
