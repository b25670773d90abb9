"""Pings in PostgreSQL, for production: several collectors may share one database."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import psycopg

from ff_observe.collector.store.postgresql_connections import (
    LOCKING,
    READING,
    REWRITING,
    Interruption,
    connect,
    failing_as,
)
from ff_observe.collector.store.postgresql_erasure import forget_statistics, rewrite_noted
from ff_observe.collector.store.postgresql_schema import add_partitions, migrate
from ff_observe.collector.store.postgresql_session import PostgreSQLSession, ServerClock, server_clock
from ff_observe.collector.store.postgresql_writer import PostgreSQLWriter
from ff_observe.collector.store.present import days_from, present
from ff_observe.collector.store.store import Store
from ff_observe.config.secret import Secret
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

FORGETTING_ATTEMPTS = 10
"""How many times `forget` tries to rewrite a table that is in use, for two seconds each time."""

_IMPATIENT = "SET LOCAL lock_timeout = '500ms'"  # pings queue up behind a lock request that waits


class PostgreSQLStore(Store):
    """A database of pings."""

    name = "postgresql"

    def __init__(self, url: Secret, window: timedelta, clock: ServerClock = server_clock) -> None:
        super().__init__()
        self.url = url
        self._window = window
        self._clock = clock
        self._interruption = Interruption()
        self._interrupted = self._interruption.requested
        self._rewriting = StateLog(log)

    def writer(self) -> PostgreSQLWriter:
        return PostgreSQLWriter(self.url, self._window, self._clock)

    @contextlib.contextmanager
    def _session(self, what: str, options: str = READING) -> Iterator[PostgreSQLSession]:
        with (
            failing_as(what),
            contextlib.closing(connect(self.url, options)) as connection,
            self._interruption.of(connection),
        ):
            migrate(connection)
            yield PostgreSQLSession(connection, self._clock)

    @contextlib.contextmanager
    def _alone(self, what: str, lock: int) -> Iterator[bool]:
        """The lock belongs to a transaction, over a connection of its own: behind a pooler other collectors get the
        same session."""
        with self._session(what, LOCKING) as session:
            session.run("BEGIN")
            # Without a parameter: the portal of one would hold a snapshot, for which vacuum waits.
            query = f"SELECT pg_try_advisory_xact_lock({lock:d})"
            yield session.connection.execute(query.encode("ascii")).fetchone() == (True,)
            session.run("COMMIT")

    def _rewrite_noted(self, attempts: int) -> list[str]:
        with self._session("rewrite tables", REWRITING) as session:
            return rewrite_noted(session.connection, attempts)

    def _rewrite_what_can_be(self, in_use: Sequence[str] = ()) -> None:
        """Rewrite the recorded tables, once each; the next upkeep tries those that are left."""
        left = [*in_use, *self._rewrite_noted(attempts=1)]
        if left:
            self._rewriting.failing(
                f"copies of what was deleted stay in the files of {', '.join(left)} until an upkeep can rewrite them"
            )
        else:
            self._rewriting.working("no copies of what was deleted are left in the files of tables")

    def _clear(self) -> str:
        with self._session("forget") as session, session.writing():
            forget_statistics(session.connection)
        left = self._rewrite_noted(FORGETTING_ATTEMPTS)
        if not left:
            return ""
        return (
            f"the files of {', '.join(left)}: a table is in use, a transaction that began before still is open (see "
            "pg_stat_activity; a backup is one), it belongs to another user, who must run VACUUM FULL on it, or "
            "PostgreSQL failed to rewrite it (see its log; it needs room for a second copy). Do it again until nothing "
            "is stored; the collector's hourly upkeep tries as well"
        )

    def tidy(self, now: datetime) -> None:
        with self._session("tidy up") as session:
            clocks = session.clocks(now)
            found = present(clocks, session.newest_days())
            add_partitions(session.connection, days_from(clocks[-1].date()) | {found.likely.date()})
            self._correct(session, found, now)
            wanted = {*session.newest_days(), *(clock.date() for clock in clocks)}
            kept = {day for each in wanted for day in days_from(each - timedelta(days=1)) | days_from(each)}
            in_use = []
            try:
                session.drop_empty(kept)
                with session.writing():
                    session.connection.execute(_IMPATIENT)
                    forget_statistics(session.connection)
            except psycopg.errors.LockNotAvailable:
                in_use = ["tables that are in use"]
            self._rewrite_what_can_be(in_use)

    def wrapped_key(self, name: str) -> bytes | None:
        with self._session("read a key") as session:
            found = session.run("SELECT wrapped FROM collector_key WHERE name = ?", name)
        return bytes(found[0][0]) if found else None

    def wrapped_key_names(self) -> Sequence[str]:
        with self._session("read the keys") as session:
            return [str(name) for (name,) in session.run("SELECT name FROM collector_key ORDER BY name")]

    def replace_wrapped_key(self, name: str, old: bytes | None, new: bytes) -> bool:
        add = "INSERT INTO collector_key (wrapped, name) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1"
        change = "UPDATE collector_key SET wrapped = ? WHERE name = ? AND wrapped = ? RETURNING 1"
        with self._session("keep a key") as session:
            with session.writing():
                session.run("SET LOCAL synchronous_commit = on")
                is_replaced = session.run(add, new, name) if old is None else session.run(change, new, name, old)
                if is_replaced and old is not None:
                    session.note(["collector_key"])
            if is_replaced and old is not None:
                self._rewrite_what_can_be()
        return is_replaced != []

    def interrupt(self) -> None:
        self._interruption.request()
