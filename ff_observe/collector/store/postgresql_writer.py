"""Stores pings in PostgreSQL: one statement for each batch, over one connection."""

import contextlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import psycopg

from ff_observe.collector.store.batch import OWN_COLUMNS, distinct, encode, outcomes
from ff_observe.collector.store.blocking import BlockingThread
from ff_observe.collector.store.columns import COLUMNS, NAMES
from ff_observe.collector.store.model import Ping, StoreError
from ff_observe.collector.store.postgresql_connections import (
    WRITING,
    AsyncConnection,
    Connection,
    Interruption,
    connect,
    cut,
    failing_as,
    names_several_hosts,
    parameters,
)
from ff_observe.collector.store.postgresql_replication import SETTINGS, Confirmation
from ff_observe.collector.store.postgresql_schema import TYPES, add_partitions, migrate, open_schemas
from ff_observe.collector.store.postgresql_session import PostgreSQLSession, ServerClock
from ff_observe.collector.store.present import PingDater, days_from, vouched_for
from ff_observe.config.secret import Secret
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

_COLUMN_LIST = ", ".join(NAMES)
_PROBE = "INSERT INTO collector_probe (id, at) VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = excluded.at"
_OWN = (
    "decode(row ->> 0, 'hex') AS digest, (row ->> 1)::timestamptz AS received_at, (row ->> 2)::timestamptz AS until, "
    "decode(row ->> 3, 'hex') AS sender"
)
_VALUES = ", ".join(
    f"(row ->> {OWN_COLUMNS + index})::{TYPES[column.field.type]} AS {column.name}"
    for index, column in enumerate(COLUMNS)
)


def _newer(name: str) -> str:
    return f"{name} = CASE WHEN platform.last_seen <= excluded.last_seen THEN excluded.{name} ELSE platform.{name} END"


# A whole batch in one statement, which is a transaction of its own. Rows are taken in the order of their keys, so that
# collectors that touch the same keys wait for each other and never deadlock.
_STORE = f"""
WITH batch AS MATERIALIZED (
  SELECT {_OWN}, {_VALUES} FROM jsonb_array_elements($1::jsonb) AS row
), fresh AS (
  INSERT INTO recent (digest, instance_id, received_at, until)
  SELECT digest, instance_id, received_at, until FROM batch ORDER BY digest
  ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at, until = excluded.until
  WHERE recent.until < excluded.received_at OR excluded.until < recent.received_at
  RETURNING digest
), stored AS (
  INSERT INTO ping (received_at, sender, {_COLUMN_LIST})
  SELECT received_at, sender, {_COLUMN_LIST} FROM batch JOIN fresh USING (digest)
  RETURNING received_at, {_COLUMN_LIST}
), latest AS (
  INSERT INTO platform (first_seen, last_seen, {_COLUMN_LIST})
  SELECT DISTINCT ON (instance_id) min(received_at) OVER (PARTITION BY instance_id), received_at, {_COLUMN_LIST}
  FROM stored
  ORDER BY instance_id, received_at DESC
  ON CONFLICT (instance_id) DO UPDATE SET first_seen = least(platform.first_seen, excluded.first_seen),
    last_seen = greatest(platform.last_seen, excluded.last_seen),
    {", ".join(map(_newer, NAMES[1:]))}
  WHERE platform.last_seen <= excluded.last_seen OR excluded.first_seen < platform.first_seen
)
SELECT encode(digest, 'hex') FROM fresh
"""  # noqa: S608 - only names of our own columns


class PostgreSQLWriter:
    """The connection that stores pings. Tables and partitions are created over another, which may block."""

    def __init__(self, url: Secret, window: timedelta, clock: ServerClock) -> None:
        self._url = url
        self._window = window
        self._clock = clock
        self._connection: AsyncConnection | None = None
        self._preparation = Interruption()
        self._dater = PingDater()
        self._confirmation = Confirmation()
        self._schemas = StateLog(log)
        self._thread = BlockingThread("collector-writer")

    @property
    def survives_failover(self) -> bool | None:
        return self._confirmation.is_safe

    async def write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        with failing_as("store pings"):
            try:
                connection, pings = await self._prepared(pings)
                if not pings:
                    await connection.execute(_PROBE)
                    self._confirmation.require()
                    settings = await (await connection.execute(SETTINGS)).fetchone()
                    self._confirmation.check(settings, names_several_hosts(self._url))
                    return []
                try:
                    return await self._store(connection, pings)
                except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                    return await self._store(connection, pings)  # rolled back as a whole: retry once
                except psycopg.errors.CheckViolation:  # upkeep, here or elsewhere, dropped an empty partition
                    self._dater.forget()
                    connection, pings = await self._prepared(pings)
                    return await self._store(connection, pings)
            except (psycopg.Error, StoreError):
                await self._disconnect()
                raise

    async def _prepared(self, pings: Sequence[Ping]) -> tuple[AsyncConnection, Sequence[Ping]]:
        """The connection, with tables and the partitions of the pings' days; and the pings with their final dates."""
        if self._connection is None or not self._dater.knows(pings):
            self._preparation = preparation = Interruption()
            pings = await self._thread.call(partial(self._make_tables, pings, preparation))
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(
                    cursor_factory=psycopg.AsyncRawCursor, **parameters(self._url, WRITING)
                )
                self._connection.add_notice_handler(self._confirmation.notice)
            if preparation.requested.is_set():
                cut(self._connection)
        return self._connection, pings

    def _make_tables(self, pings: Sequence[Ping], preparation: Interruption) -> Sequence[Ping]:
        with contextlib.closing(connect(self._url, WRITING)) as connection, preparation.of(connection):
            migrate(connection)
            self._say_who_creates(connection)
            if pings:
                pings = self._dater.date(
                    pings,
                    vouched_for(PostgreSQLSession(connection, self._clock).newest_days()),
                    self._clock(connection),
                )
                days = {ping.received_at.date() for ping in pings}
                add_partitions(connection, days | days_from(max(days)))
            return pings

    def _say_who_creates(self, connection: Connection) -> None:
        if schemas := open_schemas(connection):
            self._schemas.failing(
                f"every role that may connect to the database can make functions in its schema {schemas} that run with "
                f"the collector's rights: have the collector's role own that schema, and REVOKE CREATE ON SCHEMA "
                f"{schemas} FROM PUBLIC"
            )
        else:
            self._schemas.working("only the owner of the collector's schema can make functions there now")

    async def _store(self, connection: AsyncConnection, pings: Sequence[Ping]) -> Sequence[bool]:
        batch = distinct(pings)
        rows = encode(batch.values(), self._window)
        fresh = await (await connection.execute(_STORE, (rows,), prepare=True)).fetchall()
        self._confirmation.require()
        return outcomes(pings, batch, (digest for (digest,) in fresh))

    def abort(self) -> None:
        self._preparation.request()
        if self._connection is not None:
            cut(self._connection)

    async def close(self) -> None:
        await self._thread.close()
        await self._disconnect()

    def leave(self) -> None:
        self._thread.leave(lambda: None)
        self.abort()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._dater.forget()
        if connection is not None:
            await connection.close()
