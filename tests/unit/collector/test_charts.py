"""Curves as SVG: what is drawn, what is said in words, and that no name of a value can be more than text."""

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.fleet.history import History
from ff_observe.collector.pages.charts import HEIGHT, WIDTH, Line, chart, shares, sparkline, stack
from ff_observe.collector.pages.public import render

FIRST = date(2026, 3, 1)


def days(number: int, first: date = FIRST) -> list[date]:
    return [first + timedelta(days=ahead) for ahead in range(number)]


class Drawing(HTMLParser):
    """What a browser sees: the elements with their attributes, and the texts."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.labels: dict[str, list[str]] = defaultdict(list)
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.elements:
            self.labels[self.elements[-1][1].get("class") or ""].append(data)

    def marks(self) -> list[int]:
        """The numbers at the axis."""
        return [int(text.replace("\u202f", "")) for text in self.labels["amount"]]

    def words(self) -> str | None:
        """The label of the first picture."""
        return next(of["aria-label"] for tag, of in self.elements if tag == "svg" and of.get("role") == "img")

    def paths(self, name: str) -> list[str]:
        return [of["d"] or "" for tag, of in self.elements if tag == "path" and of.get("class") == name]


def points(path: str) -> list[list[tuple[int, int]]]:
    """The points of each stretch of a path of `M` and `l`."""
    stretches: list[list[tuple[int, int]]] = []
    for command, x, y in re.findall(r"([Ml])(-?[0-9]+)[ ]?(-?[0-9]+)", path):
        if command == "M":
            stretches.append([(int(x), int(y))])
        else:
            before = stretches[-1][-1]
            stretches[-1].append((before[0] + int(x), before[1] + int(y)))
    return stretches


def drawn(values: Sequence[float | None], on: Sequence[date] | None = None) -> list[list[tuple[int, int]]]:
    """The points of the line of a chart, without the mark of the legend."""
    picture = Drawing(chart("Platforms", on or days(len(values)), [Line("seen", values)]))
    return points(picture.paths("line")[0])


def test_a_value_that_is_missing_is_a_gap_and_a_lone_one_a_point() -> None:
    picture = Drawing(chart("Platforms", days(6), [Line("seen", [0, 50, None, 100, None, 0])]))
    line, mark = picture.paths("line")
    assert points(line) == [[(0, 200), (200, 100)]]
    assert mark == "M0 4h28"
    assert points(picture.paths("point")[0]) == [[(600, 0)], [(1000, 200)]]


def test_a_line_does_not_cross_days_without_releases() -> None:
    a_week_is_missing = [*days(4), *days(4, FIRST + timedelta(days=11))]
    assert [len(stretch) for stretch in drawn([1, 2, 3, 4, 5, 6, 7, 8], a_week_is_missing)] == [4, 4]
    one_is_missing = [*days(4), *days(4, FIRST + timedelta(days=5))]
    assert [len(stretch) for stretch in drawn([1, 2, 3, 4, 5, 6, 7, 8], one_is_missing)] == [8]
    monthly = [FIRST + timedelta(days=30 * number) for number in range(4)]
    assert [len(stretch) for stretch in drawn([1, 2, 3, 4], monthly)] == [4]


def test_of_equal_values_in_a_row_the_ends_are_drawn() -> None:
    (stretch,) = drawn([10, 10, 10, 10, 10, 5])
    assert stretch == [(0, 0), (800, 0), (1000, 100)]


@given(values=st.lists(st.none() | st.integers(0, 10**7), min_size=2, max_size=50))
def test_each_value_is_on_the_drawing_at_its_place(values: list[float | None]) -> None:
    markup = chart("Platforms", days(len(values)), [Line("seen", values)])
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if not known:
        assert markup == ""
        return
    picture = Drawing(markup)
    top = picture.marks()[-1]
    assert max(value for _, value in known) <= top
    paths = [path for name in ("line", "point") for path in picture.paths(name) if path != "M0 4h28"]
    stretches = sorted(stretch for path in paths for stretch in points(path))
    ends = [round(WIDTH * place / (len(values) - 1)) for place, _ in known]
    assert stretches[0][0][0] == ends[0]
    assert stretches[-1][-1][0] == ends[-1]
    corners = {corner for stretch in stretches for corner in stretch}
    assert corners <= {
        (round(WIDTH * place / (len(values) - 1)), round(HEIGHT * (1 - value / top))) for place, value in known
    }
    gaps = sum(after - before > 1 for (before, _), (after, _) in pairwise(known))
    assert len(stretches) == gaps + 1


@given(most=st.integers(0, 10**9))
def test_the_axis_has_few_round_marks(most: int) -> None:
    picture = Drawing(chart("Platforms", days(2), [Line("seen", [0, most])]))
    numbers = picture.marks()
    step = numbers[1]
    assert str(step).rstrip("0") in ("1", "2", "5")
    assert numbers == [step * number for number in range(len(numbers))]
    assert numbers[-1] >= most
    assert len(numbers) <= 5


@given(first=st.dates(date(2000, 1, 1), date(2100, 1, 1)), span=st.integers(1, 30_000))
def test_the_axis_names_at_most_five_days_within_its_span(first: date, span: int) -> None:
    last = first + timedelta(days=span)
    picture = Drawing(chart("Platforms", [first, last], [Line("seen", [1, 2])]))
    places = [
        float((of["x"] or "").rstrip("%")) for tag, of in picture.elements if tag == "text" and of["class"] == "day"
    ]
    assert 1 <= len(places) <= 5
    assert places == sorted(set(places))
    assert 0 <= places[0] <= places[-1] <= 100


@pytest.mark.parametrize(
    ("span", "named"),
    [
        (2, ["1 Mar", "2 Mar", "3 Mar"]),
        (30, ["3 Mar", "17 Mar", "31 Mar"]),
        (365, ["1 Apr", "1 Jul", "1 Oct", "1 Jan"]),
        (3652, ["Jan 2028", "Jan 2031", "Jan 2034"]),
    ],
)
def test_the_days_at_the_axis_are_round_ones(span: int, named: list[str]) -> None:
    picture = Drawing(chart("Platforms", [FIRST, FIRST + timedelta(days=span)], [Line("seen", [1, 2])]))
    assert picture.labels["day"] == named


def test_a_chart_says_in_words_what_it_shows() -> None:
    lines = [Line("in 30 days", [1200, 1500, 1400]), Line("silent", [None, 20, None]), Line("in a day", [None] * 3)]
    picture = Drawing(chart("Platforms", days(3), lines))
    assert picture.words() == (
        "Platforms: in 30 days 1\u202f200 on 1 March 2026, 1\u202f400 on 3 March 2026, at most 1\u202f500; "
        "silent 20 on 2 March 2026, 20 on 2 March 2026, at most 20"
    )
    legend = "".join(picture.texts)
    assert legend.endswith("in 30 days 1\u202f400silent \u2013"), "the last release left it out"
    classes = [of["class"] for tag, of in picture.elements if tag == "li"]
    assert len(set(classes)) == 2, "no two lines look the same"


def test_a_small_curve_needs_two_values() -> None:
    assert sparkline("Sum of users:", days(3), [None, 5, None]) == "\u2013"
    picture = Drawing(sparkline("Sum of users:", days(3), [None, 5, 10]))
    assert picture.words() == "Sum of users: 5 on 2 March 2026, 10 on 3 March 2026, at most 10"
    assert points(picture.paths("line")[0]) == [[(500, 100), (1000, 0)]]


def test_shares_are_of_what_is_known_on_the_same_day() -> None:
    assert shares({"CE": [30, None, None, 0], "EE": [10, 20, None, 0]}) == {
        "CE": [75, None, None, None],
        "EE": [25, 100, None, None],
    }


def test_bands_lie_on_each_other_and_end_with_their_values() -> None:
    picture = Drawing(stack("Versions", days(5), {"2.1.0": [50, 30, None, None, None], "2.2.0": [50, 70, 80, 80, 9]}))
    above, below = picture.paths("band-1")[0], picture.paths("band-0")[0]
    assert below == "M0 200V100l250 40V200Z", "half at first, 30 % on the second day, then nothing"
    assert above == "M0 200V0l1000 0V200Z", "with the other below it always the whole"
    assert [of.get("class") for tag, of in picture.elements if tag == "path"] == ["band-1", "band-0"], (
        "the lower covers"
    )
    assert picture.words() == "Versions: 2.2.0 50 % on 1 March 2026, 100 % on 5 March 2026, at most 100 %"


def test_a_band_has_its_name_where_it_is_highest_if_there_is_room() -> None:
    of: dict[str, list[float | None]] = {"2.1.0": [90, 45, 0], "2.2.0": [0, 45, 90], "rare": [10, 10, 10]}
    picture = Drawing(stack("Versions", days(3), of))
    names = [(of["x"], of["y"]) for tag, of in picture.elements if tag == "text" and "name" in (of["class"] or "")]
    assert names == [("2.50%", "55.00%"), ("97.50%", "55.00%")], "in the middle between 0 and 90 %"
    assert picture.labels["name where-wide"] == ["2.1.0", "2.2.0"], "a telephone has no room at the edges"


HOSTILE = st.text(min_size=1) | st.sampled_from(
    ["</svg><script>alert(1)</script>", '" onload="x', "<style>", "&lt;", "'"]
)


@given(name=HOSTILE, values=st.lists(st.none() | st.integers(1, 1000), min_size=2, max_size=5))
def test_a_name_is_never_more_than_text(name: str, values: list[float | None]) -> None:
    markup = chart("Of", days(len(values)), [Line(name, values)]) + stack("Of", days(len(values)), {name: values})
    picture = Drawing(markup + sparkline(name, days(len(values)), values))
    assert {tag for tag, _ in picture.elements} <= {"svg", "line", "text", "g", "path", "ul", "li", "strong"}
    if markup:
        assert name in "".join(picture.texts)
    for _, attributes in picture.elements:
        assert not {attribute for attribute in attributes if attribute.startswith("on") or attribute == "style"}


@given(version=HOSTILE, feature=HOSTILE, resource=HOSTILE)
def test_the_page_of_any_history_holds_it_as_text(version: str, feature: str, resource: str) -> None:
    users = {"platforms": 40, "sizes": {}, "quantiles": {}, "total": 9, "bound": 10}
    document = {
        "day": "2026-03-02",
        "counted_at": "2026-03-02T00:00:00+00:00",
        "k": 10,
        "days": 3,
        "platforms": {"30d": 40},
        "silent_platforms": 0,
        "platforms_by_version": {version: 40},
        "platforms_by_driver": {},
        "platforms_by_license_type": {version: 40},
        "platforms_by_feature": {feature: {"true": 40}},
        "resources": {resource: users},
    }
    history = History()
    history.add(document | {"day": "2026-03-01"})
    history.add(document)
    page = Drawing(render(document, "key", "key", history.as_json()).decode())
    assert sum(tag == "style" for tag, _ in page.elements) == 1
    assert not {"script", "img", "iframe"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)
