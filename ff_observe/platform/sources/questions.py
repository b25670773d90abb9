"""The catalogue's questions as parts of the statement: what each asks of its table, and how the resulting rows
become a reading."""

import json
from collections.abc import Callable, Mapping, Sequence

from ff_observe.catalogue.model import NO_VALUE, Count, Rows, RowsBy, RowsByAge, RowsByName, RowsWhere
from ff_observe.platform.sources.model import SETTINGS_READING, Caps, Reading
from ff_observe.platform.sources.schema import SETTING_KEYS, SETTINGS, TABLES, Table
from ff_observe.platform.sources.sql import (
    MAX_LABEL_CHARACTERS,
    MAX_VALUES,
    Columns,
    Dialect,
    Part,
    Row,
    UnexpectedAnswerError,
    as_text,
    beginning,
    column,
    literal,
    quoted,
)

Known = Mapping[str, tuple[str | None, ...]]
"""The values (None for NULL) that are counted without grouping, by name of the count; the other counts are grouped."""

SETTINGS_PART = "settings"
MAX_SETTING_CHARACTERS = 65_536
"""A licence, by far the longest of the settings that are read, has several thousand."""
_MAX_NUMBER = 2**63  # of a row that either database can count


class DoesNotAddUpError(Exception):
    """A table holds unexpected values: the count with this name must be grouped."""

    def __init__(self, count: str) -> None:
        self.count = count
        super().__init__(count)


def plan(
    counts: Sequence[Count], columns: Columns, known: Known, dialect: Dialect
) -> tuple[list[Part], dict[str, str]]:
    """The parts for `counts`, and the counts that this database cannot answer: by name, what it lacks."""
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
    part.labels = [key, beginning(column(SETTINGS.columns["value"]), MAX_SETTING_CHARACTERS)]
    part.numbers = [f"CAST({column(SETTINGS.columns['value_type'])} AS bigint)"]
    part.most_rows = len(SETTING_KEYS) + 1  # one more reveals a table that is not what it should be
    part.where = f" WHERE {key} IN ({', '.join(literal(name) for name in SETTING_KEYS)})"
    return part


def read_settings(rows: Sequence[Row]) -> tuple[dict[str, object], dict[str, str]]:
    """Platform settings, decoded by `valueType` as FlowFuse does, and those that could not be decoded."""
    settings: dict[str, object] = {}
    failures: dict[str, str] = {}
    if len(rows) > len(SETTING_KEYS):
        return {}, {SETTINGS_READING: "a platform setting is there more than once"}
    for key, value, value_type in rows:
        if isinstance(value, str) and len(value) > MAX_SETTING_CHARACTERS:
            failures[SETTINGS_READING] = (
                f"the platform setting {key!r} has more than {MAX_SETTING_CHARACTERS} characters"
            )
            continue
        try:
            decode = value_type == 1 and value is not None
            settings[str(key)] = _without_surrogates(json.loads(str(value))) if decode else value
        except ValueError:
            failures[SETTINGS_READING] = f"the platform setting {key!r} is marked as JSON but is not"
        except RecursionError:
            failures[SETTINGS_READING] = f"the platform setting {key!r} is JSON nested too deeply"
    return settings, failures


def _without_surrogates(value: object) -> object:
    """Text that UTF-8 can encode: JSON may hold half of a surrogate pair. (Of lists and maps only the truth counts.)"""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


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
            return _by_name(part, by_name, count.name)
        case RowsBy() as by_value:
            if count.name in known:
                return _by_known_value(part, by_value, count.name, known[count.name])
            return _by_value(part, by_value, count.name)


def _sum(part: Part, rows: Sequence[Row], place: int) -> int:
    """A number over all groups of a part. (`len(part.labels)` is only final once the whole part is planned.)"""
    return sum(_number(row[place + len(part.labels)]) for row in rows)


def _number(value: int | str | None) -> int:
    """A number of rows; NULL, the sum over no rows, is 0. Raises `UnexpectedAnswerError` for anything else."""
    if value is None:
        return 0
    if not isinstance(value, int) or not 0 <= value < _MAX_NUMBER:
        raise UnexpectedAnswerError
    return value


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


def _by_name(part: Part, question: RowsByName, name: str) -> Callable[[Sequence[Row]], Reading]:
    other = TABLES[question.other]
    reference = column(part.table.columns[question.column])
    part.join = f" LEFT JOIN {quoted(other.name)} o ON o.{quoted(other.key)} = {reference}"  # does not multiply rows
    label = part.label(f"o.{quoted(other.columns[question.name_column])}")
    every = part.number("count(*)")
    part.caps[name] = lambda rows: _caps(part, rows, label)
    return lambda rows: _grouped(part, rows, label, every)


def _by_value(part: Part, question: RowsBy, name: str) -> Callable[[Sequence[Row]], Reading]:
    label = part.label(column(part.table.columns[question.column]), question.expected)
    every = part.number("count(*)")
    part.caps[name] = lambda rows: _caps(part, rows, label)
    if question.only is None:
        return lambda rows: {**dict.fromkeys(_labels(question), 0), **_grouped(part, rows, label, every)}
    only_column, only_value = question.only
    only_label = part.label(column(part.table.columns[only_column]), (only_value,))
    return lambda rows: {
        **dict.fromkeys(_labels(question), 0),
        **_grouped(part, [row for row in rows if row[only_label] == only_value], label, every),
    }


def _labels(question: RowsBy) -> list[tuple[str, ...]]:
    """The values that FlowFuse is known to write are reported at 0 too."""
    return [(value,) for value in question.expected]


def _grouped(part: Part, rows: Sequence[Row], label: int, every: int) -> dict[tuple[str, ...], float]:
    reading: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = (_cut(as_text(row[label]) or NO_VALUE),)
        reading[key] = reading.get(key, 0) + _sum(part, [row], every)
    return reading


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LABEL_CHARACTERS else text[: MAX_LABEL_CHARACTERS - 1] + "…"


def _caps(part: Part, rows: Sequence[Row], label: int) -> Caps:
    values = {as_text(row[label]) or "" for row in rows}
    most = max((_number(row[part.rank(label)]) for row in rows), default=0)
    return Caps(max(0, most - MAX_VALUES), sum(len(value) > MAX_LABEL_CHARACTERS for value in values))


def _by_known_value(
    part: Part, question: RowsBy, name: str, values: Sequence[str | None]
) -> Callable[[Sequence[Row]], Reading]:
    value_column = column(part.table.columns[question.column])
    only = ""
    if question.only is not None:
        only = f"{column(part.table.columns[question.only[0]])} = {literal(question.only[1])}"
    every = part.number(f"count(*) FILTER (WHERE {only})" if only else "count(*)")
    part.caps[name] = lambda _: Caps()
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
