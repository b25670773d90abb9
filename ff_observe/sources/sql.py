"""The catalogue as SQL: one statement that answers every count and setting, with each table scanned at most once.

The statement is a UNION ALL of parts, one for each table. Its rows are `(part, labels…, numbers…)`, padded with NULL
to one width; the first row, part 0, is the stamp of the database it was read from. What differs by database is a
`Dialect`.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ff_observe.catalogue.model import NO_VALUE, Count, Rows, RowsBy, RowsByAge, RowsByName, RowsWhere
from ff_observe.sources.model import Reading
from ff_observe.sources.schema import SETTING_KEYS, SETTINGS, TABLES, Table

Row = tuple[int | str | None, ...]
Columns = Mapping[str, Set[str]]
"""Which tables the database has, and which columns they have, by FlowFuse's names."""
Known = Mapping[str, tuple[str | None, ...]]
"""The values (None for NULL) that are counted without grouping, by name of the count; the other counts are grouped."""

SETTINGS_PART = "settings"
_SIMPLE_VALUE = re.compile(r"[A-Za-z0-9_ .-]{0,64}")
_CUT_OFF = re.compile(r":before_(\d+)\b")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What SQLite and PostgreSQL do not share.

    `columns` makes a statement that lists table, column and schema stamp for the tables of these names. `schema_stamp`
    makes an expression that differs from that stamp once any of the missing columns (table, column) may be there.
    `data_stamp` is an expression that differs when any row may have changed, NULL where the database cannot tell.
    `moment` makes an expression that compares a column as a moment.
    """

    columns: Callable[[Sequence[str]], str]
    schema_stamp: Callable[[Sequence[tuple[str, str]]], str]
    data_stamp: str
    moment: Callable[[str], str]


class DoesNotAddUpError(Exception):
    """A table holds values that were not asked for: the count with this name must be grouped."""

    def __init__(self, count: str) -> None:
        self.count = count
        super().__init__(count)


def literal(text: str) -> str:
    """`text` as an SQL string. Only for our own constants and for values that `is_simple`."""
    return "'" + text.replace("'", "''") + "'"


def is_simple(value: str) -> bool:
    """Whether a value found in the database may stand in a statement as a literal."""
    return _SIMPLE_VALUE.fullmatch(value) is not None


def quoted(identifier: str) -> str:
    return '"' + identifier + '"'


def column(name: str) -> str:
    """A column of the part's table. Qualified: SQLite takes an unknown bare "name" for a string."""
    return "t." + quoted(name)


def table_names() -> list[str]:
    """FlowFuse's names of all tables that are read."""
    return [*(table.name for table in TABLES.values()), SETTINGS.name]


def missing_columns(columns: Columns) -> list[tuple[str, str]]:
    """Tables and columns that would be read if this FlowFuse version had them."""
    return [
        (table.name, name)
        for table in (*TABLES.values(), SETTINGS)
        for name in (table.key, *table.columns.values())
        if name not in columns.get(table.name, ())
    ]


def moment(at: datetime) -> str:
    """A moment as FlowFuse writes it into SQLite, where moments are text; PostgreSQL reads the same."""
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} +00:00"


class Part:
    """What one table is asked, and how its rows become readings."""

    def __init__(self, name: str, table: Table) -> None:
        self.name = name
        self.table = table
        self.labels: list[str] = []
        self.numbers: list[str] = []
        self.group_by: list[str] = []
        self.join = ""
        self.where = ""
        self.readers: dict[str, Callable[[Sequence[Row]], Reading]] = {}

    def label(self, expression: str, group_by: str) -> int:
        """Group by a column and have `expression` in each row; returns its place among the labels."""
        if group_by not in self.group_by:
            self.group_by.append(group_by)
        if expression not in self.labels:
            self.labels.append(expression)
        return self.labels.index(expression)

    def number(self, expression: str) -> int:
        """Have an aggregate in each row; returns its place among the numbers."""
        if expression not in self.numbers:
            self.numbers.append(expression)
        return self.numbers.index(expression)

    def select(self, position: int, labels: int, numbers: int) -> str:
        """The part as SQL, padded to `labels` and `numbers` columns."""
        source = quoted(self.table.name)
        whole_table = self.numbers == ["count(*)"] and not self.group_by
        # SQLite counts a table without visiting its rows only in a subquery of exactly this form.
        own_numbers = [f"(SELECT count(*) FROM {source})"] if whole_table else self.numbers
        padded = [
            *self.labels,
            *["NULL"] * (labels - len(self.labels)),
            *own_numbers,
            *["NULL"] * (numbers - len(own_numbers)),
        ]
        selected = f"SELECT {position}, {', '.join(padded)}"
        if whole_table:
            return selected
        group_by = f" GROUP BY {', '.join(self.group_by)}" if self.group_by else ""
        return f"{selected} FROM {source} t{self.join}{self.where}{group_by}"


class Statement:
    """One statement over some parts."""

    def __init__(self, parts: Sequence[Part], dialect: Dialect, columns: Columns) -> None:
        self.parts = tuple(parts)
        self._labels = max(2, *(len(part.labels) for part in parts), 2)
        numbers = max((len(part.numbers) for part in parts), default=1)
        schema_stamp = dialect.schema_stamp(missing_columns(columns))
        stamps = f"CAST({schema_stamp} AS text), CAST({dialect.data_stamp} AS text)"
        padding = ", ".join([*["NULL"] * (self._labels - 2), *["CAST(NULL AS bigint)"] * numbers])
        selects = [f"SELECT 0, {stamps}, {padding}"]
        selects += [part.select(i, self._labels, numbers) for i, part in enumerate(self.parts, start=1)]
        self.sql = " UNION ALL ".join(selects)
        self._seconds = {int(seconds) for seconds in _CUT_OFF.findall(self.sql)}

    def moments(self, at: datetime) -> dict[str, str]:
        """The moments that stand in the statement as `:name`, with `at` as the present."""
        return {f"before_{seconds}": moment(at - timedelta(seconds=seconds)) for seconds in self._seconds}

    def split(self, rows: Sequence[Row]) -> tuple[tuple[str | None, str | None], dict[str, list[Row]]]:
        """The stamp, and the rows of each part by its name, as `(labels…, numbers…)` without padding."""
        stamp: tuple[str | None, str | None] = (None, None)
        by_part: dict[str, list[Row]] = {part.name: [] for part in self.parts}
        for row in rows:
            position = row[0]
            if position == 0:
                stamp = (_text(row[1]), _text(row[2]))
                continue
            assert isinstance(position, int)
            part = self.parts[position - 1]
            first_number = 1 + self._labels
            by_part[part.name].append(
                (*row[1 : 1 + len(part.labels)], *row[first_number : first_number + len(part.numbers)])
            )
        return stamp, by_part


def _text(value: int | str | None) -> str | None:
    return None if value is None else str(value)


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
        key = (_text(row[label]) or NO_VALUE,)
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
