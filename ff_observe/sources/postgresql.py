"""FlowFuse's PostgreSQL database, read in a session that cannot write and never stays in a transaction."""

import contextlib
import os
import socket
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ff_observe.catalogue import COUNTS, Count
from ff_observe.config.secret import MASK
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.sources.counting import Counting, StatementError
from ff_observe.sources.limit import limited
from ff_observe.sources.model import Answer
from ff_observe.sources.sql import Dialect, Row, literal, quoted

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 8
LOCK_SECONDS = 1
READ_LIMIT_SECONDS = STATEMENT_SECONDS + 2.0
"""For a server that does not keep its own limits: it, or the way to it, hangs."""
CLOSE_SECONDS = 2.0

# JIT compilation of this statement costs more than it saves; the session reads only, whatever the role may do.
_OPTIONS = (
    "-c default_transaction_read_only=on"
    f" -c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout={LOCK_SECONDS}s"
    " -c jit=off -c standard_conforming_strings=on -c client_min_messages=error"
)


def _regclass(table: str) -> str:
    """The table as the session's search path finds it; NULL if it does not."""
    return f"to_regclass({literal(quoted(table))})"


def _schema_stamp(tables: Sequence[str]) -> str:
    """Which of the tables there are, and how many columns each ever had."""
    return (
        "(SELECT string_agg(c.oid || ':' || c.relnatts, ' ' ORDER BY c.oid) FROM pg_class c"
        f" WHERE c.oid IN ({', '.join(_regclass(table) for table in tables)}))"
    )


DIALECT = Dialect(
    stamp=lambda tables: (_schema_stamp(tables), "NULL"),
    columns=lambda tables: (
        f"SELECT c.relname, a.attname, {_schema_stamp(tables)} FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        f" WHERE c.oid IN ({', '.join(_regclass(table) for table in tables)})"
    ),
)


class PostgreSQLSource:
    """Reads the database that `db` in flowforge.yml names. Connects when first asked, and again after a failure."""

    def __init__(self, database: PostgreSQLDatabase, counts: Sequence[Count] = COUNTS) -> None:
        self._database = database
        self._where = f"PostgreSQL database {database.host}:{database.port}/{database.database}"
        self._counting = Counting(counts, DIALECT, self._where)
        self._connection: psycopg.Connection[Row] | None = None
        self._reading = threading.Lock()

    def read(self, at: datetime) -> Answer:
        """See `Source.read`."""
        with self._reading:
            is_new = self._connection is None
            try:
                return self._read(at)
            except _ConnectionLostError as error:
                self._disconnect()
                if is_new or error.given_up:
                    raise
            # A connection that was idle may have been cut at any time (restart, failover, firewall): not yet a failure.
            try:
                return self._read(at)
            except SourceError:
                self._disconnect()
                raise

    def close(self) -> None:
        """See `Source.close`."""
        self._abort()
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            try:
                self._disconnect()
            finally:
                self._reading.release()

    def _read(self, at: datetime) -> Answer:
        connection = self._connection or self._connect()
        self._connection = connection
        with limited(READ_LIMIT_SECONDS, self._abort) as expired:
            try:
                return self._counting.read(_Session(connection, self), at)
            except _ConnectionLostError:
                if not expired.is_set():
                    raise
        message = f"{self._where} did not answer within {READ_LIMIT_SECONDS:.0f} s; is it overloaded or unreachable?"
        raise _ConnectionLostError(message, given_up=True)

    def _connect(self) -> "psycopg.Connection[Row]":
        import psycopg  # costs 25 MiB: only where the platform uses PostgreSQL
        from psycopg.rows import tuple_row

        database = self._database
        self._counting.forget()
        try:
            return psycopg.connect(
                host=database.host,
                port=database.port,
                user=database.user,
                password=database.password.reveal() if database.password else None,
                dbname=database.database,
                sslmode="require" if database.ssl else None,
                connect_timeout=CONNECT_SECONDS,
                application_name="ff-observe",
                options=_OPTIONS,
                autocommit=True,
                prepare_threshold=None,
                row_factory=tuple_row,
                keepalives_idle=30,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=10_000,
            )
        except (psycopg.Error, OSError) as error:
            message = f"cannot connect to {self._where}: {self.one_line(error)}; check `db` in flowforge.yml"
            raise _ConnectionLostError(message) from None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._counting.forget()
        if connection is not None:
            connection.close()

    def _abort(self) -> None:
        """End a read in another thread by shutting its socket down, which neither library nor server can delay."""
        connection = self._connection
        if connection is None:
            return
        import psycopg

        closed_in_this_moment = contextlib.suppress(OSError, psycopg.Error)
        with closed_in_this_moment, socket.socket(fileno=os.dup(connection.fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)

    def one_line(self, error: BaseException) -> str:
        """The message of an error without line breaks, and without the password should it be there."""
        text = " ".join(str(error).split())
        password = self._database.password
        return text.replace(password.reveal(), MASK) if password is not None and password.reveal() else text

    @property
    def where(self) -> str:
        return self._where


class _ConnectionLostError(SourceError):
    """The connection is of no use any more. `given_up` if it was we who ended it."""

    def __init__(self, message: str, *, given_up: bool = False) -> None:
        self.given_up = given_up
        super().__init__(message)


class _Session:
    def __init__(self, connection: "psycopg.Connection[Row]", source: PostgreSQLSource) -> None:
        self._connection = connection
        self._source = source

    def query(self, sql: str) -> list[Row]:
        import psycopg

        try:
            return self._connection.execute(sql.encode()).fetchall()
        except psycopg.errors.QueryCanceled as error:
            raise SourceError(
                f"{self._source.where} needed more than {STATEMENT_SECONDS} s; is it overloaded?"
            ) from error
        except psycopg.Error as error:
            message = self._source.one_line(error)
            if self._connection.closed or self._connection.broken:
                raise _ConnectionLostError(f"{self._source.where}: {message}") from None
            raise StatementError(message) from error
