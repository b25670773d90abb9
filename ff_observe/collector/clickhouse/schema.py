"""ClickHouse's tables, from the contract of the ping: `ping`, by day, and `ping_new`, where a day is prepared."""

from datetime import timedelta
from typing import Final

from ff_observe.catalogue.ping_contract import RollupRule
from ff_observe.collector.clickhouse.server import Server
from ff_observe.collector.store.columns import COLUMNS, Column

_TYPES: Final = {str: "String", int: "UInt64", bool: "Bool"}
OWN: Final = {"received_at": "DateTime64(6, 'UTC')", "first_seen": "Date"}
"""`first_seen` is of the platform; the hash of the sender's address is not there."""


def _type(column: Column) -> str:
    if column.field.required:
        return _TYPES[column.field.type]
    nullable = f"Nullable({_TYPES[column.field.type]})"
    is_from_few = column.field.type is str and column.field.rolled_up is RollupRule.BY_VALUE
    return f"LowCardinality({nullable})" if is_from_few else nullable


_DEFINITIONS: Final = {
    name: f"{name} {kind} CODEC(ZSTD)" for name, kind in (OWN | {each.name: _type(each) for each in COLUMNS}).items()
}
COLUMN_NAMES: Final = ", ".join(_DEFINITIONS)

_ENGINE: Final = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'ping'"
_COLUMNS: Final = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'ping'"


def migrate(server: Server, retention: timedelta) -> None:
    """Create or extend `ping`. The server deletes what is older than `retention` by itself."""
    kept = f"TTL toDate(received_at) + toIntervalDay({retention.days})"
    server.run(
        "create its table",
        f"CREATE TABLE IF NOT EXISTS ping ({', '.join(_DEFINITIONS.values())}) ENGINE = MergeTree "
        f"PARTITION BY toYYYYMMDD(received_at) ORDER BY (instance_id, received_at) {kept} "
        # What a mutation or a day's replacement leaves behind stays on the disk for a minute, instead of eight.
        "SETTINGS old_parts_lifetime = 60, ttl_only_drop_parts = 1",
    )
    ((engine,),) = server.run("read its tables", _ENGINE)
    if kept not in engine:
        server.run("change the retention", f"ALTER TABLE ping MODIFY {kept}")
    names = server.run("read its columns", _COLUMNS)
    for name in _DEFINITIONS.keys() - {name for (name,) in names}:
        server.run("add a column", f"ALTER TABLE ping ADD COLUMN IF NOT EXISTS {_DEFINITIONS[name]}")
