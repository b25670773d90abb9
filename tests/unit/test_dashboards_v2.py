"""The committed dashboards in Grafana's schema v2: what Grafana's own library reads, and the same as those in v1."""

import json
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboardv2beta1 import Dashboard
from grafana_foundation_sdk.models.resource import DashboardV2Beta1, Manifest

from tests.dashboards import DASHBOARDS, dashboard

Json = dict[str, Any]
V2 = {path: path.parent.with_name("dashboards-v2") / path.name for path in DASHBOARDS}

each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


class Encoder(JSONEncoder):
    """The library reads the plugin of a panel and its version as sets of one."""

    def default(self, obj: Any) -> Any:
        if isinstance(obj, set):
            [obj] = obj
            return obj
        return super().default(obj)


def as_grafana_reads(spec: Json) -> Json:
    """What the library knows of it, less its defaults. It takes the queries of variables for those of panels: they are
    kept as they are."""
    read = Dashboard.from_json(spec)
    for link in read.links:
        link.placement = None  # type: ignore[assignment]  # the library moves every link into a menu
    written: Json = json.loads(json.dumps(read, cls=Encoder))
    for element in written["elements"].values():
        defaults = element["spec"]["vizConfig"]["spec"]["fieldConfig"]["defaults"]
        if defaults["custom"] == {}:
            del defaults["custom"]
    for variable, ours in zip(written["variables"], spec["variables"], strict=True):
        if variable["kind"] == "QueryVariable":
            del variable["spec"]["regexApplyTo"]
            variable["spec"]["query"]["spec"] = ours["spec"]["query"]["spec"]
    return written


def spec_of(path: Path) -> Json:
    spec: Json = dashboard(V2[path])["spec"]
    return spec


def test_there_is_a_file_for_each_dashboard_and_no_other() -> None:
    assert set(V2.values()) == set(DASHBOARDS[0].parent.with_name("dashboards-v2").iterdir())


@each_dashboard
def test_the_way_through_the_foundation_sdk_drops_nothing(path: Path) -> None:
    register_default_plugins()
    manifest = dashboard(V2[path])
    assert json.loads(json.dumps(Manifest.from_json(manifest), cls=JSONEncoder)) == manifest
    assert (manifest["apiVersion"], manifest["kind"]) == (DashboardV2Beta1, "Dashboard")
    assert as_grafana_reads(manifest["spec"]) == manifest["spec"]


@pytest.mark.parametrize("where", [(), ("timeSettings",), ("layout", "spec"), ("elements", "panel-1", "spec", "data")])
def test_the_foundation_sdk_drops_what_grafana_does_not_know(where: tuple[str, ...]) -> None:
    """Else the test above would prove nothing."""
    mistaken: Json = json.loads(json.dumps(spec_of(DASHBOARDS[0])))
    inner = mistaken
    for key in where:
        inner = inner[key]
    inner["titel"] = "mistyped"
    assert as_grafana_reads(mistaken) == spec_of(DASHBOARDS[0])


@each_dashboard
def test_panels_are_those_of_v1(path: Path) -> None:
    shown = {}
    for element in spec_of(path)["elements"].values():
        spec = element["spec"]
        data, viz = spec["data"]["spec"], spec["vizConfig"]
        shown[spec["id"]] = {
            **{key: spec[key] for key in ("title", "description")},
            "type": viz["group"],
            **{key: value for key, value in viz["spec"].items() if value != {"defaults": {}, "overrides": []}},
            "targets": [of_v1(query["spec"]) for query in data["queries"]],
            "transformations": [change["spec"] for change in data["transformations"]],
            **data["queryOptions"],
        }
    kept = {"title", "description", "type", "options", "fieldConfig", "targets", "transformations", "interval"}
    assert shown == {
        panel["id"]: {"targets": [], "transformations": [], **{key: panel[key] for key in kept & set(panel)}}
        for panel in dashboard(path)["panels"]
        if panel["type"] != "row"
    }


def of_v1(query: Json) -> Json:
    of = query["query"]
    return {**of["spec"], "refId": query["refId"], "datasource": {"type": of["group"], "uid": of["datasource"]["name"]}}


@each_dashboard
def test_rows_and_places_are_those_of_v1(path: Path) -> None:
    """Places in v2 are counted from the top of their row."""
    places: list[Json] = []
    top = 0
    for row in spec_of(path)["layout"]["spec"]["rows"]:
        if not row["spec"]["hideHeader"]:
            places.append({"title": row["spec"]["title"], "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}})
            top += 1
        items = [item["spec"] for item in row["spec"]["layout"]["spec"]["items"]]
        for item in items:
            place = {"x": item["x"], "y": item["y"] + top, "w": item["width"], "h": item["height"]}
            title = spec_of(path)["elements"][item["element"]["name"]]["spec"]["title"]
            places.append({"title": title, "gridPos": place})
        top += max(item["y"] + item["height"] for item in items)
    assert places == [{key: panel[key] for key in ("title", "gridPos")} for panel in dashboard(path)["panels"]]


@each_dashboard
def test_variables_links_and_settings_are_those_of_v1(path: Path) -> None:
    before, now = dashboard(path), spec_of(path)
    assert dashboard(V2[path])["metadata"]["name"] == before["uid"]
    for key in ("title", "description", "tags", "editable", "links"):
        assert now[key] == before[key]
    times = now["timeSettings"]
    assert {key: times[key] for key in ("from", "to")} == before["time"]
    assert (times["autoRefresh"], times["timezone"]) == (before["refresh"], before["timezone"])
    assert (now["cursorSync"], before["graphTooltip"]) == ("Crosshair", 1)
    source, *queries = (variable["spec"] for variable in now["variables"])
    of_source, *of_queries = before["templating"]["list"]
    assert source["pluginId"] == of_source["query"]
    for variable, of in zip([source, *queries], [of_source, *of_queries], strict=True):
        for key in ("name", "label", "multi", "includeAll"):
            assert variable[key] == of[key]
    for variable, of in zip(queries, of_queries, strict=True):
        assert variable["query"]["spec"] == {"__legacyStringValue": of["query"]}
        assert variable["query"]["datasource"] == {"name": of["datasource"]["uid"]}
        assert (variable["refresh"], of["refresh"]) == ("onTimeRangeChanged", 2)
        assert (variable["sort"], of["sort"]) == ("alphabeticalAsc", 1)
        assert variable["current"] == of["current"]
