"""The PostgreSQL tables: created and extended by the collector itself, one partition of pings for each day (UTC)."""

import contextlib
import re
from collections.abc import Iterator, Set
from datetime import UTC, date, datetime, timedelta

from psycopg import sql

from ff_observe.collector.store.columns import COLUMNS, TABLES
from ff_observe.collector.store.model import StoreError
from ff_observe.collector.store.postgresql_connections import Connection
from ff_observe.collector.store.postgresql_erasure import COLUMNS as KEPT_OUT_OF_STATISTICS
from ff_observe.collector.store.postgresql_erasure import sampled, without_statistics

LOCK = 0x66665F70696E67  # "ff_ping": one collector at a time changes the schema
PARENT_FIRST = b"LOCK TABLE ONLY ping IN ACCESS SHARE MODE"
"""Begins a transaction that names a partition. What stores pings, or alters `ping`, locks it before its partitions: in
the other order the two deadlock."""
_PARTITION = re.compile("ping_([0-9]{8})")
TYPES = {str: "text", int: "bigint", bool: "boolean"}
_DEFINITIONS = {column.name: f"{column.name} {TYPES[column.field.type]}" for column in COLUMNS}
_COLUMNS = {"ping": _DEFINITIONS, "platform": _DEFINITIONS, "fleet_due": {"waits_since": "waits_since date"}}
"""Columns that a table of an earlier version may lack."""
_ALL = ", ".join(_DEFINITIONS.values())
_OBJECTS = {
    "ping": f"CREATE TABLE ping (received_at timestamptz NOT NULL, sender bytea, {_ALL}) "
    "PARTITION BY RANGE (received_at)",
    "ping_by_instance": "CREATE INDEX ping_by_instance ON ping (instance_id, received_at)",
    # Leaves room in each page, so that the daily update of a platform stays in its page and touches no index.
    "platform": f"CREATE TABLE platform (first_seen timestamptz NOT NULL, last_seen timestamptz NOT NULL, {_ALL}, "
    "PRIMARY KEY (instance_id)) WITH (fillfactor = 70)",
    "collector_rewrite": "CREATE TABLE collector_rewrite (name text PRIMARY KEY)",
    "collector_probe": "CREATE TABLE collector_probe (id integer PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL)",
    "collector_key": "CREATE TABLE collector_key (name text PRIMARY KEY, wrapped bytea NOT NULL)",
    **{
        name: statement.format(
            moment="timestamptz",
            date="date",
            key="bytea",
            hash="bytea",
            marked="erased boolean",  # where something was deleted: what the day said before goes from the files, too
            by_key="",
        )
        for name, statement in TABLES.items()
    },
}


@contextlib.contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """A transaction in which no other collector changes the schema."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        # Pings queue up behind a waiting lock request, and a backup holds the tables for hours: so give up soon and
        # retry.
        connection.execute("SET LOCAL lock_timeout = '500ms'")
        yield


def migrate(connection: Connection) -> None:
    """Create what is missing, column by column; no data is removed or changed.

    Looks first: even `IF NOT EXISTS` would make the pings of other collectors wait.
    """
    (encoding,) = connection.execute("SELECT current_setting('server_encoding')").fetchone() or ("",)
    if encoding != "UTF8":
        raise StoreError(f"the database has the encoding {encoding}; create it with ENCODING 'UTF8'")
    if not _missing(connection):
        return
    if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        raise StoreError("this replica lacks tables of this version: start a collector on the database it follows")
    with alone(connection):
        for _ in range(2):  # first the tables, then statements that need existing tables
            for statement in _missing(connection):  # another collector may have done it
                connection.execute(statement)


def open_schemas(connection: Connection) -> str:
    """The searched schemas in which every role may create, as in `public` before PostgreSQL 15: a function there that
    fits a call better than PostgreSQL's own is run instead of it, with the collector's rights (CVE-2018-1058)."""
    rows = connection.execute(
        "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY(pg_catalog.current_schemas(false)) "
        "AND pg_catalog.has_schema_privilege('public', oid, 'CREATE') ORDER BY nspname"
    )
    return ", ".join(str(name) for (name,) in rows)


def _missing(connection: Connection) -> list[bytes]:
    """The statements that are needed."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND pg_table_is_visible(oid)", (list(_OBJECTS),)
    )
    there = {str(name) for (name,) in rows}
    statements = [statement for name, statement in _OBJECTS.items() if name not in there]
    rows = connection.execute(
        "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "WHERE relname = ANY(%s) AND pg_table_is_visible(attrelid) AND NOT attisdropped",
        (list(_COLUMNS),),
    )
    columns = {(str(table), str(column)) for table, column in rows}
    statements += [
        f"ALTER TABLE {table} ADD COLUMN {definition}"
        for table in there & _COLUMNS.keys()
        for column, definition in _COLUMNS[table].items()
        if (table, column) not in columns
    ]
    statements += [without_statistics(table, columns) for table, columns in sampled(connection).items()]
    return [statement.encode("ascii") for statement in statements]


def partition(day: date) -> str:
    """The name of a day's partition."""
    return f"ping_{day:%Y%m%d}"


def partitions(connection: Connection) -> dict[date, str]:
    """The existing partitions, by day."""
    rows = connection.execute(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'ping'::regclass"
    )
    names = [str(name) for (name,) in rows]
    found = [(name, _PARTITION.fullmatch(name)) for name in names]
    return {datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).date(): name for name, match in found if match}


def add_partitions(connection: Connection, days: Set[date]) -> None:
    """Have a partition for each of the days. Attaching a partition waits for no reader, unlike creating it in place."""
    if days <= partitions(connection).keys():
        return
    with alone(connection):
        there = partitions(connection)
        for day in sorted(days - there.keys()):
            name = sql.Identifier(partition(day))
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE ping INCLUDING ALL)").format(name))
            connection.execute(without_statistics(partition(day), KEPT_OUT_OF_STATISTICS["ping"]).encode("ascii"))
            connection.execute(
                sql.SQL("ALTER TABLE ping ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    name,
                    sql.Literal(f"{day.isoformat()} 00:00:00+00"),
                    sql.Literal(f"{(day + timedelta(days=1)).isoformat()} 00:00:00+00"),
                )
            )
