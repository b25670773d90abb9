"""The page that lists several platforms, worst first. A platform's own page is the status page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import quote

from ff_observe.catalogue import bridge as names
from ff_observe.config.settings import Settings
from ff_observe.http.application import Application
from ff_observe.http.messages import Answer
from ff_observe.outputs.ping import NAME as PING
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.problems import Severity, find_problems
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.version import VERSION
from ff_observe.web.status.frame import PRODUCT, header, page, product
from ff_observe.web.status.markup import Markup, element, join
from ff_observe.web.status.values import moment, number
from ff_observe.web.status.watch import Watch

STATES: Final = {
    "unusable": (Severity.ERROR, "cannot be used"),
    "down": (Severity.ERROR, "down"),
    "troubled": (Severity.WARNING, "with problems"),
    "unread": (Severity.NOTE, "not read yet"),
    "up": (Severity.OK, "up"),
}
"""Of a platform, the worst first: how bad it is, and words. One with problems is as bad as the worst of them."""

_FIGURES: Final = ("flowfuse_users", "flowfuse_instances", "flowfuse_devices")
_BADGES: Final = {Severity.OK: "on", Severity.NOTE: "off", Severity.WARNING: "warns", Severity.ERROR: "fails"}
_HEADS: Final = ("State", "Platform", "FlowFuse", "Users", "Instances", "Devices", "Ping", "Problems")


class Running(Protocol):
    """What is served of a platform: see `RunningPlatform`."""

    @property
    def app(self) -> Application: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def snapshots(self) -> Snapshots: ...
    @property
    def self_metrics(self) -> SelfMetrics: ...
    @property
    def watch(self) -> Watch: ...


@dataclass(frozen=True, slots=True)
class ServedPlatform:
    """One of the platforms. Where its settings cannot be used none is running: `problems` says why."""

    name: str
    labels: Mapping[str, str]
    problems: Sequence[str]
    running: Running | None

    @property
    def latest(self) -> Snapshot | None:
        """Its latest snapshot, however old."""
        return None if self.running is None else self.running.snapshots.latest


@dataclass(frozen=True, slots=True)
class Row:
    """One platform in the list."""

    name: str
    state: str
    severity: Severity
    badge: Markup
    cells: Markup
    """All that are right of its name."""


class PlatformsPage:
    """Keeps each platform's row until something of it changes."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[object, Row]] = {}

    def row(self, platform: ServedPlatform) -> Row:
        running, snapshot = platform.running, platform.latest
        of_bridge = running and (running.settings, running.self_metrics.version, running.watch.examined)
        version = (snapshot, of_bridge, platform.problems)
        kept = self._rows.get(platform.name)
        if kept is None or kept[0] != version:
            kept = self._rows[platform.name] = (version, _row(platform, snapshot))
        return kept[1]

    def answer(self, rows: Sequence[Row], now: datetime, root: str) -> Answer:
        """The page with all rows, the worst first. `root` is where the application is, without a slash at the end."""
        head = element("tr", *(element("th", each, scope="col") for each in _HEADS))
        worst_first = sorted(rows, key=lambda row: (list(STATES).index(row.state), _rank(row), row.name))
        body = (element("tr", row.badge, _link(row.name, root), row.cells) for row in worst_first)
        table = element("table", element("thead", head), element("tbody", *body))
        content = element("section", table, class_="card", tabindex="0", aria_label="Platforms")
        footer = element("footer", "Put together at ", moment(now), ".")
        states = [row.state for row in rows]
        present = [name for name in STATES if name in states]
        worse = ", ".join(f"{states.count(name)} {STATES[name][1]}" for name in present if name != "up")
        words = f"{len(rows)} platforms: {worse}" if worse else f"{len(rows)} platforms, all up"
        worst = min(rows, key=_rank).severity if rows else Severity.OK
        above = header(product(VERSION), "Platforms", worst, words)
        return page(f"{PRODUCT}: Platforms", root, "platforms", above, (content,), footer)


def unusable(platform: ServedPlatform) -> Answer:
    """The page of a platform whose settings cannot be used."""
    finding = element(
        "li",
        element("h3", "Its configuration cannot be used"),
        *(element("p", problem) for problem in platform.problems),
        element("p", element("strong", "What to do: "), "correct it, and reload (SIGHUP).", class_="fix"),
        class_="finding error",
    )
    heading = element("h2", "Problems", id="problems-title")
    content = element("section", heading, element("ul", finding), class_="problems", aria_labelledby="problems-title")
    footer = element("footer", element("a", "All platforms", href="../../"))
    above = header(product(VERSION), platform.name, *STATES["unusable"])
    return page(f"{PRODUCT}: {platform.name}", "../..", "problems", above, (content,), footer, status=503)


def _row(platform: ServedPlatform, snapshot: Snapshot | None) -> Row:
    running, words, cells, problems = platform.running, "; ".join(platform.problems), [""] * 5, []
    if running is None:
        state = "unusable"
    elif snapshot is None:
        state = "unread"
    else:
        metrics = running.self_metrics
        readings = metrics.readings()
        found = find_problems(running.settings, snapshot, readings, metrics.failures(), running.watch.examined)
        problems = [each for each in found if each.severity is not Severity.NOTE]
        state = "down" if not snapshot.up else "troubled" if problems else "up"
        words = "; ".join(each.title for each in problems)
        may_ping = readings.get(names.OUTPUT_ENABLED.name, {}).get((PING,))
        cells = [
            snapshot.installation.flowfuse_version or "",
            *(_figure(snapshot, each) for each in _FIGURES),
            "" if may_ping is None else "on" if may_ping else "off",
        ]
    severity, said = STATES[state]
    if state == "troubled":
        severity = problems[0].severity
    badge = _BADGES[severity]
    shown = join(*(element("td", cell, class_="value") for cell in cells), element("td", words))
    return Row(platform.name, state, severity, element("td", element("span", said, class_=f"badge {badge}")), shown)


def _rank(row: Row) -> int:
    return list(Severity).index(row.severity)


def _link(name: str, root: str) -> Markup:
    return element("th", element("a", name, href=f"{root}/platforms/{quote(name, safe='')}/"), scope="row")


def _figure(snapshot: Snapshot, name: str) -> str:
    reading = snapshot.readings.get(name)
    return number(sum(reading.values())) if reading else ""
