"""Tables, as the other kinds of panels are in `panels.py`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model

from ff_observe.catalogue.model import Count, Metric
from ff_observe.generate.dashboards.panels import (
    COUNT_UNIT,
    GRAPH_HEIGHT,
    Form,
    Mappings,
    described,
    in_full,
    setting,
    steps_of,
    titled,
    value_map,
)
from ff_observe.generate.dashboards.queries import Query


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the values of a label; one that `wraps` has two lines. Where `mappings` have colours, `otherwise` is
    that of values they lack."""

    of: str
    title: str
    unit: str = ""
    width: int | None = None
    decimals: int | None = None
    mappings: Mappings | None = None
    otherwise: str = "text"
    no_value: str = "-"
    wraps: bool = False


class Values(Column):
    """A column of the values of a query."""


def what(counts: Iterable[Count]) -> Column:
    """The column of the label `what` (`queries.what`) of some counts."""
    titles = {count.name.removeprefix("flowfuse_"): count.title for count in counts}
    return Column("what", "What", mappings=titled(titles))


def rows(
    about: str | Metric,
    columns: Sequence[Column],
    description: str = "",
    *,
    labels_of: str = "",
    empty: str = "",
    width: int = 24,
    height: int = GRAPH_HEIGHT,
    sort_by: str | None = None,
    descending: bool = False,
) -> table.Panel:
    """A table as of now: the answers of all queries side by side, joined by the labels they share. Only `columns` are
    shown, in their order. Of the query `labels_of` no value is shown."""
    values = [column.of for column in columns if isinstance(column, Values)]
    asked = [labels_of, *values] if labels_of else values
    panel = described(table.Panel(), about, description, list(map(Query, asked)), COUNT_UNIT, empty, Form.TABLE)
    two_lines = any(column.wraps for column in columns)
    row = options.TableCellHeight.LG if two_lines else options.TableCellHeight.SM
    panel.span(width).height(height).show_header(True).cell_height(row)
    panel.align(options.FieldTextAlignment.AUTO).inspect(False)
    letters = iter(ascii_uppercase[bool(labels_of) :])
    names = [f"Value #{next(letters)}" if isinstance(column, Values) else column.of for column in columns]
    if len(asked) == 1:
        names = ["Value" if isinstance(column, Values) else column.of for column in columns]
    else:
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
        panel.override_by_name(column.title, _properties(column))
    if sort_by is not None:
        panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(descending)])
    return panel


def _properties(column: Column) -> list[model.DynamicConfigValue]:
    properties = [setting("noValue", column.no_value)]
    if column.unit:
        properties.append(setting("unit", in_full(column.unit, column.decimals)))
    if column.width is not None:
        properties.append(setting("custom.width", column.width))
    if column.decimals is not None:
        properties.append(setting("decimals", column.decimals))
    if column.wraps:
        properties.append(setting("custom.wrapText", True))
        properties.append(setting("custom.cellOptions", {"type": "auto", "wrapText": True}))  # before Grafana 12.2
    if column.mappings:
        properties.append(setting("mappings", [value_map(column.mappings)]))
        if any(color for _, color in column.mappings.values()):
            properties.append(setting("custom.cellOptions", {"type": "color-text"}))
            properties.append(setting("thresholds", steps_of([(None, column.otherwise)]).build()))
    return properties
