"""What may be shown of a group of platforms: right in sum, silent about the few and about one that dominates."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.fleet.disclosure import MAX_LABEL_VALUES, OTHER, Disclosure, Shares
from ff_observe.collector.store import Distribution

KEY = b"\x05" * 32
distributions = st.dictionaries(st.none() | st.text(max_size=3), st.integers(1, 30), max_size=30).map(
    lambda found: sorted(found.items(), key=str)
)
counts = st.lists(st.integers(0, 10**15), min_size=1, max_size=80)


def shares(distribution: Distribution, k: int = 5, key: bytes | None = None) -> Shares:
    return Disclosure(k, key).shares("version", distribution, str)


def of_each(values: list[int]) -> Distribution:
    return [(value, values.count(value)) for value in sorted(set(values))]


def test_a_value_of_few_platforms_is_other() -> None:
    assert shares([("2.33.2", 40), ("2.32.0", 5), ("2.31.9-mine", 4), ("2.4.0", 1)]) == {
        "2.33.2": 40,
        "2.32.0": 5,
        OTHER: 5,
    }


def test_the_few_do_not_follow_from_what_is_missing_from_the_sum() -> None:
    assert shares([(True, 96), (False, 4)]) == {OTHER: 100}
    assert shares([("CE", 40), ("DEV", 7), ("EE", 2)]) == {"CE": 40, OTHER: 9}
    assert shares([("CE", 40), ("DEV", 7), ("EE", 3), (None, 2)]) == {"CE": 40, "DEV": 7, OTHER: 5}


def test_a_sender_cannot_flood_the_labels() -> None:
    shown = shares([(f"v{index:04}", 5) for index in range(1000)])
    assert len(shown) == MAX_LABEL_VALUES + 1
    assert sum(shown.values()) == 5000


@given(distributions, st.integers(1, 10))
def test_shares_sum_up_to_the_platforms_and_show_none_that_few_share(distribution: Distribution, k: int) -> None:
    shown = shares(distribution, k)
    platforms = sum(number for _, number in distribution)
    assert sum(shown.values()) == (platforms if platforms >= k else 0)
    assert all(number >= k for number in shown.values())


@given(distributions, st.integers(2, 10), st.binary(min_size=32, max_size=32))
def test_rounded_shares_are_multiples_of_k_and_never_more_than_there_are(
    distribution: Distribution, k: int, key: bytes
) -> None:
    there: dict[str, int] = {}
    for value, platforms in distribution:
        there[str(value)] = there.get(str(value), 0) + platforms
    for value, platforms in shares(distribution, k, key).items():
        assert platforms % k == 0
        assert k <= platforms <= (sum(there.values()) if value == OTHER else there[value])


def test_where_a_value_appears_depends_on_the_key_and_not_on_its_count_alone() -> None:
    """Else it could be told from the number of invented platforms that it takes to make a value appear."""
    appears = set()
    for number in range(40):
        key = number.to_bytes(32)
        appears.add(next(n for n in range(1, 40) if "x" in shares([("x", n), ("y", 100)], 5, key)))
    assert appears == {5, 6, 7, 8, 9}


KEYS = [number.to_bytes(32) for number in range(40)]


def test_all_platforms_are_one_number_however_often_it_is_shown() -> None:
    """Rounded after offsets of their own, their mean would be the number itself."""
    found = set()
    for key in KEYS:
        rules = Disclosure(10, key).within("platforms", 100)
        users = rules.resource("users", [(0, 100)], 1000)
        teams = rules.resource("teams", [(1, 97), (2, 3)], 1000)
        assert users is not None
        assert teams is not None
        shown = {
            *rules.nested("platforms", {"30d": 100, "7d": 100}).values(),
            *rules.shares("driver", [("docker", 100)], str).values(),
            *rules.shares("version", [("2.33.2", 94), ("2.32.0", 6)], str).values(),
            users.platforms,
            *users.sizes.values(),
            teams.platforms,
        }
        assert len(shown) == 1
        found |= shown
    assert found == {90, 100}, "it depends on the key"


def test_a_count_that_few_platforms_lack_is_shown_with_all_of_them_and_where_few_end_is_secret() -> None:
    ends = set()
    for key in KEYS:
        rules = Disclosure(5, key).within("platforms", 100)
        (every,) = rules.nested("platforms", {"30d": 100}).values()
        missing = 0
        while (found := rules.resource("users", [(7, 100 - missing)])) is not None and found.platforms == every:
            missing += 1
        ends.add(missing)
    assert min(ends) == 5
    assert ends >= {5, 6, 7, 8, 9}


def test_a_size_that_all_have_who_report_a_count_is_shown_as_they_are() -> None:
    for key in KEYS:
        found = Disclosure(10, key).within("platforms", 100).resource("users", [(None, 55), (0, 45)], 1000)
        assert found is not None
        assert found.sizes == {"0": found.platforms}


def test_a_change_of_few_platforms_is_withheld_and_does_not_follow_from_the_others() -> None:
    def changes(new: int, returning: int, lost: int, before: int = 100) -> Shares:
        return Disclosure(5).changes({"new": (new, 100), "returning": (returning, 100), "lost": (lost, before)})

    assert changes(6, 0, 5) == {"new": 6, "returning": 0, "lost": 5}
    assert changes(0, 0, 0) == {"new": 0, "returning": 0, "lost": 0}
    # Who knows the platforms before and after knows that 20 + x - 8 came to 14.
    assert changes(20, 2, 8) == {"lost": 8}
    assert changes(4, 0, 8) == {"lost": 8}
    assert changes(20, 8, 1) == {"returning": 8}
    assert changes(20, 2, 1) == {"new": 20}
    assert changes(6, 6, 97) == {"returning": 6}, "3 of 100 are not lost"
    assert changes(6, 6, 100) == {"new": 6, "returning": 6, "lost": 100}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=3, max_size=3), st.integers(1, 8))
def test_no_change_that_is_shown_tells_of_few(groups: list[tuple[int, int]], k: int) -> None:
    named = {name: (number, number + more) for name, (number, more) in zip("abc", groups, strict=True)}
    shown = Disclosure(k).changes(named)
    assert len(shown) != 2
    for name, number in shown.items():
        assert number == named[name][0]
        assert not 0 < number < k
        assert not 0 < named[name][1] - number < k
    if k == 1:
        assert len(shown) == 3


def test_sums_and_quantiles_are_those_of_the_platforms() -> None:
    values = list(range(1, 1001))
    found = Disclosure(5).resource("users", of_each(values))
    assert found is not None
    assert (found.platforms, found.total) == (1000, sum(values))
    cuts = statistics.quantiles(values, n=100)
    for quantile, cut in ((0.5, cuts[49]), (0.9, cuts[89]), (0.99, cuts[98])):
        assert abs(found.quantiles[quantile] - cut) <= 3


def test_platforms_with_zero_hide_none() -> None:
    assert Disclosure(5).resource("blueprints", [(0, 100), (7, 1)]) is None
    assert Disclosure(5).resource("blueprints", [(0, 100), (7, 4)]) is None
    assert Disclosure(5).resource("blueprints", [(0, 100), (7, 5)]) is not None


def test_a_sum_that_one_platform_dominates_is_not_shown() -> None:
    small = [(2, 29)]
    assert Disclosure(5).resource("users", [*small, (59, 1)]) is None  # 59 of 117
    assert Disclosure(5).resource("users", [*small, (58, 1)]) is not None


def test_a_sum_from_which_one_of_two_large_platforms_could_estimate_the_other_is_not_shown() -> None:
    """p% rule: without the second, the rest is the error of its estimate of the first."""
    assert Disclosure(5).resource("users", [(1, 19), (100, 2)]) is None
    assert Disclosure(5).resource("users", [(1, 20), (100, 2)]) is not None


def test_two_platforms_would_know_each_other() -> None:
    assert Disclosure(2).resource("users", [(5, 2)]) is None
    assert Disclosure(2).resource("users", [(5, 3)]) is not None


def test_a_quantile_with_few_platforms_beyond_it_is_not_shown() -> None:
    found = Disclosure(5).resource("users", of_each(list(range(1, 21))))
    assert found is not None
    assert set(found.quantiles) == {0.5}


@pytest.mark.parametrize(
    ("around", "mean"),
    [
        ([0, 0, 0, 0, 0], 0),
        ([3, 4, 5, 6, 7], 5),
        ([0, 4, 5, 6, 7], None),  # of the five, four contribute
        ([1, 1, 1, 20, 21], None),  # p% rule
    ],
)
def test_a_quantile_is_shown_under_the_rules_of_a_sum(around: list[int], mean: float | None) -> None:
    found = Disclosure(5).resource("users", of_each([0] * 6 + around + [25] * 6))
    assert found is not None
    assert found.quantiles == ({} if mean is None else {0.5: mean})


def test_what_few_platforms_report_has_no_sum() -> None:
    assert Disclosure(5).resource("users", [(None, 100), (7, 4)]) is None


@given(counts, st.integers(1, 10))
def test_quantiles_lie_between_the_least_and_the_greatest(values: list[int], k: int) -> None:
    found = Disclosure(k).resource("users", of_each(values))
    if found is not None:
        assert found.total == sum(values)
        assert all(min(values) <= value <= max(values) for value in found.quantiles.values())


@given(counts, st.integers(2, 10))
def test_a_shown_sum_has_k_contributors_and_none_that_dominates(values: list[int], k: int) -> None:
    found = Disclosure(k).resource("users", of_each(values))
    *_, second, largest = [0, 0, *sorted(values)]
    contributors = sum(value > 0 for value in values)
    rest = sum(values) - largest - second
    may = contributors >= max(k, 3) and 2 * largest <= sum(values) and 5 * rest >= largest
    assert (found is not None) == may


@given(counts, st.integers(0, 10**15))
def test_a_rounded_sum_changes_by_less_than_shows_who_joined(values: list[int], joins: int) -> None:
    """While the largest platform stays, a smaller one that joins changes the sum by no step or by one."""
    joins = min(joins, max(values))
    before = Disclosure(3, KEY).resource("users", of_each(values))
    after = Disclosure(3, KEY).resource("users", of_each([*values, joins]))
    if before is not None and after is not None:
        assert before.total is not None
        assert after.total is not None
        step = next(size for size in _steps() if size >= max([3, *values]))
        assert after.total - before.total in (0, step)
        assert before.total <= sum(values)


def _steps() -> list[int]:
    return sorted(digit * 10**power for digit in (1, 2, 5) for power in range(17))


def test_the_sum_of_what_some_have_one_of_says_no_more_than_their_number_would() -> None:
    for key in KEYS:
        totals = set()
        for there in range(200, 220):
            found = Disclosure(10, key).resource("remote_brokers", [(0, 300), (1, there)], 100)
            assert found is not None
            totals.add(found.total)
        assert len(totals) <= 3
        assert all(total is not None and total % 10 == 0 for total in totals)


def test_a_number_that_is_later_rounded_to_larger_steps_says_nothing_new() -> None:
    """As when the largest platform grows. Two offsets would say in which of two steps that overlap the number is."""
    for key in KEYS:
        rules = Disclosure(10, key)
        numbers = range(10_000, 12_000)
        shown = {tuple(rules._rounded("users sum", number, step) for step in (10, 100, 1000)) for number in numbers}
        assert len(shown) == len({finest for finest, *_ in shown})


def test_a_rounded_quantile_has_two_digits() -> None:
    found = Disclosure(5, KEY).resource("users", of_each(list(range(1001, 1160))))
    assert found is not None
    assert found.quantiles[0.5] == 1100


def test_a_platform_adds_at_most_the_bound_to_a_sum() -> None:
    """A large one is in the sum with the bound, whether it has that many or a million times as many."""
    shown = {
        largest: Disclosure(5, KEY).resource("users", [(50, 200), (largest, 1)], 1000) for largest in (1000, 10**9)
    }
    assert shown[1000] == shown[10**9]
    found = shown[10**9]
    assert found is not None
    assert found.total in (10_000, 11_000)
    assert Disclosure(5, KEY).resource("users", [(50, 200), (10**9, 1)]) is None, "without, it dominates"


def test_sizes_are_shown_where_a_sum_is_not() -> None:
    found = Disclosure(5, KEY).resource("users", [(0, 40), (1, 30), (3, 20), (2000, 1), (3000, 1)], 1000)
    assert found is not None
    assert found.total is None, "two platforms would know each other"
    assert list(found.sizes) == ["0", "1", "other"], "two are too few, and hidden with the next rarest"
    assert all(shown <= there for shown, there in zip(found.sizes.values(), (40, 30, 22), strict=True))


@given(counts, st.integers(2, 10), st.sampled_from([100, 1000]))
def test_sizes_show_no_group_of_few_and_none_beyond_the_bound(values: list[int], k: int, bound: int) -> None:
    found = Disclosure(k, KEY).resource("users", of_each(values), bound)
    sizes = {} if found is None else {least: n for least, n in found.sizes.items() if least != OTHER}
    assert sorted(sizes, key=int) == list(sizes)
    for least, platforms in sizes.items():
        following = next(size for size in [1, *_steps()] if size > int(least))
        there = sum(int(least) <= min(value, bound) < following for value in values)
        assert k <= platforms <= there


def test_with_k_of_one_everything_is_shown_as_it_is() -> None:
    rules = Disclosure(1)
    assert rules.shares("version", [("a", 1), ("b", 2)], str) == {"b": 2, "a": 1}
    found = rules.resource("users", [(0, 1), (7, 1)])
    assert found is not None
    assert (found.platforms, found.total) == (2, 7)
    assert rules.nested("platforms", {"30d": 3, "7d": 2, "1d": 1}) == {"30d": 3, "7d": 2, "1d": 1}


def test_groups_that_differ_by_few_are_not_shown_both() -> None:
    rules = Disclosure(5)
    assert rules.nested("platforms", {"30d": 20, "7d": 19, "1d": 15}) == {"30d": 20, "1d": 15}
    assert rules.nested("platforms", {"30d": 20, "7d": 20, "1d": 20}) == {"30d": 20, "7d": 20, "1d": 20}
    assert rules.nested("platforms", {"30d": 4, "7d": 0, "1d": 0}) == {"7d": 0, "1d": 0}


@given(st.lists(st.integers(0, 100), min_size=1, max_size=4), st.integers(1, 10), st.none() | st.binary(min_size=1))
def test_shown_groups_stay_nested_and_differ_by_none_or_enough(sizes: list[int], k: int, key: bytes | None) -> None:
    groups = {f"{index}": size for index, size in enumerate(sorted(sizes, reverse=True))}
    shown = Disclosure(k, key).nested("platforms", groups)
    numbers = [groups[name] for name in shown]
    assert all(one == other or abs(one - other) >= k for one in numbers for other in numbers)
    assert list(shown.values()) == sorted(shown.values(), reverse=True)
