"""A made-up week of a ping collector with some two hundred platforms, in the collector's own metrics."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import sin, tau
from random import Random
from types import MappingProxyType

from ff_observe.catalogue import collector as own
from ff_observe.catalogue import fleet, process
from ff_observe.catalogue.model import Metric
from ff_observe.collector.fleet.figures import RESOURCES
from ff_observe.collector.metrics import BUCKETS
from tests.pictures.openmetrics import Sample

TARGET = MappingProxyType({"job": "flowfuse-collector", "instance": "collector.example.com:10465"})
_DAY = timedelta(days=1)
_TYPICAL = {
    "users": 24,
    "teams": 6,
    "instances": 19,
    "instances_by_state_suspended": 3,
    "devices": 61,
    "devices_by_last_seen_never": 4,
    "devices_by_last_seen_day": 49,
    "snapshots": 140,
    "templates": 3,
    "stacks": 4,
    "library_entries": 30,
    "blueprints": 7,
    "shared_library_entries": 12,
    "team_broker_clients": 9,
    "remote_brokers": 2,
}


def fleet_history(start: datetime, end: datetime, step: timedelta) -> Iterator[Sample]:
    """Every sample of the collector's target from `start` to `end`."""
    random = Random(11)
    collector = _Collector(random)
    at = start
    while at <= end:
        day = (at - start) / _DAY
        platforms = 196 + round(3 * day)
        yield from _fleet(at, day, platforms)
        yield from collector.pass_time(at, start, platforms * (step / _DAY) * (1 + 0.25 * sin(tau * day)))
        yield Sample(at, "up", 1.0, TARGET)
        at += step


def _sample(at: datetime, metric: Metric, value: float, *labels: str) -> Sample:
    return Sample(at, metric.name, float(value), {**TARGET, **dict(zip(metric.labels, labels, strict=True))})


def _fleet(at: datetime, day: float, platforms: int) -> Iterator[Sample]:
    silent = 9 + (day > 2.2) * 2 + (day > 4.7) - (day > 5.6) * 3
    yield _sample(at, fleet.TIMESTAMP, at.timestamp() - 6)
    yield _sample(at, fleet.SILENT, silent)
    for window, number in (("1d", platforms - silent - 4), ("7d", platforms - 5), ("30d", platforms)):
        yield _sample(at, fleet.PLATFORMS, number, window)
    yield from _parts(at, fleet.BY_DRIVER, platforms, {"kubernetes": 0.57, "docker": 0.27, "localfs": 0.13})
    yield from _parts(at, fleet.BY_LICENSE_TYPE, platforms, {"EE": 0.52, "CE": 0.45})
    for rule in fleet.FINDINGS.label_values:
        doubtful = {"late": 2 < day < 3, "unknown_value": 2 * (4 < day < 5)}
        yield _sample(at, fleet.FINDINGS, doubtful.get(rule, 0), rule)
    moved = min(0.42, 0.06 * day)
    versions = {
        "2.33.2": 0.05 + moved,
        "2.33.1": 0.31 - moved / 2,
        "2.32.0": 0.27 - moved / 3,
        "2.30.1": 0.17,
        "2.24.0": 0.09,
    }
    yield from _parts(at, fleet.BY_VERSION, platforms, versions)
    yield from _parts(at, fleet.BY_NODEJS_VERSION, platforms, {"20": 0.61, "18": 0.22, "22": 0.09, "16": 0.05})
    for feature, share in (("broker", 0.71), ("file_store", 0.58), ("email", 0.83)):
        for enabled, part in (("true", share), ("false", 1 - share)):
            yield _sample(at, fleet.BY_FEATURE, round(platforms * part), feature, enabled)
    for resource in RESOURCES:
        typical = _TYPICAL.get(resource, 5) * (1 + 0.004 * day)
        yield _sample(at, fleet.REPORTING, platforms - 3, resource)
        yield _sample(at, fleet.RESOURCES, round(typical * platforms), resource)
        for rank, factor in (("0.5", 0.62), ("0.9", 2.3), ("0.99", 7.1)):
            yield _sample(at, fleet.RESOURCES_PER_PLATFORM, round(typical * factor, 1), resource, rank)


def _parts(at: datetime, metric: Metric, platforms: int, shares: Mapping[str, float]) -> Iterator[Sample]:
    rest = platforms
    for label, share in shares.items():
        number = round(platforms * share)
        rest -= number
        yield _sample(at, metric, number, label)
    yield _sample(at, metric, max(rest, 0), "other")


class _Collector:
    """Counters that only grow."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._counters: dict[tuple[Metric, str], float] = {}
        for metric in own.COLLECTOR:
            for label in metric.label_values or ("",):
                self._counters[metric, label] = 0.0
        self._observed = {name: [0.0] * len(bounds) for name, bounds in BUCKETS.items()}
        self._commits = self._sum_seconds = self._sum_pings = 0.0

    def pass_time(self, at: datetime, start: datetime, expected: float) -> Iterator[Sample]:
        """All of the collector's own samples, after about `expected` more pings."""
        chance = self._random
        pings = int(expected) + (chance.random() < expected % 1)
        self._counters[own.PINGS_ACCEPTED, "stored"] += pings
        self._counters[own.PINGS_ACCEPTED, "duplicate"] += chance.random() < 0.02
        for reason, share in (("not_json", 0.002), ("missing_field", 0.003), ("media_type", 0.001)):
            self._counters[own.PINGS_REFUSED, reason] += chance.random() < share
        self._counters[own.CONNECTIONS_CLOSED, "too_slow"] += chance.random() < 0.006
        self._counters[own.UNKNOWN_FIELDS, "other"] += chance.random() < 0.004
        self._commit(pings)
        for metric in own.COLLECTOR:
            if metric.name in BUCKETS:
                continue
            if metric.kind == "counter":
                for label in metric.label_values or ("",):
                    yield _sample(at, metric, self._counters[metric, label], *([label] if metric.labels else []))
        yield from self._histograms(at)
        yield _sample(at, own.BUILD_INFO, 1, "0.1.0", "postgresql")
        yield _sample(at, process.START, (start - timedelta(days=17)).timestamp())
        yield _sample(at, own.KEY_CREATED, (start - timedelta(days=9)).timestamp())
        yield _sample(at, own.ROLLED_UP, (at - timedelta(seconds=40)).timestamp())
        yield _sample(at, own.COPIED, (at.replace(hour=0, minute=0)).timestamp())
        yield _sample(at, own.FOLD_DURATION, 1.4)
        yield _sample(at, own.FLEET_MAX_AGE, 66)
        yield _sample(at, own.STORE_UP, 1)
        yield _sample(at, own.FAILOVER_SAFE, 1)
        yield _sample(at, own.PRIVACY_SPENT, 3)
        yield _sample(at, own.PRIVACY_BUDGET, 12)
        yield _sample(at, own.WAITING, 0)
        yield _sample(at, own.CONNECTIONS, 2 + round(sin(tau * (at - start) / _DAY)))

    def _commit(self, pings: int) -> None:
        for _ in range(pings):
            seconds = 0.0018 * 2.2 ** self._random.gauss(0, 0.8)
            self._commits += 1
            self._sum_seconds += seconds
            self._sum_pings += 1
            for name, value in ((own.COMMIT_DURATION.name, seconds), (own.COMMIT_PINGS.name, 1)):
                for index, bound in enumerate(BUCKETS[name]):
                    self._observed[name][index] += value <= bound

    def _histograms(self, at: datetime) -> Iterator[Sample]:
        for name, bounds in BUCKETS.items():
            for bound, number in zip((*bounds,), self._observed[name], strict=True):
                yield Sample(at, f"{name}_bucket", number, {**TARGET, "le": str(float(bound))})
            yield Sample(at, f"{name}_bucket", self._commits, {**TARGET, "le": "+Inf"})
            total = self._sum_seconds if name == own.COMMIT_DURATION.name else self._sum_pings
            yield Sample(at, f"{name}_sum", total, TARGET)
            yield Sample(at, f"{name}_count", self._commits, TARGET)
