"""The statements of the public releases in SQLite: the sample of platforms they count, and past releases."""

import secrets
import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime

from ff_observe.collector.store import sightings, sqlite_rollups, sqlite_sightings
from ff_observe.collector.store.model import ROUNDING_KEY_BYTES, Count, Released, Seen

TABLES = (
    "CREATE TABLE IF NOT EXISTS fleet_log (number INTEGER PRIMARY KEY, day TEXT UNIQUE, document TEXT, proof TEXT)",
    "CREATE TABLE IF NOT EXISTS fleet_rounding (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)",
)


def sample(connection: sqlite3.Connection, at: datetime, days: int, silent_after_days: int) -> Count | None:
    """In one consistent read. The temporary table goes with the connection."""
    until = at.astimezone(UTC).date()
    with sqlite_rollups.reading(connection):
        if sqlite_sightings.unknown(connection, until):
            return None
        known = sqlite_sightings.known(connection, until)
        connection.execute(f"CREATE TEMP TABLE sample AS {sightings.counted(until, known, days)}")
        day, week, month, silent = connection.execute(sightings.seen(silent_after_days)).fetchone()
        found = sqlite_rollups.distributions(connection, "sample JOIN platform USING (instance_id)")
    return Count(at, Seen({"1d": day, "7d": week, "30d": month}, silent), found)


def rounding_key(connection: sqlite3.Connection) -> bytes:
    """Drawn once for the life of the store."""
    drawn = secrets.token_bytes(ROUNDING_KEY_BYTES)
    connection.execute("INSERT OR IGNORE INTO fleet_rounding (id, key) VALUES (1, ?)", (drawn,))
    return bytes(connection.execute("SELECT key FROM fleet_rounding").fetchone()[0])


def releases(connection: sqlite3.Connection, first: int) -> Sequence[Released]:
    """From a number on."""
    query = "SELECT number, day, document, proof FROM fleet_log WHERE number >= ? ORDER BY number"
    rows = connection.execute(query, (first,)).fetchall()
    return [Released(number, date.fromisoformat(day), document, proof) for number, day, document, proof in rows]


def release(connection: sqlite3.Connection, released: Released) -> bool:
    """In one statement, so that of two collectors one succeeds."""
    number, day, document, proof = released
    added = connection.execute(
        "INSERT OR IGNORE INTO fleet_log SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM fleet_log) = ?",
        (number, day.isoformat(), document, proof, number),
    )
    return added.rowcount == 1
