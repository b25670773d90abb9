"""A made-up year of some two hundred platforms: their pings in a real store, and what `ff-observe fleet history` writes
of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from ff_observe.collector.fleet.daily import write_history
from ff_observe.collector.store.sqlite import open_sqlite
from tests.pictures.fleet_history import TARGET
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import ping

DAYS = 430
"""More than is shown, for what compares with 30 and 90 days before."""
_RELEASES = tuple(f"2.{22 + number}" for number in range(12))
_RELEASE_DAYS = 36
_NODEJS = (("v16.20.2", 0), ("v18.20.8", 0), ("v20.19.5", 60), ("v22.21.1", 250))
"""Versions of Node.js, and the day from which a platform may have them."""


@dataclass(frozen=True)
class _Platform:
    name: str
    first: int
    last: int
    rest: range
    delay: int
    driver: str
    license_type: str
    nodejs: tuple[int, ...]
    """The days on which it goes to the next version of Node.js."""

    def is_there(self, day: int, random: Random) -> bool:
        return self.first <= day < self.last and day not in self.rest and random.random() < 0.985

    def version(self, day: int) -> str:
        number = max(0, min(len(_RELEASES) - 1, (day - self.delay) // _RELEASE_DAYS))
        return f"{_RELEASES[number]}.{1 if (day - self.delay) % _RELEASE_DAYS > 14 else 0}"

    def node(self, day: int) -> str:
        return _NODEJS[sum(day >= each for each in self.nodejs)][0]


def _platform(number: int, random: Random) -> _Platform:
    first = 0 if number < 90 else random.randrange(DAYS)
    last = first + 20 + int(random.expovariate(1 / 900))
    rest = first + random.randrange(20, 200)
    slow = random.choice((4, 12, 30, 80, 200))
    begin = random.choices((0, 1), (35, 65))[0] if first < 200 else random.choices((1, 2), (30, 70))[0]
    moves = [
        max(since, int(random.gauss(310 if version == 1 else 200 + 110 * version, 90)))
        for version, (_, since) in list(enumerate(_NODEJS))[1:]
    ]
    nodejs = tuple(0 if version <= begin else day for version, day in enumerate(moves, 1))
    return _Platform(
        f"platform-{number}",
        first,
        last,
        range(rest, rest + random.randrange(32, 70)) if random.random() < 0.2 else range(0),
        int(random.expovariate(1 / slow)),
        random.choices(("kubernetes", "docker", "localfs"), (57, 28, 15))[0],
        random.choices(("EE", "CE"), (52, 48))[0],
        nodejs,
    )


def fleet_year(directory: Path, end: datetime) -> Iterator[str]:
    """The lines of the history of the days before `end`."""
    random = Random(7)
    platforms = [_platform(number, random) for number in range(330)]
    store = open_sqlite(directory / "pings.sqlite3", timedelta(hours=1), "collector")
    until = end.date() - timedelta(days=1)
    begin = end.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    with BlockingWriter(store) as writer:
        for day in range(DAYS):
            writer.write(
                [
                    ping(
                        each.name,
                        begin + timedelta(days=day, hours=12),
                        env__flowforge=each.version(day),
                        env__nodejs=each.node(day),
                        platform__config__driver=each.driver,
                        platform__license__type=each.license_type,
                    )
                    for each in platforms
                    if each.is_there(day, random)
                ]
            )
    while store.fold(end, DAYS).oldest_due is not None:
        pass
    yield from write_history(store, None, until, dict(TARGET), k=5, silent_after_days=2)
