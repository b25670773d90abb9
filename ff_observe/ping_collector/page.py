"""The public page about the fleet, and the same as JSON: server-rendered, no scripts, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from importlib import resources
from typing import Any

from ff_observe.catalogue.fleet import RESOURCE_TITLES
from ff_observe.ping_collector.fleet import Fleet, Resource, Shares

_STYLE = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FOOTER = (
    "<footer><p>From the anonymous pings of the last 30 days. Whatever fewer than {k} platforms share is counted as "
    "<em>other</em> or left out, and of a sender's address only a keyed hash is kept, whose key is destroyed on "
    'schedule. The same as data: <a href="fleet.json">fleet.json</a></p></footer>'
)
_FEATURE_NAMES = {"broker": "MQTT broker", "file_store": "File store", "email": "E-mail"}


def as_json(fleet: Fleet, k: int) -> dict[str, Any]:
    """The aggregates as JSON has them; moments are ISO 8601, quantiles by their number."""
    return {
        "counted_at": fleet.taken_at.isoformat(timespec="seconds"),
        "k": k,
        "platforms": dict(fleet.platforms),
        "silent_platforms": fleet.silent,
        "platforms_by_version": dict(fleet.by_version),
        "platforms_by_driver": dict(fleet.by_driver),
        "platforms_by_license_type": dict(fleet.by_license_type),
        "platforms_by_feature": {feature: dict(shares) for feature, shares in fleet.by_feature.items()},
        "resources": {
            name: {
                "platforms": resource.platforms,
                "total": resource.total,
                "quantiles": {str(quantile): value for quantile, value in resource.quantiles.items()},
            }
            for name, resource in fleet.resources.items()
        },
    }


def render(fleet: Fleet, k: int) -> str:
    """The page. Everything that came from senders is escaped."""
    month = fleet.platforms.get("30d", 0)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>FlowFuse fleet</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<style>{_STYLE}</style></head><body><main>",
        f"<header><h1>FlowFuse fleet</h1><p>Counted {fleet.taken_at:%d %B %Y, %H:%M} UTC</p></header>",
        '<section class="figures" aria-label="Platforms seen">',
        _figure(fleet.platforms.get("1d", 0), "platforms in a day"),
        _figure(fleet.platforms.get("7d", 0), "in 7 days"),
        _figure(month, "in 30 days"),
        _figure(fleet.silent, "fell silent"),
        "</section>",
        '<div class="columns">',
        _bars("By version", fleet.by_version),
        _bars("By licence", fleet.by_license_type),
        _bars("By driver", fleet.by_driver),
        _features(fleet),
        "</div>",
        *_resources(fleet),
        _FOOTER.format(k=k),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _figure(number: int, caption: str) -> str:
    return f'<p class="figure"><strong>{_grouped(number)}</strong> <span>{caption}</span></p>'


def _grouped(number: float) -> str:
    return f"{number:,.0f}".replace(",", "\u202f")


def _bars(title: str, shares: Shares) -> str:
    if not shares:
        return f"<section><h2>{title}</h2><p>No platform yet.</p></section>"
    total = sum(shares.values())
    rows = "\n".join(_bar(label, platforms, total) for label, platforms in shares.items())
    return f"<section><h2>{title}</h2><table>{rows}</table></section>"


def _bar(label: str, platforms: int, total: int) -> str:
    """A row whose bar is a drawing: its length is no inline style, which the policy forbids."""
    bar = f'<rect width="{100 * platforms / max(total, 1):.2f}" height="1"/>'
    share = f'<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
    return f'<tr><th scope="row">{escape(label)}</th><td>{share}</td><td class="number">{_grouped(platforms)}</td></tr>'


def _features(fleet: Fleet) -> str:
    rows = "\n".join(
        _bar(_FEATURE_NAMES.get(feature, feature), shares["true"], sum(shares.values()))
        for feature, shares in fleet.by_feature.items()
        if "true" in shares
    )
    body = f"<table>{rows}</table>" if rows else "<p>Too few platforms to tell.</p>"
    return f"<section><h2>Features enabled</h2>{body}</section>"


def _resources(fleet: Fleet) -> Iterator[str]:
    if not fleet.resources:
        return
    yield '<section tabindex="0" aria-labelledby="resources"><h2 id="resources">What they run</h2><table>'
    yield "<thead><tr>"
    yield '<th scope="col">Count</th><th scope="col">Platforms</th><th scope="col">Sum</th>'
    yield '<th scope="col">Median</th><th scope="col">90 %</th><th scope="col">99 %</th></tr></thead><tbody>'
    for name, resource in fleet.resources.items():
        cells = "".join(f'<td class="number">{cell}</td>' for cell in _cells(resource))
        title = RESOURCE_TITLES.get(name, name.replace("_", " "))
        yield f'<tr><th scope="row">{escape(title)}</th>{cells}</tr>'
    yield "</tbody></table></section>"


def _cells(resource: Resource) -> Iterator[str]:
    yield _grouped(resource.platforms)
    yield _grouped(resource.total)
    for quantile in (0.5, 0.9, 0.99):
        value = resource.quantiles.get(quantile)
        yield "-" if value is None else _grouped(value) if value >= 1000 else f"{value:.1f}".removesuffix(".0")
