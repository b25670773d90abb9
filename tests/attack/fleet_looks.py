"""What comes of looking at one page, and of adding up what is on it: how well do secret offsets hide the number of
platforms, and that one more has joined? `python -m tests.attack.fleet_looks [FLEETS]` prints it.
"""

import math
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ff_observe.catalogue.ping_contract import FIELDS, Value
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store.rollups import ROLLED_UP
from tests.unit.collector.sampled import Platform, release_of

K = CollectorSettings().public_k
VALUES: Mapping[str, tuple[str, ...]] = {
    "env.flowforge": ("2.33.1", "2.33.2", "2.32.0"),
    "platform.config.driver": ("localfs", "docker", "kubernetes"),
    "platform.license.type": ("CE", "EE"),
}


@dataclass(frozen=True, slots=True)
class Looked:
    """By how much two guesses of the number of platforms are off: by the figure of all, and by what the values of each
    field and the sizes of each count add up to. `moved` says whether the page shows that one more has joined."""

    at_one_figure: float
    at_sums: float
    moved: bool


def look(draw: random.Random) -> Looked:
    """At a fleet of 90 to 400 platforms that report all counts."""
    platforms = [_platform(draw) for _ in range(draw.randrange(90, 400))]
    key = draw.randbytes(32)
    page = release_of(platforms, key, K)
    once = page["platforms"]["30d"] + K - 1
    # A figure is less than the number by K - 1 in the mean, and a sum of as many figures by so many times that.
    guesses = [(once, 1)] + [(sum(parts) + (K - 1) * len(parts), len(parts)) for parts in _partitions(page)]
    weights = sum(1 / parts for _, parts in guesses)
    summed = sum(guess / parts for guess, parts in guesses) / weights
    there = len(platforms)
    moved = release_of([*platforms, _platform(draw)], key, K) != page
    return Looked(once - there, summed - there, moved)


def _partitions(page: Mapping[str, Any]) -> Iterator[list[int]]:
    """The figures that add up to all platforms."""
    for figure in ("platforms_by_version", "platforms_by_driver", "platforms_by_license_type"):
        yield list(page[figure].values())
    for parts in [*page["platforms_by_feature"].values(), *(each["sizes"] for each in page["resources"].values())]:
        yield list(parts.values())


def _platform(draw: random.Random) -> Platform:
    large = math.exp(draw.gauss(2, 1.3))
    return {index: _value(draw, index, large) for index in ROLLED_UP}


def _value(draw: random.Random, index: int, large: float) -> Value:
    field = FIELDS[index]
    if field.type is int:
        return int(large * draw.choice((0, 0, 0.3, 1, 2)) * draw.random())
    return draw.random() < 0.5 if field.type is bool else draw.choice(VALUES.get(field.dotted, ("x",)))


def share_within(errors: list[float], most: float) -> float:
    """How often a guess is off by so much at most."""
    return sum(abs(error) <= most for error in errors) / len(errors)


def main(arguments: list[str]) -> None:
    draw = random.Random(7)
    looked = [look(draw) for _ in range(int(arguments[0]) if arguments else 1_000)]
    for name, errors in (("one figure", [e.at_one_figure for e in looked]), ("sums", [e.at_sums for e in looked])):
        shares = ", ".join(f"by {most} at most in {share_within(errors, most):.0%}" for most in (1, 2, 4, 8))
        print(f"guesses by {name} are off {shares}")
    print(f"one more platform moved a figure in {sum(e.moved for e in looked) / len(looked):.0%}")


if __name__ == "__main__":
    main(sys.argv[1:])
