"""The kinds of panels (tables: `tables.py`), each with one look on all dashboards. Colours mean something or are one
neutral blue."""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from ff_observe.catalogue.model import Metric, in_text
from ff_observe.generate.dashboards.queries import Query, counted

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

GOOD, MILD, BAD, WORST = "green", "yellow", "orange", "red"
NEUTRAL, PALE = "blue", "super-light-blue"
QUIET = "#8e8e8e"
"""For what is off, unknown or of no concern; readable on dark and light."""

COUNT_UNIT, SHARE_UNIT, SECONDS_UNIT, BYTES_UNIT = "short", "percentunit", "s", "bytes"
DAYS_UNIT, PER_MINUTE_UNIT = "suffix: days", "suffix:/min"
DAY_UNIT, MINUTE_UNIT, AGO_UNIT = "time:YYYY-MM-DD", "time:YYYY-MM-DD HH:mm", "dateTimeFromNow"
"""Moments; Grafana counts them in milliseconds."""

STAT_HEIGHT, GRAPH_HEIGHT = 3, 8
"""Text in numbers is as large as fits, in any width: in so low a panel all short ones have one size."""

Panel = stat.Panel | bargauge.Panel | table.Panel | text.Panel | timeseries.Panel
Step = tuple[float | None, str]
Mappings = Mapping[str, tuple[str, str | None]]
"""Value → the words (and colour) that are shown for it."""

_Drawn = TypeVar("_Drawn", stat.Panel, bargauge.Panel, table.Panel, timeseries.Panel)


class Form(Enum):
    """What the queries of a panel ask for."""

    OVER_TIME = auto()
    NOW = auto()
    TABLE = auto()


def described(
    panel: _Drawn, title: str, description: str, queries: Sequence[Query], unit: str, empty: str, form: Form
) -> _Drawn:
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit).no_value(empty)
    for index, query in enumerate(queries):
        target = prometheus.Dataquery().expr(query.expression).ref_id(chr(ord("A") + index)).datasource(DATASOURCE)
        target.legend_format(query.legend or "__auto").format(
            PromQueryFormat.TABLE if form is Form.TABLE else PromQueryFormat.TIME_SERIES
        )
        panel.with_target(target.range() if form is Form.OVER_TIME else target.instant())
    return panel


def _steps(steps: Sequence[Step]) -> build.ThresholdsConfig:
    thresholds = [model.Threshold(value=value, color=color) for value, color in steps]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds)


def value_map(mappings: Mappings) -> model.ValueMap:
    results = {
        value: model.ValueMappingResult(text=words, color=color, index=index)
        for index, (value, (words, color)) in enumerate(mappings.items())
    }
    return model.ValueMap(options=results)


def titled(titles: Mapping[str, str]) -> Mappings:
    """The catalogue's titles for the values of a label, without colours."""
    return {value: (title, None) for value, title in titles.items()}


def _nothing(words: str) -> model.SpecialValueMap:
    """Text for missing values. Grafana draws them as large as a number, in the colour of the lowest threshold:
    without this, an outage looks like good (or bad) news."""
    result = model.ValueMappingResult(text=words, color=QUIET, index=0)
    return model.SpecialValueMap(
        options=model.DashboardSpecialValueMapOptions(match=model.SpecialValueMatch.NULL_AND_NAN, result=result)
    )


def setting(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


def _fixed(color: str) -> build.FieldColor:
    return build.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(color)


def number(
    title: str,
    query: str | Query,
    description: str,
    *,
    unit: str,
    empty: str,
    width: int = 4,
    steps: Sequence[Step] = (),
    mappings: Mappings | None = None,
    decimals: int | None = None,
    names: Mapping[str, str] | None = None,
    height: int = STAT_HEIGHT,
) -> stat.Panel:
    """One number (or one for each series, with its name) as of now, large. Coloured only if `steps` or `mappings` say
    what the colour means. `names` are other words for the legends."""
    asked = query if isinstance(query, Query) else Query(query)
    panel = _large(title, description, asked, unit, empty, width, mappings, Form.NOW).height(height)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.text_mode(options.BigValueTextMode.VALUE_AND_NAME if asked.legend else options.BigValueTextMode.VALUE)
    panel.thresholds(_steps(steps or [(None, "text")]))
    if decimals is not None:
        panel.decimals(decimals)
    for legend, words in (names or {}).items():
        panel.override_by_name(legend, [setting("displayName", words)])
    return panel


def word(
    title: str,
    query: str,
    label: str,
    description: str,
    *,
    empty: str,
    width: int = 4,
    mappings: Mappings | None = None,
) -> stat.Panel:
    """What a label says as of now, large; each of its values, if there are several."""
    panel = _large(title, description, Query(query), "short", empty, width, mappings, Form.TABLE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(True).fields(f"/^{label}$/"))
    panel.orientation(options.VizOrientation.HORIZONTAL)
    return panel.text_mode(options.BigValueTextMode.VALUE).thresholds(_steps([(None, "text")]))


def _large(
    title: str, description: str, query: Query, unit: str, empty: str, width: int, mappings: Mappings | None, form: Form
) -> stat.Panel:
    panel = described(stat.Panel(), title, description, [query], unit, empty, form)
    panel.span(width).height(STAT_HEIGHT).graph_mode(options.BigValueGraphMode.NONE)
    panel.color_mode(options.BigValueColorMode.VALUE)
    panel.color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    return panel.mappings([_nothing(empty), *([value_map(mappings)] if mappings is not None else [])])


def graph(
    title: str,
    queries: Sequence[Query],
    description: str,
    *,
    unit: str,
    empty: str,
    axis: str = "",
    width: int = 12,
    height: int = GRAPH_HEIGHT,
    colors: Mapping[str, str] | None = None,
    color: str | None = None,
    dashed: Mapping[str, str] | None = None,
    stacked: bool = False,
    bars: bool = False,
    decimals: int | None = None,
    maximum: float | None = None,
    from_zero: bool = True,
    interval: str | None = None,
    shades: str | None = None,
) -> timeseries.Panel:
    """Series over time. `colors` are by the names of series (or /patterns/), `dashed` draws some as dashed lines in a
    colour, `shades` tells targets apart by shades of one; `interval` is the shortest step."""
    panel = described(timeseries.Panel(), title, description, queries, unit, empty, Form.OVER_TIME)
    # A stacked series at zero would draw its line over its neighbour's edge.
    panel.span(width).height(height).line_width(0 if stacked else 2)
    panel.fill_opacity(70 if stacked else 8)
    panel.color_scheme(build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    panel.show_points(options.VisibilityMode.NEVER).span_nulls(False).axis_label(axis)
    panel.line_interpolation(
        options.LineInterpolation.LINEAR if unit != COUNT_UNIT else options.LineInterpolation.STEP_AFTER
    )
    panel.legend(
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    if bars:
        panel.draw_style(options.GraphDrawStyle.BARS)
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if from_zero:
        panel.axis_soft_min(0)
    if color is not None:
        panel.color_scheme(_fixed(color))
    if decimals is not None:
        panel.decimals(decimals)
    if maximum is not None:
        panel.max(maximum)
    if interval is not None:
        panel.interval(interval)
    if shades is not None:
        panel.color_scheme(build.FieldColor().mode(model.FieldColorModeId.SHADES).fixed_color(shades))
    for name, its_color in (colors or {}).items():
        override = panel.override_by_regexp if name.startswith("/") else panel.override_by_name
        override(name, [setting("color", {"mode": "fixed", "fixedColor": its_color})])
    for name, its_color in (dashed or {}).items():
        panel.override_by_name(
            name,
            [
                setting("color", {"mode": "fixed", "fixedColor": its_color}),
                setting("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
                setting("custom.fillOpacity", 0),
            ],
        )
    return panel


def counts(
    title: str,
    colors: Mapping[Metric, str],
    *,
    empty: str,
    width: int = 12,
    height: int = GRAPH_HEIGHT,
    axis: str = "",
) -> timeseries.Panel:
    """Sums of metrics over time, each under its title in its colour."""
    queries = [counted(metric) for metric in colors]
    return graph(
        title,
        queries,
        " ".join(metric.help for metric in colors),
        unit=COUNT_UNIT,
        axis=axis or ", ".join(query.legend for query in queries),
        width=width,
        height=height,
        colors={in_text(metric.title): color for metric, color in colors.items()},
        decimals=0,
        empty=empty,
    )


def shares(
    title: str,
    query: Query,
    description: str,
    *,
    unit: str,
    empty: str,
    width: int = 8,
    height: int = GRAPH_HEIGHT,
    steps: Sequence[Step] = ((None, NEUTRAL),),
    minimum: float = 0,
    maximum: float | None = None,
    decimals: int | None = 0,
    names: Mapping[str, str] | None = None,
) -> bargauge.Panel:
    """A bar for each series as of now. `names` are other words for the legends. `empty` must be short: Grafana writes
    it beside an empty bar, on one line."""
    panel = described(bargauge.Panel(), title, description, [query], unit, empty, Form.NOW)
    panel.span(width).height(height).orientation(options.VizOrientation.HORIZONTAL)
    panel.display_mode(options.BarGaugeDisplayMode.BASIC).value_mode(options.BarGaugeValueMode.TEXT)
    panel.name_placement(options.BarGaugeNamePlacement.LEFT).show_unfilled(True)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.thresholds(_steps(steps)).color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    panel.min(minimum).text(common.VizTextDisplayOptions().title_size(14).value_size(16)).mappings([_nothing(empty)])
    for legend, words in (names or {}).items():
        panel.override_by_name(legend, [setting("displayName", words)])
    if maximum is not None:
        panel.max(maximum)
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def note(title: str, markdown: str, *, width: int = 24, height: int = GRAPH_HEIGHT, description: str) -> text.Panel:
    """Text, in Markdown."""
    panel = text.Panel().title(title).description(description).span(width).height(height)
    return panel.mode(TextMode.MARKDOWN).content(markdown)
