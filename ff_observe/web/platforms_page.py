"""The page that lists several platforms, worst first. A platform's own page is the status page."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Final, Protocol
from urllib.parse import quote

from ff_observe.catalogue import bridge as names
from ff_observe.config.settings import Settings
from ff_observe.http.messages import Answer, answer
from ff_observe.platform.snapshot import Snapshot
from ff_observe.problems import find_problems
from ff_observe.self_metrics import SelfMetrics
from ff_observe.version import VERSION

_PACKAGE = files("ff_observe.web")
_STYLE = _PACKAGE.joinpath("platforms_page.css").read_text("utf-8")
_PAGE = Template(_PACKAGE.joinpath("platforms_page.html").read_text("utf-8"))
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_HEADERS: Final = (
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
)

STATES: Final = {
    "unusable": "cannot be used",
    "down": "down",
    "troubled": "problems",
    "unread": "not read yet",
    "up": "up",
}
"""Of a platform, the worst first: name and words."""

_FIGURES: Final = ("flowfuse_users", "flowfuse_instances", "flowfuse_devices")


class Listed(Protocol):
    """What the list needs of a platform: see `ServedPlatform`."""

    @property
    def name(self) -> str: ...
    @property
    def problems(self) -> Sequence[str]: ...
    @property
    def settings(self) -> Callable[[], Settings] | None: ...
    @property
    def self_metrics(self) -> SelfMetrics | None: ...
    @property
    def latest(self) -> Snapshot | None: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One platform in the list."""

    name: str
    state: str
    html: str

    @property
    def rank(self) -> tuple[int, str]:
        """By which the list is sorted."""
        return list(STATES).index(self.state), self.name


class PlatformsPage:
    """Keeps each platform's row until something of it changes."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[object, Row]] = {}

    def row(self, platform: Listed) -> Row:
        """The row of one platform as it is now."""
        snapshot, metrics = platform.latest, platform.self_metrics
        settings = platform.settings() if platform.settings is not None else None
        version = (snapshot, settings, metrics.version if metrics is not None else 0, tuple(platform.problems))
        kept = self._rows.get(platform.name)
        if kept is None or not _same(kept[0], version):
            kept = self._rows[platform.name] = (
                version,
                _row(platform.name, platform.problems, settings, metrics, snapshot),
            )
        return kept[1]

    def answer(self, rows: Sequence[Row], now: datetime) -> Answer:
        """The page with all rows, the worst first."""
        return _answer(
            200, "Platforms", _counts(rows), _table(rows), f"Put together at <time>{now:%Y-%m-%d %H:%M:%S} UTC</time>."
        )

    @staticmethod
    def unusable(name: str, problems: Sequence[str]) -> Answer:
        """The page of a platform whose settings cannot be used."""
        items = "".join(f"<li><p>{escape(problem)}</p></li>\n" for problem in problems)
        body = (
            '<section class="problems" aria-labelledby="problems">\n'
            f'<h2 id="problems">Its configuration cannot be used</h2>\n<ul>\n{items}</ul>\n'
            '<p class="fix"><strong>What to do:</strong> correct it, and reload (SIGHUP).</p></section>\n'
        )
        state = ("down", STATES["unusable"])
        return _answer(503, name, state, body, '<a href="../../">All platforms</a>')


def _same(before: object, now: object) -> bool:
    assert isinstance(before, tuple)
    assert isinstance(now, tuple)
    return before[0] is now[0] and before[1] is now[1] and before[2:] == now[2:]


def _row(
    name: str,
    problems: Sequence[str],
    settings: Settings | None,
    metrics: SelfMetrics | None,
    snapshot: Snapshot | None,
) -> Row:
    words, cells = "; ".join(problems), ["", "", "", "", ""]
    if settings is None or metrics is None:
        state = "unusable"
    elif snapshot is None:
        state = "unread"
    else:
        readings = metrics.readings()
        found = find_problems(settings, snapshot, readings, metrics.failures())
        state = "down" if not snapshot.up else "troubled" if found else "up"
        words = "; ".join(problem.title for problem in found)
        ping = any(readings.get(names.PING_ENABLED.name, {}).values())
        cells = [
            snapshot.installation.flowfuse_version or "",
            *(_figure(snapshot, each) for each in _FIGURES),
            "on" if ping else "off",
        ]
    badge = "on" if state == "up" else "off" if state == "unread" else "fails"
    return Row(
        name,
        state,
        f'<tr><td><span class="badge {badge}">{STATES[state]}</span></td>'
        f'<th scope="row"><a href="platforms/{escape(quote(name, safe=""))}/">{escape(name)}</a></th>'
        + "".join(f'<td class="figure">{escape(cell)}</td>' for cell in cells)
        + f"<td>{escape(words)}</td></tr>\n",
    )


def _figure(snapshot: Snapshot, name: str) -> str:
    reading = snapshot.readings.get(name)
    return f"{sum(reading.values()):,.0f}" if reading else ""


def _counts(rows: Sequence[Row]) -> tuple[str, str]:
    """Class and words of the badge on top."""
    states = [row.state for row in rows]
    worse = [f"{states.count(state)} {STATES[state]}" for state in STATES if state != "up" and state in states]
    if not worse:
        return "up", f"{len(rows)} platforms, all up"
    bad = any(state in states for state in ("unusable", "down"))
    return "down" if bad else "troubled", f"{len(rows)} platforms: {', '.join(worse)}"


def _table(rows: Sequence[Row]) -> str:
    heads = ("State", "Platform", "FlowFuse", "Users", "Instances", "Devices", "Ping", "Problems")
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    body = "".join(row.html for row in sorted(rows, key=lambda row: row.rank))
    return (
        '<section class="platforms" aria-label="Platforms"><div class="scrolls" tabindex="0"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div></section>\n"
    )


def _answer(status: int, title: str, state: tuple[str, str], body: str, footer: str) -> Answer:
    page = _PAGE.substitute(
        style=_STYLE,
        version=escape(VERSION),
        title=escape(title),
        state=state[0],
        state_words=escape(state[1]),
        body=body,
        footer=footer,
    )
    return answer(status, "text/html; charset=utf-8", page.encode("utf-8", "replace"), *_HEADERS)
