"""Renders a release of the fleet as a page without scripts or external resources."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from html import escape
from importlib.resources import files
from typing import Any

from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.model import Metric, in_text
from ff_observe.catalogue.quality import RULES
from ff_observe.collector.fleet.disclosure import OTHER, QUANTILES, Shares
from ff_observe.collector.fleet.figures import PREFIX, Document
from ff_observe.collector.fleet.history import DAILY
from ff_observe.collector.fleet.noise import fits
from ff_observe.collector.pages.charts import LEFT_OUT, STYLES, Line, chart, grouped, named, shares, sparkline, stack
from ff_observe.collector.store.rollups import following, place

_STYLE = (files(__package__) / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
CONTENT_SECURITY_POLICY = f"{_POLICY}; frame-ancestors 'none'"
_PROTECTED = (
    "Released from the pings of the 30 days before. A platform counts after pings on {days} "
    "different days, and at most one behind each address. A figure that fewer than {k} platforms share, "
    "or that one of them dominates, is left out or counted as <em>other</em>; all others are rounded down."
)
_NOISY = (
    "Released from the pings of the 30 days before. A platform counts after pings on {days} different days, "
    "and at most one behind each address. Random noise, drawn once, hides each of them: \u03b5 is "
    "{epsilon:g} in this release (\u03b4 {delta:g}), and {spent:g} of {budget:g} in all. In 95 of 100 cases the number "
    "of platforms with a value is off by {platforms} at most, a bar of \u201chow many have how many\u201d by {sizes}, "
    "and a sum by {bounds} times what one platform adds at most. Figures that are less than that are left out."
)
_LAST = " This is the last release: the next would spend more than there is."
_UNPROTECTED = "From the pings of the last 30 days. Every platform counts, and every figure is shown."
_FOOTER = (
    "<footer><p>{rules} Of a sender's address only a keyed hash is kept, whose key is destroyed on "
    'schedule. The same as data: <a href="fleet.json">fleet.json</a>, <a href="history.json">history.json</a>, '
    '<a href="releases.json">all releases</a></p>'
    "<p>Releases are signed by <code>{releases_key}</code>, receipts for ledgers by <code>{receipts_key}</code></p>"
    "</footer>"
)
_HEIGHT = 8
_QUANTILES = {0.5: "Median", 0.9: "90 %", 0.99: "99 %"}
_WINDOWS = {"30d": "in 30 days", "7d": "in 7 days", "1d": "in a day", "silent_platforms": "silent"}
_TOO_FEW = "<p>Too few platforms to show.</p>"
_CHANGED = "The rules changed meanwhile: see k, days and privacy in the data. "
_BEGIN = "<section><h2>Over time</h2><p>Curves begin with the second release.</p></section>"
Columns = Mapping[str, Sequence[float | None]]


def render(document: Document, receipts_key: str, releases_key: str, history: Document | None = None) -> bytes:
    """The page; with curves if there is a history (`History.as_json`). Everything that originates from senders is
    escaped."""
    past = PageHistory(history)
    platforms = document["platforms"]
    counted_at = datetime.fromisoformat(document["counted_at"])
    parts = [
        head("FlowFuse fleet"),
        f"<header><h1>FlowFuse fleet</h1><p>As of {counted_at:%d %B %Y, %H:%M} UTC</p>{_findings(document)}</header>",
        '<section class="figures" aria-label="Platforms seen">',
        _figure(platforms.get("1d"), "platforms in a day"),
        _figure(platforms.get("7d"), "in 7 days"),
        _figure(platforms.get("30d"), "in 30 days"),
        _figure(document["silent_platforms"], "fell silent"),
        "</section>",
        past.platforms(),
        '<div class="columns">',
        _bars(catalogue.BY_VERSION, document["platforms_by_version"]),
        _bars(catalogue.BY_LICENSE_TYPE, document["platforms_by_license_type"]),
        _bars(catalogue.BY_DRIVER, document["platforms_by_driver"]),
        _features(document["platforms_by_feature"]),
        "</div>",
        *past.adoption(),
        *_resources(document["resources"], past),
        _FOOTER.format(rules=_rules(document), receipts_key=escape(receipts_key), releases_key=escape(releases_key)),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part).encode()


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
            of = shares(self._columns(metric.name.removeprefix(PREFIX)))
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


def head(title: str) -> str:
    """The beginning of a page, up to its content; also of one that is kept as a file, and has no headers."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<style>{_STYLE}</style></head><body><main>'
    )


def bar(part: float, whole: float) -> str:
    """A share as a drawing: the policy forbids inline styles, so the length cannot be one."""
    drawn = f'<rect width="{100 * part / max(whole, 1):.2f}" height="1"/>'
    return f'<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'


def _findings(document: Document) -> str:
    """What the figures lack, in words."""
    broken = [rule.meaning for rule in RULES if rule.name in document.get("findings", ())]
    return f"<p>On the last day, against the releases before: {escape(' '.join(broken))}</p>" if broken else ""


def _rules(document: Document) -> str:
    privacy = document.get("privacy")
    if privacy is None:
        return (_UNPROTECTED if document["k"] == 1 else _PROTECTED).format(**document)
    last = "" if fits(privacy["spent"], privacy["epsilon"], privacy["budget"]) else _LAST
    return _NOISY.format(days=document["days"], **privacy, **privacy["off_by"]) + last


def _figure(number: int | None, caption: str) -> str:
    shown = LEFT_OUT if number is None else grouped(number)
    return f'<p class="figure"><strong>{shown}</strong> <span>{caption}</span></p>'


def _bars(metric: Metric, platforms_by_value: Shares) -> str:
    total = sum(platforms_by_value.values())
    return _of_bars(metric, (_bar(value, platforms, total) for value, platforms in platforms_by_value.items()))


def _of_bars(metric: Metric, bars: Iterable[str]) -> str:
    rows = "\n".join(bars)
    return f"<section><h2>{metric.title}</h2>{f'<table>{rows}</table>' if rows else _TOO_FEW}</section>"


def _bar(label: str, platforms: int, total: int) -> str:
    share, number = bar(platforms, total), grouped(platforms)
    return f'<tr><th scope="row">{escape(label)}</th><td>{share}</td><td class="number">{number}</td></tr>'


def _features(by_feature: Mapping[str, Shares]) -> str:
    titles = catalogue.BY_FEATURE.value_titles
    bars = (
        _bar(titles.get(feature, feature), states["true"], sum(states.values()))
        for feature, states in by_feature.items()
        if "true" in states
    )
    return _of_bars(catalogue.BY_FEATURE, bars)


def _resources(resources: Mapping[str, Document], past: PageHistory) -> Iterator[str]:
    if not resources:
        return
    yield '<section tabindex="0" aria-labelledby="resources"><h2 id="resources">What they run</h2><table>'
    yield "<thead><tr>"
    yield '<th scope="col">Count</th><th scope="col">Platforms</th>'
    yield '<th scope="col" class="drawing">How many have how many</th>'
    quantiles = QUANTILES if any(resource["quantiles"] for resource in resources.values()) else ()
    for heading in (*(_QUANTILES[quantile] for quantile in quantiles), "Sum"):
        yield f'<th scope="col">{heading}</th>'
    if past.has_curves:
        yield '<th scope="col" class="drawing">Sum over time</th>'
    yield "</tr></thead><tbody>"
    for name, resource in resources.items():
        title = in_text(catalogue.RESOURCE_TITLES.get(name, name))
        platforms, *rest = (f'<td class="number">{cell}</td>' for cell in _cells(resource, quantiles))
        yield f'<tr><th scope="row">{escape(title)}</th>{platforms}'
        yield f'<td class="drawing">{_histogram(resource)}</td>{"".join(rest)}'
        yield f'<td class="drawing">{past.total(name, title)}</td></tr>' if past.has_curves else "</tr>"
    yield "</tbody></table></section>"


def _histogram(resource: Document) -> str:
    """A drawing, and the same in words, for those who cannot see it or point at it."""
    sizes: Shares = {least: platforms for least, platforms in resource["sizes"].items() if least != OTHER}
    if not sizes:
        return LEFT_OUT
    tallest = max(sizes.values())
    groups = []
    bars = []
    for least, platforms in sizes.items():
        height = _HEIGHT * platforms / tallest
        bars.append(f'<rect x="{place(int(least))}" y="{_HEIGHT - height:.2f}" width=".8" height="{height:.2f}"/>')
        groups.append(f"{grouped(platforms)} have {_of_group(int(least), resource['bound'])}")
    words = "; ".join(groups)
    width = place(resource["bound"]) + 1
    box = f'class="sizes" viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" role="img"'
    return f'<svg {box} aria-label="{words}"><title>{words}</title>{"".join(bars)}</svg>'


def _of_group(least: int, bound: int) -> str:
    """The counts of a group of sizes in words."""
    if least >= bound:
        return f"{grouped(least)} or more"
    last = following(least) - 1
    return grouped(least) if last == least else f"{grouped(least)} to {grouped(last)}"


def _cells(resource: Document, quantiles: Sequence[float]) -> Iterator[str]:
    """All but the histogram: platforms, quantiles, sum."""
    yield grouped(resource["platforms"])
    for quantile in quantiles:
        value = resource["quantiles"].get(str(quantile))
        yield LEFT_OUT if value is None else grouped(value) if value >= 1000 else f"{value:.1f}".removesuffix(".0")
    yield LEFT_OUT if resource["total"] is None else grouped(resource["total"])


def by_number(version: str) -> list[str | int]:
    """`other` first, then versions by their numbers."""
    parts = re.split("([0-9]+)", version)
    return ["" if version == OTHER else " ", *(int(part) if place % 2 else part for place, part in enumerate(parts))]
