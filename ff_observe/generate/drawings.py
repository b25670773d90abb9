"""The drawings of docs/how-it-works.md: SVG made from lines of text `from > to`, laid out by the longest way there."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from xml.sax.saxutils import escape

DRAWINGS: Mapping[str, str] = MappingProxyType(
    {
        "snapshot": """
            flowforge.yml|what is on > questions|one SQL statement
            catalogue|every count, declared once > questions|one SQL statement
            FlowFuse's database|read only > snapshot|all counts of one moment
            questions|one SQL statement > snapshot|all counts of one moment
            snapshot|all counts of one moment > /metrics|Prometheus scrapes
            snapshot|all counts of one moment > OTLP|pushed
            snapshot|all counts of one moment > ping|once a day
            snapshot|all counts of one moment > status page|for people
        """,
        "ping": """
            settings, licence,|opt-outs > consent|which rule decides
            consent|which rule decides > ledger|the exact body, signed
            snapshot|the contract's counts > ledger|the exact body, signed
            ledger|the exact body, signed > collector|no address is stored
            collector|no address is stored > fleet|adoption, upgrades
            collector|no address is stored > receipt|kept beside the ledger
        """,
        "connections": """
            Prometheus|/metrics > ff-observe|one port
            browser|status page > ff-observe|one port
            health checks|/-/healthy, /-/ready > ff-observe|one port
            ff-observe|one port > FlowFuse's database|read only
            ff-observe|one port > FlowFuse|does it answer
            ff-observe|one port > ping collector|if it is on
            ff-observe|one port > OTLP collector|if it is on
            ff-observe|one port > Sentry|if it is on
        """,
    }
)
"""Name → its arrows, one a line. A box is a title and, after `|`, a smaller line."""

_CHARACTER: Final = 7.4  # the widest average of common sans-serif fonts at 14 px
_HEIGHT: Final = 52
_ROW: Final = 72
_GAP: Final = 72
_MARGIN: Final = 16
_STYLE: Final = (
    "text{font-family:system-ui,sans-serif;font-size:14px;text-anchor:middle;fill:#1f2328}"
    "text.small{font-size:12px;fill:#59636e}"
    ".paper{fill:#fff}rect.box{fill:#f0f5ff;stroke:#4070c0}path{fill:none;stroke:#59636e;stroke-width:1.5}"
    "marker path{fill:#59636e;stroke:none}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}text.small{fill:#a9b4c0}.paper{fill:#14181d}"
    "rect.box{fill:#1c2b44;stroke:#6ea0f0}path{stroke:#a9b4c0}marker path{fill:#a9b4c0}}"
)
_TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0 8 4 0 8z"/></marker></defs>'
)


@dataclass(frozen=True)
class Box:
    """Where a box stands, in pixels."""

    text: str
    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        return self.y + _HEIGHT / 2


def render(name: str) -> str:
    """The drawing as SVG. Its colours follow the reader's light or dark scheme, and need no file beside it."""
    arrows = [(start, end) for start, _, end in (line.strip().partition(" > ") for line in DRAWINGS[name].split("\n"))]
    arrows = [arrow for arrow in arrows if all(arrow)]
    boxes = _placed(_columns(arrows))
    width = max(box.x + box.width for box in boxes.values()) + _MARGIN
    height = max(box.y for box in boxes.values()) + _HEIGHT + _MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape('; '.join(_sentence(arrow) for arrow in arrows))}</title>",
            f"<style>{_STYLE}</style>",
            _TIP,
            f'<rect class="paper" {size} rx="8"/>',
            *(_arrow(boxes[start], boxes[end]) for start, end in arrows),
            *(_box(box) for box in boxes.values()),
            "</svg>\n",
        ]
    )


def _columns(arrows: Sequence[tuple[str, str]]) -> list[list[str]]:
    """The boxes by column: a box stands right of every box that points to it, a source left of what it points to."""
    depth: dict[str, int] = defaultdict(int)
    for _ in arrows:  # as often as the longest way may have steps
        for start, end in arrows:
            depth[end] = max(depth[end], depth[start] + 1)
    ends = {end for _, end in arrows}
    for start, end in arrows:
        if start not in ends:
            depth[start] = depth[end] - 1
    names = dict.fromkeys(name for arrow in arrows for name in arrow)
    return [[name for name in names if depth[name] == column] for column in range(max(depth.values()) + 1)]


def _placed(columns: Sequence[Sequence[str]]) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    tallest = max(len(column) for column in columns)
    x: float = _MARGIN
    for column in columns:
        width = max(len(line) for name in column for line in name.split("|")) * _CHARACTER + 24
        top = _MARGIN + (tallest - len(column)) * _ROW / 2
        boxes.update({name: Box(name, x, top + row * _ROW, width) for row, name in enumerate(column)})
        x += width + _GAP
    return boxes


def _arrow(start: Box, end: Box) -> str:
    left, right = start.x + start.width, end.x - 3
    bend = (left + right) / 2
    way = f"M{left:.1f} {start.middle:.1f}C{bend:.1f} {start.middle:.1f} {bend:.1f} {end.middle:.1f}"
    return f'<path d="{way} {right:.1f} {end.middle:.1f}" marker-end="url(#tip)"/>'


def _box(box: Box) -> str:
    title, _, small = box.text.partition("|")
    x = box.x + box.width / 2
    lines = [
        f'<rect class="box" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{_HEIGHT}" rx="6"/>',
        f'<text x="{x:.1f}" y="{box.middle + (-3 if small else 5):.1f}">{escape(title)}</text>',
    ]
    if small:
        lines.append(f'<text class="small" x="{x:.1f}" y="{box.middle + 15:.1f}">{escape(small)}</text>')
    return "".join(lines)


def _sentence(arrow: tuple[str, str]) -> str:
    return " → ".join(name.partition("|")[0].rstrip(",") for name in arrow)
