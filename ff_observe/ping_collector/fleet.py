"""Aggregates over the fleet, made such that they tell nothing of any single platform (k-anonymity)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from ff_observe.catalogue.counts import COUNTS
from ff_observe.catalogue.model import NO_VALUE, ping_fields
from ff_observe.ping_collector.store import Distribution, Store
from ff_observe.ping_contract import FIELDS

OTHER = "other"
QUANTILES = (0.5, 0.9, 0.99)
MAX_LABEL_VALUES = 50
"""Of the values that senders choose freely, so many are told at most: the most frequent."""
MONTH = timedelta(days=30)

Shares = Mapping[str, int]
"""How many platforms have each value."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One count over the fleet: how many platforms report it, their sum, and its quantiles."""

    platforms: int
    total: int
    quantiles: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet at one moment; `by_feature` maps a feature to how many platforms have it `true`, `false`, …"""

    taken_at: datetime
    platforms: Shares
    silent: int
    by_version: Shares
    by_driver: Shares
    by_license_type: Shares
    by_feature: Mapping[str, Shares]
    resources: Mapping[str, Resource] = field(default_factory=lambda: MappingProxyType({}))


_INDEX = {found.dotted: index for index, found in enumerate(FIELDS)}
_FEATURES = {
    "broker": _INDEX["platform.config.broker.enabled"],
    "file_store": _INDEX["platform.config.fileStore.enabled"],
    "email": _INDEX["platform.config.email.enabled"],
}
RESOURCES: Mapping[str, int] = {
    "_".join(filter(None, (count.name.removeprefix("flowfuse_"), ping_field.label_value))): _INDEX[
        ".".join(("platform", "counts", *ping_field.path))
    ]
    for count, ping_field in ping_fields(COUNTS)
}
"""Counts of the ping under the names their metrics have, with the index of their field."""


_SHARES = {name: _INDEX[name] for name in ("env.flowforge", "platform.config.driver", "platform.license.type")}


def take_fleet(store: Store, at: datetime, k: int, silent_after_days: int) -> Fleet:
    """Count the fleet. Raises `StoreError`."""
    seen = store.seen(at, silent_after_days)
    indexes = (*_SHARES.values(), *_FEATURES.values(), *RESOURCES.values())
    found = store.distributions(indexes, at - MONTH)
    version, driver, license_type = (fold(found[index], k) for index in _SHARES.values())
    resources = {name: summarise(found[index], k) for name, index in RESOURCES.items()}
    return Fleet(
        taken_at=at,
        platforms=seen.by_window,
        silent=seen.silent,
        by_version=version,
        by_driver=driver,
        by_license_type=license_type,
        by_feature={feature: fold(found[index], k) for feature, index in _FEATURES.items()},
        resources={name: resource for name, resource in resources.items() if resource is not None},
    )


def fold(distribution: Distribution, k: int) -> Shares:
    """Shares of values, those held by fewer than `k` platforms summed up as `other`; the most frequent first.

    A rest of fewer than `k` takes in the rarest of the others too: where all values are known, as with a flag, it would
    tell of the few by what is missing from the sum.
    """
    named: dict[str, int] = {}
    for value, platforms in distribution:
        label = _label(value)
        named[label] = named.get(label, 0) + platforms
    frequent = sorted(((n, label) for label, n in named.items() if n >= k and label != OTHER), key=_by_frequency)
    told = {label: n for n, label in frequent[:MAX_LABEL_VALUES]}
    rest = sum(named.values()) - sum(told.values())
    while told and 0 < rest < k:
        rest += told.popitem()[1]
    return {**told, OTHER: rest} if rest else told


def _by_frequency(share: tuple[int, str]) -> tuple[int, str]:
    return -share[0], share[1]


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return NO_VALUE if value is None or value == "" else str(value)


def summarise(distribution: Distribution, k: int) -> Resource | None:
    """Sum and quantiles of a count, given in ascending order; None where fewer than `k` platforms report it.

    A quantile is the mean over the `k` platforms around its rank, and absent where fewer than `k` lie at or beyond it.
    """
    counts = [(int(value), platforms) for value, platforms in distribution if value is not None]
    reporting = sum(platforms for _, platforms in counts)
    if reporting < k:
        return None
    quantiles: dict[float, float] = {}
    for quantile in QUANTILES:
        rank = min(int(quantile * reporting), reporting - 1)
        if min(rank + 1, reporting - rank) >= k:
            first = rank - (k - 1) // 2
            quantiles[quantile] = _sum_of_ranks(counts, first, first + k) / k
    return Resource(reporting, sum(value * platforms for value, platforms in counts), quantiles)


def _sum_of_ranks(counts: list[tuple[int, int]], first: int, end: int) -> int:
    """The sum of the values at the ranks from `first` up to, not including, `end`."""
    total = rank = 0
    for value, platforms in counts:
        total += value * max(0, min(end, rank + platforms) - max(first, rank))
        rank += platforms
    return total
