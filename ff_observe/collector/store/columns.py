"""The columns of a stored ping, derived from the contract: a new count there is a new column here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ff_observe.ping_contract import FIELDS, Field, Value

_CAPITAL = re.compile("(?<=[a-z0-9])([A-Z])")
_LEGAL = re.compile("[a-z][a-z0-9_]{0,62}")  # PostgreSQL truncates names to 63 bytes


@dataclass(frozen=True, slots=True)
class Column:
    """One column; NULL always means that the sender left the field out."""

    name: str
    field: Field


def column_name(path: tuple[str, ...]) -> str:
    """`platform.counts.projectsByState.suspended` is `platform_counts_projects_by_state_suspended`."""
    name = _CAPITAL.sub(r"_\1", "_".join(path)).lower()
    if not _LEGAL.fullmatch(name):
        raise ValueError(f"{'.'.join(path)} makes no legal column name")
    return name


COLUMNS: tuple[Column, ...] = tuple(Column(column_name(field.path), field) for field in FIELDS)
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)


def restored(column: Column, value: object) -> Value | None:
    """Convert a database value to the contract's type: SQLite has no booleans."""
    if value is None:
        return None
    if column.field.type is bool:
        return bool(value)
    assert isinstance(value, str | int)
    return value


def restored_row(values: Sequence[object]) -> tuple[Value | None, ...]:
    """The values of a ping, from a row of its columns."""
    return tuple(restored(column, value) for column, value in zip(COLUMNS, values, strict=True))
