"""On which days a platform was seen, and behind which sender: what a public release counts by, without a ping.

`fleet_seen` has a row for each platform: the last of its days that are over, as an ordinal, and a bit for it (1) and
each day before; and the sender of its last ping on it. `fleet_seen_day` has the days that the rows know of. A day that
is marked leaves it until it is rolled up again. Both databases understand the same statements.
"""

from datetime import UTC, date, datetime, timedelta

from ff_observe.catalogue.quality import CROWD_OF_FEW_SENDERS
from ff_observe.collector.store.model import Count, Seen
from ff_observe.collector.store.session import Session

DAYS = 30
"""So many days before a release count."""
_BITS = (1 << (DAYS + 1)) - 1

ADD = f"""
INSERT INTO fleet_seen (instance_id, day, days, sender)
SELECT last.instance_id, ?, 1, coalesce(sender, '') FROM {{last}} WHERE {{which}} ORDER BY last.instance_id
ON CONFLICT (instance_id) DO UPDATE SET
  days = CASE WHEN excluded.day - fleet_seen.day > {DAYS} THEN 1
    WHEN excluded.day >= fleet_seen.day THEN ((fleet_seen.days << (excluded.day - fleet_seen.day)) | 1) & {_BITS}
    WHEN fleet_seen.day - excluded.day > {DAYS} THEN fleet_seen.days
    ELSE fleet_seen.days | (1 << (fleet_seen.day - excluded.day)) END,
  sender = CASE WHEN excluded.day >= fleet_seen.day THEN excluded.sender ELSE fleet_seen.sender END,
  day = CASE WHEN excluded.day > fleet_seen.day THEN excluded.day ELSE fleet_seen.day END
"""  # noqa: S608 - only our own names
"""Adds a day to the rows of platforms, however often and in whatever order days come. In the order of their keys, so
that it never deadlocks with what deletes some."""
ADDED = "INSERT INTO fleet_seen_day (day) VALUES (?) ON CONFLICT DO NOTHING"
"""Then the rows know of it."""

_NUMBER = " + ".join(f"((seen >> {bit}) & 1)" for bit in range(DAYS))
_COUNTED = """
WITH known AS (
  SELECT instance_id, sender,
    (CASE WHEN day < {last} THEN days << ({last} - day) ELSE days >> (day - {last}) END) & {mask} AS seen
  FROM fleet_seen WHERE day BETWEEN {last} - 30 AND {last} + 30
), together AS (
  SELECT instance_id, seen, sender, first_seen,
    count(*) OVER (PARTITION BY sender, substr(CAST(first_seen AS text), 1, 10)) AS crowd
  FROM known JOIN platform USING (instance_id) WHERE seen <> 0
), placed AS (
  SELECT instance_id, seen, row_number() OVER (PARTITION BY sender ORDER BY first_seen, instance_id) AS place
  FROM together WHERE crowd <= {crowd} AND {number} >= {days}
)
SELECT instance_id, seen FROM placed WHERE place = 1
"""
_SEEN = (
    "SELECT count(*) FILTER (WHERE seen & 1 <> 0), count(*) FILTER (WHERE seen & 127 <> 0), count(*), "
    "count(*) FILTER (WHERE seen & {lately} = 0) FROM sample"
)
"""How many platforms of the sample were seen in a day, a week, and at all; and how many are silent."""


def window(until: date) -> list[date]:
    """The days that count for a release of the day `until`, the last first."""
    return [until - timedelta(days=ago) for ago in range(1, DAYS + 1)]


def known(session: Session, until: date) -> set[date]:
    """The days before `until` that the rows know of."""
    rows = session.run("SELECT day FROM fleet_seen_day WHERE day < ?", until.toordinal())
    return {date.fromordinal(day) for (day,) in rows}


def unknown(session: Session, until: date) -> list[date]:
    """The days before `until` that count, have pings, and are still to be entered."""
    return [day for day in set(window(until)) - known(session, until) if session.has_pings(day)]


def sample(session: Session, at: datetime, days: int, silent_after_days: int) -> Count | None:
    """See `Store.sample`. For a transaction that reads as of one moment."""
    until = at.astimezone(UTC).date()
    if unknown(session, until):
        return None
    session.run(f"CREATE TEMP TABLE sample AS {_counted(until, known(session, until), days)}")
    ((day, week, month, silent),) = session.run(_SEEN.format(lately=(1 << silent_after_days) - 1))
    found = session.distributions("sample JOIN platform USING (instance_id)")
    session.run("DROP TABLE sample")  # behind a pooler, sessions stay
    return Count(at, Seen({"1d": day, "7d": week, "30d": month}, silent), found)


def _counted(until: date, known: set[date], days: int) -> str:
    """The query of the platforms that count: of those behind one sender that were seen on enough of the `known` days,
    the one known longest; none of a crowd that was first seen on one day behind one sender. `seen` has a bit for each
    day, that for the last day before `until` first."""
    mask = sum(1 << place for place, day in enumerate(window(until)) if day in known)
    return _COUNTED.format(
        last=until.toordinal() - 1, mask=mask, number=_NUMBER, days=days, crowd=CROWD_OF_FEW_SENDERS.least
    )
