"""What changed between two registries of semantic conventions: breaking for those who read the metrics, or additive."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Registry = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """`breaking` ones make a query, an alert or a dashboard of others show something else, or nothing."""

    metric: str
    what: str
    breaking: bool


def changes(before: Registry, after: Registry) -> Iterator[Change]:
    old, new = _metrics(before), _metrics(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Change(name, "is gone", breaking=True)
        elif name not in old:
            yield Change(name, "is new", breaking=False)
        else:
            yield from _between(name, old[name], new[name])


def _between(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """A label more divides each series anew, so that an expression without an aggregation matches others."""
    for key in ("unit", "instrument"):
        if old[key] != new[key]:
            yield Change(name, f"has another {key}: {new[key]!r} in place of {old[key]!r}", breaking=True)
    had, has = ({each["ref"] for each in group["attributes"]} for group in (old, new))
    for label in sorted(had ^ has):
        yield Change(name, f"has {'lost' if label in had else 'got'} the label {label}", breaking=True)
    if (old["brief"], old["note"]) != (new["brief"], new["note"]):
        yield Change(name, "is described in other words", breaking=False)


def unannounced(before: Registry, after: Registry, changelog: str) -> list[str]:
    """Breaking changes of metrics that the unreleased part of the changelog does not name."""
    unreleased = changelog.partition("\n## [Unreleased]")[2].partition("\n## ")[0]
    return [
        f"{each.metric} {each.what}"
        for each in changes(before, after)
        if each.breaking and f"`{each.metric}`" not in unreleased
    ]


def _metrics(registry: Registry) -> dict[str, Mapping[str, Any]]:
    return {group["metric_name"]: group for group in registry["groups"] if group["type"] == "metric"}
