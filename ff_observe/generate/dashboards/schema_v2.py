"""Converts a dashboard of Grafana's schema v1 to v2 (`dashboard.grafana.app/v2beta1`), as a manifest of its API.

Only what our dashboards use: rows that are open, panels with queries to one data source, and variables of two kinds.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

Json = dict[str, Any]

API_VERSION: Final = "dashboard.grafana.app/v2beta1"
_CURSOR_SYNC: Final = ("Off", "Crosshair", "Tooltip")
_REFRESH: Final = ("never", "onDashboardLoad", "onTimeRangeChanged")
_SORT: Final = ("disabled", "alphabeticalAsc", "alphabeticalDesc", "numericalAsc", "numericalDesc")
_OFFERED: Final = ("5s", "10s", "30s", "1m", "5m", "15m", "30m", "1h", "2h", "1d")
"""How often a dashboard can refresh itself: Grafana's default, which v2 spells out."""


def converted(dashboard: Json) -> Json:
    """The manifest of the dashboard, under its uid."""
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    spec = {
        "annotations": [],
        "cursorSync": _CURSOR_SYNC[dashboard["graphTooltip"]],
        "description": dashboard["description"],
        "editable": dashboard["editable"],
        "elements": {_element(panel): _panel(panel) for panel in panels},
        "layout": _kind("RowsLayout", rows=[_row(title, of) for title, of in _rows(dashboard["panels"])]),
        "links": dashboard["links"],
        "preload": False,
        "tags": dashboard["tags"],
        "timeSettings": {
            "timezone": dashboard["timezone"],
            **dashboard["time"],
            "autoRefresh": dashboard["refresh"],
            "autoRefreshIntervals": _OFFERED,
            "hideTimepicker": False,
            "fiscalYearStartMonth": dashboard["fiscalYearStartMonth"],
        },
        "title": dashboard["title"],
        "variables": [_VARIABLES[variable["type"]](variable) for variable in dashboard["templating"]["list"]],
    }
    return {"apiVersion": API_VERSION, "kind": "Dashboard", "metadata": {"name": dashboard["uid"]}, "spec": spec}


def _kind(kind: str, /, **spec: Any) -> Json:
    return {"kind": kind, "spec": spec}


def _element(panel: Json) -> str:
    return f"panel-{panel['id']}"


def _rows(panels: Sequence[Json]) -> list[tuple[str, list[Json]]]:
    """Title → panels, in their order. The panels before the first row have a row without a title."""
    rows: list[tuple[str, list[Json]]] = [("", [])]
    for panel in panels:
        if panel["type"] == "row":
            rows.append((panel["title"], []))
        else:
            rows[-1][1].append(panel)
    return rows


def _row(title: str, panels: Sequence[Json]) -> Json:
    top = min(panel["gridPos"]["y"] for panel in panels)
    items = [
        _kind(
            "GridLayoutItem",
            x=panel["gridPos"]["x"],
            y=panel["gridPos"]["y"] - top,
            width=panel["gridPos"]["w"],
            height=panel["gridPos"]["h"],
            element={"kind": "ElementReference", "name": _element(panel)},
        )
        for panel in panels
    ]
    layout = _kind("GridLayout", items=items)
    return _kind("RowsLayoutRow", title=title, collapse=False, hideHeader=not title, layout=layout)


def _panel(panel: Json) -> Json:
    queries = [
        _kind("PanelQuery", query=_query(target["datasource"], target), refId=target["refId"], hidden=False)
        for target in panel.get("targets", ())
    ]
    options = {"interval": panel["interval"]} if "interval" in panel else {}
    changed = [{"kind": change["id"], "spec": change} for change in panel.get("transformations", ())]
    return _kind(
        "Panel",
        id=panel["id"],
        title=panel["title"],
        description=panel["description"],
        links=[],
        data=_kind("QueryGroup", queries=queries, transformations=changed, queryOptions=options),
        vizConfig={
            "group": panel["type"],
            "version": "",
            **_kind(
                "VizConfig",
                options=panel["options"],
                fieldConfig=panel.get("fieldConfig", {"defaults": {}, "overrides": []}),
            ),
        },
    )


def _query(source: Mapping[str, str], query: Json) -> Json:
    """What is asked of a data source; its name may be a variable."""
    asked = {key: value for key, value in query.items() if key not in ("datasource", "refId")}
    return {
        "group": source["type"],
        "version": "v0",
        "datasource": {"name": source["uid"]},
        **_kind("DataQuery", **asked),
    }


def _source_variable(variable: Json) -> Json:
    return _kind(
        "DatasourceVariable",
        **_of_all_variables(variable),
        pluginId=variable["query"],
        refresh="onDashboardLoad",
        current={"text": "", "value": ""},
    )


def _query_variable(variable: Json) -> Json:
    """`__legacyStringValue` is where Grafana's own conversion puts a query that is one string."""
    return _kind(
        "QueryVariable",
        **_of_all_variables(variable),
        query=_query(variable["datasource"], {"__legacyStringValue": variable["query"]}),
        definition=variable["query"],
        refresh=_REFRESH[variable["refresh"]],
        sort=_SORT[variable["sort"]],
        current=variable["current"],
    )


_VARIABLES: Final[Mapping[str, Callable[[Json], Json]]] = MappingProxyType(
    {"datasource": _source_variable, "query": _query_variable}
)


def _of_all_variables(variable: Json) -> Json:
    same = ("name", "label", "skipUrlSync", "multi", "includeAll", "allowCustomValue")
    return {**{key: variable[key] for key in same}, "hide": "dontHide", "regex": "", "options": []}
