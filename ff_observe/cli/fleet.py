"""`ff-observe fleet`: what the collector's roll-ups say of the fleet."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from ff_observe.cli.answers import nothing_to_show, written
from ff_observe.cli.collector import add_settings, calendar_day, named_settings
from ff_observe.cli.files import STANDARD_STREAM, add_output, exposition_to, opened
from ff_observe.cli.history import HEAD_HOURS, add_target
from ff_observe.cli.options import start_logging
from ff_observe.cli.terminal import progress
from ff_observe.errors import UsageError
from ff_observe.system.clock import SystemClock

if TYPE_CHECKING:
    from ff_observe.catalogue.ping_contract import Field, RollupRule
    from ff_observe.collector.commands import FleetStore
    from ff_observe.collector.fleet.quality import Finding
    from ff_observe.collector.fleet.questions import Answer
    from ff_observe.collector.settings import CollectorSettings
    from ff_observe.collector.store import Rollup

DAYS = 90
MONTHS = 365
READING_FLEET = "reading the fleet"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "fleet",
        help="what the collector's pings say of all platforms",
        description="Answers from the roll-ups that a running collector keeps of each day (UTC), up to yesterday. The "
        "figures are exact: they are for the operator of the collector, and not to be published.",
    )
    questions = parser.add_subparsers(dest="question", metavar="QUESTION", required=True)

    def add(
        name: str, text: str, answer: "Callable[[argparse.Namespace, Fleet], Answer]", *, of_days: bool = True
    ) -> argparse.ArgumentParser:
        question = questions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if of_days:
            since = f"the first day, as 2026-03-01 (default: {DAYS} days ago)"
            question.add_argument("--since", type=calendar_day, metavar="DAY", help=since)
        question.add_argument("--format", choices=("text", "json", "csv", "html"), default="text", help="of the answer")
        add_output(question)
        add_settings(question)
        question.set_defaults(run=run, answer=answer, since=None)
        return question

    of = add("adoption", "how many platforms had each version, or value of another field, day by day", _adoption)
    of.add_argument("--of", metavar="FIELD", default="env.flowforge", help="a field of the ping, as env.nodejs")
    add("upgrades", "from which version to which platforms went", _upgrades)
    add("cohorts", "how many of those first seen in a month still pinged at the end of each month", _cohorts)
    of_the_last_day = "how two fields go together, on the last whole day, read from its pings"
    crosstab = add("crosstab", of_the_last_day, _crosstab, of_days=False)
    crosstab.add_argument("first", metavar="A", help="a field of the ping, as driver")
    crosstab.add_argument("second", metavar="B", help="another")
    of = add("histogram", "how many platforms have how many of a count, on the last whole day", _histogram)
    of.add_argument("count", metavar="COUNT", help="a count of the ping, as users")
    add("silent", "day by day, how many platforms pinged, are new or back, silent or lost", _silent)
    add("missing-days", "days without pings, or with far fewer platforms than usual", _missing_days)
    add("quality", "days on which platforms, or what they say, are doubtful: missing, late, crowds, values", _quality)
    _add_history(questions)


def _add_history(questions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
    parser.set_defaults(run=history)


class Fleet:
    """The roll-ups of a store from the day `since`, and before if needed, to yesterday."""

    def __init__(self, settings: "CollectorSettings", store: "FleetStore", today: date, since: date | None) -> None:
        self.settings = settings
        self.store = store
        self.until = today - timedelta(days=1)
        self.since = since or today - timedelta(days=DAYS)

    def rows(self, *fields: str, before: int = 0) -> "Sequence[Rollup]":
        return self.store.rollups(self.since - timedelta(days=before), self.until, fields)

    def findings(self) -> "Sequence[Finding]":
        from ff_observe.collector.commands import store_of_rollups
        from ff_observe.collector.fleet.quality import take_findings

        return take_findings(store_of_rollups(self.settings), self.since, self.until)

    def has_begun(self) -> bool:
        return bool(self.store.rollups(date.min, self.until, ["seen"]))


def run(options: argparse.Namespace) -> int:
    from ff_observe.collector.commands import store_of_fleet
    from ff_observe.collector.store.present import EARLIEST

    start_logging(options)
    settings = named_settings(options)
    since = options.since and max(options.since, EARLIEST.date())  # days before it may leave the calendar
    fleet = Fleet(settings, store_of_fleet(settings), SystemClock().now().date(), since)
    with progress(READING_FLEET):
        answer = options.answer(options, fleet)
    is_good = options.answer in (_missing_days, _quality) and fleet.has_begun()
    is_empty = not answer.rows and not is_good
    if not is_empty or options.format != "text":
        if options.format == "html":
            content = _page(options, answer, fleet)
        else:
            encoding = sys.stdout.encoding if options.output == STANDARD_STREAM else "utf-8"
            content = written(answer, options.format, encoding)
        with opened(options.output) as file:
            file.write(content)
    if is_empty:
        raise nothing_to_show(fleet.since, fleet.until)
    return 0


def _adoption(options: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.catalogue.ping_contract import RollupRule
    from ff_observe.collector.fleet import questions

    return questions.adoption(fleet.rows(_field(options.of, RollupRule.BY_VALUE).dotted))


def _upgrades(_: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector.fleet import questions

    return questions.upgrades(fleet.rows("upgrade"))


def _cohorts(options: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector.fleet import questions

    if options.since is None:
        fleet.since = fleet.until - timedelta(days=MONTHS)
    return questions.cohorts(fleet.rows("cohort"))


def _crosstab(options: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.catalogue.ping_contract import FIELDS, RollupRule
    from ff_observe.collector.fleet import questions

    fleet.since = fleet.until
    first, second = (_field(name, RollupRule.BY_VALUE) for name in (options.first, options.second))
    cells = fleet.store.crosstab(fleet.until, FIELDS.index(first), FIELDS.index(second))
    return questions.crosstab(first.dotted, second.dotted, cells)


def _histogram(options: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.catalogue.ping_contract import RollupRule
    from ff_observe.collector.fleet import questions

    return questions.histogram(fleet.rows(_field(options.count, RollupRule.BY_SIZE).dotted))


def _silent(_: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector.fleet import questions

    rows = fleet.rows("seen", "gap", before=questions.MONTH)
    return questions.silent(rows, fleet.since, fleet.settings.silent_after_days)


def _missing_days(_: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector.fleet import questions

    return questions.missing_days(fleet.findings())


def _quality(_: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector.fleet import questions

    return questions.quality(fleet.findings())


def _field(name: str, kind: "RollupRule") -> "Field":
    from ff_observe.catalogue.ping_contract import FIELDS
    from ff_observe.collector.fleet.questions import matching

    found = matching(name, (kind,))
    if len(found) == 1:
        return found[0]
    known = ", ".join(field.dotted for field in found or FIELDS if field.rolled_up is kind)
    wrong = "stands for more than one field" if found else "is no field that this question knows"
    raise UsageError(f"{name!r} {wrong}; write one of {known}")


def _page(options: argparse.Namespace, answer: "Answer", fleet: Fleet) -> bytes:
    from ff_observe.collector.pages.answer import render

    asked = [str(value) for name in ("of", "first", "second", "count") if (value := getattr(options, name, None))]
    return render(answer, " ".join((options.question, *asked)), fleet.since, fleet.until)


def history(options: argparse.Namespace) -> int:
    from ff_observe.collector.commands import store_of_fleet
    from ff_observe.collector.fleet.daily import write_history

    start_logging(options)
    settings = named_settings(options)
    until = (SystemClock().now() - timedelta(hours=HEAD_HOURS)).date() - timedelta(days=1)
    store = store_of_fleet(settings)
    with progress(READING_FLEET):
        has_begun = bool(store.rollups(options.since or date.min, until, ["seen"]))
    if not has_begun:
        raise nothing_to_show(options.since, until)
    labels, silent = dict(options.label), settings.silent_after_days
    lines = write_history(store, options.since, until, labels, k=settings.k, silent_after_days=silent)
    with exposition_to(options.output) as show:
        for line in lines:
            show(line)
    return 0
