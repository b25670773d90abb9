"""What is kept of a day, as pure functions of what its pings say.

Besides the fields of the ping a day has these:
- `pings`: how many pings it had. A day that has more or fewer by now is rolled up again;
- `seen`: how many platforms pinged;
- `gap`: how many of them pinged last so many days before (1 to 30), were `new`, or are `returning` after longer;
- `upgrade`: how many had another version before, as `2.32.0 2.33.1`;
- `cohort`: how many pinged first in a month, as `2026-03`;
- `crowd`: the largest number of new platforms behind one sender; absent without any.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from ff_observe.catalogue.ping_contract import FIELDS, RollupRule, Value
from ff_observe.collector.store.model import Distribution, Rollup

PINGS, SEEN, GAP, UPGRADE, COHORT, CROWD = "pings", "seen", "gap", "upgrade", "cohort", "crowd"
NEW, RETURNING = "new", "returning"
OTHER = "other"
LEFT_OUT = ""
"""The value of platforms that left a field out."""

LONGEST_GAP = 30
MOST_VALUES = 500
"""A field keeps its most frequent values of a day; who sends thousands of versions fills no disk."""
FEW = 5
"""What fewer platforms had on a day is merged once its pings are deleted: `forget` could not take it out any more."""
PATIENCE = timedelta(days=2)
"""So long old pings wait for the days that are counted from them to be rolled up."""
LARGEST_TOTAL = 2**63 - 1
"""Sums beyond what a database's integer holds are cut to it."""

ROLLED_UP: tuple[int, ...] = tuple(i for i, field in enumerate(FIELDS) if field.rolled_up is not RollupRule.NONE)
VERSION = next(index for index, field in enumerate(FIELDS) if field.dotted == "env.flowforge")
_BY_SIZE = frozenset(field.dotted for field in FIELDS if field.rolled_up is RollupRule.BY_SIZE)
_EXACT = frozenset({PINGS, SEEN, GAP, CROWD})


class Sighting(NamedTuple):
    """How many platforms of a day share this: the day of their ping before, within `LONGEST_GAP` days, and its version;
    the version now; when the platform was first seen."""

    before: date | None
    version_before: str | None
    version: str | None
    first_seen: date
    platforms: int


def of_day(
    day: date, pings: int, sightings: Iterable[Sighting], distributions: Mapping[int, Distribution], crowd: int = 0
) -> list[Rollup]:
    """The roll-ups of a day; none without pings."""
    if not pings:
        return []
    seen: Counter[str] = Counter()
    gaps: Counter[str] = Counter()
    upgrades: Counter[str] = Counter()
    cohorts: Counter[str] = Counter()
    for one in sightings:
        seen[""] += one.platforms
        gaps[_gap(day, one)] += one.platforms
        cohorts[f"{min(one.first_seen, day):%Y-%m}"] += one.platforms
        if one.before is not None and one.version_before != one.version:
            upgrades[f"{one.version_before or '-'} {one.version or '-'}"] += one.platforms
    rows = [Rollup(day, PINGS, "", pings)]
    if crowd:
        rows.append(Rollup(day, CROWD, "", crowd))
    for field, counted in ((SEEN, seen), (GAP, gaps), (UPGRADE, upgrades), (COHORT, cohorts)):
        rows += _frequent(day, field, counted)
    for index, distribution in distributions.items():
        rows += _of_field(day, index, distribution)
    return rows


def _gap(day: date, one: Sighting) -> str:
    if one.before is not None:
        return str((day - one.before).days)
    return NEW if one.first_seen >= day else RETURNING


def _of_field(day: date, index: int, distribution: Distribution) -> list[Rollup]:
    field = FIELDS[index]
    platforms: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    if field.rolled_up is RollupRule.BY_VALUE:
        for value, number in distribution:
            platforms[text(value)] += number
        return _frequent(day, field.dotted, platforms)
    for value, number in distribution:
        key = LEFT_OUT if value is None else str(size(int(value)))
        platforms[key] += number
        totals[key] += int(value or 0) * number
    return [Rollup(day, field.dotted, key, n, min(totals[key], LARGEST_TOTAL)) for key, n in platforms.items()]


def text(value: Value | None) -> str:
    """A value as a roll-up names it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return LEFT_OUT if value is None else str(value)


def size(count: int) -> int:
    """The largest of 0, 1, 2, 5, 10, 20, 50, … that is not above a count."""
    if count < 1:
        return 0
    power = int(10 ** (len(str(count)) - 1))
    return next(step * power for step in (5, 2, 1) if step * power <= count)


def following(size: int) -> int:
    """The size after a size: 1 after 0, 2 after 1, 5 after 2, …"""
    return size + 1 if size < 1 else size * 5 // 2 if str(size)[0] == "2" else size * 2


def place(least: int) -> int:
    """The place of a size among 0, 1, 2, 5, 10, 20, …"""
    return 0 if least < 1 else 3 * len(str(least)) - {"1": 2, "2": 1, "5": 0}[str(least)[0]]


def _frequent(day: date, field: str, counted: Mapping[str, int]) -> list[Rollup]:
    """The most frequent values, and `other` for the rest. What platforms say is `other` belongs to the rest, too: a day
    has each value once."""
    named = [Rollup(day, field, value, platforms) for value, platforms in counted.items() if value != OTHER]
    named.sort(key=lambda row: (-row.platforms, row.value))
    rest = counted.get(OTHER, 0) + sum(row.platforms for row in named[MOST_VALUES:])
    return named[:MOST_VALUES] + ([Rollup(day, field, OTHER, rest)] if rest else [])


def sealed(rows: Iterable[Rollup]) -> list[Rollup]:
    """What stays of a day whose pings are deleted: no value that fewer than `FEW` platforms had, no sum over them."""
    kept: list[Rollup] = []
    merged: dict[str, list[Rollup]] = {}
    for row in rows:
        if row.field in _EXACT or (row.platforms >= FEW and row.value != OTHER):
            kept.append(row)
        elif row.field in _BY_SIZE:
            kept.append(row._replace(total=min(int(row.value or 0) * row.platforms, LARGEST_TOTAL)))
        else:
            merged.setdefault(row.field, []).append(row)
    return kept + [few[0]._replace(value=OTHER, platforms=sum(row.platforms for row in few)) for few in merged.values()]


def changed(there: Mapping[date, int], known: Mapping[date, int]) -> set[date]:
    """The days to roll up again: those whose number of pings has changed, and those after the first of them that have
    pings, because their platforms were seen before."""
    different = {day for day in there.keys() | known.keys() if there.get(day, 0) != known.get(day, 0)}
    return different | {day for day in there if different and min(different) < day <= max(different) + _REACH}


_REACH = timedelta(days=LONGEST_GAP)


@dataclass(frozen=True, slots=True)
class Pruning:
    """Pings from before `old` are to be deleted `today`, once the days that are counted from them are rolled up: their
    own, and those after it, because their platforms were seen before."""

    old: datetime
    today: date

    @property
    def counted_before(self) -> date:
        """Days before it are counted from old pings. Today is too, of a short retention, but never over."""
        return min(self.today, (self.old + _REACH).date() + timedelta(days=1))

    @property
    def patient_since(self) -> date:
        """A day that was waited for on that day is not waited for any more."""
        return self.today - PATIENCE

    def end(self, awaited: date | None) -> datetime:
        """Pings from before then may be deleted; `awaited` is the first day that is still to be rolled up."""
        return self.old if awaited is None else min(self.old, datetime.combine(awaited - _REACH, time(), UTC))


def ascending(distribution: Iterable[tuple[Any, int]]) -> Distribution:
    """In the order of the values, of which none is twice; those left out last."""
    return sorted(distribution, key=lambda each: (each[0] is None, each[0]))
