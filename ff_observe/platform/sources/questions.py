"""The catalogue's questions as parts of the statement: what each asks of its table, and how the resulting rows
become a reading."""

import json
from collections.abc import Callable, Mapping, Sequence, Set

from ff_observe.catalogue.model import NO_VALUE, OTHER_VALUES, Count, Reading
from ff_observe.catalogue.names import encodable
from ff_observe.catalogue.questions import (
    Earliest,
    MostFrequent,
    Rows,
    RowsBy,
    RowsByAge,
    RowsByCase,
    RowsWhere,
)
from ff_observe.platform.sources.conditions import cases_sql, condition_sql, missing_for
from ff_observe.platform.sources.model import SETTINGS_READING, Caps
from ff_observe.platform.sources.schema import SETTING_KEYS, SETTINGS, TABLES
from ff_observe.platform.sources.sql import (
    MAX_LABEL_CHARACTERS,
    Columns,
    Dialect,
    Part,
    Row,
    as_number,
    as_text,
    beginning,
    column,
    cut,
    literal,
    quoted,
)

Known = Mapping[str, tuple[str | None, ...]]
"""The values (None for NULL) that are counted without grouping, by name of the count; the other counts are grouped."""

SETTINGS_PART = "settings"
MAX_SETTING_CHARACTERS = 65_536
"""A licence, by far the longest of the settings that are read, has several thousand."""

MOST_GROUPED_ROWS = 100_000
"""Of a larger table, values that are not known are counted together: to sort a million different ones, which tenants
can invent, takes longer than a reading may."""


class DoesNotAddUpError(Exception):
    """Tables hold values that are not known: the counts with these names must be grouped."""

    def __init__(self, counts: Sequence[str]) -> None:
        self.counts = counts
        super().__init__(*counts)


def plan(
    counts: Sequence[Count], columns: Columns, known: Known, dialect: Dialect, left_out: Set[str] = frozenset()
) -> tuple[list[Part], dict[str, str]]:
    """The parts for `counts`, and the counts that this database cannot answer: by name, what it lacks. Of the table of
    a count that is `left_out`, all rows are counted."""
    parts: dict[str, Part] = {}
    found, lacking = answerable(counts, columns)
    if SETTINGS.name in columns:
        parts[SETTINGS_PART] = _settings()
    for count in found:
        part = parts.setdefault(count.of.table, Part(count.of.table, TABLES[count.of.table]))
        if count.name in left_out:
            part.number("count(*)")
        else:
            part.readers[count.name] = _reader(part, count, known, dialect)
    return list(parts.values()), lacking


def answerable(counts: Sequence[Count], columns: Columns) -> tuple[list[Count], dict[str, str]]:
    """The counts that this database can answer, and what it lacks for each of the others, by name."""
    lacking: dict[str, str] = {}
    for count in counts:
        if (missing := missing_for(count.of, columns)) is not None:
            lacking[count.name] = missing
    return [count for count in counts if count.name not in lacking], lacking


def sizes(parts: Sequence[Part], rows: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """How many rows the tables have of which nothing else was asked, by name of the part."""
    return {part.name: _sum(part, rows[part.name], 0) for part in parts if part.is_whole_table}


def standalone(counts: Sequence[Count], dialect: Dialect) -> Part:
    """One part, of one table, for counts that are not in the statement of all."""
    table = counts[0].of.table
    part = Part(table, TABLES[table])
    for count in counts:
        part.readers[count.name] = _reader(part, count, {}, dialect)
    return part


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
            decoded = json.loads(str(value)) if value_type == 1 and value is not None else value
            # JSON may hold half of a surrogate pair. (Of lists and maps only the truth counts.)
            settings[str(key)] = encodable(decoded) if isinstance(decoded, str) else decoded
        except ValueError:
            failures[SETTINGS_READING] = f"the platform setting {key!r} is marked as JSON but is not"
        except RecursionError:
            failures[SETTINGS_READING] = f"the platform setting {key!r} is JSON nested too deeply"
    return settings, failures


def _reader(part: Part, count: Count, known: Known, dialect: Dialect) -> Callable[[Sequence[Row]], Reading]:
    match count.of:
        case Rows():
            return _total(part, _count())
        case RowsWhere(condition=condition):
            return _total(part, _count(condition_sql(condition, part.table, dialect)))
        case RowsByCase() as by_case:
            return _by_case(part, by_case, dialect)
        case MostFrequent() as most:
            return _most_frequent(part, most, count.name, dialect)
        case Earliest() as earliest:
            return _earliest(part, earliest, dialect)
        case RowsByAge() as by_age:
            return _by_age(part, by_age, dialect)
        case RowsBy() as by_value:
            if count.name in known:
                return _by_known_value(part, by_value, count.name, known[count.name], dialect)
            return _by_value(part, by_value, count.name, dialect)
        case _:
            raise AssertionError(f"{count.name} has a statement of its own")


def _count(*tests: str) -> str:
    """The number of rows that all of the tests hold for."""
    return f"count(*) FILTER (WHERE {' AND '.join(tests)})" if tests else "count(*)"


def _where(question: Earliest | RowsBy, part: Part, dialect: Dialect) -> list[str]:
    return [] if question.where is None else [condition_sql(question.where, part.table, dialect)]


def _sum(part: Part, rows: Sequence[Row], place: int) -> int:
    """A number over all groups of a part; NULL, the sum over no rows, is 0. (`len(part.labels)` is only final once the
    whole part is planned.)"""
    values = [row[place + len(part.labels)] for row in rows]
    return sum(as_number(value) for value in values if value is not None)


def _total(part: Part, expression: str) -> Callable[[Sequence[Row]], Reading]:
    place = part.number(expression)
    return lambda rows: {(): _sum(part, rows, place)}


def _by_case(part: Part, question: RowsByCase, dialect: Dialect) -> Callable[[Sequence[Row]], Reading]:
    cases = cases_sql(question.cases, part.table, dialect, question.where)
    places = [(value, part.number(_count(test))) for value, test in cases]
    return lambda rows: {(value,): _sum(part, rows, place) for value, place in places}


def _earliest(part: Part, question: Earliest, dialect: Dialect) -> Callable[[Sequence[Row]], Reading]:
    moment_column = column(part.table.columns[question.column])
    tests = [f"({dialect.moment(moment_column)} >= :before_0)", *_where(question, part, dialect)]
    place = part.number(dialect.epoch(f"min({moment_column}) FILTER (WHERE {' AND '.join(tests)})"))

    def read(rows: Sequence[Row]) -> Reading:
        assert not part.grouped, "a first moment is not summed over groups"
        found = rows[0][place]
        return {} if found is None else {(): as_number(found)}

    return read


def _most_frequent(
    part: Part, question: MostFrequent, name: str, dialect: Dialect
) -> Callable[[Sequence[Row]], Reading]:
    """Its `most` bounds every label of the part: with another than `MAX_VALUES`, it is asked by itself."""
    other = TABLES[question.other] if question.other else None
    value = column(part.table.columns[question.column])
    if other is not None:
        part.join = f" LEFT JOIN {quoted(other.name)} o ON o.{quoted(other.key)} = {value}"  # multiplies no row
        value = f"o.{quoted(other.columns[question.name_column])}"
    part.most_values = question.most
    label = part.label(value)
    part.caps[name] = lambda rows: _caps(part, rows, label)
    if question.cases is None:
        every = part.number(_count())
        return lambda rows: _grouped(part, rows, label, every)
    cases = cases_sql(question.cases, part.table, dialect, None, other)
    places = [(case, part.number(_count(test))) for case, test in cases]

    def read(rows: Sequence[Row]) -> Reading:
        by_case = {case: _grouped(part, rows, label, place) for case, place in places}
        found = {(*key, case): number for case, reading in by_case.items() for key, number in reading.items()}
        return {key: found[key] for key in sorted(found)}

    return read


def _by_age(part: Part, question: RowsByAge, dialect: Dialect) -> Callable[[Sequence[Row]], Reading]:
    moment_column = column(part.table.columns[question.column])
    every = part.number(_count())
    seen = part.number(f"count({moment_column})")
    since = [
        (bucket.name, part.number(_count(f"{dialect.moment(moment_column)} >= :before_{bucket.under_seconds}")))
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


def _by_value(part: Part, question: RowsBy, name: str, dialect: Dialect) -> Callable[[Sequence[Row]], Reading]:
    """The values that FlowFuse is known to write are reported at 0 too."""
    label = part.label(column(part.table.columns[question.column]), question.expected)
    counted = part.number(_count(*_where(question, part, dialect)))
    part.caps[name] = lambda rows: _caps(part, rows, label)
    zero: dict[tuple[str, ...], float] = {(value,): 0 for value in question.expected}
    return lambda rows: {**zero, **_grouped(part, rows, label, counted)}


def _grouped(part: Part, rows: Sequence[Row], label: int, place: int) -> dict[tuple[str, ...], float]:
    """A number by the values of a label, as far as it is not 0."""
    reading: dict[tuple[str, ...], float] = {}
    for row in rows:
        if number := _sum(part, [row], place):
            key = (cut(as_text(row[label]) or NO_VALUE),)
            reading[key] = reading.get(key, 0) + number
    return reading


def _caps(part: Part, rows: Sequence[Row], label: int) -> Caps:
    values = {as_text(row[label]) or "" for row in rows}
    most = max((as_number(row[part.rank(label)]) for row in rows), default=0)
    return Caps(max(0, most - part.most_values), sum(len(value) > MAX_LABEL_CHARACTERS for value in values))


def _by_known_value(
    part: Part, question: RowsBy, name: str, values: Sequence[str | None], dialect: Dialect
) -> Callable[[Sequence[Row]], Reading]:
    value_column = column(part.table.columns[question.column])
    where = _where(question, part, dialect)
    every = part.number(_count(*where))
    part.caps[name] = lambda rows: Caps(number=int((OTHER_VALUES,) in read(rows)))
    places = []
    for value in values:
        test = f"{value_column} IS NULL" if value is None else f"{value_column} = {literal(value)}"
        places.append((value or NO_VALUE, part.number(_count(test, *where))))

    def read(rows: Sequence[Row]) -> Reading:
        found = {(value,): _sum(part, rows, place) for value, place in places}
        of_all = _sum(part, rows, every)
        others = of_all - sum(found.values())
        if others and of_all <= MOST_GROUPED_ROWS:
            raise DoesNotAddUpError([name])
        found[(OTHER_VALUES,)] = others
        return {key: number for key, number in found.items() if number or key[0] in question.expected}

    return read
