"""The committed dashboards: they name what exists, obey their variables, and are what Grafana reads."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from ff_observe.catalogue import COUNTS, METRICS, facts, fleet
from ff_observe.catalogue.model import Metric
from ff_observe.generate import __main__ as command
from ff_observe.generate import dashboards as generated
from ff_observe.generate import documents
from ff_observe.generate.dashboards import telemetry
from ff_observe.generate.dashboards.colors import STATES
from ff_observe.generate.dashboards.panels import QUIET
from ff_observe.outputs import OUTPUTS
from ff_observe.outputs.ping.consent import Rule
from tests.dashboards import (
    DASHBOARDS,
    OF_PROMETHEUS,
    Target,
    dashboard,
    known_names,
    misread_counters,
    panels,
    rules,
    targets,
)
from tests.promql import selectors

TELEMETRY = next(path for path in DASHBOARDS if path.stem == "flowfuse-telemetry")
DRAWN = {"timeseries", "stat", "gauge", "bargauge", "table", "text", "row"}
COLUMNS = 24

each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def test_there_is_a_file_for_each_dashboard_and_no_other() -> None:
    assert {path.stem for path in DASHBOARDS} == set(generated.TITLES)


@each_dashboard
def test_the_uid_is_the_name_of_the_file(path: Path) -> None:
    assert dashboard(path)["uid"] == path.stem


@pytest.mark.parametrize("target", list(targets()), ids=str)
def test_a_query_asks_for_metrics_of_the_catalogue_that_the_variables_choose(target: Target) -> None:
    """And of a counter how much it grew: in the time that Grafana gives for it, so that no growth falls between two
    steps, or in all the time shown."""
    found = selectors(target.expression)
    assert found
    for selector in found:
        assert set(selector.names) <= known_names() | OF_PROMETHEUS
        assert (selector.matchers["job"], selector.matchers["instance"]) == ("$job", "$instance")
    assert misread_counters(target.expression) == []
    ranges = re.findall(r"(?:rate|increase)\([^\[]*\[([^\]]*)\]", target.expression)
    assert set(ranges) <= {"$__rate_interval", "$__range"}


def test_a_counter_that_is_misread_is_noticed() -> None:
    """Else the tests above and of the rules would prove nothing."""
    assert misread_counters("sum(ff_observe_pings_total{}) / rate(ff_observe_pings_total{}[5m])") == [
        "ff_observe_pings_total"
    ]


def test_every_metric_of_the_catalogue_is_on_a_dashboard() -> None:
    """What is not worth showing need not be exposed."""
    shown = {name for target in targets() for selector in selectors(target.expression) for name in selector.names}
    shown |= {name.removesuffix(part) for name in shown for part in ("_bucket", "_sum", "_count")}
    missing = {metric.name for metric in METRICS} - shown
    assert missing == set(), "ff_observe/generate/dashboards/: add a panel, then run make generate"


@each_dashboard
def test_a_panel_has_title_description_unit_and_words_for_no_data(path: Path) -> None:
    for panel in panels(path):
        assert panel["type"] in DRAWN
        assert panel["title"]
        assert panel["description"].endswith(".")
        if panel["type"] != "text":
            defaults = panel["fieldConfig"]["defaults"]
            assert defaults["unit"], panel["title"]
            assert len(defaults["noValue"]) > 5, panel["title"]


@each_dashboard
def test_no_whole_number_is_abbreviated(path: Path) -> None:
    """With `short` and no decimals, Grafana writes 1286 as 1 K."""
    for panel in panels(path):
        config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
        for fields in (config["defaults"], *(by_id(override) for override in config["overrides"])):
            assert fields.get("unit") != "short" or fields.get("decimals") != 0, panel["title"]


def by_id(override: dict[str, Any]) -> dict[str, Any]:
    return {field["id"]: field["value"] for field in override["properties"]}


def test_tables_of_all_counts_have_no_bytes_and_no_moments_among_them() -> None:
    units = {count.name: count.unit for count in COUNTS}
    of_all = [target for target in targets() if target.expression.count("__name__=~") and "what" in target.expression]
    assert len(of_all) == 4
    for target in of_all:
        for selector in selectors(target.expression):
            assert {units[name] for name in selector.names} & {"s", "By"} == set(), str(target)


@pytest.mark.parametrize(
    ("uid", "metric"), [("flowfuse-platform", facts.FEATURE_ENABLED), ("flowfuse-fleet", fleet.BY_FEATURE)]
)
def test_features_go_by_their_titles(uid: str, metric: Metric) -> None:
    (panel,) = (
        each for path in DASHBOARDS if path.stem == uid for each in panels(path) if each["title"] == metric.title
    )
    named = {each["matcher"]["options"]: by_id(each)["displayName"] for each in panel["fieldConfig"]["overrides"]}
    assert named == dict(metric.value_titles) == {"broker": "Broker", "file_store": "File store", "email": "Email"}


@each_dashboard
def test_named_parts_of_a_whole_have_colours_of_their_own(path: Path) -> None:
    """Shades of one colour are not told apart by a legend."""
    for panel in panels(path):
        custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {})
        if custom.get("stacking", {}).get("mode") == "normal":
            legends = {target["legendFormat"] for target in panel["targets"] if "{{" not in target["legendFormat"]}
            named = {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]}
            assert legends <= named, panel["title"]


def test_what_leaves_and_to_whom_is_never_cut_off() -> None:
    (table,) = (panel for panel in panels(TELEMETRY) if panel["type"] == "table")
    overrides = {each["matcher"]["options"]: by_id(each) for each in table["fieldConfig"]["overrides"]}
    for column in ("What is sent", "To whom"):
        assert overrides[column]["custom.wrapText"] is True  # Grafana 12.2
        assert overrides[column]["custom.cellOptions"] == {"type": "auto", "wrapText": True}
    assert table["options"]["cellHeight"] == "lg"


@each_dashboard
def test_what_is_missing_is_said_in_a_quiet_colour_and_fits(path: Path) -> None:
    """Grafana writes it as large as a number and in the colour of the lowest threshold, unless told otherwise; on a
    quarter of a dashboard's width, a bar leaves room for some thirty letters."""
    for panel in panels(path):
        if panel["type"] in ("stat", "bargauge"):
            defaults = panel["fieldConfig"]["defaults"]
            words = {"text": defaults["noValue"], "color": QUIET, "index": 0}
            assert {"type": "special", "options": {"match": "null+nan", "result": words}} in defaults["mappings"]
        if panel["type"] == "stat":
            assert "text" not in panel["options"], "a fixed size is cut off where the words are long or the panel small"
        if panel["type"] == "bargauge":
            assert len(panel["fieldConfig"]["defaults"]["noValue"]) <= 30


@each_dashboard
def test_titles_and_identifiers_are_unique(path: Path) -> None:
    whole = dashboard(path)["panels"]
    assert len({panel["id"] for panel in whole}) == len(whole)
    of_row: dict[str, list[str]] = {}
    row = ""
    for panel in whole:
        if panel["type"] == "row":
            row = panel["title"]
        else:
            of_row.setdefault(row, []).append(panel["title"])
    for titles in of_row.values():
        assert len(set(titles)) == len(titles)


@each_dashboard
def test_panels_fill_the_grid_without_overlaps_or_holes(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard(path)["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} overlaps {taken[x, y]}"
                taken[x, y] = panel["title"]
    height = 1 + max(y for _, y in taken)
    assert len(taken) == COLUMNS * height


@each_dashboard
def test_numbers_stand_in_one_row_on_top(path: Path) -> None:
    kinds = [panel["type"] for panel in dashboard(path)["panels"]]
    assert kinds[:6] == ["stat"] * 6
    assert kinds[6] == "row"


@each_dashboard
def test_a_dashboard_links_to_all_others_and_keeps_the_time(path: Path) -> None:
    links = dashboard(path)["links"]
    addresses = {link["url"].partition("?")[0]: link for link in links}
    assert set(addresses) == {f"/d/{other.stem}" for other in DASHBOARDS if other != path}
    assert all(link["keepTime"] for link in links)
    for address, link in addresses.items():  # a bridge is no collector: of the choices, only the data source holds
        kinds = {name.startswith("flowfuse-fleet") for name in (path.stem, address.removeprefix("/d/"))}
        to_another_kind = len(kinds) == 2
        assert link["includeVars"] is not to_another_kind
        assert link["url"].endswith("?${datasource:queryparam}") is to_another_kind


@each_dashboard
def test_a_coloured_column_is_nowhere_in_a_colour_that_grafana_chose(path: Path) -> None:
    """Without thresholds of its own, whatever the words lack is green below 80."""
    for panel in panels(path):
        for override in panel["fieldConfig"].get("overrides", []) if panel["type"] == "table" else []:
            properties = {each["id"]: each["value"] for each in override["properties"]}
            if properties.get("custom.cellOptions", {}).get("type") == "color-text":
                [step] = properties["thresholds"]["steps"]
                failing = override["matcher"]["options"].startswith("Failing")
                assert step == {"value": None, "color": "orange" if failing else "text"}


@each_dashboard
def test_the_variables_are_data_source_job_and_instance(path: Path) -> None:
    source, job, instance = dashboard(path)["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    assert (job["name"], instance["name"]) == ("job", "instance")
    assert 'job=~"$job"' in instance["query"]
    for panel in panels(path):
        if panel["type"] != "text":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@each_dashboard
def test_nobody_edits_a_provisioned_dashboard_by_accident(path: Path) -> None:
    assert dashboard(path)["editable"] is False
    assert "__inputs" not in dashboard(path)
    assert "id" not in dashboard(path)


@each_dashboard
def test_the_way_through_the_foundation_sdk_drops_nothing(path: Path) -> None:
    register_default_plugins()
    read = Dashboard.from_json(dashboard(path))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == dashboard(path)


def test_the_foundation_sdk_drops_what_grafana_does_not_know() -> None:
    """Else the test above would prove nothing."""
    mistaken: dict[str, Any] = {**dashboard(DASHBOARDS[0]), "titel": "mistyped"}
    assert "titel" not in json.loads(json.dumps(Dashboard.from_json(mistaken), cls=JSONEncoder))


def test_thresholds_rise() -> None:
    for path in DASHBOARDS:
        for panel in panels(path):
            steps = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {}).get("steps", [])
            assert [step["value"] for step in steps[:1]] in ([], [None])
            assert all(lower["value"] < upper["value"] for lower, upper in pairwise(steps[1:]))


def test_each_state_that_flowfuse_has_of_itself_has_a_colour() -> None:
    recorded = "flowforge_instances_by_state_"
    names = [rule["record"] for rule in rules() if "record" in rule]
    assert {name.removeprefix(recorded) for name in names if name.startswith(recorded)} == set(STATES)


def test_each_rule_of_consent_has_words() -> None:
    assert set(telemetry.RULES) == {rule.value for rule in Rule}


def test_each_output_is_a_row_of_the_table_of_what_leaves() -> None:
    shown = json.dumps(next(panel for panel in panels(TELEMETRY) if panel["title"] == "Outputs"))
    for output in OUTPUTS:
        for text in (output.name, output.title, output.content, output.receiver):
            assert json.dumps(text) in shown, f"{output.name}: run make generate"


def test_without_the_library_the_other_documents_are_made_and_the_dashboards_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(generated, "can_be_made", lambda: False)
    others = {path: render for path, render in documents.DOCUMENTS.items() if not path.startswith("grafana/")}
    monkeypatch.setattr(documents, "DOCUMENTS", others)
    assert command.main([], tmp_path) == 1
    assert (tmp_path / "docs" / "metrics.md").exists()
    assert "grafana-foundation-sdk" in caplog.text
