"""The columns of a stored ping, derived from the contract: a new count there is a new column here. And the tables that
both databases have."""

import re
from dataclasses import dataclass

from ff_observe.catalogue.ping_contract import FIELDS, Field, Value

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


TABLES = {
    "recent": "CREATE TABLE recent (digest {hash} PRIMARY KEY, instance_id text NOT NULL, "
    "received_at {moment} NOT NULL, until {moment} NOT NULL) {by_key}",
    "fleet_day": "CREATE TABLE fleet_day (day {date} NOT NULL, field text NOT NULL, value text NOT NULL, "
    "platforms bigint NOT NULL, total bigint NOT NULL, PRIMARY KEY (day, field, value)) {by_key}",
    # `waits_since` is the day on which pruning began to wait for it.
    "fleet_due": "CREATE TABLE fleet_due (day {date} PRIMARY KEY, {marked} NOT NULL, waits_since {date})",
    # Days before `changes_from` change no more unless they are marked; pings from before `pruned_before` are deleted.
    "fleet_state": "CREATE TABLE fleet_state (id integer PRIMARY KEY CHECK (id = 1), changes_from {date} NOT NULL, "
    "pruned_before {date} NOT NULL)",
    "fleet_count": "CREATE TABLE fleet_count (id integer PRIMARY KEY CHECK (id = 1), taken_at {moment} NOT NULL, "
    "document text NOT NULL)",
    "fleet_log": "CREATE TABLE fleet_log (number integer PRIMARY KEY, day {date} NOT NULL UNIQUE, "
    "document text NOT NULL, proof text NOT NULL)",
    "fleet_rounding": "CREATE TABLE fleet_rounding (id integer PRIMARY KEY CHECK (id = 1), key {key} NOT NULL)",
    "fleet_seen": "CREATE TABLE fleet_seen (instance_id text PRIMARY KEY, day integer NOT NULL, days bigint NOT NULL, "
    "sender {hash} NOT NULL)",
    "fleet_seen_day": "CREATE TABLE fleet_seen_day (day integer PRIMARY KEY)",
    "day_copy": "CREATE TABLE day_copy (target text NOT NULL, day text NOT NULL, changes integer NOT NULL, "
    "PRIMARY KEY (target, day))",
}
"""The tables that both databases have, but for some types. A day in `fleet_seen` and `fleet_seen_day` is an ordinal."""
