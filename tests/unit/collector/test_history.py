"""What releases say over time, held against a plain evaluation of the releases themselves."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.fleet.history import DAILY, MOST_VERSIONS, History

FIRST = date(2026, 3, 2)  # a Monday
VERSIONS = ("2.31.0", "2.32.0", "2.33.2", "other")


def release(day: date, **figures: object) -> dict[str, Any]:
    return {"day": str(day), "counted_at": f"{day}T00:00:00+00:00", **figures}


def history(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    made = History()
    for document in documents:
        made.add(document)
    return made.as_json()


def kept(days: Sequence[date]) -> list[date]:
    """The days that stay, as the documentation has it."""
    last_of_week = {day.strftime("%G-%V"): day for day in days}
    return [day for day in days if day >= days[-1] - DAILY or day in last_of_week.values()]


def test_each_figure_is_a_column_under_its_keys_and_what_is_left_out_is_none() -> None:
    users = {"platforms": 40, "sizes": {"1": 40}, "quantiles": {"0.5": 8.5}, "total": None, "bound": 1000}
    first = release(FIRST, k=10, platforms={"30d": 40}, silent_platforms=None, platforms_by_version={"2.31.0": 40})
    second = release(
        FIRST + timedelta(days=3), k=10, platforms={"1d": 30, "30d": 50}, silent_platforms=0, resources={"users": users}
    )
    assert history([first, second]) == {
        "releases": {"first": "2026-03-02", "last": "2026-03-05", "count": 2},
        "day": ["2026-03-02", "2026-03-05"],
        "k": [10, 10],
        "platforms": {"1d": [None, 30], "30d": [40, 50]},
        "silent_platforms": [None, 0],
        "platforms_by_version": {"2.31.0": [40, None]},
        "resources": {"users": {"platforms": [None, 40], "quantiles": {"0.5": [None, 8.5]}}},
    }


def test_without_releases_there_are_no_days() -> None:
    assert history([]) == {"releases": {"first": None, "last": None, "count": 0}, "day": []}


@given(
    releases=st.lists(
        st.tuples(st.integers(1, 60), st.dictionaries(st.sampled_from(VERSIONS), st.integers(0, 10**9))),
        min_size=1,
        max_size=60,
    )
)
def test_any_run_of_releases_gives_what_they_say_on_the_days_that_stay(
    releases: list[tuple[int, dict[str, int]]],
) -> None:
    day, documents = FIRST, []
    for distance, versions in releases:
        day += timedelta(days=distance)
        documents.append(release(day, platforms_by_version=versions))
    days = kept([date.fromisoformat(each["day"]) for each in documents])
    of_kept = [each["platforms_by_version"] for each in documents if date.fromisoformat(each["day"]) in days]
    columns = {version: [each.get(version) for each in of_kept] for version in VERSIONS}
    found = history(documents)
    assert found["day"] == [str(day) for day in days]
    assert found["releases"] == {"first": documents[0]["day"], "last": str(day), "count": len(documents)}
    assert found.get("platforms_by_version", {}) == {
        version: column for version, column in columns.items() if any(value is not None for value in column)
    }


def test_ten_years_of_daily_releases_stay_small() -> None:
    days = [FIRST + timedelta(days=number) for number in range(3653)]
    found = history([release(day, platforms={"30d": number}) for number, day in enumerate(days)])
    assert found["day"] == [str(day) for day in kept(days)]
    assert len(found["day"]) == 401 + 464, "400 days before the last, and the Sundays before those"
    assert found["platforms"]["30d"] == [(date.fromisoformat(day) - FIRST).days for day in found["day"]]


def test_after_a_long_pause_all_that_is_older_is_thinned_out_at_once() -> None:
    days = [*(FIRST + timedelta(days=number) for number in range(14)), FIRST + timedelta(days=600)]
    assert history([release(day) for day in days])["day"] == ["2026-03-08", "2026-03-15", str(days[-1])]


def test_a_whole_number_is_written_as_one() -> None:
    found = history([release(FIRST, k=10, resources={"users": {"quantiles": {"0.5": 8.5}, "total": 2**40}})])
    assert json.dumps([found["k"], found["resources"]]) == (
        '[[10], {"users": {"quantiles": {"0.5": [8.5]}, "total": [1099511627776]}}]'
    )


def test_of_very_many_versions_the_rarest_are_left_out() -> None:
    versions = {f"2.{number}.0": 10 + number for number in range(MOST_VERSIONS + 3)}
    found = history([release(FIRST, platforms_by_version=versions), release(FIRST + timedelta(days=1))])
    assert len(found["platforms_by_version"]) == MOST_VERSIONS
    assert versions.keys() - found["platforms_by_version"].keys() == {"2.0.0", "2.1.0", "2.2.0"}


@pytest.mark.parametrize("written", [{"silent_platforms": True}, {"platforms": "many"}, {"platforms": [1]}])
def test_what_is_no_number_is_no_figure(written: dict[str, object]) -> None:
    assert history([release(FIRST, **written)]).keys() == {"releases", "day"}
