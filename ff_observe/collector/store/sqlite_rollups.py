"""The roll-ups in SQLite: reading a day, replacing what is kept of it, and which days are due."""

import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from ff_observe.collector.store import counting, rollups, sightings, statements
from ff_observe.collector.store.columns import COLUMNS, NAMES, restored
from ff_observe.collector.store.model import Count, Distribution, Rollup
from ff_observe.collector.store.present import EARLIEST, Present
from ff_observe.collector.store.rollups import Sighting
from ff_observe.collector.store.sessions import Run
from ff_observe.collector.store.sightings import window
from ff_observe.ping_contract import Value

TABLES = (
    """CREATE TABLE fleet_day (day TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL,
    platforms INTEGER NOT NULL, total INTEGER NOT NULL, PRIMARY KEY (day, field, value)) WITHOUT ROWID""",
    # `waits_since` is the day on which pruning began to wait for it.
    "CREATE TABLE fleet_due (day TEXT PRIMARY KEY, mark BLOB NOT NULL, waits_since TEXT)",
    # Days before `changes_from` change no more unless they are marked; pings from before `pruned_before` are deleted.
    """CREATE TABLE fleet_state (id INTEGER PRIMARY KEY CHECK (id = 1),
    changes_from TEXT NOT NULL, pruned_before TEXT NOT NULL)""",
    "INSERT OR IGNORE INTO fleet_state (id, changes_from, pruned_before) VALUES (1, '', '')",
)
ADDED_AT_ONCE = 2000
"""Platforms entered into `fleet_seen` in one transaction: pings are stored in between."""
_ADD = f"""
INSERT INTO fleet_seen (instance_id, day, days, sender)
SELECT ping.instance_id, ?, 1, coalesce(ping.sender, '') FROM last JOIN ping ON ping.rowid = ping_id
WHERE last.rowid BETWEEN ? AND ? {sightings.ADD}
"""  # noqa: S608 - our own names
_MARK = """
INSERT INTO fleet_due (day, mark) SELECT :day, randomblob(8) WHERE :day >= (SELECT pruned_before FROM fleet_state)
ON CONFLICT (day) DO UPDATE SET mark = excluded.mark
"""
_LAST = """
CREATE TEMP TABLE last AS
SELECT rowid AS ping_id, instance_id, max(received_at) AS received_at FROM ping
WHERE received_at >= ? AND received_at < ? GROUP BY instance_id
"""
_VERSION = NAMES[rollups.VERSION]
_ROLLED_UP = ", ".join(NAMES[index] for index in rollups.ROLLED_UP)
_READ_AT_ONCE = 1000
_SIGHTINGS = f"""
WITH seen AS (
  SELECT ping_id, instance_id, (
    SELECT max(received_at) FROM ping INDEXED BY ping_by_instance
    WHERE ping.instance_id = last.instance_id AND received_at >= :since AND received_at < :day
  ) AS before FROM last
)
SELECT substr(before, 1, 10), (
    SELECT {_VERSION} FROM ping INDEXED BY ping_by_instance
    WHERE ping.instance_id = seen.instance_id AND received_at = before
  ), ping.{_VERSION}, coalesce(substr(first_seen, 1, 10), :day), count(*)
FROM seen JOIN ping ON ping.rowid = ping_id LEFT JOIN platform ON platform.instance_id = seen.instance_id
GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - only names of our own columns
_CROWD = """
SELECT coalesce(max(platforms), 0) FROM (
  SELECT count(*) AS platforms FROM last JOIN platform USING (instance_id) JOIN ping ON ping.rowid = ping_id
  WHERE first_seen >= ? AND sender IS NOT NULL GROUP BY sender
)
"""


@contextlib.contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """One consistent read."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


@contextlib.contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    with connection:  # commits, or rolls back
        yield


def count(connection: sqlite3.Connection, at: datetime, silent_after_days: int, interrupted: threading.Event) -> Count:
    """See `counting.take`. New platforms come last."""
    (newest,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM platform").fetchone()
    walk = counting.Walk("rowid", 0, "rowid <= ?", newest)
    return counting.take(run_by(connection), walk, at, silent_after_days, interrupted)


def distributions(connection: sqlite3.Connection, where: str) -> Mapping[int, Distribution]:
    """The values of every rolled-up field, in one pass."""
    counted: list[Counter[Any]] = [Counter() for _ in rollups.ROLLED_UP]
    rows = connection.execute(f"SELECT {_ROLLED_UP} FROM {where}")  # noqa: S608 - only our own names
    while part := rows.fetchmany(_READ_AT_ONCE):
        for counter, column in zip(counted, zip(*part, strict=True), strict=True):
            counter.update(column)
    return {
        index: rollups.ascending((restored(COLUMNS[index], value), number) for value, number in counter.items())
        for index, counter in zip(rollups.ROLLED_UP, counted, strict=True)
    }


def mark(connection: sqlite3.Connection, days: Iterable[str]) -> None:
    """Have days rolled up again, from the next commit on."""
    for day in days:
        connection.execute(_MARK, {"day": day})
        statements.withdraw(run_by(connection), date.fromisoformat(day))


def run_by(connection: sqlite3.Connection) -> Run:
    """Runs the statements that both databases share."""
    return lambda statement, *values: connection.execute(statement, values).fetchall()


def mark_changed(connection: sqlite3.Connection, found: Present) -> None:
    """Have the days that have changed rolled up."""
    (since,) = connection.execute("SELECT max(changes_from, pruned_before, ?) FROM fleet_state", (_FIRST,)).fetchone()
    there = pings_by_day(connection, since)
    rows = connection.execute(
        "SELECT day, platforms FROM fleet_day WHERE day >= ? AND field = ?", (since, rollups.PINGS)
    )
    known = {date.fromisoformat(day): pings for day, pings in rows}
    with _writing(connection):
        mark(connection, (day.isoformat() for day in rollups.changed(there, known)))
        run = run_by(connection)
        unknown = set(sightings.unknown(run, found.likely.date())) - set(statements.due(run))
        mark(connection, (day.isoformat() for day in unknown))
        if found.earliest is not None:
            settled = (found.earliest.date() - timedelta(days=1)).isoformat()  # whatever is still under way is younger
            connection.execute("UPDATE fleet_state SET changes_from = max(changes_from, ?)", (settled,))


_FIRST = (EARLIEST.date() + timedelta(days=1)).isoformat()
"""Pings of the day before wait for their dates."""


def pings_by_day(connection: sqlite3.Connection, since: str) -> Mapping[date, int]:
    """By the index alone, a day after the other."""
    found: dict[date, int] = {}
    while True:
        (first,) = connection.execute("SELECT min(received_at) FROM ping WHERE received_at >= ?", (since,)).fetchone()
        if first is None:
            return found
        day = date.fromisoformat(first[:10])
        between = (day.isoformat(), since := (day + timedelta(days=1)).isoformat())
        (found[day],) = connection.execute(_PINGS, between).fetchone()


_PINGS = "SELECT count(*) FROM ping WHERE received_at >= ? AND received_at < ?"


def fold_day(connection: sqlite3.Connection, day: date, today: date) -> bool:
    """Roll up a day. Whether it was done: not if the day was marked again, or its pings deleted, meanwhile."""
    between = (day.isoformat(), (day + timedelta(days=1)).isoformat())
    with reading(connection):
        marked = connection.execute("SELECT mark FROM fleet_due WHERE day = ?", between[:1]).fetchone()
        (pings,) = connection.execute(_PINGS, between).fetchone()
        _create_last(connection, day)
        since = (day - timedelta(days=rollups.LONGEST_GAP)).isoformat()
        seen = [
            Sighting(before and date.fromisoformat(before), old, new, date.fromisoformat(first), platforms)
            for before, old, new, first, platforms in connection.execute(
                _SIGHTINGS, {"day": between[0], "since": since}
            )
        ]
        found = distributions(connection, "last JOIN ping ON ping.rowid = ping_id")
        (crowd,) = connection.execute(_CROWD, between[:1]).fetchone()
        rows = rollups.of_day(day, pings, seen, found, crowd)

    def is_still_right() -> bool:
        still = connection.execute(
            "SELECT mark FROM fleet_due, fleet_state WHERE day = ? AND day >= pruned_before", between[:1]
        ).fetchone()
        return still is not None and still == marked

    counts = day in window(today)
    (newest,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM last").fetchone()
    for first in range(1, newest + 1, ADDED_AT_ONCE) if counts else ():
        with _writing(connection):
            if not is_still_right():
                return False
            connection.execute(_ADD, (day.toordinal(), first, first + ADDED_AT_ONCE - 1))
    with _writing(connection):
        if not is_still_right():
            return False
        _replace(connection, day, rows)
        if counts:
            connection.execute("INSERT OR IGNORE INTO fleet_seen_day (day) VALUES (?)", (day.toordinal(),))
        connection.execute("DELETE FROM fleet_due WHERE day = ?", between[:1])
    return True


def _create_last(connection: sqlite3.Connection, day: date) -> None:
    """The last ping of each platform on a day."""
    connection.execute("DROP TABLE IF EXISTS temp.last")
    connection.execute(_LAST, (day.isoformat(), (day + timedelta(days=1)).isoformat()))


def _replace(connection: sqlite3.Connection, day: date, rows: Iterable[Rollup]) -> None:
    connection.execute("DELETE FROM fleet_day WHERE day = ?", (day.isoformat(),))
    connection.executemany(
        "INSERT INTO fleet_day (day, field, value, platforms, total) VALUES (?, ?, ?, ?, ?)",
        [(row.day.isoformat(), *row[1:]) for row in rows],
    )


def wait(connection: sqlite3.Connection, pruning: rollups.Pruning) -> None:
    """Begin to wait for the days that are counted from old pings."""
    connection.execute(
        "UPDATE fleet_due SET waits_since = ? WHERE day < ? AND waits_since IS NULL",
        (pruning.today.isoformat(), pruning.counted_before.isoformat()),
    )


def seal(connection: sqlite3.Connection, before: datetime) -> list[date]:
    """Pings received before then are about to be deleted, also of a part of a day: see `statements.seal`."""
    end = (before.astimezone(UTC) - timedelta(microseconds=1)).date() + timedelta(days=1)
    lost = statements.seal(run_by(connection), end, partial(_replace, connection))
    connection.execute("UPDATE fleet_state SET pruned_before = max(pruned_before, ?)", (end.isoformat(),))
    return lost


def crosstab(
    connection: sqlite3.Connection, day: date, first: int, second: int
) -> list[tuple[Value | None, Value | None, int]]:
    """See `Store.crosstab`."""
    _create_last(connection, day)
    one, other = COLUMNS[first], COLUMNS[second]
    rows = connection.execute(
        f"SELECT ping.{one.name}, ping.{other.name}, count(*) FROM last JOIN ping ON ping.rowid = ping_id GROUP BY 1, 2"  # noqa: S608 - only our own names
    )
    return [(restored(one, a), restored(other, b), platforms) for a, b, platforms in rows.fetchall()]
