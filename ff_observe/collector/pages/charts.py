"""Figures over time as SVG without scripts or inline styles, with what they show in words for those who do not see it.

Texts have the size of the page's at every width: the lines alone stand in a drawing that is stretched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from itertools import pairwise
from statistics import median
from typing import Final

from ff_observe.collector.store.rollups import following

WIDTH: Final = 1000
HEIGHT: Final = 200
STYLES: Final = 7
"""Lines differ in colour and dashes, of which `page.css` has so many; the last is for the rest."""
BANDS: Final = 2
"""Bands next to each other differ, and have an edge."""
LEFT_OUT: Final = "\u2013"
_FAR: Final = 2
"""A line breaks where a value is missing, and where two days are more than so many times as far apart as usual."""
_STEPS: Final = 4
_DAYS: Final = (1, 2, 5, 7, 14, 28)
_MONTHS: Final = (1, 2, 3, 4, 6, 12, 24, 36, 60)
_NAMED: Final = 12
"""A band of so many percent of the height has room for its name, and two names so far apart for both."""
_ROOM, _ROOM_ON_TELEPHONE = 5, 24
"""How much of a chart's width a name takes, in percent."""
_YEAR: Final = timedelta(days=400)
"""Up to so many days need no year at the axis."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure on each day of a chart, None where it is not known; `style` is its place in the legend unless said."""

    name: str
    values: Sequence[float | None]
    style: int | None = None


def grouped(number: float) -> str:
    """A whole number with narrow spaces between its thousands."""
    return f"{number:,.0f}".replace(",", "\u202f")


def named(day: date) -> str:
    """A day in words."""
    return f"{day.day} {day:%B %Y}"


def chart(title: str, days: Sequence[date], lines: Sequence[Line], unit: str = "") -> str:
    """Lines over at least two days, with axes and a legend that has their last values. Lines without values are left
    out; nothing if none has any. Everything is escaped."""
    known = [line for line in lines if any(value is not None for value in line.values)]
    if not known:
        return ""
    step, top = _scale(max(value for line in known for value in line.values if value is not None))
    words = "; ".join(_in_words(line, days, unit) for line in known)
    drawn = "".join(_drawn(line, days, top, _style(place, line)) for place, line in enumerate(known))
    legend = "".join(_in_legend(line, unit, _style(place, line)) for place, line in enumerate(known))
    axes = _axes(days, step, top, unit)
    return f'{_framed(f"{title}: {words}", axes, drawn)}<ul class="legend">{legend}</ul>'


def stack(title: str, days: Sequence[date], of: Mapping[str, Sequence[float | None]]) -> str:
    """Shares of a whole over at least two days as bands, the first at the bottom, with their names on them; nothing
    without any. Only their last values are said in words."""
    percentages = shares(of)
    bands = {name: values for name, values in percentages.items() if any(value is not None for value in values)}
    if not bands:
        return ""
    tops: dict[str, list[float | None]] = {}
    below: list[float | None] = [None] * len(days)
    for name, values in bands.items():
        below = [low if value is None else value + (low or 0) for low, value in zip(below, values, strict=True)]
        tops[name] = below
    # Each band covers those below it down to the bottom, which then cover it: so one edge of each is enough.
    drawn = [_area(bands[name], tops[name], days, place) for place, name in enumerate(tops)]
    last = [Line(name, values) for name, values in bands.items() if values[-1] is not None]
    words = "; ".join(_in_words(line, days, " %") for line in reversed(last))
    axes = _axes(days, 25, 100, " %")
    return _framed(f"{title}: {words}", axes, "".join(reversed(drawn)), "".join(_names(bands, tops, days)))


def sparkline(title: str, days: Sequence[date], values: Sequence[float | None]) -> str:
    """A line from zero up, without axes; nothing where there are fewer than two values."""
    if sum(value is not None for value in values) < 2:
        return LEFT_OUT
    line = Line(title, values)
    drawn = _drawn(line, days, max(value for value in values if value is not None) or 1, 1)
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img"'
    return f'<svg class="spark" {box} aria-label="{escape(_in_words(line, days, ""))}">{drawn}</svg>'


def shares(of: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    """Numbers of platforms as percentages of those that are known of the same day."""
    totals = [sum(value or 0 for value in column) for column in zip(*of.values(), strict=True)]
    return {
        name: [
            None if value is None or not total else 100 * value / total
            for value, total in zip(values, totals, strict=True)
        ]
        for name, values in of.items()
    }


def _framed(words: str, axes: str, drawn: str, names: str = "") -> str:
    stretched = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">{drawn}</svg>'
    return f'<svg class="chart" role="img" aria-label="{escape(words)}">{axes}{stretched}{names}</svg>'


def _style(place: int, line: Line) -> int:
    return min(place + 1, STYLES) if line.style is None else line.style


def _in_words(line: Line, days: Sequence[date], unit: str) -> str:
    known = [(day, value) for day, value in zip(days, line.values, strict=True) if value is not None]
    (first, then), (last, now) = known[0], known[-1]
    most = max(value for _, value in known)
    return (
        f"{line.name} {_amount(then, unit)} on {named(first)}, {_amount(now, unit)} on {named(last)}, at most "
        f"{_amount(most, unit)}"
    )


def _in_legend(line: Line, unit: str, style: int) -> str:
    mark = '<svg viewBox="0 0 28 8" aria-hidden="true"><path class="line" d="M0 4h28"/></svg>'
    last = LEFT_OUT if line.values[-1] is None else _amount(line.values[-1], unit)
    return f'<li class="line-{style}">{mark}{escape(line.name)} <strong>{last}</strong></li>'


def _amount(value: float, unit: str) -> str:
    return f"{grouped(value)}{unit}"


def _scale(most: float) -> tuple[float, float]:
    """The distance between two marks of the axis, 1, 2 or 5 times a power of ten, and where the axis ends."""
    step = 1
    while step * _STEPS < most:
        step = following(step)
    return step, max(step, -(-round(most, 6) // step) * step)


def _axes(days: Sequence[date], step: float, top: float, unit: str) -> str:
    marks = []
    for number in range(int(top / step) + 1):
        y = f"{100 - 100 * number * step / top:.2f}%"
        marks.append(f'<line x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        marks.append(f'<text class="amount" x="-8" y="{y}" dy=".32em">{_amount(number * step, unit)}</text>')
    span = days[-1] - days[0]
    for day in _marked(days[0], days[-1]):
        x = f"{100 * ((day - days[0]) / span):.2f}%"
        text = f"{day:%b %Y}" if span > _YEAR else f"{day.day} {day:%b}"
        marks.append(f'<line x1="{x}" x2="{x}" y1="0" y2="100%"/>')
        marks.append(f'<text class="day" x="{x}" y="100%" dy="1.6em">{text}</text>')
    return "".join(marks)


def _marked(first: date, last: date) -> list[date]:
    """Up to four days for the axis: as many as have room on a telephone."""
    for step in _DAYS:
        if (last - first).days < _STEPS * step:
            return [last - timedelta(days=step * ago) for ago in range((last - first).days // step, -1, -1)]
    for step in _MONTHS:
        marked = [day for day in _months(first, last) if (12 * day.year + day.month - 1) % step == 0]
        if len(marked) <= _STEPS:
            return marked
    return marked[:: -(-len(marked) // _STEPS)]


def _months(first: date, last: date) -> Iterator[date]:
    month = first.replace(day=1)
    while month <= last:
        if month >= first:
            yield month
        month = (month + timedelta(days=32)).replace(day=1)


def _drawn(line: Line, days: Sequence[date], top: float, style: int) -> str:
    """A path of lines, and one of the points that have no neighbour."""
    paths = {"line": "", "point": ""}
    for run in _runs(line.values, days, top):
        start = f"M{run[0][0]} {run[0][1]}"
        if len(run) > 1:
            paths["line"] += start + _steps(run)
        else:
            paths["point"] += f"{start}h.1"
    drawn = "".join(f'<path class="{name}" d="{path}"/>' for name, path in paths.items() if path)
    return f'<g class="line-{style}">{drawn}</g>'


def _steps(run: Sequence[tuple[int, int]]) -> str:
    return "".join(f"l{c - a} {d - b}" for (a, b), (c, d) in pairwise(run))


def _area(values: Sequence[float | None], tops: Sequence[float | None], days: Sequence[date], place: int) -> str:
    """A band, from the first to the last day on which it is known, down to the bottom."""
    known = [index for index, value in enumerate(values) if value is not None]
    within = [top if known[0] <= index <= known[-1] else None for index, top in enumerate(tops)]
    path = ""
    for run in _runs(within, days, 100):
        path += f"M{run[0][0]} {HEIGHT}V{run[0][1]}{_steps(run) or 'h1'}V{HEIGHT}Z"
    return f'<path class="band-{place % BANDS}" d="{path}"/>'


def _names(
    bands: Mapping[str, Sequence[float | None]], tops: Mapping[str, Sequence[float | None]], days: Sequence[date]
) -> Iterator[str]:
    """The names of bands where they are highest, as far as there is room; on a telephone there is less."""
    highest = {name: max((value or 0, index) for index, value in enumerate(values)) for name, values in bands.items()}
    placed: list[tuple[float, float, bool]] = []
    for name, (share, index) in sorted(highest.items(), key=lambda each: -each[1][0]):
        x = min(100 - _ROOM / 2, max(_ROOM / 2, 100 * ((days[index] - days[0]) / (days[-1] - days[0]))))
        y = 100 - ((tops[name][index] or 0) - share / 2)
        near = [(abs(x - other), first) for other, beside, first in placed if abs(y - beside) < _NAMED]
        if share < _NAMED or any(apart < _ROOM for apart, _ in near):
            continue
        is_first = abs(x - 50) < 50 - _ROOM_ON_TELEPHONE / 2 and not any(
            first and apart < _ROOM_ON_TELEPHONE for apart, first in near
        )
        placed.append((x, y, is_first))
        hidden = "" if is_first else " where-wide"
        yield f'<text class="name{hidden}" x="{x:.2f}%" y="{y:.2f}%" dy=".32em">{escape(name)}</text>'


def _runs(values: Sequence[float | None], days: Sequence[date], top: float) -> list[list[tuple[int, int]]]:
    """The points of each stretch without a gap. Of equal values in a row the first and the last are enough."""
    span = (days[-1] - days[0]).days
    far = _FAR * median((after - before).days for before, after in pairwise(days))
    runs: list[list[tuple[int, int]]] = [[]]
    before = days[0]
    for day, value in zip(days, values, strict=True):
        if runs[-1] and (value is None or (day - before).days > far):
            runs.append([])
        before = day
        if value is None:
            continue
        point = (round(WIDTH * (day - days[0]).days / span), round(HEIGHT * (1 - value / top)))
        if len(runs[-1]) > 1 and runs[-1][-1][1] == runs[-1][-2][1] == point[1]:
            runs[-1].pop()
        runs[-1].append(point)
    return [run for run in runs if run]
