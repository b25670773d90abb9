"""The PostgreSQL tables: created and extended by the collector itself, one partition of pings for each day (UTC)."""

import contextlib
from collections.abc import Iterator, Set
from datetime import UTC, date, datetime, timedelta

from psycopg import sql

from ff_observe.collector.store import postgresql_keys, postgresql_rollups, statements
from ff_observe.collector.store.columns import COLUMNS
from ff_observe.collector.store.model import StoreError
from ff_observe.collector.store.postgresql_connections import Connection
from ff_observe.collector.store.postgresql_erasure import COLUMNS as KEPT_OUT_OF_STATISTICS
from ff_observe.collector.store.postgresql_erasure import MADE_OF_PINGS, note, sampled, without_statistics
from ff_observe.collector.store.postgresql_partitions import PARENT_FIRST, partition, partitions
from ff_observe.collector.store.present import EARLIEST, LATEST, WITNESSES
from ff_observe.collector.store.rollups import Pruning
from ff_observe.collector.store.statements import has_pings

LOCK = 0x66665F70696E67  # "ff_ping": one collector at a time changes the schema
TYPES = {str: "text", int: "bigint", bool: "boolean"}
_DEFINITIONS = {column.name: f"{column.name} {TYPES[column.field.type]}" for column in COLUMNS}
_COLUMNS = {"ping": _DEFINITIONS, "platform": _DEFINITIONS, "fleet_due": postgresql_rollups.ADDED}
"""Columns that a table of an earlier version may lack."""
_ALL = ", ".join(_DEFINITIONS.values())
_OBJECTS = {
    "ping": f"CREATE TABLE ping (received_at timestamptz NOT NULL, sender bytea, {_ALL}) "
    "PARTITION BY RANGE (received_at)",
    "ping_by_instance": "CREATE INDEX ping_by_instance ON ping (instance_id, received_at)",
    # Leaves room in each page, so that the daily update of a platform stays in its page and touches no index.
    "platform": f"CREATE TABLE platform (first_seen timestamptz NOT NULL, last_seen timestamptz NOT NULL, {_ALL}, "
    "PRIMARY KEY (instance_id)) WITH (fillfactor = 70)",
    "recent": "CREATE TABLE recent (digest bytea PRIMARY KEY, instance_id text NOT NULL, "
    "received_at timestamptz NOT NULL, until timestamptz NOT NULL)",
    "collector_rewrite": "CREATE TABLE collector_rewrite (name text PRIMARY KEY)",
    "collector_probe": "CREATE TABLE collector_probe (id integer PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL)",
    **postgresql_rollups.TABLES,
    **postgresql_keys.TABLES,
    **{
        name: statement.format(moment="timestamptz", date="date", key="bytea", sender="bytea")
        for name, statement in statements.TABLES.items()
    },
}


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[None]:
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
    with _alone(connection):
        for _ in range(2):  # first the tables, then statements that need existing tables
            for statement in _missing(connection):  # another collector may have done it
                connection.execute(statement)


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


def add_partitions(connection: Connection, days: Set[date]) -> None:
    """Have a partition for each of the days. Attaching a partition waits for no reader, unlike creating it in place."""
    if days <= partitions(connection).keys():
        return
    with _alone(connection):
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


def newest_days(connection: Connection) -> list[date]:
    """The newest days that have pings; a date from a clock far off is no witness."""
    days: list[date] = []
    run = postgresql_rollups.run_by(connection)
    for day in sorted(partitions(connection), reverse=True):
        if EARLIEST.date() < day < LATEST.date() and has_pings(run, day):
            days.append(day)
        if len(days) == WITNESSES:
            break
    return days


def days_before(connection: Connection, before: datetime) -> list[date]:
    """The days that ended before then and have pings, oldest first. Those on the first day of all still wait for their
    dates."""
    end, run = before.astimezone(UTC).date(), postgresql_rollups.run_by(connection)
    old = [day for day in sorted(partitions(connection)) if EARLIEST.date() < day < end]
    return [day for day in old if has_pings(run, day)]


def drop(connection: Connection, day: date, pruning: Pruning) -> tuple[int, list[date]]:
    """Drop the partition of a day, if nothing waits for it, and no other collector has. Returns how many pings it held,
    and the days that are lost with it."""
    table = sql.Identifier(partition(day))
    with _alone(connection):
        if day not in partitions(connection):
            return 0, []
        connection.execute(PARENT_FIRST)
        (held,) = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone() or (0,)
        # As `DROP TABLE` does. What deletes or changes pings marks their days before it lets go of the table.
        connection.execute("LOCK TABLE ONLY ping IN ACCESS EXCLUSIVE MODE")
        if day >= pruning.end(statements.awaited(postgresql_rollups.run_by(connection), pruning)).date():
            return 0, []
        connection.execute(sql.SQL("DROP TABLE {}").format(table))
        lost = postgresql_rollups.seal(connection, day + timedelta(days=1))
        note(connection, MADE_OF_PINGS)
    return int(held), lost


def drop_empty(connection: Connection, kept: Set[date]) -> None:
    """Drop the partitions without pings, except for those of `kept`: days without a ping, and days that a wrong clock
    created."""
    run = postgresql_rollups.run_by(connection)
    for day in partitions(connection).keys() - kept:
        if has_pings(run, day):
            continue
        with _alone(connection):
            if day not in partitions(connection):
                continue
            table = sql.Identifier(partition(day))
            # As `DROP TABLE` does, the parent first (see `PARENT_FIRST`).
            connection.execute(sql.SQL("LOCK TABLE ONLY ping, {} IN ACCESS EXCLUSIVE MODE").format(table))
            if not has_pings(run, day):  # and none has arrived meanwhile
                connection.execute(sql.SQL("DROP TABLE {}").format(table))
