"""The privileges that a role needs in FlowFuse's PostgreSQL: reading the columns that are read, and nothing more."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError, UsageError
from ff_observe.platform.sources.postgresql_session import Server, Session
from ff_observe.platform.sources.schema import CREATED_AT, SETTINGS, TABLES
from ff_observe.platform.sources.sql import Row, StatementError, literal, quoted

_ROLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", re.ASCII)


class Column(NamedTuple):
    """A column that exists in FlowFuse's database, and is read."""

    schema: str
    table: str
    name: str


@dataclass(frozen=True, slots=True)
class RolePrivileges:
    """What the session's role may do. `lacking` and `writable` are FlowFuse's names, sorted."""

    role: str
    superuser: bool
    lacking: tuple[str, ...]
    writable: tuple[str, ...]
    epoch_seconds: float
    pooled: bool


def read_columns() -> dict[str, tuple[str, ...]]:
    """FlowFuse's tables, and of each the columns that statements name, without those that hold secrets too."""
    found: dict[str, tuple[str, ...]] = {}
    for table in (*TABLES.values(), SETTINGS):
        names = [name for logical, name in table.columns.items() if logical not in table.private]
        names += [CREATED_AT] if table.dated else []
        found[table.name] = tuple(dict.fromkeys((table.key, *names)))
    return found


def present_columns(database: PostgreSQLDatabase) -> list[Column]:
    """Those of `read_columns` that this version of FlowFuse has. Raises `SourceError`."""
    rows, _ = _ask(database, f"SELECT {_COLUMN} {_present()} ORDER BY 1, 2, a.attnum")
    return [Column(*map(str, row)) for row in rows]


def role_privileges(database: PostgreSQLDatabase) -> RolePrivileges:
    """What the configured role may do with FlowFuse's tables. Raises `SourceError`."""
    statement = (
        "SELECT current_user::text, (SELECT rolsuper::int FROM pg_roles WHERE rolname = current_user),"
        " (extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
        f" (SELECT string_agg(c.relname || '.' || a.attname, ' ' ORDER BY 1) {_present()}"
        " AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')),"
        f" (SELECT string_agg(DISTINCT c.relname::text, ' ') {_present()}"
        " AND (has_table_privilege(c.oid, 'DELETE, TRUNCATE') OR has_any_column_privilege(c.oid, 'INSERT, UPDATE')))"
    )
    ((role, superuser, milliseconds, lacking, writable),), pooled = _ask(database, statement)
    return RolePrivileges(
        str(role), bool(superuser), _names(lacking), _names(writable), int(str(milliseconds)) / 1000, pooled
    )


def _names(text: int | str | None) -> tuple[str, ...]:
    return tuple(sorted(str(text or "").split()))


def _ask(database: PostgreSQLDatabase, statement: str) -> tuple[list[Row], bool]:
    server = Server(database, "ff-observe examination")
    connection = server.connect()
    try:
        return Session(connection, server).query(statement), server.pooled
    except StatementError as error:
        raise SourceError(f"{server.where}: {error}") from None
    finally:
        connection.close()


_COLUMN: Final = "n.nspname::text, c.relname::text, a.attname::text"


def _present() -> str:
    needed = ", ".join(
        f"({literal(table)}, {literal(name)})" for table, names in read_columns().items() for name in names
    )
    tables = ", ".join(f"to_regclass({literal(quoted(table))})" for table in read_columns())
    return (
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
        f" WHERE c.oid IN ({tables}) AND a.attnum > 0 AND NOT a.attisdropped"
        f" AND (c.relname::text, a.attname::text) IN ({needed})"
    )


def grants(role: str, columns: Iterable[Column]) -> str:
    """SQL for a superuser, or for the owner of the tables with CREATEROLE: it creates a role that may read these
    columns, and can be run again. Raises `UsageError` for anything but a plain role name."""
    by_table = [(table, [column.name for column in of]) for table, of in groupby(columns, lambda one: one[:2])]
    schemas = sorted({schema for (schema, _), _ in by_table})
    return _whole(
        role,
        [
            *(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(role)};" for schema in schemas),
            *(
                f"GRANT SELECT ({', '.join(map(quoted, names))}) ON {quoted(schema)}.{quoted(table)} TO {quoted(role)};"
                for (schema, table), names in by_table
            ),
        ],
    )


def grants_of_every_version(role: str) -> str:
    """The same without asking a database: it grants what exists when it runs. Tables that an upgrade of FlowFuse
    adds later need it again."""
    values = ",\n    ".join(
        f"({literal(table)}, {literal(name)})" for table, names in read_columns().items() for name in names
    )
    return _whole(
        role,
        [
            "DO $$ DECLARE needed record; BEGIN",
            "  FOR needed IN SELECT n.nspname, c.relname, a.attname FROM (VALUES",
            f"    {values}",
            "  ) AS reads (table_name, column_name)",
            "  JOIN pg_class c ON c.oid = to_regclass(quote_ident(table_name))",
            "  JOIN pg_namespace n ON n.oid = c.relnamespace",
            "  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = column_name AND NOT a.attisdropped",
            "  LOOP",
            f"    EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', needed.nspname, {literal(role)});",
            "    EXECUTE pg_catalog.format('GRANT SELECT (%I) ON %I.%I TO %I', needed.attname, needed.nspname,",
            f"      needed.relname, {literal(role)});",
            "  END LOOP;",
            "END $$;",
        ],
    )


def _whole(role: str, statements: list[str]) -> str:
    if not _ROLE.fullmatch(role):
        raise UsageError(f"{role!r} is no name for a role: take letters, digits, _ and -, at most 63")
    return "\n".join(
        [
            "-- What ff-observe needs of FlowFuse's database, and nothing besides. Run it in that database as a",
            "-- superuser, or as the owner of its tables if that role has CREATEROLE. Then give the role a password:",
            f"-- \\password {role}",
            "BEGIN;",
            "DO $$ BEGIN",
            f"  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(role)}) THEN",
            f"    CREATE ROLE {quoted(role)} LOGIN;",
            "  END IF;",
            f"  EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), {literal(role)});",
            "END $$;",
            f"ALTER ROLE {quoted(role)} SET default_transaction_read_only = on;",
            *statements,
            "COMMIT;",
        ]
    )
