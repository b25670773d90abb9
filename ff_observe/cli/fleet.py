"""`ff-observe fleet`: what the collector's roll-ups say of the fleet."""

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, TextIO

from ff_observe.cli import fleet_history
from ff_observe.cli.collector import add_settings, calendar_day, named_settings
from ff_observe.cli.options import start_logging
from ff_observe.cli.terminal import progress
from ff_observe.clock import SystemClock
from ff_observe.errors import FFObserveError, UsageError

if TYPE_CHECKING:
    from ff_observe.collector.commands import Questioned
    from ff_observe.collector.questions import Answer, Cell
    from ff_observe.collector.settings import CollectorSettings
    from ff_observe.collector.store import Rollup
    from ff_observe.ping_contract import Field, RollUp

DAYS = 90
MONTHS = 365
BAR_WIDTH = 40
CURVE_WIDTH = 60
_NUMBER = re.compile(r"[0-9,]+( %)?")
_LEVELS = "▁▂▃▄▅▆▇█"
_PLAIN_LEVELS = "_.:-=+*#"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "fleet",
        help="what the collector's pings say of all platforms",
        description="Answers from the roll-ups that a running collector keeps of each day (UTC), up to yesterday. The "
        "figures are exact: they are for the operator of the collector, and not to be published.",
    )
    questions = parser.add_subparsers(dest="question", metavar="QUESTION", required=True)

    def add(name: str, text: str, answer: "Callable[[argparse.Namespace, Fleet], Answer]") -> argparse.ArgumentParser:
        question = questions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        since = f"the first day, as 2026-03-01 (default: {DAYS} days ago)"
        question.add_argument("--since", type=calendar_day, metavar="DAY", help=since)
        question.add_argument("--format", choices=("text", "json", "csv"), default="text", help="of the answer")
        add_settings(question)
        question.set_defaults(run=run, answer=answer)
        return question

    of = add("adoption", "how many platforms had each version, or value of another field, day by day", _adoption)
    of.add_argument("--of", metavar="FIELD", default="env.flowforge", help="a field of the ping, as env.nodejs")
    add("upgrades", "from which version to which platforms went", _upgrades)
    add("cohorts", "how many of those first seen in a month still pinged at the end of each month", _cohorts)
    crosstab = add("crosstab", "how two fields go together, on the last whole day, read from its pings", _crosstab)
    crosstab.add_argument("first", metavar="A", help="a field of the ping, as driver")
    crosstab.add_argument("second", metavar="B", help="another")
    of = add("histogram", "how many platforms have how many of a count, on the last whole day", _histogram)
    of.add_argument("count", metavar="COUNT", help="a count of the ping, as users")
    add("silent", "day by day, how many platforms pinged, are new or back, silent or lost", _silent)
    add("missing-days", "days without pings, with far fewer platforms than usual, or many new ones", _missing_days)
    fleet_history.add_parser(questions)


class Fleet:
    """The roll-ups of a store from the day `since`, and before if needed, to yesterday."""

    def __init__(self, settings: "CollectorSettings", store: "Questioned", today: date, since: date | None) -> None:
        self.settings = settings
        self.store = store
        self.until = today - timedelta(days=1)
        self.since = since or today - timedelta(days=DAYS)

    def rows(self, *fields: str, before: int = 0) -> "Sequence[Rollup]":
        return self.store.rollups(self.since - timedelta(days=before), self.until, fields)


def run(options: argparse.Namespace) -> int:
    from ff_observe.collector.commands import store_of_fleet

    start_logging(options)
    settings = named_settings(options)
    fleet = Fleet(settings, store_of_fleet(settings), SystemClock().now().date(), options.since)
    with progress("reading the fleet"):
        answer = options.answer(options, fleet)
    is_empty = not answer.rows and options.question != "missing-days"
    if not is_empty or options.format != "text":
        _write(answer, options.format, sys.stdout)
    if is_empty:
        raise FFObserveError(
            f"there is nothing to show from {fleet.since} to {fleet.until}: a day is shown when it is over (UTC), and "
            "once a running collector has rolled it up"
        )
    return 0


def _adoption(options: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector import questions
    from ff_observe.ping_contract import RollUp

    return questions.adoption(fleet.rows(_field(options.of, RollUp.BY_VALUE).dotted))


def _upgrades(_: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector import questions

    return questions.upgrades(fleet.rows("upgrade"))


def _cohorts(options: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector import questions

    if options.since is None:
        fleet.since = fleet.until - timedelta(days=MONTHS)
    return questions.cohorts(fleet.rows("cohort"))


def _crosstab(options: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector import questions
    from ff_observe.ping_contract import FIELDS, RollUp

    fleet.since = fleet.until
    first, second = (_field(name, RollUp.BY_VALUE) for name in (options.first, options.second))
    cells = fleet.store.crosstab(fleet.until, FIELDS.index(first), FIELDS.index(second))
    return questions.crosstab(first.dotted, second.dotted, cells)


def _histogram(options: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector import questions
    from ff_observe.ping_contract import RollUp

    return questions.histogram(fleet.rows(_field(options.count, RollUp.BY_SIZE).dotted))


def _silent(_: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector import questions

    rows = fleet.rows("seen", "gap", before=questions.MONTH)
    return questions.silent(rows, fleet.since, fleet.settings.silent_after_days)


def _missing_days(_: argparse.Namespace, fleet: Fleet) -> "Answer":
    from ff_observe.collector import questions

    rows = fleet.rows("seen", "gap", before=questions.USUAL_DAYS)
    return questions.missing_days(rows, fleet.since, fleet.until)


def _field(name: str, kind: "RollUp") -> "Field":
    from ff_observe.collector.questions import matching
    from ff_observe.ping_contract import FIELDS

    found = matching(name, (kind,))
    if len(found) == 1:
        return found[0]
    known = ", ".join(field.dotted for field in found or FIELDS if field.rolled_up is kind)
    wrong = "stands for more than one field" if found else "is no field that this question knows"
    raise UsageError(f"{name!r} {wrong}; write one of {known}")


def _write(answer: "Answer", form: str, stream: TextIO) -> None:
    if form == "json":
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        json.dump(rows, stream, indent=1)
        stream.write("\n")
    elif form == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
    else:
        stream.writelines(f"{line}\n" for line in _text(answer, stream))


def _text(answer: "Answer", stream: TextIO) -> Iterator[str]:
    if answer.curve is not None:
        return _table(*_curves(answer, stream))
    if answer.bar is None:
        return _table(answer.columns, [[_shown(cell) for cell in row] for row in answer.rows])
    place = answer.columns.index(answer.bar)
    most = max((_number(row[place]) for row in answer.rows), default=0) or 1
    full = _drawable(stream, "█")
    rows = [[*map(_shown, row), full * round(_number(row[place]) / most * BAR_WIDTH)] for row in answer.rows]
    return _table((*answer.columns, ""), rows)


def _curves(answer: "Answer", stream: TextIO) -> tuple[tuple[str, ...], list[list[str]]]:
    """A line for each value of the column `curve`: its platforms over the days, and on the last of them."""
    name, when, what = (answer.columns.index(column) for column in (answer.curve or "", "day", "platforms"))
    days = sorted({str(row[when]) for row in answer.rows})
    values: dict[str, dict[str, float]] = {}
    for row in answer.rows:
        values.setdefault(str(row[name]), {})[str(row[when])] = _number(row[what])
    most = max((_number(row[what]) for row in answer.rows), default=0) or 1
    levels = _LEVELS if _drawable(stream, _LEVELS) == _LEVELS else _PLAIN_LEVELS
    last = {value: by_day.get(days[-1], 0) for value, by_day in values.items()} if days else {}
    whole = sum(last.values()) or 1
    rows = [
        [
            value,
            "".join(_level(values[value].get(day, 0) / most, levels) for day in days[-CURVE_WIDTH:]),
            _shown(round(last[value])),
            f"{100 * last[value] / whole:.0f} %",
        ]
        for value in sorted(values, key=lambda value: (-last[value], value))
    ]
    since = f"since {days[-CURVE_WIDTH:][0]}" if days else ""
    return (answer.curve or "", since, f"on {days[-1]}" if days else "", "share"), rows


def _level(share: float, levels: str) -> str:
    return " " if share <= 0 else levels[min(len(levels) - 1, int(share * len(levels)))]


def _drawable(stream: TextIO, drawing: str) -> str:
    """The drawing, or a plain one where the stream's encoding has none of it."""
    try:
        drawing.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return drawing


def _number(cell: "Cell") -> float:
    return cell if isinstance(cell, int | float) else 0


def _shown(cell: "Cell") -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Numbers to the right, texts to the left."""
    widths = [max(len(line[place]) for line in (columns, *rows)) for place in range(len(columns))]
    right = [bool(rows) and all(_NUMBER.fullmatch(row[place]) for row in rows) for place in range(len(columns))]
    for line in (columns, *rows):
        cells = zip(line, widths, right, strict=True)
        yield "  ".join(cell.rjust(width) if number else cell.ljust(width) for cell, width, number in cells).rstrip()
