"""The conditions of the catalogue as SQL, and the columns that a question needs."""

from collections.abc import Iterator

from ff_observe.catalogue.questions import (
    All,
    BeginsWith,
    Cases,
    Condition,
    DistinctSince,
    Earliest,
    Is,
    IsNull,
    IsTrue,
    LiesAhead,
    MostFrequent,
    Not,
    Question,
    RowsBy,
    RowsByAge,
    RowsByCase,
    RowsByName,
    RowsWhere,
    Same,
    columns_of,
)
from ff_observe.platform.sources.schema import TABLES, Table
from ff_observe.platform.sources.sql import Dialect, column, literal, quoted

_OTHER = "other."


def condition_sql(condition: Condition, table: Table, dialect: Dialect, other: Table | None = None) -> str:
    """An expression over `table` (alias `t`) and `other` (alias `o`) that is true for the rows of the condition."""

    def name(logical: str) -> str:
        if other is not None and logical.startswith(_OTHER):
            return "o." + quoted(other.columns[logical.removeprefix(_OTHER)])
        return column(table.columns[logical])

    match condition:
        case IsTrue(logical):
            return f"({name(logical)} IS TRUE)"
        case IsNull(logical):
            return f"({name(logical)} IS NULL)"
        case Is(logical, value):
            return f"({name(logical)} = {literal(value) if isinstance(value, str) else value})"
        case Same(first, second):
            return f"({name(first)} = {name(second)})"
        case LiesAhead(logical):
            return f"({dialect.moment(name(logical))} >= :before_0)"
        case BeginsWith(logical, text):
            return f"(substr({name(logical)}, 1, {len(text)}) = {literal(text)})"
        case Not(inner):
            return f"({condition_sql(inner, table, dialect, other)} IS NOT TRUE)"
        case All(conditions):
            return "(" + " AND ".join(condition_sql(part, table, dialect, other) for part in conditions) + ")"


def cases_sql(
    cases: Cases, table: Table, dialect: Dialect, where: Condition | None = None, other: Table | None = None
) -> list[tuple[str, str]]:
    """Each label value with an expression that is true for its rows alone."""
    restricted = [] if where is None else [condition_sql(where, table, dialect, other)]
    earlier: list[str] = []
    found: list[tuple[str, str]] = []
    for value, condition in cases.first:
        test = condition_sql(condition, table, dialect, other)
        found.append((value, " AND ".join([*restricted, *earlier, test])))
        earlier.append(f"{test} IS NOT TRUE")
    return [*found, (cases.otherwise, " AND ".join([*restricted, *earlier]))]


def needed_columns(question: Question) -> Iterator[tuple[Table, str]]:
    """The columns, by FlowFuse's names, without which a question that is asked of one table cannot be answered."""
    table = TABLES[question.table]
    conditions: list[Condition | None] = []
    other: Table | None = None
    match question:
        case RowsWhere(condition=condition):
            conditions = [condition]
        case RowsByAge(column=name):
            yield table, table.columns[name]
        case RowsBy(column=name, only=only):
            yield table, table.columns[name]
            if only is not None:
                yield table, table.columns[only[0]]
        case RowsByName(column=name, other=other_name, name_column=name_column):
            yield table, table.columns[name]
            yield from _joined(TABLES[other_name], name_column)
        case RowsByCase(cases=cases, where=where):
            conditions = [*(condition for _, condition in cases.first), where]
        case MostFrequent(column=name, other=other_name, name_column=name_column, cases=some_cases):
            yield table, table.columns[name]
            if other_name:
                other = TABLES[other_name]
                yield from _joined(other, name_column)
            if some_cases is not None:
                conditions = [condition for _, condition in some_cases.first]
        case Earliest(column=name, where=where):
            yield table, table.columns[name]
            conditions = [where]
        case DistinctSince(column=name, moment_column=moment):
            yield from ((table, table.columns[name]), (table, table.columns[moment]), (table, table.key))
    for some in conditions:
        for logical in columns_of(some) if some is not None else ():
            if other is not None and logical.startswith(_OTHER):
                yield other, other.columns[logical.removeprefix(_OTHER)]
            else:
                yield table, table.columns[logical]


def _joined(other: Table, name_column: str) -> Iterator[tuple[Table, str]]:
    yield from ((other, other.key), (other, other.columns[name_column]))
