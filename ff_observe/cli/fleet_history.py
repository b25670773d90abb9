"""`ff-observe fleet history`: the fleet's past, from the roll-ups of its days, as samples for Prometheus."""

import argparse
from datetime import date, timedelta

from ff_observe.cli.answers import nothing_to_show
from ff_observe.cli.collector import add_settings, calendar_day, named_settings
from ff_observe.cli.files import opened
from ff_observe.cli.history import HEAD_HOURS, add_target
from ff_observe.cli.options import start_logging
from ff_observe.clock import SystemClock


def add_parser(questions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = questions.add_parser(
        "history",
        help="write the fleet's past for Prometheus",
        description="Writes what /metrics would have shown at the end of each day (UTC) since the first ping, as "
        "OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`: the daily figures, platforms "
        "by window, silent, new, returning and lost ones. fleet.k holds for them as for /metrics. Give --label the job "
        f"and instance of your scrape configuration. A day comes {HEAD_HOURS} hours after its end, as Prometheus holds "
        "later samples in memory.",
    )
    parser.add_argument("--since", type=calendar_day, metavar="DAY", help="the first day (default: of the first ping)")
    add_target(parser, "job=flowfuse-collector")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ff_observe.collector.commands import store_of_fleet
    from ff_observe.collector.daily import write_history

    start_logging(options)
    settings = named_settings(options)
    until = (SystemClock().now() - timedelta(hours=HEAD_HOURS)).date() - timedelta(days=1)
    store = store_of_fleet(settings)
    if not store.rollups(options.since or date.min, until, ["seen"]):
        raise nothing_to_show(options.since, until)
    labels, silent = dict(options.label), settings.silent_after_days
    lines = write_history(store, options.since, until, labels, k=settings.k, silent_after_days=silent)
    with opened(options.output) as file:
        for line in lines:
            file.write(line.encode())
    return 0
