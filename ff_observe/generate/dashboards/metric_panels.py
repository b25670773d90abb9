"""Panels of one metric, under its own title and help and with its own names of label values."""

from collections.abc import Mapping

from ff_observe.catalogue.model import Metric, in_text
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards.queries import Query, increase, total, total_by


def shares_by(count: Metric, label: str, *, empty: str, width: int = 8) -> p.Panel:
    """A bar for each value of a label, the largest first."""
    query = Query(f"sort_desc({total_by(count, label)})", f"{{{{{label}}}}}")
    return p.shares(count.title, query, count.help, unit=p.COUNT_UNIT, width=width, empty=empty)


def values_over_time(count: Metric, colors: Mapping[str, str], *, axis: str, empty: str) -> p.Panel:
    """The values of the only label as stacked areas, in the order and the colours of `colors`."""
    (label,) = count.labels
    words = {value: in_text(title) for value, title in count.value_titles.items()}
    return p.graph(
        count.title,
        [Query(total(count, f'{label}="{value}"'), words[value]) for value in colors],
        count.help,
        unit=p.COUNT_UNIT,
        axis=axis,
        colors={words[value]: color for value, color in colors.items()},
        stacked=True,
        decimals=0,
        empty=empty,
    )


def increases(counter: Metric, color: str, *, empty: str, width: int = 12) -> p.Panel:
    """The growth of a counter as bars, stacked by the values of its only label."""
    (label,) = counter.labels
    titles = counter.value_titles.items()
    return p.graph(
        counter.title,
        [Query(increase(counter, f'{label}="{value}"'), in_text(title)) for value, title in titles],
        counter.help,
        unit=p.COUNT_UNIT,
        width=width,
        shades=color,
        stacked=True,
        bars=True,
        decimals=0,
        interval="1h",
        empty=empty,
    )
