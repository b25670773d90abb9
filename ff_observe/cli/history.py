"""`ff-observe history`: the platform's past, read from its database, as samples for Prometheus."""

import argparse
import sys
from datetime import timedelta
from typing import Final

from ff_observe.cli.files import add_output, exposition_to
from ff_observe.cli.options import moment, settings_of
from ff_observe.cli.terminal import READING, progress
from ff_observe.errors import FFObserveError, UsageError
from ff_observe.system.clock import SystemClock

HEAD_HOURS: Final = 3
"""Prometheus keeps the last hours in memory: blocks may not overlap them (promtool, "Backfilling")."""

LONGEST_STEP_SECONDS: Final = 366 * 86_400


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "history",
        help="write the platform's past for Prometheus",
        description="Writes users, teams, instances, devices, snapshots, deployments, failures and sign-ins since the "
        "platform's first day as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`. What "
        "was deleted since is missing. Give --label the labels that your scrape configuration adds.",
    )
    parser.add_argument("--since", type=moment, metavar="TIME", help="ISO 8601 moment to begin with")
    parser.add_argument(
        "--until",
        type=moment,
        metavar="TIME",
        help=f"ISO 8601 moment to end with (default: {HEAD_HOURS} hours ago, as Prometheus holds later ones in memory)",
    )
    parser.add_argument(
        "--step",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="time between samples (default: 300; with more, panels show gaps unless Prometheus runs with a "
        "--query.lookback-delta as large)",
    )
    parser.add_argument(
        "--every-event",
        action="store_true",
        help="also each event of the audit log by its name and source (ten times as much)",
    )
    add_target(parser, "job=flowfuse")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ff_observe.catalogue.model import PLATFORM_ID
    from ff_observe.platform.history import Span, write
    from ff_observe.platform.sources.sql import StatementError
    from ff_observe.running.wiring import open_platform, open_queryable

    labels = dict(options.label)
    until = options.until or SystemClock().now() - timedelta(hours=HEAD_HOURS)
    if not 1 <= options.step <= LONGEST_STEP_SECONDS:
        raise UsageError(f"--step is a number of seconds, from 1 to {LONGEST_STEP_SECONDS}")
    if options.since is not None and options.since > until:
        raise UsageError(f"--since {options.since.isoformat()} is later than --until {until.isoformat()}")
    span = Span(options.since, until, timedelta(seconds=options.step))
    try:
        settings = settings_of(options)
        with open_platform(settings) as platform, progress(READING):
            identity = platform.snapshots.take().platform_id
        labels |= {} if identity is None else {PLATFORM_ID: identity}
        with open_queryable(settings) as source, exposition_to(options.output) as show:
            share = _show_share if sys.stderr.isatty() else lambda *_: None
            for line in write(source, span, labels, share, every_event=options.every_event):
                show(line)
    except StatementError as error:
        raise FFObserveError(f"the database refused to read the past: {error}") from None
    return 0


def add_target(parser: argparse.ArgumentParser, example: str) -> None:
    """Add `--label` and `--output`."""
    about = f"a label of every sample: {example}"
    parser.add_argument("--label", action="append", default=[], type=_label, metavar="NAME=VALUE", help=about)
    add_output(parser)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not name.isascii() or name.startswith("__"):
        raise UsageError(f"{text!r} is not a label such as job=flowfuse")
    return name, value


def _show_share(what: str, share: float) -> None:
    end = "\n" if share >= 1 else ""
    print(f"\r{what}: {share:4.0%} ", end=end, file=sys.stderr, flush=True)
