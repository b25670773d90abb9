"""The kinds of panels, each with one look on all dashboards. Colours mean something or are one neutral blue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from ff_observe.generate.dashboards.queries import Query

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

GOOD, MILD, BAD, WORST = "green", "yellow", "orange", "red"
NEUTRAL, PALE = "blue", "super-light-blue"
QUIET = "#8e8e8e"
"""For what is off, unknown or of no concern; readable on dark and light."""

COUNT_UNIT, SHARE_UNIT, SECONDS_UNIT, BYTES_UNIT = "short", "percentunit", "s", "bytes"
DAYS_UNIT = "suffix: days"
DAY_UNIT, MINUTE_UNIT, AGO_UNIT = "time:YYYY-MM-DD", "time:YYYY-MM-DD HH:mm", "dateTimeFromNow"
"""Moments; Grafana counts them in milliseconds."""

STAT_HEIGHT, GRAPH_HEIGHT = 4, 8
NUMBER_SIZE, WORDS_SIZE = 40, 24
"""Pixels: fixed, so that neighbours look alike; words are smaller, so that they stay on one line."""

Panel = stat.Panel | bargauge.Panel | table.Panel | text.Panel | timeseries.Panel
Step = tuple[float | None, str]
Told = Mapping[str, tuple[str, str | None]]
"""Value → the words (and colour) that are shown for it."""

_Drawn = TypeVar("_Drawn", stat.Panel, bargauge.Panel, table.Panel, timeseries.Panel)


class Show(Enum):
    """What is large in a number panel."""

    VALUE = options.BigValueTextMode.VALUE
    NAME = options.BigValueTextMode.NAME
    BOTH = options.BigValueTextMode.VALUE_AND_NAME


class _Form(Enum):
    """What the queries of a panel ask for."""

    OVER_TIME = auto()
    NOW = auto()
    TABLE = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. `field` is a label, or `Value #A` … for the value of the first query and so on."""

    field: str
    title: str
    unit: str = ""
    width: int | None = None
    decimals: int | None = None
    told: Told | None = None
    no_value: str = "-"


def _framed(
    panel: _Drawn, title: str, description: str, queries: Sequence[Query], unit: str, empty: str, form: _Form
) -> _Drawn:
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit).no_value(empty)
    for index, query in enumerate(queries):
        target = prometheus.Dataquery().expr(query.expression).ref_id(chr(ord("A") + index)).datasource(DATASOURCE)
        target.legend_format(query.legend or "__auto").format(
            PromQueryFormat.TABLE if form is _Form.TABLE else PromQueryFormat.TIME_SERIES
        )
        panel.with_target(target.range() if form is _Form.OVER_TIME else target.instant())
    return panel


def _steps(steps: Sequence[Step]) -> build.ThresholdsConfig:
    thresholds = [model.Threshold(value=value, color=color) for value, color in steps]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds)


def _mapping(told: Told) -> model.ValueMap:
    results = {
        value: model.ValueMappingResult(text=words, color=color, index=index)
        for index, (value, (words, color)) in enumerate(told.items())
    }
    return model.ValueMap(options=results)


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
    told: Told | None = None,
    decimals: int | None = None,
    show: Show = Show.VALUE,
    names: Mapping[str, str] | None = None,
    height: int = STAT_HEIGHT,
    size: int = NUMBER_SIZE,
) -> stat.Panel:
    """One number (or one for each series) as of now, large. Coloured only where `steps` or `told` say what the colour
    means. `names` are other words for the legends, `size` is that of the text in pixels."""
    asked = query if isinstance(query, Query) else Query(query)
    panel = _framed(stat.Panel(), title, description, [asked], unit, empty, _Form.NOW)
    panel.span(width).height(height).graph_mode(options.BigValueGraphMode.NONE)
    panel.text(common.VizTextDisplayOptions().value_size(size).title_size(14))
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.text_mode(show.value)
    panel.color_mode(options.BigValueColorMode.VALUE if steps or told else options.BigValueColorMode.NONE)
    panel.thresholds(_steps(steps or [(None, "text")]))
    panel.color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    if told is not None:
        panel.mappings([_mapping(told)])
    if decimals is not None:
        panel.decimals(decimals)
    for legend, words in (names or {}).items():
        panel.override_by_name(legend, [_property("displayName", words)])
    return panel


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
    """Series over time. `colors` are by the names of series, `dashed` draws some as dashed lines in a colour, `shades`
    gives all others shades of one; `interval` is the shortest step."""
    panel = _framed(timeseries.Panel(), title, description, queries, unit, empty, _Form.OVER_TIME)
    # A stacked series at zero would draw its line over its neighbour's edge.
    panel.span(width).height(height).line_width(1 if shades else 0 if stacked else 2)
    panel.fill_opacity(70 if stacked else 8)
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
        panel.override_by_name(name, [_property("color", {"mode": "fixed", "fixedColor": its_color})])
    for name, its_color in (dashed or {}).items():
        panel.override_by_name(
            name,
            [
                _property("color", {"mode": "fixed", "fixedColor": its_color}),
                _property("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
                _property("custom.fillOpacity", 0),
            ],
        )
    return panel


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
    """A bar for each series as of now. `names` are other words for the legends."""
    panel = _framed(bargauge.Panel(), title, description, [query], unit, empty, _Form.NOW)
    panel.span(width).height(height).orientation(options.VizOrientation.HORIZONTAL)
    panel.display_mode(options.BarGaugeDisplayMode.BASIC).value_mode(options.BarGaugeValueMode.TEXT)
    panel.name_placement(options.BarGaugeNamePlacement.LEFT).show_unfilled(True)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.thresholds(_steps(steps)).color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    panel.min(minimum).text(common.VizTextDisplayOptions().title_size(14).value_size(18))
    for legend, words in (names or {}).items():
        panel.override_by_name(legend, [_property("displayName", words)])
    if maximum is not None:
        panel.max(maximum)
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def rows(
    title: str,
    queries: Sequence[str],
    columns: Sequence[Column],
    description: str,
    *,
    empty: str,
    width: int = 24,
    height: int = GRAPH_HEIGHT,
    sort_by: str | None = None,
    descending: bool = False,
) -> table.Panel:
    """A table as of now: the answers of all queries side by side, joined by the labels they share. Only `columns` are
    shown, in their order."""
    asked = [Query(query) for query in queries]
    panel = _framed(table.Panel(), title, description, asked, COUNT_UNIT, empty, _Form.TABLE)
    panel.span(width).height(height).show_header(True).cell_height(options.TableCellHeight.SM)
    panel.align(options.FieldTextAlignment.AUTO).inspect(False)
    only_one = len(queries) == 1
    names = ["Value" if only_one and column.field == "Value #A" else column.field for column in columns]
    if not only_one:
        panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        model.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": names}})
    )
    panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {},
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": {name: column.title for name, column in zip(names, columns, strict=True)},
            },
        )
    )
    for column in columns:
        panel.override_by_name(column.title, _column_properties(column))
    if sort_by is not None:
        panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(descending)])
    return panel


def _column_properties(column: Column) -> list[model.DynamicConfigValue]:
    properties = [_property("noValue", column.no_value)]
    if column.unit:
        properties.append(_property("unit", column.unit))
    if column.width is not None:
        properties.append(_property("custom.width", column.width))
    if column.decimals is not None:
        properties.append(_property("decimals", column.decimals))
    if column.told is not None:
        properties.append(_property("mappings", [_mapping(column.told)]))
        if any(color for _, color in column.told.values()):
            properties.append(_property("custom.cellOptions", {"type": "color-text"}))
    return properties


def note(title: str, markdown: str, *, width: int = 24, height: int = GRAPH_HEIGHT, description: str) -> text.Panel:
    """Words, in Markdown."""
    panel = text.Panel().title(title).description(description).span(width).height(height)
    return panel.mode(TextMode.MARKDOWN).content(markdown)


def _property(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)
