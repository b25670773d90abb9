"""Noise in public figures: as much as ε says, no less and no more, and nothing that only few platforms have."""

import math
from collections.abc import Callable

import pytest

from ff_observe.collector.fleet.disclosure import OTHER, Resource
from ff_observe.collector.fleet.noise import DELTA, OFF_BY, Noise, fits
from tests.attack.fleet_games import OTHERS, released
from tests.pace import in_full

KNOWN = ("CE", "EE", OTHER)


def noise(epsilon: float = 1.0, k: int = 10) -> Noise:
    return Noise(epsilon, k, 2, shares=7, resources=15)


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 7.5])
def test_a_release_spends_its_epsilon_and_no_more(epsilon: float) -> None:
    """By OpenDP's own reckoning, over every figure of a release."""
    drawn = noise(epsilon)
    released(drawn, OTHERS)
    assert math.isclose(drawn.spent, epsilon, rel_tol=1e-9)


def test_figures_are_drawn_around_the_truth_as_far_as_is_said() -> None:
    rules = noise()
    draws = in_full(4_000, 400)
    off = [rules.shares("", [("CE", 5_000)], str, KNOWN)["CE"] - 5_000 for _ in range(draws)]
    scale = rules.scale_of_shares
    assert abs(sum(off) / draws) < 7 * scale * math.sqrt(2 / draws), "7 standard errors"
    beyond = sum(abs(each) > rules.described()["off_by"]["platforms"] for each in off) / draws
    assert abs(beyond - math.exp(-OFF_BY)) < 7 * math.sqrt(0.05 * 0.95 / draws)


def test_a_version_of_few_platforms_does_not_appear() -> None:
    rules = noise()
    for platforms in (1, 9):
        found = [rules.shares("", [("2.33.2", 5_000), ("1.1.1", platforms)], str) for _ in range(in_full(2_000, 100))]
        assert all(set(each) == {"2.33.2"} for each in found)


def test_a_version_appears_when_the_threshold_of_delta_lets_it() -> None:
    """Else none would ever be shown."""
    rules = noise()
    threshold = rules.scale_of_shares * math.log(1 / DELTA)
    assert set(rules.shares("", [("1.1.1", math.ceil(2 * threshold))], str)) == {"1.1.1"}


def test_a_figure_within_its_own_error_is_left_out() -> None:
    rules = noise()
    for _ in range(100):
        shown = rules.shares("", [("CE", 5_000), ("EE", 1)], str, KNOWN)
        assert all(platforms >= OFF_BY * rules.scale_of_shares for platforms in shown.values())
        assert "CE" in shown
    # In 95 of 100 releases, in the long run.
    assert sum(rules.resource("users", [(5, 20)], 1_000) is None for _ in range(100)) >= 80


@pytest.mark.parametrize("silent_after", [1, 2, 7, 30])
def test_windows_stay_nested(silent_after: int) -> None:
    rules = Noise(1.0, 10, silent_after, shares=7, resources=15)
    days = {"30d": 30, "7d": 7, "1d": 1, "active": silent_after}
    groups = {key: 1_000 + days[key] for key in days}
    for _ in range(50):
        shown = rules.nested("platforms", groups)
        in_order = [shown[key] for key in sorted(shown, key=lambda key: days[key])]
        assert in_order == sorted(in_order)
        assert len(shown) == len(groups)


def sum_of(counts: list[tuple[int, int]]) -> Callable[[Noise], Resource | None]:
    return lambda rules: rules.resource("users", [*counts, (None, 50)], 1_000)


def test_a_sum_is_of_bounded_counts_and_sizes_of_their_groups() -> None:
    found = sum_of([(0, 900), (3, 800), (10**9, 700)])(noise(100))
    assert found is not None
    assert found.total is not None
    assert abs(found.total - (3 * 800 + 1_000 * 700)) < 40 * 1_000
    assert {"0", "2", "1000"} <= set(found.sizes)
    assert abs(found.sizes["1000"] - 700) < 40
    assert abs(found.platforms - 2_400) < 100
    assert found.quantiles == {}


def test_a_budget_that_is_divided_evenly_lasts_for_all_releases() -> None:
    spent = 0.0
    for _ in range(10):
        assert fits(spent, 0.1, 1.0)
        spent += 0.1
    assert not fits(spent, 0.1, 1.0)
