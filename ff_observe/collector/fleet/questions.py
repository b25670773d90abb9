"""What a vendor asks of the fleet, answered from roll-ups by arithmetic alone: windows are exact, and no ping is read.

For the operator of the collector, who can read every ping: the figures are exact, and nothing is left out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ff_observe.catalogue.ping_contract import FIELDS, Field, RollupRule, Value
from ff_observe.catalogue.quality import MISSING, NO_PINGS
from ff_observe.collector.fleet.quality import Finding
from ff_observe.collector.store import Rollup
from ff_observe.collector.store.rollups import COHORT, GAP, NEW, RETURNING, SEEN, UPGRADE, following
from ff_observe.collector.store.rollups import text as as_text

Cell = str | int | float | None

NOT_SAID = "(not said)"
MONTH, WEEK = 30, 7


@dataclass(frozen=True, slots=True)
class Answer:
    """A table. A line of `text` draws bars of the last column named in `bar`, or a curve of it for each `curve`."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    bar: str | None = None
    curve: str | None = None


def matching(name: str, kinds: Iterable[RollupRule]) -> list[Field]:
    """The fields that a name stands for: the whole dotted path, or its end if only one has it."""
    fields = [field for field in FIELDS if field.rolled_up in set(kinds)]
    whole = [field for field in fields if field.dotted == name]
    return whole or [field for field in fields if field.dotted.endswith(f".{name}")]


def adoption(rows: Iterable[Rollup]) -> Answer:
    """How many platforms had each value of a field on each day."""
    days: dict[date, dict[str, int]] = defaultdict(dict)
    for row in rows:
        days[row.day][row.value or NOT_SAID] = row.platforms
    found = [
        (day.isoformat(), value, platforms, round(platforms / sum(values.values()), 4))
        for day, values in sorted(days.items())
        for value, platforms in sorted(values.items(), key=lambda each: (-each[1], each[0]))
    ]
    return Answer(("day", "value", "platforms", "share"), found, curve="value")


def upgrades(rows: Iterable[Rollup]) -> Answer:
    """How many platforms went from a version to another."""
    counted: Counter[str] = Counter()
    for row in rows:
        if row.field == UPGRADE:
            counted[row.value] += row.platforms
    pairs = sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    parted = [(*value.partition(" ")[::2], platforms) for value, platforms in pairs]
    return Answer(("from", "to", "platforms"), parted, bar="platforms")


def cohorts(rows: Iterable[Rollup]) -> Answer:
    """Of the platforms that pinged first in a month, how many still pinged on the last day of each month."""
    last: dict[str, date] = {}
    kept = [row for row in rows if row.field == COHORT]
    for row in kept:
        month = f"{row.day:%Y-%m}"
        last[month] = max(row.day, last.get(month, row.day))
    found = [(row.value, row.day.isoformat(), row.platforms) for row in kept if row.day in set(last.values())]
    return Answer(("first seen", "day", "platforms"), sorted(found), curve="first seen")


def histogram(rows: Sequence[Rollup]) -> Answer:
    """How many platforms have how many, on the last of the days."""
    newest = max((row.day for row in rows), default=None)
    sized = sorted((int(row.value), row.platforms, row.total) for row in rows if row.day == newest and row.value)
    found = [(str(newest), least, following(least) - 1, platforms, total) for least, platforms, total in sized]
    return Answer(("day", "from", "to", "platforms", "sum"), found, bar="platforms")


def crosstab(first: str, second: str, cells: Iterable[tuple[Value | None, Value | None, int]]) -> Answer:
    """How many platforms have each pair of values."""
    pairs = sorted((-platforms, as_text(a) or NOT_SAID, as_text(b) or NOT_SAID) for a, b, platforms in cells)
    return Answer((first, second, "platforms"), [(a, b, -negative) for negative, a, b in pairs], bar="platforms")


class Sightings:
    """Which platforms pinged on which days, as the days' gaps tell."""

    def __init__(self, rows: Iterable[Rollup]) -> None:
        self.seen: dict[date, int] = {}
        self._gaps: dict[tuple[date, str], int] = {}
        for row in rows:
            if row.field == SEEN:
                self.seen[row.day] = row.platforms
            elif row.field == GAP:
                self._gaps[row.day, row.value] = row.platforms

    def gap(self, day: date, value: str) -> int:
        """How many platforms of a day had a gap (days, `new` or `returning`) before it."""
        return self._gaps.get((day, value), 0)

    def within(self, day: date, days: int) -> int:
        """How many platforms pinged on at least one of the `days` that end with `day`: each counts on the last of them,
        which none of the later days names as the one before."""
        return sum(self._not_again(day - timedelta(days=ago), ago) for ago in range(days))

    def lost(self, day: date, days: int) -> int:
        """How many pinged `days` before `day`, and on none since."""
        return self._not_again(day - timedelta(days=days), days)

    def _not_again(self, day: date, days: int) -> int:
        again = sum(self.gap(day + timedelta(days=gap), str(gap)) for gap in range(1, days + 1))
        return self.seen.get(day, 0) - again


def silent(rows: Iterable[Rollup], since: date, silent_after_days: int) -> Answer:
    """Day by day: who pinged, who is new or back, who fell silent, who is lost."""
    found = Sightings(rows)
    table: list[tuple[Cell, ...]] = []
    for day, seen in sorted(found.seen.items()):
        if day >= since:
            month = found.within(day, MONTH)
            quiet = month - found.within(day, silent_after_days)
            new, back = found.gap(day, NEW), found.gap(day, RETURNING)
            table.append(
                (day.isoformat(), seen, found.within(day, WEEK), month, new, back, quiet, found.lost(day, MONTH))
            )
    return Answer(("day", "seen", "seen in 7 days", "seen in 30 days", "new", "returning", "silent", "lost"), table)


def quality(found: Iterable[Finding]) -> Answer:
    """What is doubtful of each day."""
    table = [
        (one.day.isoformat(), one.rule.name, one.field, one.value, one.found, one.usual, one.rule.meaning)
        for one in found
    ]
    return Answer(("day", "rule", "field", "value", "found", "usual", "meaning"), table)


def missing_days(found: Iterable[Finding]) -> Answer:
    """Of what is doubtful, the days that lack platforms."""
    lacking = (one for one in found if one.rule in (NO_PINGS, MISSING))
    table = [(one.day.isoformat(), one.found, one.usual, one.rule.meaning) for one in lacking]
    return Answer(("day", "platforms", "usual", "meaning"), table)
