"""The statements of the public releases in PostgreSQL: the sample of platforms they count, and past releases."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg import sql

from ff_observe.collector.store import postgresql_rollups, postgresql_sightings, sightings
from ff_observe.collector.store.model import ROUNDING_KEY_BYTES, Count, Released, Seen
from ff_observe.collector.store.postgresql_connections import Connection

TABLES = {
    "fleet_log": "CREATE TABLE fleet_log (number integer PRIMARY KEY, day date NOT NULL UNIQUE, "
    "document text NOT NULL, proof text NOT NULL)",
    "fleet_rounding": "CREATE TABLE fleet_rounding (id integer PRIMARY KEY CHECK (id = 1), key bytea NOT NULL)",
}


def sample(connection: Connection, at: datetime, days: int, silent_after_days: int) -> Count | None:
    """In one consistent read."""
    until = at.astimezone(UTC).date()
    with connection.transaction():
        connection.execute(postgresql_rollups.CONSISTENT)
        if postgresql_sightings.unknown(connection, until):
            return None
        known = postgresql_sightings.known(connection, until)
        query = f"CREATE TEMP TABLE sample ON COMMIT DROP AS {sightings.counted(until, known, days)}"
        connection.execute("SET LOCAL work_mem = '64MB'")
        connection.execute(query.encode("ascii"))
        row = connection.execute(sightings.seen(silent_after_days).encode("ascii")).fetchone()
        day, week, month, silent = row or (0, 0, 0, 0)
        found = postgresql_rollups.distributions(connection, sql.SQL("sample JOIN platform USING (instance_id)"))
    return Count(at, Seen({"1d": day, "7d": week, "30d": month}, silent), found)


def rounding_key(connection: Connection) -> bytes:
    """Drawn once for the life of the store."""
    drawn = secrets.token_bytes(ROUNDING_KEY_BYTES)
    connection.execute("INSERT INTO fleet_rounding (id, key) VALUES (1, %s) ON CONFLICT DO NOTHING", (drawn,))
    (key,) = connection.execute("SELECT key FROM fleet_rounding").fetchone() or (drawn,)
    return bytes(key)


def releases(connection: Connection, first: int) -> Sequence[Released]:
    """From a number on."""
    query = "SELECT number, day, document, proof FROM fleet_log WHERE number >= %s ORDER BY number"
    return [Released(*row) for row in connection.execute(query, (first,)).fetchall()]


def release(connection: Connection, released: Released) -> bool:
    """In one statement, so that of two collectors one succeeds."""
    number, day, document, proof = released
    added = connection.execute(
        "INSERT INTO fleet_log SELECT %s, %s, %s, %s WHERE (SELECT count(*) FROM fleet_log) = %s "
        "ON CONFLICT DO NOTHING",
        (number, day, document, proof, number),
    )
    return added.rowcount == 1
