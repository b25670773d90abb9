"""How an answer of `ff-observe fleet` is written: as text with bars and curves, JSON or CSV."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from ff_observe.errors import FFObserveError

if TYPE_CHECKING:
    from ff_observe.collector.fleet.questions import Answer, Cell

BAR_WIDTH = 40
CURVE_WIDTH = 60
_NUMBER = re.compile(r"[0-9,]+( %)?")
_LEVELS = "▁▂▃▄▅▆▇█"
_PLAIN_LEVELS = "_.:-=+*#"


def nothing_to_show(since: date | None, until: date) -> FFObserveError:
    """What to say of days without roll-ups."""
    days = f"until {until}" if since is None else f"from {since} to {until}"
    return FFObserveError(
        f"there is nothing to show {days}: a day is shown when it is over (UTC), and once a running "
        "collector has rolled it up"
    )


def written(answer: "Answer", form: str, encoding: str) -> bytes:
    """The answer in a form: `text`, `json` or `csv`."""
    text = io.StringIO()
    if form == "json":
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        text.write(json.dumps(rows, indent=1) + "\n")
    elif form == "csv":
        csv.writer(text, lineterminator="\n").writerows([answer.columns, *answer.rows])
    else:
        text.writelines(f"{line}\n" for line in _lines(answer, encoding))
    return text.getvalue().encode(encoding, "backslashreplace")


def _lines(answer: "Answer", encoding: str) -> Iterator[str]:
    if answer.curve is not None:
        return _table(*_curves(answer, encoding))
    if answer.bar is None:
        return _table(answer.columns, [[_shown(cell) for cell in row] for row in answer.rows])
    place = answer.columns.index(answer.bar)
    most = max((_number(row[place]) for row in answer.rows), default=0) or 1
    full = _drawable(encoding, "█")
    rows = [[*map(_shown, row), full * round(_number(row[place]) / most * BAR_WIDTH)] for row in answer.rows]
    return _table((*answer.columns, ""), rows)


def _curves(answer: "Answer", encoding: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """A line for each value of the column `curve`: its platforms over the days, and on the last of them."""
    name, when, what = (answer.columns.index(column) for column in (answer.curve or "", "day", "platforms"))
    days = sorted({str(row[when]) for row in answer.rows})
    values: dict[str, dict[str, float]] = {}
    for row in answer.rows:
        values.setdefault(str(row[name]), {})[str(row[when])] = _number(row[what])
    most = max((_number(row[what]) for row in answer.rows), default=0) or 1
    levels = _LEVELS if _drawable(encoding, _LEVELS) == _LEVELS else _PLAIN_LEVELS
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


def _drawable(encoding: str, drawing: str) -> str:
    """The drawing, or a plain one where the encoding has none of it."""
    try:
        drawing.encode(encoding)
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
