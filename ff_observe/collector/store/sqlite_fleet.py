"""The statements of the public releases in SQLite: the sample of platforms they count, and past releases."""

import secrets
import sqlite3
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from ff_observe.collector.store.batch import moment
from ff_observe.collector.store.columns import COLUMNS, restored
from ff_observe.collector.store.model import (
    ROUNDING_KEY_BYTES,
    SAMPLE_WINDOWS,
    Distribution,
    Released,
    Sample,
    Seen,
)

TABLES = (
    "CREATE TABLE IF NOT EXISTS fleet_log (number INTEGER PRIMARY KEY, day TEXT UNIQUE, document TEXT, proof TEXT)",
    "CREATE TABLE IF NOT EXISTS fleet_rounding (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)",
)
# `+` keeps SQLite from using the index by date: the one by instance and date covers the first part, in its order.
_SAMPLE = """
CREATE TEMP TABLE sample AS
WITH active AS (
  SELECT instance_id, max(received_at) AS last_seen FROM ping WHERE +received_at >= :since AND +received_at < :at
  GROUP BY instance_id HAVING count(DISTINCT substr(received_at, 1, 10)) >= :days
), sent AS (
  SELECT platform.rowid AS platform_id, active.last_seen, platform.first_seen, platform.instance_id,
    coalesce((SELECT sender FROM ping WHERE ping.instance_id = active.instance_id
      AND ping.received_at = active.last_seen LIMIT 1), '') AS sender
  FROM active JOIN platform USING (instance_id)
)
SELECT platform_id, last_seen FROM (
  SELECT platform_id, last_seen, row_number() OVER (PARTITION BY sender ORDER BY first_seen, instance_id) AS place
  FROM sent
) WHERE place = 1
"""
_SEEN = """
SELECT count(*) FILTER (WHERE last_seen > :day), count(*) FILTER (WHERE last_seen > :week), count(*),
  count(*) FILTER (WHERE last_seen <= :silent) FROM sample
"""


def sample(
    connection: sqlite3.Connection, field_indexes: Sequence[int], at: datetime, days: int, silent_after_days: int
) -> Sample:
    """In one consistent read. The temporary table goes with the connection."""
    before = {name: moment(at - timedelta(days=count)) for name, count in SAMPLE_WINDOWS.items()}
    connection.execute("BEGIN")
    connection.execute(_SAMPLE, {"since": before["month"], "at": moment(at), "days": days})
    silent = moment(at - timedelta(days=silent_after_days))
    day, week, month, quiet = connection.execute(_SEEN, {**before, "silent": silent}).fetchone()
    return Sample(
        Seen({"1d": day, "7d": week, "30d": month}, quiet),
        {index: _distribution(connection, index) for index in field_indexes},
    )


def _distribution(connection: sqlite3.Connection, index: int) -> Distribution:
    column = COLUMNS[index]
    whole = "sample JOIN platform ON platform.rowid = platform_id"
    query = f"SELECT {column.name}, count(*) FROM {whole} GROUP BY 1 ORDER BY 1"  # noqa: S608 - only our own names
    return [(restored(column, value), count) for value, count in connection.execute(query).fetchall()]


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
