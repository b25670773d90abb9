"""A made-up fleet that grows and upgrades over a year, released day by day by the rules of the public page."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from ff_observe.catalogue.ping_contract import FIELDS, Value
from ff_observe.collector.fleet.figures import RESOURCES, as_json, take_release
from ff_observe.collector.release_log import ReleaseLog
from ff_observe.collector.store import Count, Distribution, Released, Seen, Store
from tests.attack.world import KEY

K, DAYS, SILENT_AFTER = 10, 3, 2
PLATFORMS = 620
OUTAGE = range(205, 214)
"""On these days no collector ran, and nothing was released."""
_INDEX = {field.dotted: index for index, field in enumerate(FIELDS)}
_TYPICAL = {"users": 24, "teams": 6, "instances": 19, "devices": 61, "snapshots": 140, "templates": 3}


@dataclass(slots=True)
class Platform:
    """One made-up platform. It upgrades every `pace` days, to what was new a few days before."""

    born: int
    gone: int
    pace: int
    size: float
    constant: Mapping[str, Value]
    seen: int = -99

    def version(self, day: int) -> str:
        since = max(0, day - self.born) // self.pace * self.pace + self.born
        return f"2.{16 + (since - 3) // 21}.0"

    def says(self, day: int) -> Mapping[int, Value]:
        grown = self.size * (1 + 0.0012 * max(0, day - self.born))
        counts = {RESOURCES[name]: round(typical * grown) for name, typical in _TYPICAL.items()}
        of = {"env.flowforge": self.version(day), **self.constant}
        return {**counts, **{_INDEX[name]: value for name, value in of.items()}}


def _platform(chance: Random) -> Platform:
    born = chance.randrange(-300, 0) if chance.random() < 0.55 else chance.randrange(365)
    joined = max(born, 0) / 365
    gone = max(born, 0) + int(chance.expovariate(1 / 1200)) + 20
    return Platform(
        born,
        gone,
        chance.choice((7, 21, 45, 90, 90, 200)),
        chance.lognormvariate(0, 0.8),
        {
            "platform.config.driver": "kubernetes"
            if chance.random() < 0.25 + 0.4 * joined
            else chance.choice(("localfs", "docker", "docker")),
            "platform.license.type": chance.choices(("CE", "EE", "DEV"), (0.55, 0.35 + 0.2 * joined, 0.05))[0],
            "platform.config.broker.enabled": chance.random() < 0.55 + 0.3 * joined,
            "platform.config.fileStore.enabled": chance.random() < 0.6,
            "platform.config.email.enabled": chance.random() < 0.8,
        },
    )


class MadeUpStore:
    """The year day by day, in the place of a store of pings."""

    def __init__(self) -> None:
        self._chance = Random(17)
        self._platforms = [_platform(self._chance) for _ in range(PLATFORMS)]
        self.day = -30

    def rounding_key(self) -> bytes:
        return bytes(32)

    def pass_a_day(self) -> None:
        for platform in self._platforms:
            if platform.born <= self.day < platform.gone and self._chance.random() < 0.93:
                platform.seen = self.day
        self.day += 1

    def sample(self, at: datetime, _days: int, silent_after_days: int) -> Count:
        ago = {index: self.day - platform.seen for index, platform in enumerate(self._platforms)}
        month = [platform for index, platform in enumerate(self._platforms) if ago[index] <= 30]
        windows = {f"{days}d": sum(n <= days for n in ago.values()) for days in (1, 7, 30)}
        silent = sum(silent_after_days < n <= 30 for n in ago.values())
        said = [platform.says(self.day) for platform in month]
        distributions: dict[int, Distribution] = {index: [(None, len(month))] for index in _INDEX.values()}
        for index in said[0] if said else ():
            distributions[index] = sorted(Counter(each[index] for each in said).items())
        return Count(at, Seen(windows, silent), distributions)


def fill(store: Store, last: date, days: int = 365) -> list[Released]:
    """Put the releases of so many days into a store that has none."""
    made = list(year_of_releases(last, days))
    assert all(store.release(each) for each in made)
    return made


def year_of_releases(last: date, days: int = 365) -> Iterator[Released]:
    """The releases of so many days, the last of them on the day `last`."""
    made, log = MadeUpStore(), ReleaseLog()
    while made.day < 365:
        made.pass_a_day()
        past = 365 - made.day
        if past >= days or made.day in OUTAGE:
            continue
        at = datetime.combine(last - timedelta(days=past), time(1), UTC)
        store: Store = made  # type: ignore[assignment]  # what a release is made of, and nothing else
        document = json.dumps(as_json(take_release(store, at, K, DAYS, SILENT_AFTER), K, DAYS))
        released = log.next(at.date(), document, KEY)
        log.add(released)
        yield released
