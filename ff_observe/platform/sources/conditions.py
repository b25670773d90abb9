"""The conditions of the catalogue as SQL, and the columns that a question needs."""

from collections.abc import Iterator

from ff_observe.catalogue.questions import (
    All,
    BeginsWith,
    Cases,
    CertificateExpiry,
    CertifiedNodes,
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
    RowsWhere,
    Same,
    TeamsOverLimit,
    columns_of,
)
from ff_observe.platform.sources.schema import SETTINGS, TABLES, Table
from ff_observe.platform.sources.sql import Columns, Dialect, column, literal, quoted

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


def missing_for(question: Question, columns: Columns) -> str | None:
    """What of FlowFuse's schema the question cannot do without, and is not there."""
    needed = list(needed_columns(question))
    asked = [TABLES[question.table]] if question.table else []
    for table in (*asked, *(table for table, _ in needed)):
        if table.name not in columns:
            return f"table {table.name}"
    for table, name in needed:
        if name not in columns[table.name]:
            return f"column {table.name}.{name}"
    return None


def needed_columns(question: Question) -> Iterator[tuple[Table, str]]:
    """The columns, by FlowFuse's names, without which a question cannot be answered."""

    def of(table: str, *names: str) -> Iterator[tuple[Table, str]]:
        yield from ((TABLES[table], TABLES[table].columns[name]) for name in names)

    conditions: list[Condition | None] = []
    other = ""
    match question:
        case RowsWhere(condition=condition):
            conditions = [condition]
        case RowsByAge(column=name):
            yield from of(question.table, name)
        case RowsBy(column=name, where=where) | Earliest(column=name, where=where):
            yield from of(question.table, name)
            conditions = [where]
        case RowsByCase(cases=cases, where=where):
            conditions = [*(condition for _, condition in cases.first), where]
        case MostFrequent(column=name, other=other, name_column=name_column, cases=some_cases):
            yield from of(question.table, name)
            if other:
                yield TABLES[other], TABLES[other].key
                yield from of(other, name_column)
            if some_cases is not None:
                conditions = [condition for _, condition in some_cases.first]
        case DistinctSince(column=name, moment_column=moment):
            yield from of(question.table, name, moment)
            yield TABLES[question.table], TABLES[question.table].key
        case TeamsOverLimit():
            yield from of("teams", "team_type")
            yield from of("team_types", "properties")
            for table in ("memberships", "devices", "instances"):
                yield from of(table, "team")
        case CertificateExpiry():
            yield from of("sso_providers", "name", "active", "options")
        case CertifiedNodes():
            yield from of("instances", "state")
            yield from of("instance_settings", "instance", "key", "value", "value_type")
            yield from of("devices", "state", "last_seen", "active")
            yield from of("snapshots", "settings")
            yield from ((SETTINGS, SETTINGS.columns[name]) for name in ("key", "value"))
    for logical in (name for some in conditions if some is not None for name in columns_of(some)):
        if other and logical.startswith(_OTHER):
            yield from of(other, logical.removeprefix(_OTHER))
        else:
            yield from of(question.table, logical)
