"""The fleet: aggregates for the collector's own `/metrics`, and a daily release of them for the public page."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.counts import COUNTS
from ff_observe.catalogue.model import NO_VALUE, Metric, ping_fields, resource_name
from ff_observe.catalogue.ping_contract import FIELDS, Value
from ff_observe.collector.fleet.disclosure import OTHER, Disclosure, Resource, Shares
from ff_observe.collector.fleet.noise import Noise
from ff_observe.collector.store import Count, Distribution, Seen, Store, StoreError

DRIVERS = frozenset({"localfs", "docker", "kubernetes", "stub"})
"""FlowFuse's own names (https://flowfuse.com/docs/install/configuration/); any other is shown as `other`."""
LICENSE_TYPES = frozenset({"CE", "DEV", "EE"})
_NODEJS = re.compile(r"v(0|[1-9][0-9]?)\.", re.ASCII)
PREFIX = "flowfuse_fleet_"
"""The names of figures in a release are those of their metrics without it."""
PLATFORMS = "platforms"
"""The name of the figure of all platforms: what is rounded under it has one offset."""
_RELEASE = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(-git)?", re.ASCII)


class NotRolledUpError(StoreError):
    """A release needs days that the fold has not come to yet."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet at one moment; `by_feature` maps a feature to how many platforms have it `true`, `false`, … `silent` is
    None where the number of silent platforms, or of the others, is too small to show."""

    taken_at: datetime
    platforms: Shares
    silent: int | None
    by_value: Mapping[Metric, Shares]
    by_feature: Mapping[str, Shares]
    resources: Mapping[str, Resource] = field(default_factory=lambda: MappingProxyType({}))
    took_seconds: float = 0.0
    """As in `Count`."""


_INDEX = {found.dotted: index for index, found in enumerate(FIELDS)}
_FEATURES = {
    "broker": _INDEX["platform.config.broker.enabled"],
    "file_store": _INDEX["platform.config.fileStore.enabled"],
    "email": _INDEX["platform.config.email.enabled"],
}
_STATES = ("true", "false", NO_VALUE)
QUESTIONS = 4 + len(_FEATURES)
"""How many figures by value a platform is in: windows, version, driver, type of licence, and each feature."""
RESOURCES: Mapping[str, int] = {
    resource_name(count, ping_field): _INDEX[".".join(("platform", "counts", *ping_field.path))]
    for count, ping_field in ping_fields(COUNTS)
}
"""Counts of the ping under the names their metrics have, with the index of their field."""
BOUNDS: Mapping[str, int] = {
    resource_name(count, ping_field): ping_field.bound.most
    for count, ping_field in ping_fields(COUNTS)
    if ping_field.bound is not None
}
"""How much of each of these one platform adds to a public sum at most."""


@dataclass(frozen=True, slots=True)
class ByValue:
    """A figure by the values of a field: the label of each value, and all labels where they are `known` beforehand."""

    name: str
    field: str
    label: Callable[[Value | None], str]
    known: Sequence[str] = ()

    def shares(self, rules: Disclosure | Noise, distribution: Distribution) -> Shares:
        """What may be shown of it."""
        return rules.shares(self.name, distribution, self.label, self.known)


def take_fleet(store: Store, at: datetime, k: int, silent_after_days: int, fresh: timedelta = timedelta(0)) -> Fleet:
    """Count every platform, for the operator of the collector; what was counted less than `fresh` ago, by any collector
    of the store, is as good. Raises `StoreError`."""
    count = store.last_count()
    if count is None or abs(at - count.taken_at) >= fresh:
        count = store.count(at, silent_after_days) or count
    if count is None:
        raise StoreError("another collector counts the fleet for the first time")
    return disclosed(count, k)


def disclosed(count: Count, k: int) -> Fleet:
    """What `/metrics` may show of a count."""
    shown = _disclosed(count.taken_at, count.seen, count.distributions, Disclosure(k), BY_VALUE)
    return replace(shown, took_seconds=count.took_seconds)


def take_release(
    store: Store, at: datetime, k: int, days: int, silent_after_days: int, noise: Noise | None = None
) -> Fleet:
    """Count the fleet for the public, as of the beginning of the day of `at` (UTC). Raises `StoreError`.

    Only one platform counts for each sender address, and only after pings on `days` different days.
    """
    midnight = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    sample = store.sample(midnight, days, silent_after_days)
    if sample is None:
        raise NotRolledUpError("the days before the release are still to be rolled up")
    rules = noise or Disclosure(k, store.rounding_key()).within(PLATFORMS, sample.seen.by_window["30d"])
    return _disclosed(midnight, sample.seen, sample.distributions, rules, PUBLIC_BY_VALUE, BOUNDS)


def _disclosed(
    at: datetime,
    seen: Seen,
    found: Mapping[int, Distribution],
    rules: Disclosure | Noise,
    by_value: Mapping[Metric, ByValue],
    bounds: Mapping[str, int] = MappingProxyType({}),
) -> Fleet:
    platforms, silent = windows(rules, seen)
    resources = {name: rules.resource(name, found[index], bounds.get(name)) for name, index in RESOURCES.items()}
    return Fleet(
        taken_at=at,
        platforms=platforms,
        silent=silent,
        by_value={metric: of.shares(rules, found[_INDEX[of.field]]) for metric, of in by_value.items()},
        by_feature={
            feature: rules.shares(feature, found[index], _label(lambda _: True), _STATES)
            for feature, index in _FEATURES.items()
        },
        resources={name: resource for name, resource in resources.items() if resource is not None},
    )


def windows(rules: Disclosure | Noise, seen: Seen) -> tuple[Shares, int | None]:
    """What may be shown of the windows, and of the silent platforms."""
    month = seen.by_window["30d"]
    nested = {window: seen.by_window[window] for window in ("30d", "7d", "1d")} | {"active": month - seen.silent}
    shown = dict(rules.nested(PLATFORMS, nested))
    active = shown.pop("active", None)
    silent = shown["30d"] - active if active is not None and "30d" in shown else None
    return {window: shown[window] for window in seen.by_window if window in shown}, silent


def is_release(version: str) -> bool:
    """Whether a version looks like one of FlowFuse's releases. Anything else that a version may hold would let a sender
    write on the page."""
    return _RELEASE.fullmatch(version) is not None


def _label(is_shown: Callable[[str], bool]) -> Callable[[Value | None], str]:
    def label(value: Value | None) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None or value == "":
            return NO_VALUE
        return str(value) if is_shown(str(value)) else OTHER

    return label


def _known(values: Collection[str]) -> Sequence[str]:
    return (*sorted(values), NO_VALUE, OTHER)


def _nodejs_major(version: Value | None) -> str:
    found = _NODEJS.match(str(version))
    return found[1] if found else _label(lambda _: False)(version)


VERSION = ByValue("version", "env.flowforge", _label(is_release))
NODEJS_VERSION = ByValue("nodejs", "env.nodejs", _nodejs_major)
DRIVER = ByValue("driver", "platform.config.driver", _label(DRIVERS.__contains__), _known(DRIVERS))
LICENSE_TYPE = ByValue("license", "platform.license.type", _label(LICENSE_TYPES.__contains__), _known(LICENSE_TYPES))

PUBLIC_BY_VALUE = {catalogue.BY_VERSION: VERSION, catalogue.BY_DRIVER: DRIVER, catalogue.BY_LICENSE_TYPE: LICENSE_TYPE}
BY_VALUE = {catalogue.BY_NODEJS_VERSION: NODEJS_VERSION, **PUBLIC_BY_VALUE}
"""For the operator of the collector."""


Document = Mapping[str, Any]
"""What `as_json` makes of a fleet: a release."""


def as_json(fleet: Fleet, k: int, days: int) -> dict[str, Any]:
    """The fleet as JSON, with the rules it was counted by; moments are ISO 8601, quantiles by their number, and
    the sizes of a count by the least of each group: `{"2": 40}` are 40 platforms that have 2 to 4."""
    return {
        "day": fleet.taken_at.date().isoformat(),
        "counted_at": fleet.taken_at.isoformat(timespec="seconds"),
        "k": k,
        "days": days,
        "platforms": dict(fleet.platforms),
        "silent_platforms": fleet.silent,
        **{metric.name.removeprefix(PREFIX): dict(shares) for metric, shares in fleet.by_value.items()},
        "platforms_by_feature": {feature: dict(shares) for feature, shares in fleet.by_feature.items()},
        "resources": {
            name: {
                "platforms": resource.platforms,
                "sizes": dict(resource.sizes),
                "quantiles": {str(quantile): value for quantile, value in resource.quantiles.items()},
                "total": resource.total,
                "bound": resource.bound,
            }
            for name, resource in fleet.resources.items()
        },
    }
