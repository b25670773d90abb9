"""What PRIVACY.md and docs/collector.md promise of the fleet's figures, against those who want to break it."""

import random

import pytest

from tests.attack.fleet_attacks import ATTACKS, Attack, MakeWorld, row
from tests.attack.fleet_looks import look, share_within
from tests.attack.world import HONEST, RELEASE_DAY, World

SYBILS = 100


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_gets_nothing(attack: Attack, make_world: MakeWorld) -> None:
    result = attack(make_world, SYBILS)
    assert result.held, row(attack, result)


def test_rounding_hides_as_much_as_is_documented() -> None:
    """docs/collector.md, "What this does not stop": more would be a figure that says too much, less a test too weak."""
    draw = random.Random(7)
    looked = [look(draw) for _ in range(200)]
    sums = [each.at_sums for each in looked]
    assert 0.55 < share_within(sums, 2) < 0.75
    assert share_within(sums, 4) > 0.9
    assert share_within([each.at_one_figure for each in looked], 4) < 0.8
    assert sum(each.moved for each in looked) > 0.9 * len(looked)


def test_what_many_share_is_shown(make_world: MakeWorld) -> None:
    """Else every attack would fail on an empty page."""
    world = make_world()
    world.honest()
    public = world.public()
    assert public["platforms"]["30d"] in (30, 40), "rounded down to a multiple of 10, after an offset below 10"
    assert public["platforms_by_version"]["2.33.2"] in (30, 40)
    assert public["platforms_by_driver"]["stub"] in (30, 40)
    assert public["resources"]["users"]["total"] in (350, 360)
    assert public["resources"]["users"]["quantiles"] == {"0.5": 9}
    private = world.private()
    assert private["platforms_by_version"] == {"2.33.2": 40}
    assert private["resources"]["users"]["total"] == 360


def test_a_release_is_the_same_from_every_collector_until_the_next_day(make_world: MakeWorld) -> None:
    world = make_world()
    world.honest()
    released = world.published(hours=-10)
    world.ping(f"new-{index}" for index in range(40))
    assert {world.published(hours=hours) for hours in (0, 11)} == {released}
    tomorrow = World(world.store).published(RELEASE_DAY + 1)
    assert tomorrow != released
    assert world.published(RELEASE_DAY + 1, hours=5) == tomorrow


def test_a_release_stays_until_the_days_before_the_next_are_rolled_up(make_world: MakeWorld) -> None:
    world = make_world()
    world.honest()
    released = world.published()
    world.ping((f"honest-{index}" for index in range(HONEST)), days=[RELEASE_DAY])
    assert world.published(RELEASE_DAY + 1, fold=False) == released
    assert world.published(RELEASE_DAY + 1) != released


def test_a_platform_counts_in_public_after_pings_on_three_days(make_world: MakeWorld) -> None:
    world = make_world()
    world.ping((f"honest-{index}" for index in range(40)), days=range(2))
    assert world.public(2)["platforms"]["30d"] == 0
    world.ping((f"honest-{index}" for index in range(40)), days=[2])
    assert world.public(2)["platforms"]["30d"] == 0, "and today's count tomorrow"
    assert world.public(3)["platforms"]["30d"] in (30, 40)
