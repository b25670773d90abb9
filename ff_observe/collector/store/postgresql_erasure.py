"""Removes deleted rows from PostgreSQL's files, and keeps stored values out of its statistics.

A deleted row stays in its page, even after VACUUM, until another happens to overwrite it. Only rewriting the table
removes it. The tables to rewrite are recorded in the transaction that deletes, so that none is forgotten if a process
ends or is held up in between.
"""

import re
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from ff_observe.collector.store.columns import NAMES
from ff_observe.collector.store.postgresql_connections import Connection, kind

STATISTICS = "pg_catalog.pg_statistic"
COLUMNS = {
    "ping": ("sender", *NAMES),
    "platform": NAMES,
    "recent": ("digest", "instance_id"),
    "fleet_day": ("value",),
    "fleet_seen": ("instance_id", "sender"),
    "collector_key": ("wrapped",),
}
"""The columns whose values must not be in statistics, by table: all but moments."""
MADE_OF_PINGS = ("fleet_count", "fleet_day", "fleet_seen", "platform")
"""The tables whose files hold earlier rows, made of pings that are deleted since."""
_KEPT = re.compile("[0-9]+")
_NOTE = "INSERT INTO collector_rewrite (name) VALUES (%s) ON CONFLICT (name) DO UPDATE SET name = excluded.name"
"""Makes a new version of a row that is there, with another `xmin`."""
_DONE = (
    "DELETE FROM collector_rewrite WHERE name = (SELECT name FROM collector_rewrite "
    "WHERE name = %s AND xmin::text = %s FOR UPDATE SKIP LOCKED)"
)
"""Waits for no lock: a row that is locked is being noted again, or deleted after another rewrite."""


def without_statistics(table: str, columns: Iterable[str]) -> str:
    """The statement that keeps samples of these columns out of `pg_statistic`, whatever runs ANALYZE."""
    return f"ALTER TABLE {table} " + ", ".join(f"ALTER COLUMN {name} SET STATISTICS 0" for name in columns)


def sampled(connection: Connection) -> dict[str, list[str]]:
    """The columns that ANALYZE samples although it must not, by table."""
    rows = connection.execute(
        "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relname = ANY(%s) "
        "AND relkind IN ('r', 'p') AND pg_table_is_visible(attrelid) AND attstattarget IS DISTINCT FROM 0",
        (list(COLUMNS),),
    ).fetchall()
    return _of_columns(rows)


def note(connection: Connection, tables: Iterable[str]) -> None:
    """Schedule tables for rewriting, by this process or another, from the next commit on.

    Call it once in a transaction, as its last statement: it locks the notes of these tables until the end. Notes are
    locked in the order of their names, and who has locked one waits for nothing but notes: so none deadlock.
    """
    for table in sorted(set(tables)):
        connection.execute(_NOTE, (table,))


def rewrite_noted(connection: Connection, attempts: int) -> list[str]:
    """Rewrite the recorded tables, over a connection for `REWRITING`. Returns those whose files still hold copies of
    deleted rows: they are in use, an open transaction can read those rows, another user owns them, or PostgreSQL failed
    to rewrite them, which is said with the table. None keeps the others from being rewritten.

    A table that is noted again meanwhile stays noted: what was deleted then may have come too late to be removed.
    """
    noted = connection.execute("SELECT name, xmin::text FROM collector_rewrite ORDER BY name").fetchall()
    left = []
    for table, version in noted:
        try:
            is_clean = any(_rewrite(connection, table) for _ in range(attempts))
        except psycopg.Error as error:
            if connection.closed:
                raise
            left.append(f"{table} after {kind(error)}")
            continue
        if is_clean:
            connection.execute(_DONE, (table, version))
        else:
            left.append(table)
    return left


def _rewrite(connection: Connection, table: str) -> bool:
    """Whether the table's files hold only live rows, or it is gone."""
    if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
        return True
    details: list[str] = []

    def listen(diagnostic: psycopg.errors.Diagnostic) -> None:
        details.append(diagnostic.message_detail or "")

    connection.add_notice_handler(listen)
    try:
        connection.execute(sql.SQL("VACUUM (FULL, VERBOSE) {}").format(sql.SQL(table)))
    except psycopg.errors.LockNotAvailable:
        return False
    finally:
        connection.remove_notice_handler(listen)
    # "N dead row versions cannot be removed yet", in any language. Without such a detail, permission was denied.
    kept = [found[0] for found in map(_KEPT.search, details) if found]
    return kept != [] and all(int(number) == 0 for number in kept)


def forget_statistics(connection: Connection) -> None:
    """Remove samples of values that ANALYZE took before it was prevented. Ends with a note: see there."""
    samples = _samples(connection)
    for table, names in samples.items():
        # Setting a column to the type it already has rewrites nothing, and drops its statistics: the only way that
        # needs no superuser.
        rows = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attname = ANY(%s)",
            (table, names),
        ).fetchall()
        changes = sql.SQL(", ").join(
            sql.SQL("ALTER COLUMN {} TYPE {}").format(sql.Identifier(str(name)), sql.SQL(str(kind)))
            for name, kind in rows
        )
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table), changes))
    if samples:
        note(connection, [STATISTICS])


def _samples(connection: Connection) -> dict[str, list[str]]:
    """The columns of which there are samples that must not be, by table."""
    rows = connection.execute(
        "SELECT DISTINCT coalesce(parent.relname, child.relname), attname FROM pg_stats "
        "JOIN pg_class AS child ON child.oid = to_regclass(format('%%I.%%I', schemaname, tablename)) "
        "LEFT JOIN pg_inherits ON inhrelid = child.oid LEFT JOIN pg_class AS parent ON parent.oid = inhparent "
        "WHERE coalesce(parent.relname, child.relname) = ANY(%s) AND pg_table_is_visible(child.oid)",
        (list(COLUMNS),),
    ).fetchall()
    return _of_columns(rows)


def _of_columns(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[str]]:
    """Those pairs of table and column that are among `COLUMNS`, by table."""
    found = {(str(table), str(column)) for table, column in rows}
    samples = {table: [name for name in columns if (table, name) in found] for table, columns in COLUMNS.items()}
    return {table: names for table, names in samples.items() if names}
