"""`ff-observe metrics`: one exposition on standard output."""

import argparse

from ff_observe.cli.files import add_output, exposition_to
from ff_observe.cli.options import add_at, clock_at, settings_of
from ff_observe.cli.terminal import READING, progress

COUNT_SECONDS = 10.0
"""Time limit for counting the audit log. The next run counts the rest; until then its counters are absent."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "metrics",
        help="print the platform's metrics once",
        description="Prints one exposition, also for node_exporter's textfile collector. "
        "Works whether or not the HTTP endpoint is enabled. Ends with 1 where the database does not answer, and prints "
        "what is known without it.",
    )
    parser.add_argument("--format", choices=("text", "openmetrics"), default="text", help="exposition format")
    about = "such as a *.prom file for the textfile collector, which never finds half of it"
    add_output(parser, f"where to write, {about} (default: stdout)")
    add_at(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ff_observe.catalogue import PROCESS
    from ff_observe.exposition.formats import Format
    from ff_observe.outputs.prometheus import render
    from ff_observe.running.wiring import open_platform

    wanted = Format.OPENMETRICS_1_0_0 if options.format == "openmetrics" else Format.TEXT_0_0_4
    clock, now = clock_at(options.at), options.at is None
    with open_platform(settings_of(options), clock, asks_flowfuse=True, counts_events=now) as platform:
        with progress(READING):
            platform.snapshots.count_audit_log(COUNT_SECONDS)
            snapshot = platform.snapshots.take()
        readings = platform.self_metrics.readings()
    # This process ends now, and node_exporter refuses these names with a help that is not its own.
    of_process = {metric.name for metric in PROCESS}
    own = {name: reading for name, reading in readings.items() if name not in of_process}
    exposition = render(snapshot, own, wanted)
    with exposition_to(options.output) as write:
        write(exposition.decode())
    return 0 if snapshot.up else 1
