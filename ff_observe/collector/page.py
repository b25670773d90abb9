"""Renders a release of the fleet as a page without scripts or external resources."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any

from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.model import Metric, in_text
from ff_observe.catalogue.quality import RULES
from ff_observe.collector.charts import LEFT_OUT, grouped
from ff_observe.collector.disclosure import OTHER, QUANTILES, Shares
from ff_observe.collector.noise import fits
from ff_observe.collector.page_history import PageHistory
from ff_observe.collector.store.rollups import place

_STYLE = (files(__package__) / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
CONTENT_SECURITY_POLICY = f"{_POLICY}; frame-ancestors 'none'"
_PROTECTED = (
    "Released from the anonymous pings of the 30 days before. A platform counts after pings on {days} "
    "different days, and at most one behind each address. A figure that fewer than {k} platforms share, "
    "or that one of them dominates, is left out or counted as <em>other</em>; all others are rounded down."
)
_NOISY = (
    "Released from the anonymous pings of the 30 days before. A platform counts after pings on {days} different days, "
    "and at most one behind each address. Random noise, drawn once, hides each of them: \u03b5 is "
    "{epsilon:g} in this release (\u03b4 {delta:g}), and {spent:g} of {budget:g} in all. In 95 of 100 cases the number "
    "of platforms with a value is off by {platforms} at most, a bar of \u201chow many have how many\u201d by {sizes}, "
    "and a sum by {bounds} times what one platform adds at most. Figures that are less than that are left out."
)
_LAST = " This is the last release: the next would spend more than there is."
_UNPROTECTED = "From the anonymous pings of the last 30 days. Every platform counts, and every figure is shown."
_FOOTER = (
    "<footer><p>{rules} Of a sender's address only a keyed hash is kept, whose key is destroyed on "
    'schedule. The same as data: <a href="fleet.json">fleet.json</a>, <a href="history.json">history.json</a>, '
    '<a href="releases.json">all releases</a></p>'
    "<p>Releases are signed by <code>{releases_key}</code>, receipts for ledgers by <code>{receipts_key}</code></p>"
    "</footer>"
)
_HEIGHT = 8
_QUANTILES = {0.5: "Median", 0.9: "90 %", 0.99: "99 %"}
Document = Mapping[str, Any]
"""A fleet in the form of `fleet.as_json`."""


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


def _bars(metric: Metric, shares: Shares) -> str:
    if not shares:
        return f"<section><h2>{metric.title}</h2><p>Too few platforms to show.</p></section>"
    total = sum(shares.values())
    rows = "\n".join(_bar(label, platforms, total) for label, platforms in shares.items())
    return f"<section><h2>{metric.title}</h2><table>{rows}</table></section>"


def _bar(label: str, platforms: int, total: int) -> str:
    share, number = bar(platforms, total), grouped(platforms)
    return f'<tr><th scope="row">{escape(label)}</th><td>{share}</td><td class="number">{number}</td></tr>'


def _features(by_feature: Mapping[str, Shares]) -> str:
    rows = "\n".join(
        _bar(catalogue.BY_FEATURE.value_titles.get(feature, feature), shares["true"], sum(shares.values()))
        for feature, shares in by_feature.items()
        if "true" in shares
    )
    body = f"<table>{rows}</table>" if rows else "<p>Too few platforms to show.</p>"
    return f"<section><h2>{catalogue.BY_FEATURE.title}</h2>{body}</section>"


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
    """The counts of a group of sizes in words: its next begins at 2, 2.5 or 2 times its least."""
    if least >= bound:
        return f"{grouped(least)} or more"
    last = (5 * least // 2 if str(least)[0] == "2" else 2 * least) - 1
    return grouped(least) if last <= least else f"{grouped(least)} to {grouped(last)}"


def _cells(resource: Document, quantiles: Sequence[float]) -> Iterator[str]:
    """All but the histogram: platforms, quantiles, sum."""
    yield grouped(resource["platforms"])
    for quantile in quantiles:
        value = resource["quantiles"].get(str(quantile))
        yield LEFT_OUT if value is None else grouped(value) if value >= 1000 else f"{value:.1f}".removesuffix(".0")
    yield LEFT_OUT if resource["total"] is None else grouped(resource["total"])
