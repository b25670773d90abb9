"""What is doubtful of a fleet is kept out of its public figures, or named in them; its operator gets it named."""

import json
import statistics
from datetime import timedelta

import pytest

from ff_observe.collector.fleet.quality import take_findings
from ff_observe.collector.pages.public import render
from tests.attack.fleet_attacks import MakeWorld
from tests.attack.world import HONEST, RELEASE_DAY, World
from tests.unit.collector.pings import NOON, later

HONEST_NAMES = [f"honest-{index}" for index in range(HONEST)]


@pytest.fixture(autouse=True)
def one_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores round alike, so that their figures can be compared: each would draw an offset of its own."""
    monkeypatch.setattr("secrets.token_bytes", bytes)


def doubtful(world: World) -> list[tuple[int, str, str, str, int]]:
    """What the operator gets named of the days before the release."""
    store = world.rolled_up(later(days=RELEASE_DAY))
    found = take_findings(store, NOON.date(), NOON.date() + timedelta(days=RELEASE_DAY - 1))
    return [((one.day - NOON.date()).days, one.rule.name, one.field, one.value, one.found) for one in found]


@pytest.mark.parametrize("days", [range(1, 2), range(1, 5)], ids=["for a day", "and stays"])
def test_a_crowd_behind_three_addresses_changes_no_public_figure(make_world: MakeWorld, days: range) -> None:
    plain, planted = make_world(), make_world()
    for world in (plain, planted):
        world.honest()
    for number in range(3):
        names = (f"crowd-{index}" for index in range(number, 500, 3))
        planted.ping(names, days=days, at=f"address-{number}", env__flowforge="2.34.0", platform__counts__users=900)
    assert planted.counted() == HONEST
    assert planted.public() == plain.public()
    assert [one[:2] for one in doubtful(plain)] == []
    assert (1, "crowd_of_few_senders", "", "", 167) in doubtful(planted)
    assert (1, "crowd", "", "", 500) in doubtful(planted)


def test_a_platform_that_was_there_before_counts_beside_a_crowd_of_its_sender(make_world: MakeWorld) -> None:
    world = make_world()
    world.honest()
    world.ping((f"crowd-{index}" for index in range(50)), days=range(1, 5), at="honest-0")
    assert world.counted() == HONEST


def test_values_that_no_platform_can_have_are_not_public(make_world: MakeWorld) -> None:
    plain, planted = make_world(), make_world()
    for world in (plain, planted):
        world.honest()
    planted.ping(
        (f"odd-{index}" for index in range(10)),
        days=range(1, 5),
        env__flowforge="9.9.9-planted",
        platform__config__driver="planted",
        platform__counts__users=2**53 - 1,
    )
    released, before = planted.public(), plain.public()
    assert "planted" not in json.dumps(released)
    for figures in ("platforms_by_version", "platforms_by_driver"):
        shares = dict(released[figures])
        assert shares.pop("other", 0) <= 10
        assert shares == before[figures]
    users, usual = released["resources"]["users"], before["resources"]["users"]
    assert usual["total"] <= users["total"] <= usual["total"] + 10 * users["bound"]
    assert {(field, value, number) for day, _, field, value, number in doubtful(planted) if day == 1} == {
        ("env.flowforge", "9.9.9-planted", 10),
        ("platform.config.driver", "planted", 10),
        ("platform.counts.users", "5000000000000000", 10),
    }


def test_a_release_names_that_the_day_before_lacks_platforms(make_world: MakeWorld) -> None:
    """A day on which 15 of 40 pinged, and one on which none did, beside a fleet that lacks no day."""
    plain, planted = make_world(), make_world()
    for world in (plain, planted):
        world.ping(HONEST_NAMES, days=(0, 1, 2, 3))
    planted.ping(HONEST_NAMES[:15], days=[4])
    planted.ping(HONEST_NAMES, days=[6])
    plain.ping(HONEST_NAMES, days=(4, 5, 6))
    named: list[tuple[list[str], bool]] = []
    figures: list[int] = []
    for day in range(4, 8):
        released, even = planted.public(day), plain.public(day)
        assert even["findings"] == []
        assert (released["platforms"]["30d"], released["resources"]) == (even["platforms"]["30d"], even["resources"])
        named.append((released["findings"], "Fewer platforms pinged than usual" in render(released, "", "").decode()))
        earlier = statistics.median(figures) if figures else 0
        assert (released["platforms"]["1d"] < earlier / 2) == bool(released["findings"]), "readers can recompute it"
        figures.append(released["platforms"]["1d"])
    assert named == [([], False), (["missing"], True), (["missing"], True), ([], False)]
    assert [(day, rule) for day, rule, *_ in doubtful(planted)] == [(4, "missing")]
