"""Values over time as small SVG pictures, with what they show in words for those who do not see them."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from ff_observe.web.status.markup import Markup

WIDTH: Final = 192
HEIGHT: Final = 32
_EDGE: Final = 2  # so that a line on the edge is drawn whole
_BRIDGED_SHARE: Final = 1 / 24
"""Gaps up to this share of the width are bridged, as snapshots are taken only on request. Longer ones are shown as
gaps."""

Values = Sequence[float | None]


def sparkline(values: Values, title: str) -> Markup:
    """A line through the values, and the area below it. Nothing where there are fewer than two."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup("")
    low, high = min(known), max(known)
    runs = _runs(values, low, high)
    lines = [_line(points) for points in runs]
    areas = [f"{line}V{HEIGHT}H{run[0][0]:g}Z" for line, run in zip(lines, runs, strict=True)]
    extremes = f"always {low:,.0f}" if low == high else f"between {low:,.0f} and {high:,.0f}"
    return _picture(
        "sparkline",
        f"{title}: {extremes}",
        f'<path class="area" d="{"".join(areas)}"/><path class="line" d="{"".join(lines)}"/>',
    )


def strip(values: Values, title: str) -> Markup:
    """A band that says for each step whether something answered: all of it, in part or not at all, or not asked."""
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    step = WIDTH / len(values)
    bands = [
        f'<rect class="{name}" x="{start * step:g}" width="{(end - start) * step:g}" height="{HEIGHT}"/>'
        for start, end, name in _bands(values)
    ]
    answered = sum(1 for value in known if value) / len(known)
    # Rounded down: what did not always answer is not shown as 100 %.
    return _picture("strip", f"{title}: answered {int(answered * 1000) / 10:g} % of the time", "".join(bands))


def bar(used: float | None, allowed: float) -> Markup:
    """How much of a limit is used. The numbers stand beside it."""
    share = 0.0 if used is None else 1.0 if allowed <= 0 else min(1.0, used / allowed)
    return Markup(
        f'<svg class="bar" aria-hidden="true"><rect class="track" width="100%" height="100%" rx="4"/>'
        f'<rect class="used" width="{share:.1%}" height="100%" rx="4"/></svg>'
    )


def _picture(kind: str, title: str, content: str) -> Markup:
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">{content}</svg>'
    )


def _runs(values: Values, low: float, high: float) -> list[list[tuple[float, float]]]:
    """The points of each stretch without a gap. Of equal values in a row the first and the last are enough."""
    step, room = WIDTH / max(1, len(values) - 1), HEIGHT - 2 * _EDGE
    runs: list[list[tuple[float, float]]] = []
    last_index, last_value = 0, None
    for index, value in enumerate(values):
        if value is None:
            continue
        y = HEIGHT / 2 if low == high else _EDGE + (high - value) / (high - low) * room
        x = round(index * step, 1)
        if not runs or index - last_index > len(values) * _BRIDGED_SHARE + 1:
            runs.append([])
        elif value == last_value and len(runs[-1]) > 1 and runs[-1][-2][1] == round(y, 1):
            runs[-1].pop()
        runs[-1].append((x, round(y, 1)))
        last_index, last_value = index, value
    return runs


def _line(points: list[tuple[float, float]]) -> str:
    (x, y), *others = points
    if not others:  # a lone point shows as a short stroke
        return f"M{x:g} {y:g}h.1"
    return f"M{x:g} {y:g}" + "".join(f"L{x:g} {y:g}" for x, y in others)


def _bands(values: Values) -> Iterator[tuple[int, int, str]]:
    """Stretches with the same answer: first step, the step after the last, `up` or `down`. Steps without a snapshot
    continue the one before."""
    start, now = 0, ""
    for index, value in enumerate(values):
        name = now if value is None else "up" if value else "down"
        if name != now:
            if now:
                yield start, index, now
            start, now = (index if now or index > len(values) * _BRIDGED_SHARE else 0), name
    if now:
        yield start, len(values), now
