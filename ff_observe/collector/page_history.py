"""The part of the public page that shows what the releases say over time."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from ff_observe.catalogue import fleet as catalogue
from ff_observe.collector.charts import STYLES, Line, chart, named, shares, sparkline, stack
from ff_observe.collector.disclosure import OTHER
from ff_observe.collector.history import DAILY

Columns = Mapping[str, Sequence[float | None]]

_WINDOWS = {"30d": "in 30 days", "7d": "in 7 days", "1d": "in a day", "silent_platforms": "silent"}
_TOO_FEW = "<p>Too few platforms to show.</p>"
_CHANGED = "The rules changed meanwhile: see k, days and privacy in the data. "
_BEGIN = "<section><h2>Over time</h2><p>Curves begin with the second release.</p></section>"


class PageHistory:
    """The last `history.DAILY` of a history (`History.as_json`) as parts of the page; without one, none."""

    def __init__(self, history: Mapping[str, Any] | None) -> None:
        self._history = history or {}
        days = [date.fromisoformat(day) for day in self._history.get("day", ())]
        self._skipped = sum(day < days[-1] - DAILY for day in days)
        self._days = days[self._skipped :]

    @property
    def has_curves(self) -> bool:
        """A curve has two points."""
        return len(self._days) > 1

    def platforms(self) -> str:
        """The platforms and the silent ones; which releases the curves are made of."""
        if not self.has_curves:
            return _BEGIN if self._days else ""
        seen = {**self._columns("platforms"), **self._columns()}
        lines = [Line(name, seen[key]) for key, name in _WINDOWS.items() if key in seen]
        rules = {**seen, **self._columns("privacy")}
        changed = any(len(set(rules.get(key, ()))) > 1 for key in ("k", "days", "epsilon"))
        return self._section(
            "Platforms",
            lines,
            "",
            f"From {len(self._days)} releases ({named(self._days[0])} to {named(self._days[-1])}). What a release left "
            f"out is a gap. {_CHANGED if changed else ''}Shares are of the platforms whose value the release shows. "
            'All numbers, and earlier ones: <a href="history.json">history.json</a>',
        )

    def adoption(self) -> Iterator[str]:
        """The shares of versions, types of licence, drivers, and of platforms with a feature."""
        if not self.has_curves:
            return
        versions = self._columns("platforms_by_version")
        title = f"{catalogue.BY_VERSION.title} over time"
        bands = stack(title, self._days, {name: versions[name] for name in sorted(versions, key=by_number)})
        drawn = f"{bands}<p>Newer versions are above older ones.</p>" if bands else _TOO_FEW
        yield f'<section><h2>{title}</h2>{drawn}</section><div class="columns three">'
        for metric in (catalogue.BY_LICENSE_TYPE, catalogue.BY_DRIVER):
            of = shares(self._columns(metric.name.removeprefix("flowfuse_fleet_")))
            names = sorted(of, key=lambda name: (name == OTHER, -(of[name][-1] or 0), name))
            lines = [Line(name, of[name], STYLES if name == OTHER else None) for name in names]
            yield self._section(metric.title, lines, " %")
        titles = catalogue.BY_FEATURE.value_titles
        features = self._history.get("platforms_by_feature", {})
        states = {feature: shares(self._columns("platforms_by_feature", feature)) for feature in features}
        lines = [Line(titles.get(feature, feature), of["true"]) for feature, of in states.items() if "true" in of]
        yield f"{self._section(catalogue.BY_FEATURE.title, lines, ' %')}</div>"

    def total(self, resource: str, title: str) -> str:
        """The sum of a count as a small curve."""
        return sparkline(f"Sum of {title}:", self._days, self._columns("resources", resource).get("total", ()))

    def _section(self, title: str, lines: Sequence[Line], unit: str, note: str = "") -> str:
        title = f"{title} over time"
        noted = note and f"<p>{note}</p>"
        return f"<section><h2>{title}</h2>{chart(title, self._days, lines, unit) or _TOO_FEW}{noted}</section>"

    def _columns(self, *path: str) -> Columns:
        """The columns at a place of the history, for the days that are shown."""
        place = self._history
        for key in path:
            place = place.get(key, {})
        return {key: column[self._skipped :] for key, column in place.items() if isinstance(column, list)}


def by_number(version: str) -> list[str | int]:
    """`other` first, then versions by their numbers."""
    parts = re.split("([0-9]+)", version)
    return ["" if version == OTHER else " ", *(int(part) if place % 2 else part for place, part in enumerate(parts))]
