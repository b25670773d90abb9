"""An answer of `ff-observe fleet` as a page: all of it as a table, curves where they can be drawn, and nothing but text
of what senders sent."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.fleet.questions import Answer
from ff_observe.collector.pages.answer import render
from tests.unit.collector.test_charts import HOSTILE, Drawing

SINCE, UNTIL = date(2026, 3, 1), date(2026, 3, 3)


def page(answer: Answer) -> Drawing:
    return Drawing(render(answer, "a question", SINCE, UNTIL).decode())


def pictures(drawing: Drawing) -> list[str | None]:
    return [of["aria-label"] for tag, of in drawing.elements if tag == "svg" and of.get("role") == "img"]


def test_every_cell_is_in_the_table_and_a_bar_shows_the_share_of_the_largest() -> None:
    drawn = page(Answer(("from", "to", "platforms"), [("2.1.0", "2.2.0", 1200), ("2.2.0", None, 300)], bar="platforms"))
    text = "|".join(each.strip() for each in drawn.texts if each.strip())
    assert text.endswith("from|to|platforms|Share of the largest|2.1.0|2.2.0|1\u202f200|2.2.0|300")
    assert "For the operator of the collector alone: these figures are exact. Do not publish them." in text
    assert "Days asked: 1 March 2026 to 3 March 2026" in text
    assert [of["width"] for tag, of in drawn.elements if tag == "rect"] == ["100.00", "25.00"]
    assert pictures(drawn) == []


def test_shares_of_a_day_are_bands() -> None:
    rows = [("2026-03-01", "2.9.0", 3, 0.75), ("2026-03-01", "2.10.0", 1, 0.25), ("2026-03-02", "2.10.0", 4, 1.0)]
    drawn = page(Answer(("day", "value", "platforms", "share"), rows, curve="value"))
    assert pictures(drawn) == ["a question: 2.10.0 25 % on 1 March 2026, 100 % on 2 March 2026, at most 100 %"]
    assert drawn.paths("band-0") == ["M0 200V50h1V200Z"], "the older version is below"


def test_each_number_of_a_day_is_a_line() -> None:
    drawn = page(Answer(("day", "seen", "lost"), [("2026-03-01", 5, 0), ("2026-03-02", 4, 1)]))
    seen, lost = ("5 on 1 March 2026, 4 on 2 March 2026, at most 5", "0 on 1 March 2026, 1 on 2 March 2026, at most 1")
    assert pictures(drawn) == [f"a question: seen {seen}; lost {lost}"]


def test_of_many_curves_the_last_are_drawn_and_that_is_said() -> None:
    rows = [(f"2026-{month:02}", day, month) for month in range(1, 10) for day in ("2026-03-01", "2026-03-02")]
    drawn = page(Answer(("first seen", "day", "platforms"), rows, curve="first seen"))
    assert "The last 7 of 9 are drawn." in drawn.texts
    assert drawn.labels["legend"] == []
    (words,) = pictures(drawn)
    assert words is not None
    assert "2026-03 3 on" in words
    assert "2026-02 2 on" not in words


@pytest.mark.parametrize(
    "answer",
    [
        Answer(("day", "platforms", "what"), [("2026-03-01", 0, "no pings"), ("2026-03-03", 0, "no pings")]),
        Answer(("day", "seen"), [("2026-03-01", 5)]),
        Answer(("day", "seen"), []),
    ],
)
def test_what_is_no_curve_is_a_table_alone(answer: Answer) -> None:
    assert pictures(page(answer)) == []


@given(value=HOSTILE, other=HOSTILE, platforms=st.integers(0, 10**9))
def test_what_senders_sent_is_text(value: str, other: str, platforms: int) -> None:
    columns = ("day", "value", "platforms", "share")
    rows = [(day, name, platforms, 0.5) for day in ("2026-03-01", "2026-03-02") for name in (value, other)]
    drawn = page(Answer(columns, rows, curve="value"))
    assert not {"script", "img", "iframe"} & {tag for tag, _ in drawn.elements}
    assert not any(name.startswith("on") or name == "style" for _, attributes in drawn.elements for name in attributes)
    assert value in "".join(drawn.texts)
