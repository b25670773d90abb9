"""Sessions with FlowFuse's PostgreSQL: opening them (TLS, poolers), and statements with a time limit."""

import contextlib
import itertools
import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ff_observe.config.secret import MASK
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.platform.sources.counting import TooSlowError
from ff_observe.platform.sources.postgresql_tls import explain_refusal, tls_options
from ff_observe.platform.sources.sql import (
    CUT_OFF,
    MAX_ROWS,
    Row,
    StatementError,
    StatementTooSlowError,
    literal,
    moments,
    quoted,
    table_names,
)

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 8
LOCK_SECONDS = 1
MAX_ANSWER_BYTES = 16 * 2**20
"""For one statement. Longer texts are cut by the statement: this is for servers that ignore it."""
READ_LIMIT_SECONDS = STATEMENT_SECONDS + 2.0
"""For a server that ignores its own limits: it, or the network, hangs."""

_REPORTS_READ_ONLY = 140_000
"""The first version of PostgreSQL that says with each session whether it only reads."""

_INTEGERS = frozenset({20, 21, 23})  # type numbers of int8, int2, int4 (pg_type.dat)
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_CONNECTION_ENDS = frozenset({"08", "57"})  # SQLSTATE classes: connection exception, operator intervention

# JIT compilation of this statement costs more than it saves.
_PARAMETERS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "jit": "off",
    "standard_conforming_strings": "on",
    "client_min_messages": "error",
}

# The session is read-only, whatever the role may do.
_OPTIONS = " ".join(
    f"-c {name}={value}" for name, value in {"default_transaction_read_only": "on", **_PARAMETERS}.items()
)

# A pooler (PgBouncer, RDS Proxy) refuses or ignores options, and shares its sessions with FlowFuse: a setting made in
# one would stay for the next client. In front of a statement, in the same message, settings hold for that message
# alone: the server runs it as one transaction that it ends by itself, whatever happens (PostgreSQL, "Protocol flow",
# multiple statements in a simple query).
POOLED_PREFIX = "SET TRANSACTION READ ONLY; " + "".join(
    f"SET LOCAL {name} = '{value}'; " for name, value in _PARAMETERS.items()
)

# A function or operator on the search path that fits a call better than PostgreSQL's own is run instead of it, with our
# rights, and before PostgreSQL 15 every role may create some in `public` (CVE-2018-1058). Only PostgreSQL's own are
# searched, once it is known in which schema of the role's own path FlowFuse's tables are.
_OWN_PATH = "pg_catalog, pg_temp"
_SEARCH_OWN = f"SET LOCAL search_path = {_OWN_PATH}; "
_OF_TABLE = re.compile(rf"""('?)("(?:{"|".join(table_names())})")""")
_SCHEMA = (
    "SELECT COALESCE((SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
    " ON n.oid OPERATOR(pg_catalog.=) c.relnamespace WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY["
    + ", ".join(f"pg_catalog.to_regclass({literal(quoted(name))})" for name in table_names())
    + "]) GROUP BY n.nspname ORDER BY pg_catalog.count(*) DESC, n.nspname LIMIT 1), pg_catalog.current_schema())"
)

_READ_ONLY = "pg_catalog.current_setting('default_transaction_read_only')::bool"
_REFUSED_OPTIONS = re.compile(r"(?i)startup parameter|command-line options")


class Server:
    """The server that `db` in flowforge.yml names. `pooled` is determined with the first session, `schema`, that of
    FlowFuse's tables, with each."""

    def __init__(self, database: PostgreSQLDatabase, application: str = "ff-observe") -> None:
        """`application` is the name of its sessions in `pg_stat_activity`."""
        self._database = database
        self._application = application
        self.where = f"PostgreSQL database {database.host}:{database.port}/{database.database}"
        self.pooled = False
        self.schema: str | None = None

    def connect(self) -> "psycopg.Connection[Row]":
        """A new session, in autocommit. Raises `ConnectionLostError`."""
        import psycopg  # costs 25 MiB: only if the platform uses PostgreSQL

        try:
            connection = self._open_either_way()
        except (psycopg.Error, OSError, UnicodeError) as error:  # the last: no host name at all, such as `a..b`
            message = f"cannot connect to {self.where}: {self._why(error)}; check `db` in flowforge.yml"
            raise ConnectionLostError(message) from None
        # Some poolers silently ignore options. PostgreSQL reports this one from version 14 on.
        said = connection.info.parameter_status("default_transaction_read_only")
        if said != "on" and connection.info.server_version >= _REPORTS_READ_ONLY:
            self.pooled = True
        try:
            self.schema = self._settle(connection)
        except (SourceError, StatementError) as error:
            connection.close()
            raise ConnectionLostError(f"cannot begin a session with {self.where}: {error}") from None
        return connection

    def _settle(self, connection: "psycopg.Connection[Row]") -> str:
        """Find the schema of FlowFuse's tables, and have the session search none but PostgreSQL's own from then on."""
        self.schema = None
        asked = _SCHEMA
        if not self.pooled:  # a pooler answers for itself, and would hand the setting on to FlowFuse
            here = f"pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {connection.info.backend_pid} AND {_READ_ONLY}"
            asked += f"; SELECT CASE WHEN {here} THEN pg_catalog.set_config('search_path', '{_OWN_PATH}', false) END"
        (schema,), *settled = Session(connection, self, seconds=CONNECT_SECONDS).query(asked) or [(None,)]
        if settled == [(None,)]:
            self.pooled = True
        return str(schema or "public")

    def _open_either_way(self) -> "psycopg.Connection[Row]":
        import psycopg

        if not self.pooled:
            try:
                return self._open(_OPTIONS)
            except psycopg.OperationalError as error:
                if not _REFUSED_OPTIONS.search(str(error)):
                    raise
            self.pooled = True
        return self._open("")

    def _why(self, error: Exception) -> str:
        text, reason = str(error), self.one_line(error)  # a password may be one of these words
        if "certificate verify failed" in text:  # libpq says no more than this
            return explain_refusal(self._database, CONNECT_SECONDS) or reason
        if "does not match host name" in text:
            return f"{reason}: use a name it holds, or have it issued for this one"
        if "cleartext password" in text:
            return (
                "the server asks for the password in clear text, and does not get it without proving itself: name its "
                "authority in telemetry.database.ca_file instead of accept_any_certificate"
            )
        return reason

    def _open(self, options: str) -> "psycopg.Connection[Row]":
        import psycopg

        database = self._database
        with tls_options(database) as tls:
            return psycopg.connect(
                **tls,
                host=database.host,
                hostaddr="",  # PGHOSTADDR would send the password to another host, one that `egress` does not list
                port=database.port,
                user=database.user,
                password=database.password.reveal() if database.password else None,
                dbname=database.database,
                connect_timeout=CONNECT_SECONDS,
                application_name=self._application,
                client_encoding="UTF8",
                options=options,  # an empty value is not sent, whatever PGOPTIONS says
                autocommit=True,
                prepare_threshold=None,
                keepalives_idle=30,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=10_000,
            )

    def too_slow(self, seconds: float) -> TooSlowError:
        return TooSlowError(f"{self.where} needed more than {seconds:g} s; is it overloaded?")

    def one_line(self, error: object) -> str:
        """An error or its message without line breaks, and without the password if it occurs."""
        text, password = str(error), self._database.password
        if password is not None and password.reveal():  # first: it may hold line breaks itself
            text = text.replace(password.reveal(), MASK)
        return " ".join(text.split())


def cut(connection: "psycopg.Connection[Any]") -> None:
    """End another thread's session by shutting its socket down, which neither library nor server can delay."""
    import psycopg

    closed_in_this_moment = contextlib.suppress(OSError, psycopg.Error)
    with closed_in_this_moment, socket.socket(fileno=os.dup(connection.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)


class ConnectionLostError(SourceError):
    """The connection is no longer usable. `given_up` if we ended it."""

    def __init__(self, message: str, *, given_up: bool = False) -> None:
        self.given_up = given_up
        super().__init__(message)


class Repeated:
    """The statement that one connection is asked again and again. The server prepares it when it comes for the second
    time in a row: to parse and plan it anew takes longer than to count the rows of a small platform."""

    def __init__(self) -> None:
        self._last = ""
        self._is_refused = False
        self.prepared = b""
        """The name of what the server holds."""

    def comes_again(self, sql: str) -> bool:
        """Whether to run it as a prepared statement."""
        again = sql == self._last and not self._is_refused
        self._last = sql
        return again

    def refuse(self) -> None:
        """This server, or a pooler before it, answers statements only as text."""
        self._is_refused = True


class Session:
    """Runs statements through libpq itself: psycopg's cursors have no client-side time limit.

    Used for one reading: all its statements share one time limit.
    """

    def __init__(
        self,
        connection: "psycopg.Connection[Row]",
        server: Server,
        repeated: Repeated | None = None,
        seconds: float | None = None,
    ) -> None:
        """With `repeated`, that of the connection, statements with moments are prepared; none is that settings for a
        pooler stand in front of."""
        self._prefix = POOLED_PREFIX if server.pooled else ""
        if server.pooled and server.schema is not None:
            self._prefix += _SEARCH_OWN
        self._repeated = repeated if not server.pooled else None
        self._libpq = connection.pgconn
        self._server = server
        self._until = time.monotonic() + (seconds or READ_LIMIT_SECONDS)

    def query(self, sql: str, at: datetime | None = None, limit_seconds: float | None = None) -> list[Row]:
        if self._server.schema is not None:
            sql = _in_schema(sql, self._server.schema)
        repeated = self._repeated
        if repeated is None or at is None or limit_seconds is not None or not repeated.comes_again(sql):
            return self._query_text(sql, at, limit_seconds)
        try:
            return self._query_prepared(repeated, sql, at)
        except StatementError:
            rows = self._query_text(sql, at)  # where that fails too it says better why
            repeated.refuse()
            return rows

    def _query_text(self, sql: str, at: datetime | None, limit_seconds: float | None = None) -> list[Row]:
        # In the same message, hence for this statement alone (see `POOLED_PREFIX`).
        limit = f"SET LOCAL statement_timeout = {limit_seconds * 1000:.0f}; " if limit_seconds is not None else ""
        if at is not None:
            present = moments(sql, at)
            sql = CUT_OFF.sub(lambda found: literal(present[found[0][1:]]), sql)
        text = self._prefix + limit + sql
        return self._ask(lambda: self._libpq.send_query(text.encode()), limit_seconds=limit_seconds)

    def _query_prepared(self, repeated: Repeated, sql: str, at: datetime) -> list[Row]:
        name = _name(sql)
        if name != repeated.prepared:
            if repeated.prepared:
                self._ask(lambda: self._libpq.send_query(b"DEALLOCATE " + repeated.prepared), has_rows=False)
                repeated.prepared = b""
            numbers = itertools.count(1)  # one for each place: its type is what it is compared with
            text = CUT_OFF.sub(lambda _: f"${next(numbers)}", sql).encode()
            self._ask(lambda: self._libpq.send_prepare(name, text), has_rows=False)
            repeated.prepared = name
        present = moments(sql, at)
        values = [present[found[0][1:]].encode() for found in CUT_OFF.finditer(sql)]
        return self._ask(lambda: self._libpq.send_query_prepared(name, values))

    def _ask(self, send: Callable[[], None], *, has_rows: bool = True, limit_seconds: float | None = None) -> list[Row]:
        import psycopg
        from psycopg import pq

        rows: list[Row] = []
        length = 0
        last = failed = None
        try:
            send()
            if has_rows:  # otherwise libpq keeps an endless answer in memory before it returns any of it
                self._libpq.set_single_row_mode()
            for last in self._results():
                if last.status == pq.ExecStatus.SINGLE_TUPLE:
                    rows.append(_row(last))
                    length += sum(len(value) for value in rows[-1] if isinstance(value, str))
                elif last.status == pq.ExecStatus.FATAL_ERROR:
                    failed = failed or last
                if len(rows) > MAX_ROWS:
                    raise self._too_much(f"{MAX_ROWS} rows")
                if length > MAX_ANSWER_BYTES:
                    raise self._too_much(f"{MAX_ANSWER_BYTES // 2**20} MiB")
        except (psycopg.Error, OSError) as error:
            raise self._lost(error) from None
        done = pq.ExecStatus.TUPLES_OK if has_rows else pq.ExecStatus.COMMAND_OK
        if failed is None and last is not None and last.status == done:
            return rows
        refused = psycopg.errors.error_from_result(failed) if failed else psycopg.OperationalError("no answer")
        if isinstance(refused, psycopg.errors.QueryCanceled):
            if limit_seconds is not None:
                raise StatementTooSlowError(limit_seconds)
            raise self._server.too_slow(STATEMENT_SECONDS)
        if self._libpq.status != pq.ConnStatus.OK or (refused.sqlstate or "08")[:2] in _CONNECTION_ENDS:
            raise self._lost(refused)
        # Without detail and context, where PostgreSQL quotes rows.
        raise StatementError(self._server.one_line(refused.diag.message_primary or refused))

    def _results(self) -> "Iterator[psycopg.pq.abc.PGresult]":
        poll = select.poll()
        poll.register(self._libpq.socket, select.POLLIN | select.POLLOUT)
        while self._libpq.flush():  # the statement is longer than the buffers on the way
            self._wait(poll)
            self._libpq.consume_input()
        poll.modify(self._libpq.socket, select.POLLIN)
        while True:
            while self._libpq.is_busy():
                self._wait(poll)
                self._libpq.consume_input()
            result = self._libpq.get_result()
            if result is None:
                return
            yield result

    def _wait(self, poll: select.poll) -> None:
        left = self._until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            message = f"did not answer within {READ_LIMIT_SECONDS:.0f} s; is it overloaded or unreachable?"
            raise ConnectionLostError(f"{self._server.where} {message}", given_up=True)

    def _too_much(self, limit: str) -> ConnectionLostError:
        message = f"{self._server.where} answered with more than {limit}; is it a database of FlowFuse's?"
        return ConnectionLostError(message, given_up=True)

    def _lost(self, error: Exception) -> ConnectionLostError:
        return ConnectionLostError(f"{self._server.where}: {self._server.one_line(error)}")


@lru_cache(64)
def _in_schema(sql: str, schema: str) -> str:
    """A statement with the schema before each name of a table, in the text of a string too."""
    within = literal(quoted(schema))[1:-1]
    return _OF_TABLE.sub(lambda found: f"{found[1]}{within if found[1] else quoted(schema)}.{found[2]}", sql)


def _name(sql: str) -> bytes:
    """That of a prepared statement. Behind a pooler that is not known for one, another client's of the same name might
    be run: it is the same statement."""
    return b"ff_observe_" + blake2b(sql.encode(), digest_size=8).hexdigest().encode()


def _row(result: "psycopg.pq.abc.PGresult") -> Row:
    """The one row of a result in single-row mode."""
    return tuple(_value(result.get_value(0, place), result.ftype(place)) for place in range(result.nfields))


def _value(value: bytes | None, type_number: int) -> int | str | None:
    if value is None:
        return None
    text = value.decode("utf-8", "replace")
    # A value that claims to be an integer and is none stays text, which is an error where a number is needed.
    return int(text) if type_number in _INTEGERS and _INTEGER.fullmatch(text) else text
