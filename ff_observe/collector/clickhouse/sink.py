"""Copies the store's days that are over to ClickHouse, each exactly once, and forgets there what is forgotten here.

Its tables are made from the contract of the ping. A day is prepared in one of its own (`ping_new`) and then replaces
what `ping` had of it, in one step. The store knows which days have changed since; see `copies.py`.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, timedelta
from typing import Final

from ff_observe.catalogue.ping_contract import RollupRule
from ff_observe.collector.clickhouse.server import Server
from ff_observe.collector.settings_kinds import ClickHouse
from ff_observe.collector.store import Columns, Store, StoreError
from ff_observe.collector.store.columns import COLUMNS, Column
from ff_observe.collector.store.rollups import PINGS

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


_INSERT: Final = f"INSERT INTO ping_new ({COLUMN_NAMES}) FORMAT JSONCompactEachRow"
_MOMENT: Final = "%Y-%m-%d %H:%M:%S.%f"


class Sink:
    """The copy of one store."""

    def __init__(self, database: ClickHouse, retention: timedelta) -> None:
        self.server = Server(database)
        self._retention = retention

    def send(self, store: Store, today: date, most: int) -> date | None:
        """Copy the days that have been rolled up and have changed, the newest first, `most` of them. Returns the oldest
        that is still due, `today` if none is; None if nothing was done, as another collector does it."""
        with store.copying() as is_alone:
            if not is_alone:
                return None
            migrate(self.server, self._retention)
            due = self._due(store, today - timedelta(days=1))
            for day in due[:most]:
                self._send_day(store, day)
        return min(due[most:], default=today)

    def _due(self, store: Store, until: date) -> list[date]:
        copies = {copy.day: copy for copy in store.copies() if copy.target == self.server.name}
        since = store.kept_since()
        there = {row.day for row in store.rollups(since, until, [PINGS])}
        changed = {day for day, copy in copies.items() if copy.stale and since <= day}
        return sorted((there - copies.keys()) | changed, reverse=True)

    def _send_day(self, store: Store, day: date) -> None:
        partition = f"{day:%Y%m%d}"
        while True:
            changes = store.announce_copy(self.server.name, day)
            pings = self._prepare(store, day)
            if pings:
                self.server.run("replace a day", f"ALTER TABLE ping REPLACE PARTITION ID '{partition}' FROM ping_new")
            else:
                self.server.run("delete a day", f"ALTER TABLE ping DROP PARTITION ID '{partition}'")
            self.server.run("clear up", "DROP TABLE ping_new SYNC")
            if store.confirm_copy(self.server.name, day, changes):
                break
        if not pings:
            store.drop_copy(self.server.name, day)

    def _prepare(self, store: Store, day: date) -> int:
        """Fill `ping_new` with a day; returns how many pings it has."""
        self.server.run("clear up", "DROP TABLE IF EXISTS ping_new SYNC")
        self.server.run("prepare a day", "CREATE TABLE ping_new AS ping")
        pings = 0
        with contextlib.closing(store.read_day(day)) as portions:
            for portion in portions:
                self.server.insert("take a day", _INSERT, _converted(portion, day))
                pings += len(portion[0])
        return pings

    def forget(self, instance_id: str) -> int:
        """Delete everything of an instance; returns how many pings. Raises `StoreError` if they are not gone."""
        pings = 0
        tables = self.server.run(
            "read its tables",
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN ('ping', 'ping_new')",
        )
        for (table,) in tables:
            count = f"SELECT count() FROM {table} WHERE instance_id = {{id:String}}"  # noqa: S608 - our own names
            ((held,),) = self.server.run("forget", count, id=instance_id)
            pings = max(pings, held)
            self.server.run(
                "forget",
                f"ALTER TABLE {table} DELETE WHERE instance_id = {{id:String}} SETTINGS mutations_sync = 2",
                id=instance_id,
            )
            if self.server.run("forget", count, id=instance_id) != [[0]]:
                raise StoreError("ClickHouse could not forget: pings of the instance are still there")
        return pings


def _converted(portion: Columns, day: date) -> Iterator[Sequence[object]]:
    """The columns as `COLUMN_NAMES` has them."""
    received, _, first_seen, *values = portion
    yield [at.astimezone(UTC).strftime(_MOMENT) for at in received]
    yield [(day if seen is None else seen.astimezone(UTC).date()).isoformat() for seen in first_seen]
    yield from values
