"""What a count asks of the database, by logical names of tables and columns.

Nothing here knows how FlowFuse spells its tables (`sources/schema.py` does) or any SQL.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IsTrue:
    """The boolean column is true; NULL is not."""

    column: str


@dataclass(frozen=True, slots=True)
class IsNull:
    column: str


@dataclass(frozen=True, slots=True)
class Is:
    """The column has this value."""

    column: str
    value: str | int


@dataclass(frozen=True, slots=True)
class Same:
    """Two columns have the same value, and one at all."""

    column: str
    other: str


@dataclass(frozen=True, slots=True)
class LiesAhead:
    """The moment in the column is not over yet."""

    column: str


@dataclass(frozen=True, slots=True)
class BeginsWith:
    """The text begins so, in these very letters."""

    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Not:
    """Whatever the condition does not hold for, NULL included."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    """Each of the conditions holds."""

    conditions: "tuple[Condition, ...]"


Condition = IsTrue | IsNull | Is | Same | LiesAhead | BeginsWith | Not | All
"""Which rows. A column `other.name` is one of the table that a question joins."""


@dataclass(frozen=True, slots=True)
class Cases:
    """Tells rows apart by the first condition that holds: label value and condition, and the value of the rest."""

    first: tuple[tuple[str, Condition], ...]
    otherwise: str

    @property
    def values(self) -> tuple[str, ...]:
        return (*(value for value, _ in self.first), self.otherwise)


def columns_of(condition: Condition) -> Iterator[str]:
    """The columns that a condition reads."""
    match condition:
        case Not(inner):
            yield from columns_of(inner)
        case All(conditions):
            for part in conditions:
                yield from columns_of(part)
        case Same(column, other):
            yield from (column, other)
        case IsTrue(column) | IsNull(column) | Is(column) | LiesAhead(column) | BeginsWith(column):
            yield column


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a table."""

    table: str


@dataclass(frozen=True, slots=True)
class RowsWhere:
    """The rows of a table that a condition holds for."""

    table: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class RowsBy:
    """The rows of a table for each value of `column`.

    `expected` are the values FlowFuse is known to write: a source may count those without grouping, as long as any
    other value is still found. A row without a value counts under `NO_VALUE`. With `where`, only the rows that it holds
    for.
    """

    table: str
    column: str
    expected: tuple[str, ...] = ()
    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class RowsByCase:
    """The rows of a table by `cases`, all of them or those that `where` holds for."""

    table: str
    cases: Cases
    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class MostFrequent:
    """The rows of a table for each of the `most` most frequent values of `column`; the rows of all others are one.

    With `other`, `column` refers to a row of that table, and the value is its `name_column`. With `cases`, a second
    label tells the rows of each value apart.
    """

    table: str
    column: str
    other: str = ""
    name_column: str = ""
    cases: Cases | None = None
    most: int = 20


@dataclass(frozen=True, slots=True)
class AgeBucket:
    """Rows whose moment lies less than `under_seconds` (inclusive) in the past and in no earlier bucket."""

    name: str
    under_seconds: int


@dataclass(frozen=True, slots=True)
class RowsByAge:
    """The rows of a table by how long ago the moment in `column` was. Rows without one count as `never`, rows older
    than the last bucket as `older`; a moment in the future belongs to the first bucket."""

    table: str
    column: str
    buckets: tuple[AgeBucket, ...]
    never: str = "never"
    older: str = "older"


@dataclass(frozen=True, slots=True)
class Earliest:
    """The first moment in `column` that lies ahead, of all rows or those that `where` holds for: none, no sample."""

    table: str
    column: str
    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class DistinctSince:
    """How many different values `column` has in the rows of each window. The rows were written in the order of their
    keys, each with its moment in `moment_column`, which needs no index."""

    table: str
    column: str
    moment_column: str
    windows: tuple[AgeBucket, ...]


@dataclass(frozen=True, slots=True)
class TeamsOverLimit:
    """Teams that have more of something than their team type, or they themselves, are allowed."""

    table: str = field(default="teams", init=False)


@dataclass(frozen=True, slots=True)
class CertificateExpiry:
    """When the certificate of each active SAML provider expires."""

    table: str = field(default="sso_providers", init=False)


@dataclass(frozen=True, slots=True)
class CertifiedNodes:
    """The packages that FlowFuse's report of certified nodes names, and their installations."""

    table: str = field(default="snapshots", init=False)


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """Bytes of the whole database."""

    table: str = field(default="", init=False)


@dataclass(frozen=True, slots=True)
class TableSizes:
    """Bytes of each of the `most` largest tables, with their indexes."""

    most: int = 10
    table: str = field(default="", init=False)


@dataclass(frozen=True, slots=True)
class DiskFree:
    """Bytes that are free where the database is, if that is on this machine."""

    table: str = field(default="", init=False)


Question = (
    Rows
    | RowsWhere
    | RowsBy
    | RowsByCase
    | MostFrequent
    | RowsByAge
    | Earliest
    | DistinctSince
    | TeamsOverLimit
    | CertificateExpiry
    | CertifiedNodes
    | DatabaseSize
    | TableSizes
    | DiskFree
)
