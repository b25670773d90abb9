"""The platforms' days in PostgreSQL: see `sightings`."""

from collections.abc import Iterable
from datetime import date, timedelta

from psycopg import sql

from ff_observe.collector.store import sightings
from ff_observe.collector.store.postgresql_connections import Connection

TABLES = {name: statement.format(binary="bytea") for name, statement in sightings.TABLES.items()}
_ADD = """
INSERT INTO fleet_seen (instance_id, day, days, sender)
SELECT DISTINCT ON (instance_id) instance_id, {ordinal}, 1, coalesce(sender, '') FROM ping
WHERE received_at >= {day} AND received_at < {next} ORDER BY instance_id, received_at DESC, sender
"""


def add(connection: Connection, day: date) -> None:
    """Enter a day that is over. For the transaction that rolls it up."""
    literals = {"day": sql.Literal(day), "next": sql.Literal(day + timedelta(days=1))}
    statement = sql.SQL(_ADD + sightings.ADD).format(**literals, ordinal=sql.Literal(day.toordinal()))
    connection.execute(statement)
    connection.execute("INSERT INTO fleet_seen_day (day) VALUES (%s) ON CONFLICT DO NOTHING", (day.toordinal(),))


def withdraw(connection: Connection, day: date) -> None:
    """A day says something else now."""
    connection.execute("DELETE FROM fleet_seen_day WHERE day = %s", (day.toordinal(),))


def known(connection: Connection, until: date) -> set[date]:
    """The days before `until` that the rows know of."""
    rows = connection.execute("SELECT day FROM fleet_seen_day WHERE day < %s", (until.toordinal(),)).fetchall()
    return {date.fromordinal(day) for (day,) in rows}


def unknown(connection: Connection, until: date) -> list[date]:
    """The days before `until` that count, have pings, and are still to be entered."""
    return [day for day in set(sightings.window(until)) - known(connection, until) if _has_pings(connection, day)]


def _has_pings(connection: Connection, day: date) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM ping WHERE received_at >= {} AND received_at < {})").format(
        sql.Literal(day), sql.Literal(day + timedelta(days=1))
    )
    return connection.execute(query).fetchone() == (True,)


def forget(connection: Connection, instance_ids: Iterable[str]) -> None:
    """Delete the rows of platforms whose days are marked."""
    connection.execute("DELETE FROM fleet_seen WHERE instance_id = ANY(%s)", (list(instance_ids),))


def delete_before(connection: Connection, day: date) -> int:
    """Delete the rows of platforms that were not seen since; returns how many."""
    return connection.execute("DELETE FROM fleet_seen WHERE day < %s", (day.toordinal(),)).rowcount


def seal(connection: Connection, end: date) -> None:
    """The pings of days before `end` are deleted: these count no more."""
    connection.execute("DELETE FROM fleet_seen_day WHERE day < %s", (end.toordinal(),))
