"""Renders a release of the fleet as a page without scripts or external resources."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any

from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.model import Metric, in_text
from ff_observe.collector.disclosure import QUANTILES, Shares

_STYLE = (files(__package__) / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PROTECTED = (
    "Released once a day from the anonymous pings of the 30 days before. A platform counts after pings on {days} "
    "different days, and of the platforms behind one address one counts. A figure that fewer than {k} platforms share, "
    "or that one of them dominates, is left out or counted as <em>other</em>; all others are rounded down."
)
_UNPROTECTED = "From the anonymous pings of the last 30 days. Every platform counts, and every figure is shown."
_FOOTER = (
    "<footer><p>{rules} Of a sender's address only a keyed hash is kept, whose key is destroyed on "
    'schedule. The same as data: <a href="fleet.json">fleet.json</a>, <a href="releases.json">all releases</a></p>'
    "<p>Releases are signed by <code>{releases_key}</code>, receipts for ledgers by <code>{receipts_key}</code></p>"
    "</footer>"
)
_LEFT_OUT = "\u2013"
Document = Mapping[str, Any]
"""A fleet in the form of `fleet.as_json`."""


def render(document: Document, receipts_key: str, releases_key: str) -> bytes:
    """The page. Everything that originates from senders is escaped."""
    platforms = document["platforms"]
    counted_at = datetime.fromisoformat(document["counted_at"])
    rules = (_UNPROTECTED if document["k"] == 1 else _PROTECTED).format(**document)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>FlowFuse fleet</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<style>{_STYLE}</style></head><body><main>",
        f"<header><h1>FlowFuse fleet</h1><p>As of {counted_at:%d %B %Y, %H:%M} UTC</p></header>",
        '<section class="figures" aria-label="Platforms seen">',
        _figure(platforms.get("1d"), "platforms in a day"),
        _figure(platforms.get("7d"), "in 7 days"),
        _figure(platforms.get("30d"), "in 30 days"),
        _figure(document["silent_platforms"], "fell silent"),
        "</section>",
        '<div class="columns">',
        _bars(catalogue.BY_VERSION, document["platforms_by_version"]),
        _bars(catalogue.BY_LICENSE_TYPE, document["platforms_by_license_type"]),
        _bars(catalogue.BY_DRIVER, document["platforms_by_driver"]),
        _features(document["platforms_by_feature"]),
        "</div>",
        *_resources(document["resources"]),
        _FOOTER.format(rules=rules, receipts_key=escape(receipts_key), releases_key=escape(releases_key)),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part).encode()


def _figure(number: int | None, caption: str) -> str:
    shown = _LEFT_OUT if number is None else _grouped(number)
    return f'<p class="figure"><strong>{shown}</strong> <span>{caption}</span></p>'


def _grouped(number: float) -> str:
    return f"{number:,.0f}".replace(",", "\u202f")


def _bars(metric: Metric, shares: Shares) -> str:
    if not shares:
        return f"<section><h2>{metric.title}</h2><p>Too few platforms to show.</p></section>"
    total = sum(shares.values())
    rows = "\n".join(_bar(label, platforms, total) for label, platforms in shares.items())
    return f"<section><h2>{metric.title}</h2><table>{rows}</table></section>"


def _bar(label: str, platforms: int, total: int) -> str:
    """A row whose bar is a drawing: the policy forbids inline styles, so the length cannot be one."""
    bar = f'<rect width="{100 * platforms / max(total, 1):.2f}" height="1"/>'
    share = f'<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
    return f'<tr><th scope="row">{escape(label)}</th><td>{share}</td><td class="number">{_grouped(platforms)}</td></tr>'


def _features(by_feature: Mapping[str, Shares]) -> str:
    rows = "\n".join(
        _bar(catalogue.BY_FEATURE.value_titles.get(feature, feature), shares["true"], sum(shares.values()))
        for feature, shares in by_feature.items()
        if "true" in shares
    )
    body = f"<table>{rows}</table>" if rows else "<p>Too few platforms to show.</p>"
    return f"<section><h2>{catalogue.BY_FEATURE.title}</h2>{body}</section>"


def _resources(resources: Mapping[str, Document]) -> Iterator[str]:
    if not resources:
        return
    yield '<section tabindex="0" aria-labelledby="resources"><h2 id="resources">What they run</h2><table>'
    yield "<thead><tr>"
    yield '<th scope="col">Count</th><th scope="col">Platforms</th><th scope="col">Sum</th>'
    yield '<th scope="col">Median</th><th scope="col">90 %</th><th scope="col">99 %</th></tr></thead><tbody>'
    for name, resource in resources.items():
        cells = "".join(f'<td class="number">{cell}</td>' for cell in _cells(resource))
        title = in_text(catalogue.RESOURCE_TITLES.get(name, name))
        yield f'<tr><th scope="row">{escape(title)}</th>{cells}</tr>'
    yield "</tbody></table></section>"


def _cells(resource: Document) -> Iterator[str]:
    yield _grouped(resource["platforms"])
    yield _grouped(resource["total"])
    for quantile in QUANTILES:
        value = resource["quantiles"].get(str(quantile))
        yield _LEFT_OUT if value is None else _grouped(value) if value >= 1000 else f"{value:.1f}".removesuffix(".0")
