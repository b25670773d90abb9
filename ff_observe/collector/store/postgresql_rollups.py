"""The roll-ups in PostgreSQL: reading a day, replacing what is kept of it, and which days are due."""

import contextlib
import threading
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from ff_observe.collector.store import counting, rollups, sightings, statements
from ff_observe.collector.store.columns import COLUMNS, NAMES, restored
from ff_observe.collector.store.model import Count, Distribution, Rollup
from ff_observe.collector.store.postgresql_connections import Connection
from ff_observe.collector.store.postgresql_erasure import note
from ff_observe.collector.store.postgresql_partitions import PARENT_FIRST, partitions
from ff_observe.collector.store.present import EARLIEST, Present
from ff_observe.collector.store.rollups import Sighting
from ff_observe.collector.store.sessions import Run
from ff_observe.collector.store.sightings import window
from ff_observe.ping_contract import Value

TABLES = {
    "fleet_day": "CREATE TABLE fleet_day (day date NOT NULL, field text NOT NULL, value text NOT NULL, "
    "platforms bigint NOT NULL, total bigint NOT NULL, PRIMARY KEY (day, field, value))",
    # `erased` where something was deleted from the day: what it said before must not stay in the files. `waits_since`
    # is the day on which pruning began to wait for it.
    "fleet_due": "CREATE TABLE fleet_due (day date PRIMARY KEY, erased boolean NOT NULL, waits_since date)",
    # Days before `changes_from` change no more unless they are marked; pings from before `pruned_before` are deleted.
    "fleet_state": "CREATE TABLE fleet_state (id integer PRIMARY KEY CHECK (id = 1), "
    "changes_from date NOT NULL, pruned_before date NOT NULL)",
}
ADDED = {"waits_since": "waits_since date"}
"""Columns of `fleet_due` that earlier versions lack."""
LOCK = 0x66665F666F6C64  # "ff_fold": one collector at a time rolls up
MOST_GROUPED = 31
"""So many columns fit into one GROUPING()."""
_BEGINNING = EARLIEST.date() + timedelta(days=1)
"""Pings of the day before wait for their dates."""

CONSISTENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_VERSION = NAMES[rollups.VERSION]
_ROLLED_UP = [NAMES[index] for index in rollups.ROLLED_UP]
_LAST = f"""
SELECT DISTINCT ON (instance_id) instance_id, sender, {", ".join(_ROLLED_UP)} FROM ping
WHERE received_at >= {{day}} AND received_at < {{next}}
ORDER BY instance_id, received_at DESC, {", ".join(f"{name} DESC" for name in _ROLLED_UP)}, sender
"""  # noqa: S608 - only names of our own columns
# Most platforms pinged the day before, which one pass over that day finds; the others are looked up one by one.
_SIGHTINGS = f"""
WITH yesterday AS (
  SELECT DISTINCT ON (instance_id) instance_id, {_VERSION} FROM ping
  WHERE received_at >= {{yesterday}} AND received_at < {{day}} ORDER BY instance_id, received_at DESC
)
SELECT CASE WHEN yesterday.instance_id IS NULL THEN earlier.received_at::date ELSE {{yesterday}} END,
  CASE WHEN yesterday.instance_id IS NULL THEN earlier.{_VERSION} ELSE yesterday.{_VERSION} END,
  last.{_VERSION}, coalesce(first_seen::date, {{day}}), count(*)
FROM last LEFT JOIN yesterday USING (instance_id) LEFT JOIN LATERAL (
  SELECT received_at, {_VERSION} FROM ping
  WHERE yesterday.instance_id IS NULL AND ping.instance_id = last.instance_id
    AND received_at >= {{since}} AND received_at < {{yesterday}}
  ORDER BY received_at DESC LIMIT 1
) AS earlier ON true LEFT JOIN platform USING (instance_id)
GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - only names of our own columns
_CROWD = """
SELECT coalesce(max(platforms), 0) FROM (
  SELECT count(*) AS platforms FROM last JOIN platform USING (instance_id)
  WHERE first_seen >= {day} AND sender IS NOT NULL GROUP BY sender
) AS senders
"""
_ADD = """
INSERT INTO fleet_seen (instance_id, day, days, sender)
SELECT DISTINCT ON (instance_id) instance_id, {ordinal}, 1, coalesce(sender, '') FROM ping
WHERE received_at >= {day} AND received_at < {next} ORDER BY instance_id, received_at DESC, sender
"""


def _alone(connection: Connection) -> bool:
    """Whether no other collector rolls up, until the end of the transaction."""
    return connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,)).fetchone() == (True,)


def count(
    connection: Connection, at: datetime, silent_after_days: int, found: Present, interrupted: threading.Event
) -> Count:
    """See `counting.take`."""
    walk = counting.Walk("instance_id", "", "first_seen < ?", found.future)
    return counting.take(run_by(connection), walk, at, silent_after_days, interrupted)


def distributions(connection: Connection, where: str) -> Mapping[int, Distribution]:
    """The values of every rolled-up field, in one pass for each `MOST_GROUPED` of them."""
    found: dict[int, list[tuple[Value | None, int]]] = {index: [] for index in rollups.ROLLED_UP}
    for first in range(0, len(rollups.ROLLED_UP), MOST_GROUPED):
        indexes = rollups.ROLLED_UP[first : first + MOST_GROUPED]
        names = [sql.Identifier(NAMES[index]) for index in indexes]
        listed = sql.SQL(", ").join(names)
        sets = sql.SQL(", ").join(sql.SQL("({})").format(name) for name in names)
        query = sql.SQL("SELECT grouping({0}), count(*), {0} FROM {1} GROUP BY GROUPING SETS ({2})")
        places = {(1 << len(indexes)) - 1 - (1 << (len(indexes) - 1 - n)): n for n in range(len(indexes))}
        for grouped, platforms, *row in connection.execute(query.format(listed, sql.SQL(where), sets)):
            place = places[grouped]
            index = indexes[place]
            found[index].append((restored(COLUMNS[index], row[place]), platforms))
    return {index: rollups.ascending(distribution) for index, distribution in found.items()}


def mark(connection: Connection, days: Iterable[date], *, erased: bool = False) -> None:
    """Have days rolled up again, from the next commit on. In order, so that two that mark the same wait, and never
    deadlock."""
    for day in sorted(set(days)):
        connection.execute(
            "INSERT INTO fleet_due (day, erased) SELECT %(day)s, %(erased)s "
            "WHERE NOT EXISTS (SELECT FROM fleet_state WHERE pruned_before > %(day)s) "
            "ON CONFLICT (day) DO UPDATE SET erased = fleet_due.erased OR excluded.erased",
            {"day": day, "erased": erased},
        )
        statements.withdraw(run_by(connection), day)  # after a collector that is entering it: the row above waits


def run_by(connection: Connection) -> Run:
    """Runs the statements that both databases share."""

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        done = connection.execute(statement.replace("?", "%s").encode("ascii"), values)
        return [] if done.description is None else done.fetchall()

    return run


def mark_changed(connection: Connection, found: Present) -> None:
    """Have the days that have changed rolled up, unless another collector does so."""
    with connection.transaction():
        if not _alone(connection):
            return
        connection.execute(PARENT_FIRST)
        row = connection.execute("SELECT changes_from, pruned_before FROM fleet_state").fetchone()
        since = max([_BEGINNING, *(row or ())])
        pings = pings_by_day(connection, since, date.max)
        run = run_by(connection)
        known = {each.day: each.platforms for each in statements.select(run, since, date.max, [rollups.PINGS])}
        mark(connection, rollups.changed(pings, known))
        mark(connection, set(sightings.unknown(run, found.likely.date())) - set(statements.due(run)))
        # Whatever is still under way is younger than a day before the present.
        settled = _BEGINNING if found.earliest is None else found.earliest.date() - timedelta(days=1)
        _advance(connection, changes_from=settled)


def pings_by_day(connection: Connection, since: date, until: date) -> dict[date, int]:
    """How many pings each day from `since` to `until` has, those without any left out."""
    found: dict[date, int] = {}
    for day, name in sorted(partitions(connection).items()):
        if since <= day <= until:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
            with contextlib.suppress(psycopg.errors.UndefinedTable):  # another collector has dropped it since
                (found[day],) = connection.execute(query).fetchone() or (0,)
    return {day: pings for day, pings in found.items() if pings}


def _advance(connection: Connection, *, changes_from: date = _BEGINNING, pruned_before: date = _BEGINNING) -> None:
    connection.execute(
        "INSERT INTO fleet_state (id, changes_from, pruned_before) VALUES (1, %s, %s) ON CONFLICT (id) DO UPDATE SET "
        "changes_from = greatest(fleet_state.changes_from, excluded.changes_from), "
        "pruned_before = greatest(fleet_state.pruned_before, excluded.pruned_before)",
        (changes_from, pruned_before),
    )


def fold_day(connection: Connection, day: date, today: date) -> bool:
    """Roll up a day. Whether it was done: not if another collector does so, or the day was marked again meanwhile."""
    try:
        with connection.transaction():
            connection.execute(CONSISTENT)
            if not _alone(connection):
                return False
            connection.execute("SET LOCAL work_mem = '64MB'")
            erased = connection.execute("DELETE FROM fleet_due WHERE day = %s RETURNING erased", (day,)).fetchone()
            if erased is None:
                return False
            _replace(connection, day, _read(connection, day))
            if day in window(today):
                _add(connection, day)
            if erased == (True,):
                note(connection, ["fleet_day"])
    except psycopg.errors.SerializationFailure:
        return False
    return True


def _read(connection: Connection, day: date) -> list[Rollup]:
    days = {"day": day, "next": day + timedelta(days=1), "yesterday": day - timedelta(days=1)}
    days["since"] = day - timedelta(days=rollups.LONGEST_GAP)
    literals = {name: sql.Literal(each) for name, each in days.items()}
    where = sql.SQL("ping WHERE received_at >= {day} AND received_at < {next}").format(**literals)
    (pings,) = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(where)).fetchone() or (0,)
    _create_last(connection, literals)
    seen = connection.execute(sql.SQL(_SIGHTINGS).format(**literals)).fetchall()
    (crowd,) = connection.execute(sql.SQL(_CROWD).format(**literals)).fetchone() or (0,)
    found = distributions(connection, "last")
    return rollups.of_day(day, pings, [Sighting(*each) for each in seen], found, crowd)


def _create_last(connection: Connection, literals: Mapping[str, sql.Literal]) -> None:
    """The last ping of each platform on a day."""
    connection.execute(sql.SQL(f"CREATE TEMP TABLE last ON COMMIT DROP AS {_LAST}").format(**literals))


def _add(connection: Connection, day: date) -> None:
    """Enter a day that is over into `fleet_seen`. For the transaction that rolls it up."""
    literals = {"day": sql.Literal(day), "next": sql.Literal(day + timedelta(days=1))}
    connection.execute(sql.SQL(_ADD + sightings.ADD).format(**literals, ordinal=sql.Literal(day.toordinal())))
    connection.execute("INSERT INTO fleet_seen_day (day) VALUES (%s) ON CONFLICT DO NOTHING", (day.toordinal(),))


def _replace(connection: Connection, day: date, rows: Iterable[Rollup]) -> None:
    connection.execute("DELETE FROM fleet_day WHERE day = %s", (day,))
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY fleet_day (day, field, value, platforms, total) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def wait(connection: Connection, pruning: rollups.Pruning) -> None:
    """Begin to wait for the days that are counted from old pings, but for one that is just being rolled up."""
    connection.execute(
        "UPDATE fleet_due SET waits_since = %s WHERE day IN "
        "(SELECT day FROM fleet_due WHERE day < %s AND waits_since IS NULL FOR UPDATE SKIP LOCKED)",
        (pruning.today, pruning.counted_before),
    )


def seal(connection: Connection, end: date) -> list[date]:
    """See `statements.seal`."""
    lost = statements.seal(run_by(connection), end, partial(_replace, connection))
    _advance(connection, pruned_before=end)
    return lost


def crosstab(
    connection: Connection, day: date, first: int, second: int
) -> list[tuple[Value | None, Value | None, int]]:
    """See `Store.crosstab`."""
    one, other = COLUMNS[first], COLUMNS[second]
    days = {"day": sql.Literal(day), "next": sql.Literal(day + timedelta(days=1))}
    last = sql.SQL(_LAST).format(**days)  # a replica takes no temporary table
    query = sql.SQL("SELECT {}, {}, count(*) FROM ({}) AS last GROUP BY 1, 2")
    rows = connection.execute(query.format(sql.Identifier(one.name), sql.Identifier(other.name), last)).fetchall()
    return [(restored(one, a), restored(other, b), platforms) for a, b, platforms in rows]
