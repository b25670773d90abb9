"""Translates the catalogue to SQL: one statement that answers every count and setting, with each table scanned at most
once.

The statement is a UNION ALL of one SELECT for each table; tables of which only all rows are counted share one. Its rows
are `(select, labels…, numbers…)`, padded with NULL to one width; the first row, select 0, holds the stamp of the
database. Differences between databases are in a `Dialect`.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ff_observe.catalogue.model import OTHER_VALUES, Reading
from ff_observe.platform.sources.model import Caps
from ff_observe.platform.sources.schema import SETTINGS, TABLES, Table

Row = tuple[int | str | None, ...]
Columns = Mapping[str, Set[str]]
"""Which tables the database has, and which columns they have, by FlowFuse's names."""

MAX_VALUES = 100
"""How many values of a label are distinguished; the rows of all others are summed under `OTHER_VALUES`."""
MAX_LABEL_CHARACTERS = 128
MAX_ROWS = 20_000
"""Far more than the largest answer has. A session refuses more."""

_SIMPLE_VALUE = re.compile(r"[A-Za-z0-9_ .-]{0,64}")
_MAX_NUMBER = 2**63  # either database can count less
CUT_OFF = re.compile(r":before_(\d+)\b")
"""A moment in a statement, so many seconds ago."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences between SQLite and PostgreSQL. `system` is its name in OpenTelemetry (`db.system.name`).

    `columns` makes a statement that lists table, column and schema stamp for the tables of these names; an object with
    such a name that is no stored table has one row without column. `schema_stamp` makes an expression that differs from
    that stamp once any of `missing` may exist. `data_stamp` is an expression that differs if any row may have changed,
    NULL if the database cannot tell. `moment` makes an expression that compares a column as a timestamp.
    `milliseconds` makes one of it in ms since 1970. `writers` makes an expression that names the open transactions that
    may write to a table, as text: empty without any, NULL where they cannot be seen.
    `epoch` makes one of the seconds since 1970 of a timestamp. `json_text` and `json_integer` take a value out of a
    column of JSON text by its path, NULL if there is none; `json_elements` and `json_keys` make a table of a list
    (`value`) or of the keys of an object (`key`). `database_size` selects bytes, `table_sizes` name and bytes of each
    table, if `may_size_tables` selects a row: SQLite reads all of the database for it.
    """

    system: str
    columns: Callable[[Sequence[str]], str]
    schema_stamp: Callable[[Sequence[tuple[str, str | None]]], str]
    data_stamp: str
    moment: Callable[[str], str]
    milliseconds: Callable[[str], str]
    writers: Callable[[str], str]
    epoch: Callable[[str], str]
    json_text: Callable[[str, tuple[str, ...]], str]
    json_integer: Callable[[str, tuple[str, ...]], str]
    json_elements: Callable[[str, tuple[str, ...]], str]
    json_keys: Callable[[str, tuple[str, ...]], str]
    database_size: str
    table_sizes: str
    may_size_tables: str | None = None


def literal(text: str) -> str:
    """`text` as an SQL string. Only for our own constants and for values that `is_simple`."""
    return "'" + text.replace("'", "''") + "'"


def is_simple(value: str) -> bool:
    """Whether a value found in the database is safe as a literal in a statement."""
    return _SIMPLE_VALUE.fullmatch(value) is not None


def quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def column(name: str) -> str:
    """A column of the part's table. Qualified: SQLite takes an unknown bare "name" for a string."""
    return "t." + quoted(name)


def table_names() -> list[str]:
    """FlowFuse's names of all tables that are read."""
    return [*(table.name for table in TABLES.values()), SETTINGS.name]


def missing(columns: Columns) -> list[tuple[str, str | None]]:
    """What would be read if this FlowFuse version had it: tables (without a column), and columns of the others."""
    found: list[tuple[str, str | None]] = []
    for table in (*TABLES.values(), SETTINGS):
        if table.name not in columns:
            found.append((table.name, None))
        else:
            names = (table.key, *table.columns.values())
            found += [(table.name, name) for name in names if name not in columns[table.name]]
    return found


def moment(at: datetime) -> str:
    """A moment as FlowFuse writes it into SQLite, where moments are text; PostgreSQL reads the same."""
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} +00:00"


def moments(sql: str, at: datetime) -> dict[str, str]:
    """The moments that stand in a statement as `:name`, with `at` as the present."""
    return {f"before_{some}": moment(at - timedelta(seconds=int(some))) for some in set(CUT_OFF.findall(sql))}


def beginning(expression: str, characters: int) -> str:
    """An expression as text, with one character more than `characters` if it is longer, so that truncation is
    visible."""
    return f"substr(CAST({expression} AS text), 1, {characters + 1})"


def cut(text: str) -> str:
    """A label value of at most `MAX_LABEL_CHARACTERS`; `beginning` has left one more where it was longer."""
    return text if len(text) <= MAX_LABEL_CHARACTERS else text[: MAX_LABEL_CHARACTERS - 1] + "…"


class StatementError(Exception):
    """The database refused one statement for a reason that need not concern another."""


class StatementTooSlowError(StatementError):
    """The statement took longer than it may."""

    def __init__(self, limit_seconds: float) -> None:
        super().__init__(f"it takes longer than {limit_seconds:g} s")


class UnexpectedAnswerError(Exception):
    """A database answered with rows of another shape than requested."""


class Part:
    """The questions to one table, and how its rows become readings.

    Rows that are `grouped` are so by all labels, for each of which one more number ranks its value by frequency: 1 for
    the most frequent one (see `rank`).
    """

    def __init__(self, name: str, table: Table) -> None:
        self.name = name
        self.table = table
        self.labels: list[str] = []
        self.numbers: list[str] = []
        self.grouped = False
        self.join = ""
        self.where = ""
        self.most_rows: int | None = None
        self.most_values = MAX_VALUES
        self.readers: dict[str, Callable[[Sequence[Row]], Reading]] = {}
        self.caps: dict[str, Callable[[Sequence[Row]], Caps]] = {}
        self._kept: dict[int, tuple[str, ...]] = {}

    def label(self, column: str, kept: Sequence[str] = ()) -> int:
        """Group by a column and include the beginning of its text in each row; returns its position among the
        labels. The values in `kept` are distinguished however rare they are."""
        self.grouped = True
        expression = beginning(column, MAX_LABEL_CHARACTERS)
        if expression not in self.labels:
            self.labels.append(expression)
        place = self.labels.index(expression)
        self._kept[place] = (*self._kept.get(place, ()), *kept)
        return place

    def number(self, expression: str) -> int:
        """Include an aggregate in each row; returns its position among the numbers."""
        if expression not in self.numbers:
            self.numbers.append(expression)
        return self.numbers.index(expression)

    @property
    def is_whole_table(self) -> bool:
        """Whether only the number of all rows is asked for."""
        return self.numbers == ["count(*)"] and not self.grouped

    def rank(self, label: int) -> int:
        """The position, after the labels, of the rank of a label's value. Only final once the whole part is planned."""
        return len(self.labels) + len(self.numbers) + label

    @property
    def width(self) -> int:
        """The number of numbers in a row."""
        return len(self.numbers) + (len(self.labels) if self.grouped else 0)

    def select(self) -> tuple[list[str], list[str], str]:
        """Labels, numbers, and the rest of the SELECT."""
        source = f" FROM {quoted(self.table.name)} t{self.join}{self.where}"
        if self.grouped:
            return self._select_grouped(source)
        if self.most_rows is not None:
            columns = ", ".join(quoted(name) for name in self.table.columns.values())
            source = f" FROM (SELECT {columns}{source} LIMIT {self.most_rows}) t"
        return self.labels, self.numbers, source

    def _select_grouped(self, source: str) -> tuple[list[str], list[str], str]:
        """Group by the labels, rank the values of each, and group again with the rare ones as one. In the database:
        a hundred thousand values never reach this process, and the sum stays that of all rows."""
        places = range(len(self.labels))
        groups = [f"{label} AS l{place}" for place, label in enumerate(self.labels)]
        groups += [f"{number} AS n{place}" for place, number in enumerate(self.numbers)]
        # With a single label a group is a value; summing over partitions would take most of the time.
        sizes = [f"sum(count(*)) OVER (PARTITION BY {label})" for label in self.labels]
        groups += [f"{size} AS s{place}" for place, size in enumerate(sizes if len(sizes) > 1 else ["count(*)"])]
        by = ", ".join(str(place + 1) for place in places)
        inner = f"SELECT {', '.join(groups)}{source} GROUP BY {by}"
        ranks = ", ".join(f"dense_rank() OVER (ORDER BY {self._order(place)}) AS r{place}" for place in places)
        labels = [
            f"CASE WHEN r{place} <= {self.most_values} THEN l{place} ELSE {literal(OTHER_VALUES)} END"
            for place in places
        ]
        numbers = [f"CAST(sum(n{place}) AS bigint)" for place in range(len(self.numbers))]
        return (
            labels,
            [*numbers, *(f"max(r{place})" for place in places)],
            f" FROM (SELECT g.*, {ranks} FROM ({inner}) g) r GROUP BY {', '.join(labels)}",
        )

    def _order(self, place: int) -> str:
        kept = ", ".join(literal(value) for value in self._kept[place])
        first = f"CASE WHEN l{place} IN ({kept}) THEN 0 ELSE 1 END, " if kept else ""
        return f"{first}s{place} DESC, l{place}"


class Statement:
    """One statement over some parts."""

    def __init__(self, parts: Sequence[Part], dialect: Dialect, columns: Columns) -> None:
        self.parts = tuple(parts)
        self._labels = max(2, *(len(part.labels) for part in parts), 2)
        self._numbers = max((part.width for part in parts), default=1)
        self.width = 1 + self._labels + self._numbers
        self._selects = _share([part for part in parts if part.is_whole_table], self._numbers)
        self._selects += [(part,) for part in parts if not part.is_whole_table]
        schema_stamp = dialect.schema_stamp(missing(columns))
        stamps = f"CAST({schema_stamp} AS text), CAST({dialect.data_stamp} AS text)"
        padding = ", ".join([*["NULL"] * (self._labels - 2), *["CAST(NULL AS bigint)"] * self._numbers])
        selects = [f"SELECT 0, {stamps}, {padding}"]
        selects += [self._select(position, shared) for position, shared in enumerate(self._selects, start=1)]
        self.sql = " UNION ALL ".join(selects)

    def _select(self, position: int, parts: tuple[Part, ...]) -> str:
        labels: list[str] = []
        if parts[0].is_whole_table:
            # SQLite counts a table without visiting its rows only in a subquery of exactly this form.
            numbers = [f"(SELECT count(*) FROM {quoted(part.table.name)})" for part in parts]
            source = ""
        else:
            labels, numbers, source = parts[0].select()
        columns = [
            *labels,
            *["NULL"] * (self._labels - len(labels)),
            *numbers,
            *["NULL"] * (self._numbers - len(numbers)),
        ]
        return f"SELECT {position}, {', '.join(columns)}{source}"

    def split(self, rows: Sequence[Row]) -> tuple[tuple[str | None, str | None], dict[str, list[Row]]]:
        """The stamp, and the rows of each part by its name, as `(labels…, numbers…)` without padding. Raises
        `UnexpectedAnswerError`."""
        stamp: tuple[str | None, str | None] = (None, None)
        by_part: dict[str, list[Row]] = {part.name: [] for part in self.parts}
        first_number = 1 + self._labels
        for row in rows:
            position = row[0]
            if not isinstance(position, int) or not 0 <= position <= len(self._selects):
                raise UnexpectedAnswerError
            if position == 0:
                stamp = (as_text(row[1]), as_text(row[2]))
                continue
            parts = self._selects[position - 1]
            if parts[0].is_whole_table:
                for place, part in enumerate(parts, start=first_number):
                    by_part[part.name].append((row[place],))
            else:
                part = parts[0]
                labels, numbers = row[1 : 1 + len(part.labels)], row[first_number : first_number + part.width]
                by_part[part.name].append((*labels, *numbers))
        return stamp, by_part


def _share(parts: Sequence[Part], size: int) -> list[tuple[Part, ...]]:
    """Whole tables side by side in one row: fewer rows are cheaper to plan."""
    return [tuple(parts[start : start + size]) for start in range(0, len(parts), size)]


def of_width(width: int, rows: list[Row]) -> list[Row]:
    """The rows, all with so many columns. Raises `UnexpectedAnswerError`."""
    if any(len(row) != width for row in rows):
        raise UnexpectedAnswerError
    return rows


def as_number(value: int | str | None) -> int:
    """A value of a row as a number of rows, bytes or seconds. Raises `UnexpectedAnswerError` for anything else."""
    if not isinstance(value, int) or not 0 <= value < _MAX_NUMBER:
        raise UnexpectedAnswerError
    return value


def as_text(value: int | str | None) -> str | None:
    """A value of a row as text; NULL stays None."""
    return None if value is None else str(value)
