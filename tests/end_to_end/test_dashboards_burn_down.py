"""The date at which a limit is reached, as the Licence dashboard foretells it in synthetic years."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from ff_observe.generate.dashboards import licence
from ff_observe.generate.dashboards.licence import limit_reached_at, limit_reached_at_or_now, of_each
from tests.dashboards import ROOT, query
from tests.pictures.openmetrics import Sample, backfill
from tests.real_parts import prometheus

START = datetime(2025, 1, 6, tzinfo=UTC)
DAYS = 365
REACHED_BY_DAY = 330
HOUR = timedelta(hours=1)
DAY_SECONDS = 86_400
SEEDS = range(16)
USAGE, LIMIT = "flowfuse_license_usage", "flowfuse_license_limit"

STEADY_ERROR_DAYS = 1.5
MEDIAN_ERROR_DAYS = {90: 16.0, 60: 10.0, 30: 8.0, 14: 4.0, 7: 4.0}
"""Days before the limit is reached → by how many days the foretold date is off, in half of the eventful years.
A batch of devices that comes in the last week cannot be foretold."""
MEDIAN_ERROR_DAYS_OF_15 = {90: 30.0, 60: 22.0, 30: 9.0, 14: 5.0, 7: 5.0}
"""The same where Prometheus keeps its default of 15 days."""


def eventful_year(seed: int) -> list[int]:
    """Instances and devices in use, hour by hour: growth on working days that is a fifth slower in summer, now and then
    a batch of devices put into service, a spring clean, and a few things that come and go."""
    random = Random(seed)
    usage, level, coming_and_going = [], 60.0, 0.0
    for hour in range(24 * DAYS):
        day = hour / 24
        season = 0.9 + 0.1 * math.cos(2 * math.pi * (day - 20) / 365)
        if int(day) % 7 < 5 and 8 <= hour % 24 < 18:
            level += (0.5 + 0.3 * (seed % 4)) * season / 10
        if random.random() < 1 / (24 * 21):
            level += random.choice((3, 4, 5))
        if hour == 24 * 120:
            level -= 10
        coming_and_going = 0.98 * coming_and_going + random.gauss(0, 0.2)
        usage.append(round(level + coming_and_going))
    return usage


def steady_year() -> list[int]:
    """One more on each working day."""
    return [60 + 5 * (hour // (24 * 7)) + min(hour % (24 * 7) // 24 + 1, 5) for hour in range(24 * DAYS)]


def limit_of(usage: Sequence[int]) -> int:
    """A limit that is first reached late in the year."""
    return max(usage[: 24 * REACHED_BY_DAY])


@pytest.fixture(scope="module")
def years() -> Mapping[str, Sequence[int]]:
    """Usage in use, hour by hour, by the name of the instance."""
    return {"steady": steady_year(), **{f"eventful {seed}": eventful_year(seed) for seed in SEEDS}}


@pytest.fixture(scope="module")
def told(
    years: Mapping[str, Sequence[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[prometheus.Prometheus]:
    if prometheus.PROMETHEUS is None or prometheus.PROMTOOL is None:
        pytest.skip(prometheus.MISSING)
    directory = tmp_path_factory.mktemp("years") / "prometheus"
    backfill(_samples(years), directory)
    with prometheus.prometheus(directory, "{}") as asked:
        yield asked


def _samples(years: Mapping[str, Sequence[int]]) -> Iterator[Sample]:
    for name, usage in years.items():
        target = {"job": "flowfuse", "instance": name, "resource": "instances"}
        limit = limit_of(usage)
        for hour, used in enumerate(usage):
            yield Sample(START + hour * HOUR, USAGE, used, target)
            yield Sample(START + hour * HOUR, LIMIT, limit, target)


def error_days(told: prometheus.Prometheus, name: str, usage: Sequence[int], days_before: int) -> float:
    """By how much the date foretold so many days before is too late (or, negative, too early)."""
    reached_after = usage.index(limit_of(usage))
    selector = f'{{instance="{name}"}}'
    at = START + (reached_after - 24 * days_before) * HOUR
    foretold = told.value(limit_reached_at(LIMIT + selector, USAGE + selector), at)
    assert foretold is not None, f"{name}: nothing foretold {days_before} days before"
    return (foretold - (START + reached_after * HOUR).timestamp()) / DAY_SECONDS


@pytest.mark.parametrize("days_before", MEDIAN_ERROR_DAYS)
def test_steady_growth_gives_the_day(
    told: prometheus.Prometheus, years: Mapping[str, Sequence[int]], days_before: int
) -> None:
    assert abs(error_days(told, "steady", years["steady"], days_before)) <= STEADY_ERROR_DAYS


@pytest.mark.parametrize("days_before", MEDIAN_ERROR_DAYS)
def test_eventful_years_give_the_date_within_the_stated_error(
    told: prometheus.Prometheus, years: Mapping[str, Sequence[int]], days_before: int
) -> None:
    errors = [abs(error_days(told, name, years[name], days_before)) for name in years if name != "steady"]
    assert statistics.median(errors) <= MEDIAN_ERROR_DAYS[days_before]


@pytest.mark.parametrize("days_before", MEDIAN_ERROR_DAYS_OF_15)
def test_fifteen_days_of_history_give_the_date_within_the_stated_error(
    told: prometheus.Prometheus,
    years: Mapping[str, Sequence[int]],
    days_before: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(licence, "GROWTH_OVER", "[15d:1h]")
    errors = [abs(error_days(told, name, years[name], days_before)) for name in years if name != "steady"]
    assert statistics.median(errors) <= MEDIAN_ERROR_DAYS_OF_15[days_before]


def test_no_date_is_foretold_before_a_week_is_known(told: prometheus.Prometheus) -> None:
    foretold = limit_reached_at(f'{LIMIT}{{instance="steady"}}', f'{USAGE}{{instance="steady"}}')
    assert told.value(foretold, START + timedelta(days=6, hours=12)) is None
    assert told.value(foretold, START + timedelta(days=7, hours=12)) is not None


def test_the_stated_errors_are_those_tested_here() -> None:
    readme = (ROOT / "grafana" / "README.md").read_text(encoding="utf-8")
    for errors in (MEDIAN_ERROR_DAYS, MEDIAN_ERROR_DAYS_OF_15):
        assert " | ".join(f"{error:.0f}" for error in errors.values()) in readme


def test_no_date_is_foretold_beyond_two_years(told: prometheus.Prometheus) -> None:
    at = START + timedelta(days=200)
    beyond = limit_reached_at(f'1e6 * {LIMIT}{{instance="steady"}}', f'{USAGE}{{instance="steady"}}')
    assert told.value(beyond, at) is None


def test_no_date_is_foretold_without_growth(told: prometheus.Prometheus) -> None:
    level = f'{LIMIT}{{instance="steady"}}'
    assert told.value(limit_reached_at(f"2 * {level}", level), START + timedelta(days=200)) is None


def test_a_limit_that_is_full_is_reached_now_though_nothing_grows(told: prometheus.Prometheus) -> None:
    level = f'{LIMIT}{{instance="steady"}}'
    at = START + timedelta(days=200)
    assert told.value(limit_reached_at_or_now(level, level), at) == at.timestamp()
    assert told.value(limit_reached_at_or_now(f"2 * {level}", level), at) is None


def test_the_dashboard_asks_what_is_tested_here() -> None:
    shown = query("flowfuse-licence: Limit reached A")
    limit, usage = (of_each(f'{name}{{job=~"$job", instance=~"$instance"}}') for name in (LIMIT, USAGE))
    assert shown.expression == f"1000 * min({limit_reached_at_or_now(limit, usage)})"
    assert shown.expression.startswith(f"1000 * min(({limit_reached_at(limit, usage)}) or ")
