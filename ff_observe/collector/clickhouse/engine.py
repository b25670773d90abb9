"""Roll-ups as ClickHouse counts them from the pings themselves: the same as the store keeps, for the days it has."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from ff_observe.catalogue.ping_contract import FIELDS, MAX_COUNT, RollupRule, Value
from ff_observe.collector.clickhouse.server import Server
from ff_observe.collector.settings_kinds import ClickHouse
from ff_observe.collector.store import Distribution, Rollup, rollups
from ff_observe.collector.store.columns import COLUMNS, NAMES
from ff_observe.collector.store.rollups import Sighting

_FIRST, _LAST = date(1970, 2, 1), date(2149, 6, 1)  # what a Date holds, with the days before
_SIZES: Final = [0, *(size for power in range(16) for digit in (1, 2, 5) if (size := digit * 10**power) <= MAX_COUNT)]
_OF_SIGHTINGS: Final = frozenset({rollups.SEEN, rollups.GAP, rollups.UPGRADE, rollups.COHORT})
_BETWEEN: Final = "received_at >= {since:Date} AND received_at < {until:Date} + 1"


def _last(name: str) -> str:
    """The value of each platform's last ping, also if that left it out."""
    return f"tupleElement(argMax(tuple({name}), received_at), 1)"


_PINGS: Final = f"SELECT toDate(received_at) AS day, count() FROM ping WHERE {_BETWEEN} GROUP BY day"  # noqa: S608 - our own names
_VERSION: Final = NAMES[rollups.VERSION]
_SIGHTINGS: Final = f"""
SELECT day, if(before + {rollups.LONGEST_GAP} < day, NULL, before) AS known, if(isNull(known), NULL, version_before),
  version, first_seen, count()
FROM (
  SELECT day, version, first_seen, lagInFrame(toNullable(day)) OVER sent AS before,
    lagInFrame(version) OVER sent AS version_before
  FROM (
    SELECT toDate(received_at) AS day, instance_id, {_last(_VERSION)} AS version, {_last("first_seen")} AS first_seen
    FROM ping WHERE received_at >= {{since:Date}} - {rollups.LONGEST_GAP} AND received_at < {{until:Date}} + 1
    GROUP BY day, instance_id
  )
  WINDOW sent AS (PARTITION BY instance_id ORDER BY day ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
)
WHERE day >= {{since:Date}} GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - only names of our own columns


class ClickHouseEngine:
    """Answers `ff-observe fleet` in place of the store."""

    def __init__(self, database: ClickHouse) -> None:
        self._server = Server(database)

    def rollups(self, since: date, until: date, fields: Sequence[str]) -> Sequence[Rollup]:
        """See `Store.rollups`."""
        days = {"since": max(since, _FIRST), "until": min(until, _LAST)}
        wanted = frozenset(fields)
        sightings = self._sightings(days) if wanted & _OF_SIGHTINGS else {}
        distributions: dict[date, dict[int, Distribution]] = defaultdict(dict)
        found: list[Rollup] = []
        for index in rollups.ROLLED_UP:
            if FIELDS[index].dotted not in wanted:
                continue
            if FIELDS[index].rolled_up is RollupRule.BY_SIZE:
                found += self._sizes(index, days)
                continue
            for day, distribution in self._values(index, days).items():
                distributions[day][index] = distribution
        for text, pings in self._server.run("count pings", _PINGS, **days):
            day = date.fromisoformat(text)
            found += rollups.of_day(day, pings, sightings.get(day, ()), distributions[day])
        return sorted(row for row in found if row.field in wanted)

    def _sightings(self, days: Mapping[str, date]) -> Mapping[date, list[Sighting]]:
        found: dict[date, list[Sighting]] = defaultdict(list)
        for day, before, *versions, first_seen, platforms in self._server.run("count platforms", _SIGHTINGS, **days):
            old, new = versions
            known = before and date.fromisoformat(before)
            found[date.fromisoformat(day)].append(Sighting(known, old, new, date.fromisoformat(first_seen), platforms))
        return found

    def _values(self, index: int, days: Mapping[str, date]) -> Mapping[date, Distribution]:
        found: dict[date, list[tuple[Value | None, int]]] = defaultdict(list)
        statement = f"SELECT day, value, count() FROM ({_lasts(index)}) GROUP BY day, value"  # noqa: S608 - our own names
        for day, value, platforms in self._server.run("count values", statement, **days):
            found[date.fromisoformat(day)].append((value, platforms))
        return {day: rollups.ascending(distribution) for day, distribution in found.items()}

    def _sizes(self, index: int, days: Mapping[str, date]) -> list[Rollup]:
        size = f"if(isNull(value), NULL, roundDown(assumeNotNull(value), {_SIZES}))"
        total = "toString(sum(toInt128(ifNull(value, 0))))"
        statement = f"SELECT day, {size} AS size, count(), {total} FROM ({_lasts(index)}) GROUP BY day, size"  # noqa: S608 - our own names
        return [
            Rollup(
                date.fromisoformat(day),
                FIELDS[index].dotted,
                rollups.text(size),
                platforms,
                min(int(total), rollups.LARGEST_TOTAL),
            )
            for day, size, platforms, total in self._server.run("count sizes", statement, **days)
        ]

    def crosstab(self, day: date, first: int, second: int) -> Sequence[tuple[Value | None, Value | None, int]]:
        """See `Store.crosstab`."""
        pair = ", ".join(f"{_last(COLUMNS[index].name)} AS {name}" for index, name in ((first, "a"), (second, "b")))
        platforms = f"SELECT {pair} FROM ping WHERE {_BETWEEN} GROUP BY instance_id"  # noqa: S608 - our own names
        statement = f"SELECT a, b, count() FROM ({platforms}) GROUP BY a, b"  # noqa: S608 - our own names
        rows: list[list[Any]] = self._server.run("read a day", statement, since=day, until=day)
        return [(a, b, number) for a, b, number in rows]


def _lasts(index: int) -> str:
    """Each platform's value on each day."""
    last = f"SELECT toDate(received_at) AS day, {_last(NAMES[index])} AS value FROM ping"  # noqa: S608 - our own names
    return f"{last} WHERE {_BETWEEN} GROUP BY day, instance_id"
