"""Reads FlowFuse's PostgreSQL database, in a session that cannot write and never stays in a transaction."""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from ff_observe.catalogue import COUNTS, Count
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.platform.sources.counting import SELECT_SECONDS, Counting, TooSlowError
from ff_observe.platform.sources.model import Answer
from ff_observe.platform.sources.postgresql_session import ConnectionLostError, Repeated, Server, Session, cut
from ff_observe.platform.sources.schema import SETTINGS
from ff_observe.platform.sources.sql import Dialect, Row, StatementTooSlowError, literal, quoted, table_names

if TYPE_CHECKING:
    import psycopg

CLOSE_SECONDS = 2.0

T = TypeVar("T")


def _regclass(table: str) -> str:
    """The table as the session's search path resolves it; NULL if it does not exist."""
    return f"to_regclass({literal(quoted(table))})"


def _regclasses(tables: Iterable[str]) -> str:
    return ", ".join(map(_regclass, tables))


def _is_flowfuses_own(owner: str) -> str:
    """Whether the owner of a table may act as the one of the platform's settings, as who migrates FlowFuse can."""
    owned = f"SELECT relowner FROM pg_class WHERE oid = {_regclass(SETTINGS.name)}"
    return f"coalesce(pg_has_role({owner}, ({owned}), 'MEMBER'), TRUE)"


def _missing_that_is_there(missing: Sequence[tuple[str, str | None]]) -> str:
    """Which of the missing tables and columns exist by now, as text: empty as long as none does."""
    found = [
        f"(SELECT attname FROM pg_attribute WHERE attrelid = {_regclass(table)} AND attname = {literal(name)}"
        " AND has_column_privilege(attrelid, attnum, 'SELECT'))"
        if name is not None
        else _regclass(table)
        for table, name in missing
    ]
    return f"concat_ws(' ', {', '.join(found)})" if found else "''"


def _writers(table: str) -> str:
    """The transactions that hold a lock to write to the table. An insert takes that lock before its row gets an id, and
    releases it after its commit is visible (PostgreSQL, "Explicit locking", row exclusive). A standby does not know of
    them."""
    modes = "'RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'"
    held = (
        f"SELECT coalesce(string_agg(DISTINCT l.virtualtransaction, ' '), '') FROM pg_locks l"
        f" WHERE l.locktype = 'relation' AND l.granted AND l.relation = {_regclass(table)} AND l.mode IN ({modes})"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return f"CASE WHEN pg_is_in_recovery() THEN NULL ELSE ({held}) END"


_QUESTION_MARK = r"\\u003f"  # as a replacement of `regexp_replace`
_NOT_TEXT = r"\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})"
"""Escapes that JSON allows and PostgreSQL refuses, with everything around them: tenants can write them into settings.
JavaScript escapes half of a surrogate pair, and never a whole one. A question mark is known in every encoding. The same
letters after an escaped backslash are replaced too, which keeps the JSON valid."""


def _dialect(is_json: str) -> Dialect:
    """`is_json` follows a text and tests, as far as the server can, whether it is JSON: what is none holds nothing."""

    def json(column: str, path: tuple[str, ...], operator: str = "#>") -> str:
        text = f"CAST({column} AS text)"
        mended = f"regexp_replace({text}, '{_NOT_TEXT}', '{_QUESTION_MARK}', 'g')"
        text = f"CASE WHEN strpos({text}, '\\u') > 0 THEN {mended} ELSE {text} END"  # few hold any: that takes no time
        return f"(CASE WHEN ({text}) {is_json} THEN {text} END)::json {operator} '{{{','.join(path)}}}'"

    def json_text(column: str, path: tuple[str, ...]) -> str:
        return f"({json(column, path, '#>>')})"

    def json_integer(column: str, path: tuple[str, ...]) -> str:
        text = json_text(column, path)
        return f"CASE WHEN {text} ~ '^-?[0-9]{{1,18}}$' THEN CAST({text} AS bigint) END"

    def of_type(kind: str, column: str, path: tuple[str, ...], otherwise: str) -> str:
        found = json(column, path)
        return f"CASE WHEN json_typeof({found}) = '{kind}' THEN {found} ELSE '{otherwise}' END"

    return Dialect(
        system="postgresql",
        # A column that the role must not read is left out, as one that this FlowFuse lacks; a table of which it must
        # read none is asked, and fails with PostgreSQL's own words. One whose owner is a stranger to FlowFuse is none:
        # its policies for rows, and the expressions of its indexes, would be run with our rights.
        columns=lambda tables: (
            "SELECT c.relname, a.attname, '' FROM pg_class c LEFT JOIN pg_attribute a"
            " ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')"
            f" AND {_is_flowfuses_own('c.relowner')}"
            " AND (has_column_privilege(c.oid, a.attnum, 'SELECT') OR NOT has_any_column_privilege(c.oid, 'SELECT'))"
            f" WHERE c.oid IN ({_regclasses(tables)})"
        ),
        schema_stamp=_missing_that_is_there,
        data_stamp="NULL",
        moment=lambda column: column,
        milliseconds=lambda column: f"CAST(round(extract(epoch FROM {column}) * 1000) AS bigint)",
        writers=_writers,
        epoch=lambda expression: f"CAST(floor(extract(epoch FROM {expression})) AS bigint)",
        json_text=json_text,
        json_integer=json_integer,
        json_elements=lambda column, path: f"json_array_elements({of_type('array', column, path, '[]')})",
        json_keys=lambda column, path: f"json_each({of_type('object', column, path, '{}')})",
        database_size="SELECT pg_database_size(current_database())",
        table_sizes=(
            "SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c"
            " WHERE c.relkind IN ('r', 'p', 'm') AND c.relnamespace IN"
            f" (SELECT relnamespace FROM pg_class WHERE oid IN ({_regclasses(table_names())}))"
        ),
    )


DIALECT = _dialect("<> ''")
_DIALECT_OF_16 = _dialect("IS JSON")
"""From PostgreSQL 16 on. Earlier ones refuse a question for a text that is no JSON, which FlowFuse does not write."""


class PostgreSQLSource:
    """Reads the database that `db` in flowforge.yml names. Connects on the first read, and again after a failure."""

    def __init__(self, database: PostgreSQLDatabase, counts: Sequence[Count] = COUNTS) -> None:
        self._server = Server(database)
        self.dialect = DIALECT
        self._counting = Counting(counts, DIALECT, self._server.where)
        self._connection: psycopg.Connection[Row] | None = None
        self._repeated = Repeated()
        self._reading = threading.Lock()
        self._closing = threading.Event()

    def read(self, at: datetime) -> Answer:
        return self._ask(lambda connection: self._count(connection, at))

    def _count(self, connection: "psycopg.Connection[Row]", at: datetime) -> Answer:
        def session() -> Session:
            return Session(connection, self._server, repeated=self._repeated)

        try:
            answer = self._counting.read(session(), at)
        except TooSlowError:
            if not self._counting.ask_for_less(at):
                raise
            answer = self._counting.read(session(), at)
        return self._counting.read_due(session(), at, answer)

    def select(self, sql: str) -> list[Row]:
        try:
            return self._ask(lambda connection: Session(connection, self._server).query(sql, None, SELECT_SECONDS))
        except StatementTooSlowError:
            raise self._server.too_slow(SELECT_SECONDS) from None

    def _ask(self, ask: "Callable[[psycopg.Connection[Row]], T]") -> "T":
        with self._reading:
            self._closing.clear()
            is_new = self._connection is None
            try:
                return ask(self._connected())
            except ConnectionLostError as error:
                self._disconnect()
                if is_new or error.given_up or self._closing.is_set():
                    raise
            except TooSlowError:
                raise
            except SourceError:
                self._disconnect()  # the next session looks anew where FlowFuse's tables are
                raise
            # An idle connection may have been cut at any time (restart, failover, firewall): that alone is no failure.
            try:
                return ask(self._connected())
            except SourceError:
                self._disconnect()
                raise

    def close(self) -> None:
        self._closing.set()
        if (connection := self._connection) is not None:
            cut(connection)
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            try:
                self._disconnect()
            finally:
                self._reading.release()

    def _connected(self) -> "psycopg.Connection[Row]":
        if self._connection is None:
            self._counting.forget()
            self._connection = self._server.connect()
            self.dialect = _DIALECT_OF_16 if self._connection.info.server_version >= 160000 else DIALECT
            self._counting.use(self.dialect)
            self._repeated = Repeated()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._counting.forget()
        if connection is not None:
            connection.close()
