"""The questions of the catalogue as parts of the statement: what each asks of its table, and how the rows that come
back become a reading.
"""

from collections.abc import Callable, Mapping, Sequence

from ff_observe.catalogue.model import NO_VALUE, Count, Rows, RowsBy, RowsByAge, RowsByName, RowsWhere
from ff_observe.sources.model import Reading
from ff_observe.sources.schema import SETTING_KEYS, SETTINGS, TABLES, Table
from ff_observe.sources.sql import Columns, Dialect, Part, Row, as_text, column, literal, quoted

Known = Mapping[str, tuple[str | None, ...]]
"""The values (None for NULL) that are counted without grouping, by name of the count; the other counts are grouped."""

SETTINGS_PART = "settings"


class DoesNotAddUpError(Exception):
    """A table holds values that were not asked for: the count with this name must be grouped."""

    def __init__(self, count: str) -> None:
        self.count = count
        super().__init__(count)


def plan(
    counts: Sequence[Count], columns: Columns, known: Known, dialect: Dialect
) -> tuple[list[Part], dict[str, str]]:
    """The parts for `counts`, and the counts this database cannot answer: by name, what it lacks."""
    parts: dict[str, Part] = {}
    lacking: dict[str, str] = {}
    if SETTINGS.name in columns:
        parts[SETTINGS_PART] = _settings()
    for count in counts:
        missing = _missing(count, columns)
        if missing is not None:
            lacking[count.name] = missing
            continue
        part = parts.setdefault(count.of.table, Part(count.of.table, TABLES[count.of.table]))
        part.readers[count.name] = _reader(part, count, known, dialect)
    return list(parts.values()), lacking


def _settings() -> Part:
    part = Part(SETTINGS_PART, SETTINGS)
    key = column(SETTINGS.columns["key"])
    part.labels = [key, column(SETTINGS.columns["value"])]
    part.numbers = [column(SETTINGS.columns["value_type"])]
    part.where = f" WHERE {key} IN ({', '.join(literal(name) for name in SETTING_KEYS)})"
    return part


def _missing(count: Count, columns: Columns) -> str | None:
    table = TABLES[count.of.table]
    needed: list[tuple[Table, str]] = []
    match count.of:
        case RowsWhere(column=name) | RowsByAge(column=name):
            needed = [(table, table.columns[name])]
        case RowsBy(column=name, only=only):
            needed = [(table, table.columns[name])] + ([(table, table.columns[only[0]])] if only else [])
        case RowsByName(column=name, other=other_name, name_column=name_column):
            other = TABLES[other_name]
            needed = [(table, table.columns[name]), (other, other.key), (other, other.columns[name_column])]
        case Rows():
            pass
    for needed_table in (table, *(other for other, _ in needed)):
        if needed_table.name not in columns:
            return f"table {needed_table.name}"
    for needed_table, name in needed:
        if name not in columns[needed_table.name]:
            return f"column {needed_table.name}.{name}"
    return None


def _reader(part: Part, count: Count, known: Known, dialect: Dialect) -> Callable[[Sequence[Row]], Reading]:
    match count.of:
        case Rows():
            return _total(part, "count(*)")
        case RowsWhere(column=name):
            return _total(part, f"count(*) FILTER (WHERE {column(part.table.columns[name])})")
        case RowsByAge() as by_age:
            return _by_age(part, by_age, dialect)
        case RowsByName() as by_name:
            return _by_name(part, by_name)
        case RowsBy() as by_value:
            if count.name in known:
                return _by_known_value(part, by_value, count.name, known[count.name])
            return _by_value(part, by_value)


def _sum(part: Part, rows: Sequence[Row], place: int) -> int:
    """A number over all groups of a part. (`len(part.labels)` is only final once the whole part is planned.)"""
    place += len(part.labels)
    return sum(int(row[place] or 0) for row in rows)


def _total(part: Part, expression: str) -> Callable[[Sequence[Row]], Reading]:
    place = part.number(expression)
    return lambda rows: {(): _sum(part, rows, place)}


def _by_age(part: Part, question: RowsByAge, dialect: Dialect) -> Callable[[Sequence[Row]], Reading]:
    moment_column = column(part.table.columns[question.column])
    every = part.number("count(*)")
    seen = part.number(f"count({moment_column})")
    since = [
        (
            bucket.name,
            part.number(f"count(*) FILTER (WHERE {dialect.moment(moment_column)} >= :before_{bucket.under_seconds})"),
        )
        for bucket in question.buckets
    ]

    def read(rows: Sequence[Row]) -> Reading:
        reading: dict[tuple[str, ...], float] = {}
        counted = 0
        for name, place in since:
            up_to_here = _sum(part, rows, place)
            reading[(name,)] = up_to_here - counted
            counted = up_to_here
        reading[(question.older,)] = _sum(part, rows, seen) - counted
        reading[(question.never,)] = _sum(part, rows, every) - _sum(part, rows, seen)
        return reading

    return read


def _by_name(part: Part, question: RowsByName) -> Callable[[Sequence[Row]], Reading]:
    other = TABLES[question.other]
    reference = column(part.table.columns[question.column])
    part.join = f" LEFT JOIN {quoted(other.name)} o ON o.{quoted(other.key)} = {reference}"  # multiplies no row
    name = f"o.{quoted(other.columns[question.name_column])}"
    label = part.label(name, name)
    every = part.number("count(*)")
    return lambda rows: _grouped(part, rows, label, every)


def _by_value(part: Part, question: RowsBy) -> Callable[[Sequence[Row]], Reading]:
    value = column(part.table.columns[question.column])
    label = part.label(f"CAST({value} AS text)", value)
    every = part.number("count(*)")
    if question.only is None:
        return lambda rows: {**dict.fromkeys(_labels(question), 0), **_grouped(part, rows, label, every)}
    only_column, only_value = question.only
    only = column(part.table.columns[only_column])
    only_label = part.label(f"CAST({only} AS text)", only)
    return lambda rows: {
        **dict.fromkeys(_labels(question), 0),
        **_grouped(part, [row for row in rows if row[only_label] == only_value], label, every),
    }


def _labels(question: RowsBy) -> list[tuple[str, ...]]:
    """The values FlowFuse is known to write are told at 0 too."""
    return [(value,) for value in question.expected]


def _grouped(part: Part, rows: Sequence[Row], label: int, every: int) -> dict[tuple[str, ...], float]:
    reading: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = (as_text(row[label]) or NO_VALUE,)
        reading[key] = reading.get(key, 0) + _sum(part, [row], every)
    return reading


def _by_known_value(
    part: Part, question: RowsBy, name: str, values: Sequence[str | None]
) -> Callable[[Sequence[Row]], Reading]:
    value_column = column(part.table.columns[question.column])
    only = ""
    if question.only is not None:
        only = f"{column(part.table.columns[question.only[0]])} = {literal(question.only[1])}"
    every = part.number(f"count(*) FILTER (WHERE {only})" if only else "count(*)")
    restricted = f" AND {only}" if only else ""
    places = []
    for value in values:
        test = f"{value_column} IS NULL" if value is None else f"{value_column} = {literal(value)}"
        places.append((value or NO_VALUE, part.number(f"count(*) FILTER (WHERE {test}{restricted})")))

    def read(rows: Sequence[Row]) -> Reading:
        found = {(value,): _sum(part, rows, place) for value, place in places}
        if sum(found.values()) != _sum(part, rows, every):
            raise DoesNotAddUpError(name)
        return {key: number for key, number in found.items() if number or key[0] in question.expected}

    return read
