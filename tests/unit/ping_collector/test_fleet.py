"""Aggregates over the fleet: right in sum, and silent about the few."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from ff_observe.ping_collector.fleet import MAX_LABEL_VALUES, OTHER, RESOURCES, fold, summarise
from ff_observe.ping_contract import COUNT_FIELDS, FIELDS, Value

distributions = st.dictionaries(st.none() | st.text(max_size=3), st.integers(1, 30), max_size=30).map(
    lambda found: sorted(found.items(), key=str)
)


def test_a_value_of_few_platforms_is_other() -> None:
    assert fold([("2.33.2", 40), ("2.32.0", 5), ("2.31.9-mine", 4), ("2.4.0", 1)], k=5) == {
        "2.33.2": 40,
        "2.32.0": 5,
        OTHER: 5,
    }


def test_the_few_cannot_be_told_by_what_is_missing_from_the_sum() -> None:
    assert fold([(True, 96), (False, 4)], k=5) == {OTHER: 100}
    assert fold([("CE", 40), ("DEV", 7), ("EE", 2)], k=5) == {"CE": 40, OTHER: 9}
    assert fold([("CE", 40), ("DEV", 7), ("EE", 3), (None, 2)], k=5) == {"CE": 40, "DEV": 7, OTHER: 5}


def test_platforms_that_do_not_say_are_none() -> None:
    assert fold([(None, 6), ("", 1), ("CE", 9)], k=5) == {"CE": 9, "none": 7}


def test_flags_are_told_as_prometheus_has_them() -> None:
    assert fold([(False, 7), (True, 5)], k=5) == {"false": 7, "true": 5}


def test_a_sender_cannot_flood_the_labels() -> None:
    values: list[tuple[Value | None, int]] = [(f"v{index:04}", 5) for index in range(1000)]
    told = fold(values, k=5)
    assert len(told) == MAX_LABEL_VALUES + 1
    assert sum(told.values()) == 5000


@given(distributions, st.integers(1, 10))
def test_shares_sum_up_to_the_platforms_and_tell_of_none_that_few_share(
    distribution: list[tuple[Value | None, int]], k: int
) -> None:
    told = fold(distribution, k)
    assert sum(told.values()) == sum(platforms for _, platforms in distribution)
    assert all(platforms >= k for platforms in told.values()) or set(told) == {OTHER}


def test_sums_and_quantiles_are_those_of_the_platforms() -> None:
    counts = list(range(1, 1001))
    found = summarise([(count, 1) for count in counts], k=5)
    assert found is not None
    assert (found.platforms, found.total) == (1000, sum(counts))
    cuts = statistics.quantiles(counts, n=100)
    for quantile, cut in ((0.5, cuts[49]), (0.9, cuts[89]), (0.99, cuts[98])):
        assert abs(found.quantiles[quantile] - cut) <= 3


def test_a_quantile_with_few_platforms_beyond_it_is_not_told() -> None:
    found = summarise([(value, 1) for value in range(20)], k=5)
    assert found is not None
    assert set(found.quantiles) == {0.5}


def test_a_quantile_is_never_the_number_of_one_platform() -> None:
    found = summarise([(0, 5), (1000, 1), (2000, 5)], k=5)
    assert found is not None
    assert found.quantiles == {0.5: (0 + 0 + 1000 + 2000 + 2000) / 5}


def test_what_few_platforms_report_has_no_sum() -> None:
    assert summarise([(None, 100), (7, 4)], k=5) is None


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=80), st.integers(1, 10))
def test_quantiles_lie_between_the_least_and_the_greatest(values: list[int], k: int) -> None:
    distribution = [(value, values.count(value)) for value in sorted(set(values))]
    found = summarise(distribution, k)
    assert (found is None) == (len(values) < k)
    if found is not None:
        assert found.total == sum(values)
        assert all(min(values) <= value <= max(values) for value in found.quantiles.values())


def test_every_count_of_the_ping_is_a_resource_of_the_fleet() -> None:
    assert sorted(RESOURCES.values()) == sorted(FIELDS.index(field) for field in COUNT_FIELDS)
    assert RESOURCES["users"] == FIELDS.index(COUNT_FIELDS[0])
    assert "instances_by_state_suspended" in RESOURCES
