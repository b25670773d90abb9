"""Games on the membership of one platform: its owner is in the fleet or not, and an attacker who knows everything else
looks at what is released, and guesses. `python -m tests.attack.fleet_games [GAMES]` prints what comes of it.
"""

import math
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.model import NO_VALUE
from ff_observe.catalogue.ping_contract import FIELDS
from ff_observe.collector.fleet import figures as fleet
from ff_observe.collector.fleet.disclosure import OTHER, Disclosure
from ff_observe.collector.fleet.figures import BOUNDS, QUESTIONS, RESOURCES, Fleet
from ff_observe.collector.fleet.noise import DELTA, Noise
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Distribution, Seen

SETTINGS = CollectorSettings()
YEAR, JOINS_ON = 365, 180
OTHERS = 5_000
CONFIDENCE = 1e-6
"""The chance with which a game that is fair accuses sound noise."""

Game = Callable[[random.Random, bool], float]
"""Plays one game with the platform in the fleet or not; returns how much the attacker believes that it is."""


@dataclass(frozen=True, slots=True)
class Played:
    """`advantage` is the true positives of the attacker's best guess less the false ones: 0 is a coin's, 1 certainty.
    `epsilon` is what the noise took at least, up to the chance of `CONFIDENCE`."""

    advantage: float
    epsilon: float


def play(game: Game, games: int, seed: int = 0) -> Played:
    """As many games with the platform as without."""
    draw = random.Random(seed)
    beliefs = {joined: [game(draw, joined) for _ in range(games // 2)] for joined in (False, True)}
    advantage = epsilon = 0.0
    places = sorted({*beliefs[False], *beliefs[True]})
    tried = places[:: max(1, len(places) // 40)]
    # Hoeffding's inequality, for each of the thresholds on both sides
    slack = math.sqrt(math.log(4 * len(tried) / CONFIDENCE) / games)
    for threshold in tried:
        hits, false = (_share(beliefs[joined], threshold) for joined in (True, False))
        advantage = max(advantage, hits - false)
        for likely, unlikely in ((hits, false), (1 - false, 1 - hits)):
            if likely - slack - DELTA > 0:
                epsilon = max(epsilon, math.log((likely - slack - DELTA) / (unlikely + slack)))
    return Played(advantage, epsilon)


def _share(beliefs: list[float], threshold: float) -> float:
    return sum(belief >= threshold for belief in beliefs) / len(beliefs)


def most_advantage(epsilon: float) -> float:
    """What ε allows (Kairouz et al., The composition theorem for differential privacy)."""
    return (math.exp(epsilon) - 1) / (math.exp(epsilon) + 1)


def a_year_at_the_edge(draw: random.Random, joined: bool) -> float:
    """Rounded figures, no noise: the attacker adds a platform a day until the figure moves, takes one away, waits."""
    rules = Disclosure(SETTINGS.public_k, draw.randbytes(32))

    def figure(platforms: int) -> int:
        return rules.shares("version", [("6.6.6", platforms), ("2.33.2", 1_000)], str).get("6.6.6", 0)

    edge = next(platforms for platforms in range(YEAR) if figure(platforms)) - 1
    return float(figure(edge + (edge < JOINS_ON and joined)) > 0)


def a_year_with_noise(budget: float) -> Game:
    """The same figure with noise: the attacker adds up what each of a year's releases says."""

    def game(_: random.Random, joined: bool) -> float:
        noise = Noise(budget / YEAR, SETTINGS.public_k, 2, shares=QUESTIONS, resources=len(RESOURCES))
        there = math.ceil(6 * noise.scale_of_shares)
        known = ("docker", NO_VALUE, OTHER)
        belief = 0.0
        for day in range(JOINS_ON, YEAR):
            platforms = there + joined
            shown = noise.shares(f"{day}", [("docker", platforms)], str, known).get("docker")
            belief += _belief(shown, there, 1, noise.scale_of_shares)
        return belief

    return game


def a_release_with_noise(epsilon: float, weakened: float = 1.0) -> Game:
    """All figures of one release, of a platform that is as large as may be. `weakened` divides the noise, as a mistake
    would."""

    def game(_: random.Random, joined: bool) -> float:
        noise = Noise(epsilon * weakened, SETTINGS.public_k, 2, shares=QUESTIONS, resources=len(RESOURCES))
        return sum(_beliefs(released(noise, OTHERS + joined), noise))

    return game


def released(noise: Noise, platforms: int) -> Fleet:
    """All platforms are alike."""
    values: dict[int, Distribution] = {index: [("x", platforms)] for index in range(len(FIELDS))}
    named = {"env.flowforge": "2.33.2", "platform.config.driver": "docker", "platform.license.type": "CE"}
    for index, found in enumerate(FIELDS):
        if found.dotted in named:
            values[index] = [(named[found.dotted], platforms)]
        elif found.type is bool:
            values[index] = [(True, platforms)]
    values |= {index: [(BOUNDS[name], platforms)] for name, index in RESOURCES.items()}
    seen = Seen({"1d": platforms, "7d": platforms, "30d": platforms}, 0)
    return fleet._disclosed(datetime(2026, 3, 1, tzinfo=UTC), seen, values, noise, fleet.PUBLIC_BY_VALUE, BOUNDS)


def _beliefs(shown: Fleet, noise: Noise) -> Iterator[float]:
    shares = (
        shown.platforms.get("1d"),
        shown.by_value[catalogue.BY_VERSION].get("2.33.2"),
        shown.by_value[catalogue.BY_DRIVER].get("docker"),
        shown.by_value[catalogue.BY_LICENSE_TYPE].get("CE"),
        *(states.get("true") for states in shown.by_feature.values()),
    )
    yield from (_belief(number, OTHERS, 1, noise.scale_of_shares) for number in shares)
    for name, resource in shown.resources.items():
        bound = BOUNDS[name]
        yield _belief(resource.sizes.get(str(bound)), OTHERS, 1, noise.scale_of_sizes)
        yield _belief(resource.total, OTHERS * bound, bound, bound * noise.scale_of_sums)


def _belief(shown: float | None, without: float, one: float, scale: float) -> float:
    """The logarithm of the likelihood ratio, than which there is no better statistic; 0 for what is not shown."""
    return 0.0 if shown is None else (abs(shown - without) - abs(shown - without - one)) / scale


def main(arguments: list[str]) -> int:
    """0 if each game was within what its ε allows."""
    games = int(arguments[0]) if arguments else 10_000
    edge = play(a_year_at_the_edge, games)
    print(f"a year at the edge of a rounded figure: advantage {edge.advantage:.2f}")
    worst = 0
    for name, game, epsilon, number in (
        *((f"one release, epsilon {e:g}", a_release_with_noise(e), e, games) for e in (0.5, 1.0, 2.0)),
        *((f"a year of releases, epsilon {e:g} in all", a_year_with_noise(e), e, games // 10) for e in (1.0, 10.0)),
    ):
        played = play(game, number)
        held = played.epsilon <= epsilon
        worst |= not held
        print(
            f"{name}: advantage {played.advantage:.3f} of {most_advantage(epsilon):.3f}, epsilon at least "
            f"{played.epsilon:.3f} ({number} games)",
            flush=True,
        )
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
