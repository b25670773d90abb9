"""Titles for people stand in the catalogue alone: dashboards and pages take them from there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.catalogue import COUNTS, METRICS, facts
from ff_observe.catalogue.fleet import RESOURCE_TITLES
from ff_observe.catalogue.model import in_text
from ff_observe.collector.fleet.figures import RESOURCES
from ff_observe.generate.dashboards.queries import total
from tests.architecture.sources import ROOT
from tests.dashboards import DASHBOARDS, panels
from tests.promql import selectors

SHOWING = [
    *sorted((ROOT / "ff_observe" / "generate" / "dashboards").glob("*.py")),
    *sorted((ROOT / "ff_observe" / "collector" / "pages").glob("*.py")),
    *sorted((ROOT / "ff_observe" / "web" / "status").glob("*.py")),
]
"""The modules that show metrics to people."""

TITLES = {
    title
    for metric in METRICS
    for title in (metric.title, *metric.value_titles.values())
    if " " in title or "-" in title or title != title.capitalize()
} | {count.title for count in COUNTS}
"""Every title but those of one common word, which dashboards and pages need for other things, too."""

OF_THE_SAME_WORDS = {"FlowFuse"}
"""Titles that are names of something else as well."""


def written(path: Path) -> Iterator[tuple[str, int]]:
    """The string literals of a module, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


@pytest.mark.parametrize("path", SHOWING, ids=lambda path: path.name)
def test_no_title_of_the_catalogue_is_written_a_second_time(path: Path) -> None:
    titles = {form for title in TITLES - OF_THE_SAME_WORDS for form in (title, in_text(title))}
    names = {count.name.removeprefix("flowfuse_") for count in COUNTS} | set(facts.LIMITS)
    again = [f"{path.relative_to(ROOT)}:{line}: {text!r}" for text, line in written(path) if text in titles - names]
    assert again == [], "take the title from the catalogue"


def test_a_count_has_its_title_wherever_a_dashboard_shows_it() -> None:
    titles = {count.name: in_text(count.title) for count in COUNTS}
    totals = {total(count) for count in COUNTS}
    legends = {
        (selectors(target["expr"])[0].names[0], target["legendFormat"])
        for path in DASHBOARDS
        for panel in panels(path)
        for target in panel.get("targets", [])
        if panel["type"] == "timeseries" and target["expr"] in totals
    }
    shown = {(name, legend) for name, legend in legends if name in titles}
    assert len(shown) >= 8
    assert [(name, legend) for name, legend in shown if legend != titles[name]] == []


def test_every_count_of_the_fleet_has_a_title() -> None:
    assert list(RESOURCE_TITLES) == list(RESOURCES)
    assert RESOURCE_TITLES["instances_by_state_suspended"] == "Suspended instances"
    assert len(set(RESOURCE_TITLES.values())) == len(RESOURCE_TITLES)
