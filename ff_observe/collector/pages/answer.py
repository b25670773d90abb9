"""Renders an answer of `ff-observe fleet` as a page in one file. Its figures are exact: it is for the operator of the
collector."""

from collections.abc import Iterator
from datetime import date
from html import escape

from ff_observe.collector.fleet.questions import Answer, Cell
from ff_observe.collector.pages.charts import STYLES, Line, chart, grouped, named, stack
from ff_observe.collector.pages.public import bar, by_number, head

_DAY, _SHARE, _PLATFORMS = "day", "share", "platforms"
_TEXT = ' class="text"'
_PRIVATE = "For the operator of the collector alone: these figures are exact. Do not publish them."


def render(answer: Answer, question: str, since: date, until: date) -> bytes:
    """The page. Everything that originates from senders is escaped."""
    curves = _curves(answer, question)
    parts = [
        head(f"FlowFuse fleet: {question}"),
        f"<header><h1>{escape(question)}</h1><p>Days asked: {named(since)} to {named(until)}</p></header>",
        f"<p><strong>{_PRIVATE}</strong></p>",
        f"<section>{curves}</section>" if curves else "",
        '<section tabindex="0" aria-label="The answer"><table>',
        *_table(answer),
        "</table></section></main></body></html>",
    ]
    return "\n".join(part for part in parts if part).encode()


def _curves(answer: Answer, question: str) -> str:
    """Shares as bands; else a line for each value of the column `curve`, or for each number of a day."""
    days, lines = _by_day(answer)
    if len(days) < 2:
        return ""
    if _SHARE in answer.columns:
        return stack(question, days, {line.name: line.values for line in lines})
    newest = lines[-STYLES:]
    note = f"<p>The last {STYLES} of {len(lines)} are drawn.</p>" if len(lines) > STYLES else ""
    return chart(question, days, newest) + note


def _by_day(answer: Answer) -> tuple[list[date], list[Line]]:
    """The days of an answer, and what it has of each; none where a row is not a day with numbers."""
    if _DAY not in answer.columns:
        return [], []
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    if answer.curve is None:
        cells = [(row[_DAY], name, cell) for row in rows for name, cell in row.items() if name != _DAY]
    else:
        cells = [(row[_DAY], str(row[answer.curve]), row[_PLATFORMS]) for row in rows]
    found: dict[str, dict[str, float]] = {}
    for day, name, number in cells:
        if not isinstance(number, int | float):
            return [], []
        found.setdefault(name, {})[str(day)] = number
    days = sorted({str(row[_DAY]) for row in rows})
    names = sorted(found, key=by_number) if answer.curve else list(found)
    lines = [Line(name, [found[name].get(day) for day in days]) for name in names]
    return [date.fromisoformat(day) for day in days], lines


def _table(answer: Answer) -> Iterator[str]:
    place = None if answer.bar is None else answer.columns.index(answer.bar)
    most = 0.0 if place is None else max((_number(row[place]) for row in answer.rows), default=0.0)
    drawing = "" if place is None else '<th scope="col" class="drawing">Share of the largest</th>'
    headings = "".join(
        f'<th scope="col"{"" if all(map(_is_number, cells)) else _TEXT}>{escape(column)}</th>'
        for column, *cells in zip(answer.columns, *answer.rows, strict=True)
    )
    yield f"<thead><tr>{headings}{drawing}</tr></thead><tbody>"
    for row in answer.rows:
        drawn = "" if place is None else f'<td class="drawing">{bar(_number(row[place]), most)}</td>'
        yield f"<tr>{''.join(map(_cell, row))}{drawn}</tr>"
    yield "</tbody>"


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float)


def _cell(cell: Cell) -> str:
    if isinstance(cell, int | float):
        return f'<td class="number">{grouped(cell) if isinstance(cell, int) else cell}</td>'
    return f"<td>{escape(cell or '')}</td>"


def _number(cell: Cell) -> float:
    return cell if isinstance(cell, int | float) else 0
