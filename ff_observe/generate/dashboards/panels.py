"""The kinds of panels (tables: `tables.py`), each with one look on all dashboards. Colours mean something or are one
neutral blue.

A panel that is about a metric has the title of the metric, and a description that begins with its help. `empty` is what
a panel shows without data; where it is not given, its dashboard's is shown.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from ff_observe.catalogue import audit
from ff_observe.catalogue.model import Metric, in_text
from ff_observe.generate.dashboards.queries import Query, counted, each, increase, largest_first, of, once, total

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

GOOD, MILD, BAD, WORST = "green", "yellow", "orange", "red"
NEUTRAL, PALE = "blue", "super-light-blue"
CLASSIC = ""
"""In place of the colour of shades: Grafana's palette, a colour for each series."""
QUIET = "#8e8e8e"
"""For what is off, unknown or of no concern; readable on dark and light."""

COUNT_UNIT, SHARE_UNIT, SECONDS_UNIT, BYTES_UNIT = "short", "percentunit", "s", "bytes"
IN_FULL_UNIT = "locale"
"""Of counts without decimals: Grafana's `short` rounds 1,286 to 1 K, and two marks of an axis to one number."""
DAYS_UNIT, PER_MINUTE_UNIT = "suffix: days", "suffix:/min"
DAY_UNIT, MINUTE_UNIT, AGO_UNIT = "time:YYYY-MM-DD", "time:YYYY-MM-DD HH:mm", "dateTimeFromNow"
"""Moments; Grafana counts them in milliseconds."""

STAT_HEIGHT, GRAPH_HEIGHT = 3, 8
"""Text in numbers is as large as fits, in any width: in so low a panel all short ones have one size."""

Panel = stat.Panel | bargauge.Panel | table.Panel | text.Panel | timeseries.Panel
Step = tuple[float | None, str]
Mappings = Mapping[str, tuple[str, str | None]]
"""Value → the words (and colour) that are shown for it."""
NO_ANSWER, NO_BRIDGE = "no answer from the database", "no data from a bridge"
NOT_COUNTED = "no answer from the database, or the audit log is being counted"

SHARE_STEPS: Sequence[Step] = ((None, WORST), (0.5, BAD), (0.7, MILD), (0.9, GOOD))
DAYS_LEFT_STEPS: Sequence[Step] = ((None, WORST), (7, BAD), (30, MILD), (60, GOOD))
FULLNESS_STEPS: Sequence[Step] = ((None, GOOD), (0.8, MILD), (0.9, BAD), (1, WORST))
_FAILURES = (WORST, MILD, BAD, "purple", "#5ac8c8")
_PARTS: Mapping[Metric, Sequence[str]] = {
    audit.INSTANCE_FAILURES: _FAILURES,
    audit.DEVICE_FAILURES: _FAILURES,
    audit.DEPLOYMENTS: (NEUTRAL, "purple", MILD, "#5ac8c8"),
    audit.SIGN_INS: (NEUTRAL, BAD),
}
"""Colours of what the counters of the audit log are divided into."""
NOTHING: Mapping[str, Any] = MappingProxyType({})

_Drawn = TypeVar("_Drawn", stat.Panel, bargauge.Panel, table.Panel, timeseries.Panel)


class Form(Enum):
    """What the queries of a panel ask for."""

    OVER_TIME = auto()
    NOW = auto()
    TABLE = auto()


def described(
    panel: _Drawn, about: str | Metric, description: str, queries: Sequence[Query], unit: str, empty: str, form: Form
) -> _Drawn:
    title = about if isinstance(about, str) else about.title
    if isinstance(about, Metric):
        description = f"{about.help} {description}".rstrip()
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit)
    for index, query in enumerate(queries):
        target = prometheus.Dataquery().expr(query.expression).ref_id(chr(ord("A") + index)).datasource(DATASOURCE)
        target.legend_format(query.legend or "__auto").format(
            PromQueryFormat.TABLE if form is Form.TABLE else PromQueryFormat.TIME_SERIES
        )
        panel.with_target(target.range() if form is Form.OVER_TIME else target.instant())
    if empty:
        say_when_empty(panel, empty)
    return panel


def say_when_empty(panel: Panel, words: str) -> None:
    """What a panel shows in place of missing values, unless it has such words. Grafana draws them as large as a number,
    in the colour of the lowest threshold: without a colour of their own, an outage looks like good (or bad) news."""
    if isinstance(panel, text.Panel):
        return
    config = panel.build().field_config
    assert config is not None
    if config.defaults.no_value is not None:
        return
    panel.no_value(words)
    if isinstance(panel, stat.Panel | bargauge.Panel):
        result = model.ValueMappingResult(text=words, color=QUIET, index=0)
        match = model.DashboardSpecialValueMapOptions(match=model.SpecialValueMatch.NULL_AND_NAN, result=result)
        panel.mappings([model.SpecialValueMap(options=match), *(config.defaults.mappings or [])])


def steps_of(steps: Sequence[Step]) -> build.ThresholdsConfig:
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


def in_full(unit: str, decimals: int | None) -> str:
    return IN_FULL_UNIT if unit == COUNT_UNIT and decimals == 0 else unit


def setting(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


def _colored(color: str) -> model.DynamicConfigValue:
    return setting("color", {"mode": "fixed", "fixedColor": color})


def _renamed(panel: stat.Panel | bargauge.Panel, names: Mapping[str, str]) -> None:
    for legend, words in names.items():
        panel.override_by_name(legend, [setting("displayName", words)])


def number(
    about: str | Metric,
    query: str | Query = "",
    description: str = "",
    *,
    unit: str = COUNT_UNIT,
    empty: str = "",
    width: int = 4,
    steps: Sequence[Step] = ((None, "text"),),
    mappings: Mappings = NOTHING,
    decimals: int | None = None,
    names: Mapping[str, str] = NOTHING,
    height: int = STAT_HEIGHT,
) -> stat.Panel:
    """One number (or one for each series, with its name) as of now, large; by default the sum of the metric. Coloured
    only if `steps` or `mappings` say what the colour means. `names` are other words for the legends."""
    asked = query if isinstance(query, Query) else Query(query or total(about))
    panel = _large(about, description, asked, in_full(unit, decimals), empty, width, mappings, Form.NOW)
    panel.height(height)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.text_mode(options.BigValueTextMode.VALUE_AND_NAME if asked.legend else options.BigValueTextMode.VALUE)
    panel.thresholds(steps_of(steps))
    if decimals is not None:
        panel.decimals(decimals)
    _renamed(panel, names)
    return panel


def answers(about: Metric, otherwise: str, *, empty: str = "") -> stat.Panel:
    """Whether the platforms answer, as the metric says it; `otherwise` are the words for one that does not."""
    mappings = {"0": (otherwise, WORST), "1": ("answers", GOOD)}
    query = f"min({once(of(about))})"
    return number(about, query, "Of several platforms, the worst.", mappings=mappings, empty=empty)


def word(
    title: str, query: str, label: str, description: str, *, empty: str, mappings: Mappings = NOTHING
) -> stat.Panel:
    """What a label says as of now, large; each of its values, if there are several."""
    panel = _large(title, description, Query(query), COUNT_UNIT, empty, 4, mappings, Form.TABLE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(True).fields(f"/^{label}$/"))
    panel.orientation(options.VizOrientation.HORIZONTAL)
    return panel.text_mode(options.BigValueTextMode.VALUE).thresholds(steps_of([(None, "text")]))


def _large(
    about: str | Metric,
    description: str,
    query: Query,
    unit: str,
    empty: str,
    width: int,
    mappings: Mappings,
    form: Form,
) -> stat.Panel:
    panel = stat.Panel().mappings([value_map(mappings)] if mappings else [])
    described(panel, about, description, [query], unit, empty, form)
    panel.span(width).height(STAT_HEIGHT).graph_mode(options.BigValueGraphMode.NONE)
    panel.color_mode(options.BigValueColorMode.VALUE)
    return panel.color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))


def graph(
    about: str | Metric,
    queries: Sequence[Query] = (),
    description: str = "",
    *,
    unit: str = COUNT_UNIT,
    empty: str = "",
    axis: str = "",
    width: int = 12,
    height: int = GRAPH_HEIGHT,
    colors: Mapping[str, str] = NOTHING,
    color: str = "",
    shades: str | None = None,
    dashed: Mapping[str, str] = NOTHING,
    stacked: bool = False,
    bars: bool = False,
    decimals: int | None = 0,
    maximum: float | None = None,
    interval: str = "",
) -> timeseries.Panel:
    """Series over time, by default the metric for each value of its labels. `colors` are by the names of series (or
    /patterns/), `dashed` draws some as dashed lines in a colour, `color` is that of all. Other series have `shades` of
    one colour: by default of the neutral one, beside `colors` the `CLASSIC` ones. `decimals` are those of counts; None
    leaves them to Grafana. `bars` are stacked; `interval` is the shortest step."""
    if isinstance(about, Metric) and not queries:
        queries = [each(about)]
    decimals = decimals if unit == COUNT_UNIT else None
    shown_in = in_full(unit, decimals)
    panel = described(timeseries.Panel(), about, description, queries, shown_in, empty, Form.OVER_TIME)
    stacked = stacked or bars
    # A stacked series at zero would draw its line over its neighbour's edge.
    panel.span(width).height(height).line_width(0 if stacked else 2)
    panel.fill_opacity(70 if stacked else 8).axis_soft_min(0)
    if shades is None:
        shades = CLASSIC if colors else NEUTRAL
    scheme = build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC)
    if color:
        scheme.mode(model.FieldColorModeId.FIXED).fixed_color(color)
    elif shades:
        scheme.mode(model.FieldColorModeId.SHADES).fixed_color(shades)
    panel.color_scheme(scheme)
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
    if decimals is not None:
        panel.decimals(decimals)
    if maximum is not None:
        panel.max(maximum)
    if interval:
        panel.interval(interval)
    for name, its_color in colors.items():
        override = panel.override_by_regexp if name.startswith("/") else panel.override_by_name
        override(name, [_colored(its_color)])
    line = [setting("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}), setting("custom.fillOpacity", 0)]
    for name, its_color in dashed.items():
        panel.override_by_name(name, [_colored(its_color), *line])
    return panel


def counts(
    title: str,
    colors: Mapping[Metric, str],
    *,
    empty: str = "",
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
        axis=axis or ", ".join(query.legend for query in queries),
        width=width,
        height=height,
        colors={in_text(metric.title): color for metric, color in colors.items()},
        empty=empty,
    )


def values_over_time(count: Metric, colors: Mapping[str, str], *, axis: str) -> timeseries.Panel:
    """The values of the only label as stacked areas, in the order and the colours of `colors`."""
    (label,) = count.labels
    words = {value: in_text(title) for value, title in count.value_titles.items()}
    return graph(
        count,
        [Query(total(count, f'{label}="{value}"'), words[value]) for value in colors],
        axis=axis,
        colors={words[value]: color for value, color in colors.items()},
        stacked=True,
    )


def increases(counter: Metric, *, empty: str, width: int = 12) -> timeseries.Panel:
    """The growth of a counter as bars, stacked by the values of its only label."""
    (label,) = counter.labels
    queries = [
        Query(increase(counter, f'{label}="{value}"'), in_text(title)) for value, title in counter.value_titles.items()
    ]
    return graph(
        counter,
        queries,
        "In steps of an hour or longer.",
        width=width,
        colors=dict(zip((query.legend for query in queries), _PARTS[counter], strict=False)),
        bars=True,
        interval="1h",
        empty=empty,
    )


def shares(
    about: str | Metric,
    query: Query | None = None,
    description: str = "",
    *,
    unit: str = COUNT_UNIT,
    empty: str = "",
    width: int = 8,
    height: int = GRAPH_HEIGHT,
    steps: Sequence[Step] = ((None, NEUTRAL),),
    maximum: float | None = None,
    names: Mapping[str, str] = NOTHING,
    long_names: bool = False,
) -> bargauge.Panel:
    """A bar for each series as of now, by default for each value of the metric's labels, the largest first. `names` are
    other words for the legends; `long_names` stand above their bars, where they are not cut off. `empty` must be short:
    Grafana writes it beside an empty bar, on one line."""
    if query is None:
        assert isinstance(about, Metric)
        query = largest_first(each(about))
    panel = described(bargauge.Panel(), about, description, [query], in_full(unit, 0), empty, Form.NOW)
    panel.span(width).height(height).orientation(options.VizOrientation.HORIZONTAL)
    panel.display_mode(options.BarGaugeDisplayMode.BASIC).value_mode(options.BarGaugeValueMode.TEXT)
    placement = options.BarGaugeNamePlacement
    panel.name_placement(placement.TOP if long_names else placement.LEFT).show_unfilled(True)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel.thresholds(steps_of(steps)).color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    panel.min(0).decimals(0).text(common.VizTextDisplayOptions().title_size(14).value_size(16))
    _renamed(panel, names)
    if maximum is not None:
        panel.max(maximum)
    return panel


def note(title: str, markdown: str, *, width: int, height: int, description: str) -> text.Panel:
    """Text, in Markdown."""
    panel = text.Panel().title(title).description(description).span(width).height(height)
    return panel.mode(TextMode.MARKDOWN).content(markdown)
