"""The statements that both databases read alike: which days are due, and what is kept of each."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from ff_observe.collector.store import rollups
from ff_observe.collector.store.model import Rollup
from ff_observe.collector.store.sessions import Run

TABLES = {
    "fleet_count": "CREATE TABLE fleet_count (id integer PRIMARY KEY CHECK (id = 1), taken_at {moment} NOT NULL, "
    "document text NOT NULL)",
    "fleet_log": "CREATE TABLE fleet_log (number integer PRIMARY KEY, day {date} NOT NULL UNIQUE, "
    "document text NOT NULL, proof text NOT NULL)",
    "fleet_rounding": "CREATE TABLE fleet_rounding (id integer PRIMARY KEY CHECK (id = 1), key {key} NOT NULL)",
    "fleet_seen": "CREATE TABLE fleet_seen (instance_id text PRIMARY KEY, day integer NOT NULL, days bigint NOT NULL, "
    "sender {sender} NOT NULL)",
    "fleet_seen_day": "CREATE TABLE fleet_seen_day (day integer PRIMARY KEY)",
    "day_copy": "CREATE TABLE day_copy (target text NOT NULL, day text NOT NULL, changes integer NOT NULL, "
    "PRIMARY KEY (target, day))",
}
"""The tables that both have, but for some types."""


def withdraw(run: Run, day: date) -> None:
    """A day says something else now: no release counts it until it is rolled up again, and copies of it are stale. For
    the transaction that changes it."""
    run("DELETE FROM fleet_seen_day WHERE day = ?", day.toordinal())
    run("UPDATE day_copy SET changes = changes + 1 WHERE day = ?", day.isoformat())


def has_pings(run: Run, day: date) -> bool:
    """In PostgreSQL it asks `ping`, not a partition that another collector may drop at any time."""
    query = "SELECT 1 FROM ping WHERE received_at >= ? AND received_at < ? LIMIT 1"
    return bool(run(query, day.isoformat(), (day + timedelta(days=1)).isoformat()))


def due(run: Run) -> list[date]:
    """The days that are still to be rolled up, in ascending order."""
    return [date.fromisoformat(day) for (day,) in run("SELECT CAST(day AS TEXT) FROM fleet_due ORDER BY day")]


def awaited(run: Run, pruning: rollups.Pruning) -> date | None:
    """The first day that old pings wait for."""
    ((day,),) = run(
        "SELECT CAST(min(day) AS TEXT) FROM fleet_due WHERE day < ? AND (waits_since IS NULL OR waits_since > ?)",
        *(pruning.counted_before.isoformat(), pruning.patient_since.isoformat()),
    )
    return None if day is None else date.fromisoformat(day)


def pruned_before(run: Run) -> date:
    """The end of the last day whose pings are deleted, or about to be."""
    rows = run("SELECT CAST(pruned_before AS TEXT) FROM fleet_state")
    return date.fromisoformat(rows[0][0]) if rows and rows[0][0] else date.min


def seal(run: Run, end: date, replace: Callable[[date, Sequence[Rollup]], None]) -> list[date]:
    """The pings of days before `end` are about to be deleted: those are never rolled up again. Returns the ones that
    were still to be: what is kept of them may count who was forgotten, and goes. `replace` writes what is kept of a
    day. For an open transaction."""
    before = end.isoformat()
    found = run("DELETE FROM fleet_due WHERE day < ? RETURNING CAST(day AS TEXT)", before)
    lost = sorted(date.fromisoformat(day) for (day,) in found)
    days: dict[date, list[Rollup]] = {}
    for row in _select(run, "day >= ? AND day < ?", pruned_before(run).isoformat(), before):
        days.setdefault(row.day, []).append(row)
    for day, rows in days.items():
        replace(day, [] if day in lost else rollups.sealed(rows))
    run("DELETE FROM fleet_seen_day WHERE day < ?", end.toordinal())
    return lost


def select(run: Run, since: date, until: date, fields: Sequence[str]) -> list[Rollup]:
    """See `Store.rollups`."""
    where = f"day >= ? AND day <= ? AND field IN ({', '.join('?' * len(fields))})"
    return _select(run, where, since.isoformat(), until.isoformat(), *fields)


def _select(run: Run, where: str, *values: str) -> list[Rollup]:
    rows = run(
        f"SELECT CAST(day AS TEXT), field, value, platforms, total FROM fleet_day WHERE {where} "  # noqa: S608 - our own conditions
        "ORDER BY day, field, value",
        *values,
    )
    return [Rollup(date.fromisoformat(day), *rest) for day, *rest in rows]
