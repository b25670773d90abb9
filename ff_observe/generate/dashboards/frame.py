"""What all dashboards share: variables, links to each other, rows of panels, identifiers."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards.panels import DATASOURCE, Panel

TITLES = {
    "flowfuse-platforms": "Platforms",
    "flowfuse-platform": "Platform",
    "flowfuse-health": "Health",
    "flowfuse-activity": "Activity",
    "flowfuse-rollout": "Roll-out and upgrade",
    "flowfuse-growth": "Cost and growth",
    "flowfuse-licence": "Licence",
    "flowfuse-telemetry": "Telemetry & privacy",
    "flowfuse-bridge": "Bridge health",
    "flowfuse-fleet": "Fleet",
    "flowfuse-fleet-history": "Fleet history",
}
COLUMNS = 24
"""Of Grafana's grid."""

OF_COLLECTORS = ("flowfuse-fleet", "flowfuse-fleet-history")
"""Dashboards of collectors. The others are of bridges; a choice of targets holds within one kind only."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a title; without one, on top."""

    title: str
    panels: Sequence[Panel]


def framed(
    uid: str, description: str, presence: Metric, rows: Sequence[Row], *, since: str = "now-7d"
) -> build.Dashboard:
    """A whole dashboard. Its variables offer the targets that expose `presence`."""
    dashboard = (
        build.Dashboard(f"FlowFuse / {TITLES[uid]}")
        .uid(uid)
        .description(description)
        .tags(["flowfuse", "ff-observe"])
        .time(since, "now")
        .refresh("1m")
        .timezone("browser")
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(_data_source())
        .with_variable(_targets("job", "Job", presence.name))
        .with_variable(_targets("instance", "Instance", f'{presence.name}{{job=~"$job"}}'))
    )
    for other, title in TITLES.items():
        if other != uid:
            dashboard.link(_link(other, title, same_kind=(uid in OF_COLLECTORS) == (other in OF_COLLECTORS)))
    top = 0
    for row in rows:
        if row.title:
            place = model.GridPos(x=0, y=top, w=COLUMNS, h=1)
            dashboard.with_row(build.Row(row.title).collapsed(False).grid_pos(place))
            top += 1
        top = _place(row.panels, top)
        for panel in row.panels:
            dashboard.with_panel(panel)
    for number, panel_or_row in enumerate(dashboard.build().panels or [], 1):
        panel_or_row.id_val = number
    return dashboard


def _place(panels: Sequence[Panel], top: int) -> int:
    """Put each panel as high as it fits, then as far left; returns where they end."""
    ends = [top] * COLUMNS
    for panel in panels:
        size = panel.build().grid_pos
        assert size is not None
        y, x = min((max(ends[x : x + size.w]), x) for x in range(COLUMNS - size.w + 1))
        ends[x : x + size.w] = [y + size.h] * size.w
        panel.grid_pos(model.GridPos(x=x, y=y, w=size.w, h=size.h))
    return max(ends)


def _data_source() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _targets(label: str, title: str, series: str) -> build.QueryVariable:
    return (
        build.QueryVariable(label)
        .label(title)
        .datasource(DATASOURCE)
        .query(f"label_values({series}, {label})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _link(uid: str, title: str, *, same_kind: bool) -> build.DashboardLink:
    return (
        build.DashboardLink(title)
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{uid}" if same_kind else f"/d/{uid}?${{datasource:queryparam}}")
        .icon("dashboard")
        .tooltip(f"FlowFuse / {title}")
        .keep_time(True)
        .include_vars(same_kind)
    )
