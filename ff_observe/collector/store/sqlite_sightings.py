"""The platforms' days in SQLite: see `sightings`."""

import sqlite3
from datetime import date, timedelta

from ff_observe.collector.store import sightings

TABLES = tuple(
    statement.format(binary="TEXT").replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
    for statement in sightings.TABLES.values()
)
ADDED_AT_ONCE = 2000
"""Platforms entered in one transaction: pings are stored in between."""
_ADD = f"""
INSERT INTO fleet_seen (instance_id, day, days, sender)
SELECT ping.instance_id, ?, 1, coalesce(ping.sender, '') FROM last JOIN ping ON ping.rowid = ping_id
WHERE last.rowid BETWEEN ? AND ? {sightings.ADD}
"""  # noqa: S608 - our own names
_HAS_PINGS = "SELECT EXISTS (SELECT 1 FROM ping WHERE received_at >= ? AND received_at < ?)"


def portions(connection: sqlite3.Connection) -> range:
    """The first rows of the portions in which the platforms of `last`, the last pings of a day, are entered."""
    (newest,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM last").fetchone()
    return range(1, newest + 1, ADDED_AT_ONCE)


def add(connection: sqlite3.Connection, day: date, first: int) -> None:
    """Enter one portion of a day that is over."""
    connection.execute(_ADD, (day.toordinal(), first, first + ADDED_AT_ONCE - 1))


def added(connection: sqlite3.Connection, day: date) -> None:
    """All portions of a day are entered."""
    connection.execute("INSERT OR IGNORE INTO fleet_seen_day (day) VALUES (?)", (day.toordinal(),))


def withdraw(connection: sqlite3.Connection, day: date) -> None:
    """A day says something else now."""
    connection.execute("DELETE FROM fleet_seen_day WHERE day = ?", (day.toordinal(),))


def known(connection: sqlite3.Connection, until: date) -> set[date]:
    """The days before `until` that the rows know of."""
    rows = connection.execute("SELECT day FROM fleet_seen_day WHERE day < ?", (until.toordinal(),)).fetchall()
    return {date.fromordinal(day) for (day,) in rows}


def unknown(connection: sqlite3.Connection, until: date) -> list[date]:
    """The days before `until` that count, have pings, and are still to be entered."""
    return [day for day in set(sightings.window(until)) - known(connection, until) if _has_pings(connection, day)]


def _has_pings(connection: sqlite3.Connection, day: date) -> bool:
    between = (day.isoformat(), (day + timedelta(days=1)).isoformat())
    return bool(connection.execute(_HAS_PINGS, between).fetchone()[0])


def seal(connection: sqlite3.Connection, end: date) -> None:
    """The pings of days before `end` are deleted: these count no more."""
    connection.execute("DELETE FROM fleet_seen_day WHERE day < ?", (end.toordinal(),))
