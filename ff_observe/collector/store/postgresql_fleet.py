"""The statements of the public releases in PostgreSQL: the sample of platforms they count, and past releases."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from psycopg import sql

from ff_observe.collector.store.columns import COLUMNS, restored
from ff_observe.collector.store.model import (
    ROUNDING_KEY_BYTES,
    SAMPLE_WINDOWS,
    Distribution,
    Released,
    Sample,
    Seen,
)
from ff_observe.collector.store.postgresql_connections import Connection

TABLES = {
    "fleet_log": "CREATE TABLE fleet_log (number integer PRIMARY KEY, day date NOT NULL UNIQUE, "
    "document text NOT NULL, proof text NOT NULL)",
    "fleet_rounding": "CREATE TABLE fleet_rounding (id integer PRIMARY KEY CHECK (id = 1), key bytea NOT NULL)",
}
_SAMPLE = sql.SQL("""
CREATE TEMP TABLE sample ON COMMIT DROP AS
WITH active AS (
  SELECT instance_id, max(received_at) AS last_seen FROM ping
  WHERE received_at >= {since} AND received_at < {at}
  GROUP BY instance_id HAVING count(DISTINCT (received_at AT TIME ZONE 'UTC')::date) >= {days}
), sent AS (
  SELECT active.*, platform.first_seen,
    coalesce((SELECT sender FROM ping WHERE ping.instance_id = active.instance_id
      AND ping.received_at = active.last_seen LIMIT 1), '') AS sender
  FROM active JOIN platform USING (instance_id)
)
SELECT DISTINCT ON (sender) instance_id, last_seen FROM sent ORDER BY sender, first_seen, instance_id
""")
_SEEN = (
    "SELECT count(*) FILTER (WHERE last_seen > %(day)s), count(*) FILTER (WHERE last_seen > %(week)s), count(*), "
    "count(*) FILTER (WHERE last_seen <= %(silent)s) FROM sample"
)


def sample(
    connection: Connection, field_indexes: Sequence[int], at: datetime, days: int, silent_after_days: int
) -> Sample:
    """In one consistent read."""
    before = {name: at - timedelta(days=count) for name, count in SAMPLE_WINDOWS.items()}
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute(
            _SAMPLE.format(since=sql.Literal(before["month"]), at=sql.Literal(at), days=sql.Literal(days))
        )
        silent = at - timedelta(days=silent_after_days)
        row = connection.execute(_SEEN, {**before, "silent": silent}).fetchone()
        day, week, month, quiet = row or (0, 0, 0, 0)
        return Sample(
            Seen({"1d": day, "7d": week, "30d": month}, quiet),
            {index: _distribution(connection, index) for index in field_indexes},
        )


def _distribution(connection: Connection, index: int) -> Distribution:
    column = COLUMNS[index]
    query = sql.SQL("SELECT {}, count(*) FROM sample JOIN platform USING (instance_id) GROUP BY 1 ORDER BY 1")
    rows = connection.execute(query.format(sql.Identifier(column.name))).fetchall()
    return [(restored(column, value), count) for value, count in rows]


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
