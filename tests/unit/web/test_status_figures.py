"""The curves of the status: bounded, and true to what was read."""

import math
import re
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from ff_observe.web.status import curves
from ff_observe.web.status.memory import LEAST_PACE_SECONDS, LONGEST_STEP_SECONDS, MOST_STEPS, Figures

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GAPS = st.one_of(st.floats(0, 60), st.floats(0, 4000), st.sampled_from([86_400.0, 200_000.0]))


@given(readings=st.lists(st.tuples(GAPS, st.one_of(st.none(), st.integers(0, 9))), min_size=1, max_size=20))
@example([(0.0, 0), (25.0, 1), (0.0, None), (2675.0, None)])
def test_each_step_holds_what_was_last_read_in_it(readings: list[tuple[float, int | None]]) -> None:
    figures, at, read = Figures(), START, []
    for gap, value in readings:
        at += timedelta(seconds=gap)
        figures.add(at, {} if value is None else {"users": float(value)})
        read.append((at, value))
    column, start = figures.column("users"), figures.start
    assert start is not None
    assert len(column) <= MOST_STEPS
    assert figures.step_seconds <= LONGEST_STEP_SECONDS
    assert start <= at < start + timedelta(seconds=figures.step_seconds * MOST_STEPS)
    if not column:
        assert all(value is None for moment, value in read if moment >= start)
        return
    known = {
        int((moment - start).total_seconds() // figures.step_seconds): value
        for moment, value in read
        if value is not None and moment >= start
    }
    for step, kept in enumerate(column):
        if kept is not None:
            assert kept == known[step]
    if read[-1][1] is not None:
        assert column[-1] == read[-1][1]


def test_a_day_of_readings_is_kept_and_the_time_before_is_dropped() -> None:
    figures = Figures()
    for minute in range(3 * 24 * 60):
        figures.add(START + timedelta(minutes=minute), {"users": float(minute)})
    column = figures.column("users")
    assert len(column) == MOST_STEPS
    assert figures.step_seconds * MOST_STEPS == 86_400
    assert None not in column
    assert column == sorted(value for value in column if value is not None)


def test_a_young_bridge_has_a_curve_soon() -> None:
    figures = Figures()
    for second in range(0, 300, 15):
        figures.add(START + timedelta(seconds=second), {"users": float(second)})
    assert len([value for value in figures.column("users") if value is not None]) == 20


def test_a_clock_that_is_set_back_begins_anew() -> None:
    figures = Figures()
    figures.add(START, {"users": 1.0})
    figures.add(START - timedelta(days=2), {"users": 2.0})
    assert figures.column("users") == [2.0]


def test_a_pace_needs_hours() -> None:
    figures = Figures()
    figures.add(START, {"users": 100.0})
    figures.add(START + timedelta(seconds=LEAST_PACE_SECONDS / 2), {"users": 103.0})
    assert figures.pace("users") is None
    figures.add(START + timedelta(hours=12), {"users": 112.0})
    pace = figures.pace("users")
    assert pace is not None
    assert math.isclose(pace * 3600, 1.0, rel_tol=0.02)
    assert figures.pace("teams") is None


@given(values=st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=MOST_STEPS))
def test_a_curve_stays_within_its_picture(values: list[float | None]) -> None:
    for picture in (curves.sparkline(values, "Users"), curves.strip(values, "Database")):
        numbers = [float(each) for each in _numbers(picture)]
        assert all(0 <= number <= max(curves.WIDTH, curves.HEIGHT) + 0.1 for number in numbers)


def test_a_curve_says_in_words_what_it_shows_and_draws_gaps_as_gaps() -> None:
    picture = curves.sparkline([*[1.0] * 90, *[None] * 20, *[4.0] * 80], 'Users of "A"')
    assert 'aria-label="Users of &quot;A&quot;: between 1 and 4"' in picture
    assert picture.partition('class="line"')[2].count("M") == 2
    bridged = curves.sparkline([*[1.0] * 90, *[None] * 5, *[4.0] * 90], "Users")
    assert bridged.partition('class="line"')[2].count("M") == 1


def test_a_strip_tells_how_much_of_the_time_something_answered() -> None:
    picture = curves.strip([1.0] * 999 + [0.0], "Database")
    assert "answered 99.9 % of the time" in picture
    assert "answered 99.9 % of the time" in curves.strip([1.0] * 99_999 + [0.0], "Database")
    assert curves.strip([None, None], "Database") == ""


def _numbers(picture: str) -> list[str]:
    drawn = re.findall(r'(?: d| x| width| height)="([^"%]*)"', picture)
    return re.findall(r"[-\d.]+(?:e[-+]\d+)?", " ".join(drawn))
