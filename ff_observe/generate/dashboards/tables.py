"""Tables, as the other kinds of panels are in `panels.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model

from ff_observe.generate.dashboards.panels import (
    COUNT_UNIT,
    GRAPH_HEIGHT,
    Form,
    Mappings,
    described,
    setting,
    value_map,
)
from ff_observe.generate.dashboards.queries import Query


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. `field` is a label, or `Value #A` … for the value of the first query and so on."""

    field: str
    title: str
    unit: str = ""
    width: int | None = None
    decimals: int | None = None
    mappings: Mappings | None = None
    no_value: str = "-"


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
    panel = described(table.Panel(), title, description, asked, COUNT_UNIT, empty, Form.TABLE)
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
    properties = [setting("noValue", column.no_value)]
    if column.unit:
        properties.append(setting("unit", column.unit))
    if column.width is not None:
        properties.append(setting("custom.width", column.width))
    if column.decimals is not None:
        properties.append(setting("decimals", column.decimals))
    if column.mappings is not None:
        properties.append(setting("mappings", [value_map(column.mappings)]))
        if any(color for _, color in column.mappings.values()):
            properties.append(setting("custom.cellOptions", {"type": "color-text"}))
    return properties
