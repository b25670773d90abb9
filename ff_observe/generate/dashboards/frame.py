"""What all dashboards share: variables, links to each other, rows of panels, identifiers."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import OF_COLLECTORS, TITLES
from ff_observe.generate.dashboards.panels import DATASOURCE, Panel, say_when_empty

COLUMNS = 24
"""Of Grafana's grid."""

Dashboard = build.Dashboard
Rows = dict[str, Sequence[Panel]]
"""Title → the panels under it; those without a title stand on top."""


def framed(
    uid: str,
    description: str,
    presence: Metric,
    rows: Rows,
    *,
    empty: str,
    since: str = "now-7d",
    also_down: bool = False,
) -> Dashboard:
    """A whole dashboard. Its variables offer the targets that expose `presence`, with `also_down` all targets of their
    jobs; `empty` is what its panels say without data, where they say nothing else."""
    offered = f'{{__name__=~"up|{presence.name}", job=~"$job"}}' if also_down else f'{presence.name}{{job=~"$job"}}'
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
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_targets("job", "Job", presence.name))
        .with_variable(_targets("instance", "Instance", offered))
    )
    for other, title in TITLES.items():
        if other != uid:
            dashboard.link(_link(other, title, same_kind=(uid in OF_COLLECTORS) == (other in OF_COLLECTORS)))
    top = 0
    for title, panels in rows.items():
        if title:
            place = model.GridPos(x=0, y=top, w=COLUMNS, h=1)
            dashboard.with_row(build.Row(title).collapsed(False).grid_pos(place))
            top += 1
        top = _place(panels, top)
        for panel in panels:
            say_when_empty(panel, empty)
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
