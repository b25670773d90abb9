"""Which days are due, what is kept of each, and what is withdrawn of it. Each function takes the session that it is to
use, of either database."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from ff_observe.catalogue.ping_contract import Value
from ff_observe.collector.store import rollups, sightings
from ff_observe.collector.store.columns import COLUMNS, restored
from ff_observe.collector.store.model import Rollup
from ff_observe.collector.store.present import EARLIEST, Present
from ff_observe.collector.store.session import Session

_BEGINNING = (EARLIEST.date() + timedelta(days=1)).isoformat()
"""Pings of the day before wait for their dates."""
_CROWD = """
SELECT coalesce(max(platforms), 0) FROM (
  SELECT count(*) AS platforms FROM last JOIN platform USING (instance_id) {its_values}
  WHERE first_seen >= {day} AND sender IS NOT NULL GROUP BY sender
) AS senders
"""


def at_once(due: Sequence[date], most: int, failed: Iterable[date]) -> Sequence[date]:
    """The days to roll up next, of those that are due in ascending order: the newest, because it is asked for most, and
    the oldest. Until the first day that differs is rolled up, all days after it are marked again. Of days that failed,
    the first is tried again, after the others."""
    again = [day for day in failed if day in due][:1]
    others = [day for day in due if day not in set(failed)]
    places = max(1, most - len(again))
    if len(others) > places:
        others = [*others[: max(1, places - 1)], *others[-1:]][:places]
    return [*others, *again]


def due(session: Session) -> list[date]:
    """The days that are still to be rolled up, in ascending order."""
    return [date.fromisoformat(day) for (day,) in session.run("SELECT CAST(day AS TEXT) FROM fleet_due ORDER BY day")]


def mark(session: Session, days: Iterable[date], *, erased: bool = False) -> None:
    """Have days rolled up again, from the next commit on. In order, so that two that mark the same wait, and never
    deadlock. They say something else now: no release counts them until then, and copies of them are stale."""
    for day in sorted(set(days)):
        session.mark(day, erased=erased)
        # After a collector that is entering it: the row above waits.
        session.run("DELETE FROM fleet_seen_day WHERE day = ?", day.toordinal())
        session.run("UPDATE day_copy SET changes = changes + 1 WHERE day = ?", day.isoformat())


def mark_changed(session: Session, found: Present) -> None:
    """Have the days that have changed rolled up, unless another collector does so."""
    with session.marking() as is_alone:
        if not is_alone:
            return
        rows = session.run("SELECT CAST(changes_from AS TEXT), CAST(pruned_before AS TEXT) FROM fleet_state")
        since = date.fromisoformat(max([_BEGINNING, *(rows[0] if rows else ())]))
        there = session.pings_by_day(since, date.max)
        known = {each.day: each.platforms for each in select(session, since, date.max, [rollups.PINGS])}
        with session.writing():
            mark(session, rollups.changed(there, known))
            mark(session, set(sightings.unknown(session, found.likely.date())) - set(due(session)))
            if found.earliest is not None:
                # Whatever is still under way is younger than a day before the present.
                _advance(session, "changes_from", found.earliest.date() - timedelta(days=1))


def _advance(session: Session, name: str, day: date) -> None:
    session.run(
        "INSERT INTO fleet_state (id, changes_from, pruned_before) VALUES (1, ?, ?) ON CONFLICT DO NOTHING",
        *(_BEGINNING, _BEGINNING),
    )
    session.run(f"UPDATE fleet_state SET {name} = ? WHERE {name} < ?", day.isoformat(), day.isoformat())  # noqa: S608 - our own names


def of_day(session: Session, day: date) -> list[Rollup]:
    """What a day's pings say. For a transaction that reads as of one moment; creates the table `last`."""
    days, (start, end) = _literals(day), (day.isoformat(), (day + timedelta(days=1)).isoformat())
    ((pings,),) = session.run("SELECT count(*) FROM ping WHERE received_at >= ? AND received_at < ?", start, end)
    session.run(f"CREATE TEMP TABLE last AS {session.last.format(**days)}")
    seen = [
        rollups.Sighting(before and date.fromisoformat(before), old, new, date.fromisoformat(first), platforms)
        for before, old, new, first, platforms in session.run(session.seen_before.format(**days))
    ]
    ((crowd,),) = session.run(_CROWD.format(**days, its_values=session.its_values))
    return rollups.of_day(day, pings, seen, session.distributions(f"last {session.its_values}"), crowd)


def crosstab(session: Session, day: date, first: int, second: int) -> list[tuple[Value | None, Value | None, int]]:
    """See `Store.crosstab`."""
    one, other = COLUMNS[first], COLUMNS[second]
    last = session.last.format(**_literals(day))  # a replica takes no temporary table
    rows = session.run(
        f"SELECT {one.name}, {other.name}, count(*) FROM ({last}) AS last {session.its_values} GROUP BY 1, 2"  # noqa: S608 - our own names
    )
    return [(restored(one, a), restored(other, b), platforms) for a, b, platforms in rows]


def _literals(day: date) -> dict[str, str]:
    """The days around it, in SQL: PostgreSQL plans for constants."""
    ago = {"next": -1, "day": 0, "yesterday": 1, "since": rollups.LONGEST_GAP}
    return {name: f"'{(day - timedelta(days=days)).isoformat()}'" for name, days in ago.items()}


def replace(session: Session, day: date, rows: Iterable[Rollup]) -> None:
    """Keep these of a day."""
    session.run("DELETE FROM fleet_day WHERE day = ?", day.isoformat())
    session.insert(rows)


def wait(session: Session, pruning: rollups.Pruning) -> None:
    """Begin to wait for the days that are counted from old pings, but for one that is just being rolled up."""
    session.run(
        "UPDATE fleet_due SET waits_since = ? WHERE day IN "  # noqa: S608 - our own words
        f"(SELECT day FROM fleet_due WHERE day < ? AND waits_since IS NULL {session.unlocked})",
        *(pruning.today.isoformat(), pruning.counted_before.isoformat()),
    )


def awaited(session: Session, pruning: rollups.Pruning) -> date | None:
    """The first day that old pings wait for."""
    ((day,),) = session.run(
        "SELECT CAST(min(day) AS TEXT) FROM fleet_due WHERE day < ? AND (waits_since IS NULL OR waits_since > ?)",
        *(pruning.counted_before.isoformat(), pruning.patient_since.isoformat()),
    )
    return None if day is None else date.fromisoformat(day)


def pruned_before(session: Session) -> date:
    """The end of the last day whose pings are deleted, or about to be."""
    ((day,),) = session.run("SELECT CAST(max(pruned_before) AS TEXT) FROM fleet_state")
    return date.fromisoformat(day) if day else date.min


def seal(session: Session, end: date) -> list[date]:
    """The pings of days before `end` are about to be deleted: those are never rolled up again. Returns the ones that
    were still to be: what is kept of them may count who was forgotten, and goes. For an open transaction."""
    before = end.isoformat()
    found = session.run("DELETE FROM fleet_due WHERE day < ? RETURNING CAST(day AS TEXT)", before)
    lost = sorted(date.fromisoformat(day) for (day,) in found)
    days: dict[date, list[Rollup]] = {}
    for row in _select(session, "day >= ? AND day < ?", pruned_before(session).isoformat(), before):
        days.setdefault(row.day, []).append(row)
    for day, rows in days.items():
        replace(session, day, [] if day in lost else rollups.sealed(rows))
    session.run("DELETE FROM fleet_seen_day WHERE day < ?", end.toordinal())
    _advance(session, "pruned_before", end)
    return lost


def select(session: Session, since: date, until: date, fields: Sequence[str]) -> list[Rollup]:
    """See `Store.rollups`."""
    where = f"day >= ? AND day <= ? AND field IN ({', '.join('?' * len(fields))})"
    return _select(session, where, since.isoformat(), until.isoformat(), *fields)


def _select(session: Session, where: str, *values: str) -> list[Rollup]:
    rows = session.run(
        f"SELECT CAST(day AS TEXT), field, value, platforms, total FROM fleet_day WHERE {where} "  # noqa: S608 - our own conditions
        "ORDER BY day, field, value",
        *values,
    )
    return [Rollup(date.fromisoformat(day), *rest) for day, *rest in rows]
