"""The catalogue as SQL: one statement that answers every count and setting, with each table scanned at most once.

The statement is a UNION ALL of one SELECT for each table; tables of which only all rows are counted share one. Its rows
are `(select, labels…, numbers…)`, padded with NULL to one width; the first row, select 0, holds the stamp of the
database. What differs by database is a `Dialect`.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ff_observe.sources.model import Reading
from ff_observe.sources.schema import SETTINGS, TABLES, Table

Row = tuple[int | str | None, ...]
Columns = Mapping[str, Set[str]]
"""Which tables the database has, and which columns they have, by FlowFuse's names."""

_SIMPLE_VALUE = re.compile(r"[A-Za-z0-9_ .-]{0,64}")
_CUT_OFF = re.compile(r":before_(\d+)\b")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What SQLite and PostgreSQL do not share.

    `system` is its name in OpenTelemetry (`db.system.name`). `columns` makes a statement that lists table, column and
    schema stamp for the tables of these names. `schema_stamp` makes an expression that differs from that stamp once
    anything of what is `missing` may be there.
    `data_stamp` is an expression that differs when any row may have changed, NULL where the database cannot tell.
    `moment` makes an expression that compares a column as a moment.
    """

    system: str
    columns: Callable[[Sequence[str]], str]
    schema_stamp: Callable[[Sequence[tuple[str, str | None]]], str]
    data_stamp: str
    moment: Callable[[str], str]


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

    @property
    def is_whole_table(self) -> bool:
        """Whether nothing but the number of all rows is asked for."""
        return self.numbers == ["count(*)"] and not self.group_by

    @property
    def source(self) -> str:
        """What follows the selected columns."""
        group_by = f" GROUP BY {', '.join(self.group_by)}" if self.group_by else ""
        return f" FROM {quoted(self.table.name)} t{self.join}{self.where}{group_by}"


class Statement:
    """One statement over some parts."""

    def __init__(self, parts: Sequence[Part], dialect: Dialect, columns: Columns) -> None:
        self.parts = tuple(parts)
        self._labels = max(2, *(len(part.labels) for part in parts), 2)
        self._numbers = max((len(part.numbers) for part in parts), default=1)
        self._selects = _share([part for part in parts if part.is_whole_table], self._numbers)
        self._selects += [(part,) for part in parts if not part.is_whole_table]
        schema_stamp = dialect.schema_stamp(missing(columns))
        stamps = f"CAST({schema_stamp} AS text), CAST({dialect.data_stamp} AS text)"
        padding = ", ".join([*["NULL"] * (self._labels - 2), *["CAST(NULL AS bigint)"] * self._numbers])
        selects = [f"SELECT 0, {stamps}, {padding}"]
        selects += [self._select(position, shared) for position, shared in enumerate(self._selects, start=1)]
        self.sql = " UNION ALL ".join(selects)
        self._seconds = {int(seconds) for seconds in _CUT_OFF.findall(self.sql)}

    def _select(self, position: int, parts: tuple[Part, ...]) -> str:
        labels: list[str] = []
        if parts[0].is_whole_table:
            # SQLite counts a table without visiting its rows only in a subquery of exactly this form.
            numbers = [f"(SELECT count(*) FROM {quoted(part.table.name)})" for part in parts]
            source = ""
        else:
            labels, numbers, source = parts[0].labels, parts[0].numbers, parts[0].source
        columns = [
            *labels,
            *["NULL"] * (self._labels - len(labels)),
            *numbers,
            *["NULL"] * (self._numbers - len(numbers)),
        ]
        return f"SELECT {position}, {', '.join(columns)}{source}"

    def moments(self, at: datetime) -> dict[str, str]:
        """The moments that stand in the statement as `:name`, with `at` as the present."""
        return {f"before_{seconds}": moment(at - timedelta(seconds=seconds)) for seconds in self._seconds}

    def split(self, rows: Sequence[Row]) -> tuple[tuple[str | None, str | None], dict[str, list[Row]]]:
        """The stamp, and the rows of each part by its name, as `(labels…, numbers…)` without padding."""
        stamp: tuple[str | None, str | None] = (None, None)
        by_part: dict[str, list[Row]] = {part.name: [] for part in self.parts}
        first_number = 1 + self._labels
        for row in rows:
            position = int(row[0] or 0)
            if position == 0:
                stamp = (as_text(row[1]), as_text(row[2]))
                continue
            parts = self._selects[position - 1]
            if parts[0].is_whole_table:
                for place, part in enumerate(parts, start=first_number):
                    by_part[part.name].append((row[place],))
            else:
                part = parts[0]
                labels, numbers = row[1 : 1 + len(part.labels)], row[first_number : first_number + len(part.numbers)]
                by_part[part.name].append((*labels, *numbers))
        return stamp, by_part


def _share(parts: Sequence[Part], size: int) -> list[tuple[Part, ...]]:
    """Whole tables side by side in one row: each row less is less for the database to plan."""
    return [tuple(parts[start : start + size]) for start in range(0, len(parts), size)]


def as_text(value: int | str | None) -> str | None:
    """A value of a row as text; NULL stays None."""
    return None if value is None else str(value)
