"""The one connection that stores pings in an SQLite file."""

import contextlib
import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from ff_observe.collector.store.batch import OWN_COLUMNS, distinct, encode, outcomes
from ff_observe.collector.store.blocking import BlockingThread
from ff_observe.collector.store.columns import NAMES
from ff_observe.collector.store.model import Ping
from ff_observe.collector.store.present import PingDater, vouched_for
from ff_observe.collector.store.sqlite_schema import Connection, connect, failing_as, migrate, transaction
from ff_observe.collector.store.sqlite_session import SQLiteSession

_COLUMN_LIST = ", ".join(NAMES)

# Each statement takes the whole batch at once, so that Python's lock is not needed for every row.
_DIGEST, _AT, _UNTIL, _SENDER, *_VALUES = (
    f"json_extract(row.value, '$[{index}]')" for index in range(OWN_COLUMNS + len(NAMES))
)
_VALUE_LIST = ", ".join(_VALUES)
_RECOGNISE = f"""
INSERT INTO recent (digest, instance_id, received_at, until)
SELECT {_DIGEST}, {_VALUES[0]}, {_AT}, {_UNTIL} FROM json_each(?) AS row WHERE true
ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at, until = excluded.until
WHERE recent.until < excluded.received_at OR excluded.until < recent.received_at
RETURNING digest
"""  # noqa: S608 - only names of our own columns
_STORE = f"""
INSERT INTO ping (received_at, sender, {_COLUMN_LIST})
SELECT {_AT}, {_SENDER}, {_VALUE_LIST} FROM json_each(?) AS row
"""  # noqa: S608 - only names of our own columns
_LATEST = f"""
INSERT INTO platform (first_seen, last_seen, {_COLUMN_LIST})
SELECT {_AT}, {_AT}, {_VALUE_LIST} FROM json_each(?) AS row WHERE true
ON CONFLICT (instance_id) DO UPDATE SET first_seen = min(platform.first_seen, excluded.first_seen),
last_seen = max(platform.last_seen, excluded.last_seen),
{", ".join(f"{n} = iif(platform.last_seen <= excluded.last_seen, excluded.{n}, platform.{n})" for n in NAMES[1:])}
WHERE platform.last_seen <= excluded.last_seen OR excluded.first_seen < platform.first_seen
"""  # noqa: S608 - only names of our own columns


class SQLiteWriter:
    """The connection that stores pings."""

    survives_failover = True  # there is none

    def __init__(self, path: Path, window: timedelta) -> None:
        self._path = path
        self._window = window
        self._connection: Connection | None = None
        self._dater = PingDater()
        self._thread = BlockingThread("collector-writer")

    async def write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        return await self._thread.call(partial(self._write, pings))

    def _write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        with failing_as("store pings", self._path):
            try:
                connection = self._connected()
                with transaction(connection):
                    stored = self._store(connection, pings) if pings else self._probe(connection)
                connection.check_that_it_is_kept()
            except sqlite3.Error:
                self._close()
                raise
            return stored

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = connect(self._path)
            try:
                migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _probe(self, connection: sqlite3.Connection) -> Sequence[bool]:
        connection.execute("REPLACE INTO probe (id, at) VALUES (1, datetime('now'))")
        return []

    def _store(self, connection: Connection, pings: Sequence[Ping]) -> Sequence[bool]:
        if not self._dater.knows(pings):
            pings = self._dater.date(pings, vouched_for(SQLiteSession(connection).newest_days()))
        batch = distinct(pings)
        rows = encode(batch.values(), self._window)
        fresh = {digest for (digest,) in connection.execute(_RECOGNISE, (rows,)).fetchall()}
        if len(fresh) < len(batch):
            rows = encode((ping for digest, ping in batch.items() if digest in fresh), self._window)
        connection.execute(_STORE, (rows,))
        connection.execute(_LATEST, (rows,))
        return outcomes(pings, batch, fresh)

    def abort(self) -> None:
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # its own thread has just closed it
                connection.interrupt()

    async def close(self) -> None:
        await self._thread.call(self._close)
        await self._thread.close()

    def leave(self) -> None:
        self._thread.leave(self._close)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._dater.forget()
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
