"""Which days of the fleet are doubtful, and why: found in roll-ups alone, by the rules of `catalogue/quality.py`.

For the operator of the collector, like `questions`. What public figures leave out is decided in `store/sightings.py`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

from ff_observe.catalogue.ping_contract import FIELDS, RollupRule
from ff_observe.catalogue.quality import (
    CROWD,
    CROWD_OF_FEW_SENDERS,
    LATE,
    MISSING,
    NO_PINGS,
    RULES,
    UNKNOWN_VALUE,
    Rule,
)
from ff_observe.collector.fleet.figures import BOUNDS, DRIVERS, LICENSE_TYPES, RESOURCES, Document, is_release
from ff_observe.collector.store import Rollup, Store, rollups

USUAL_DAYS: Final = 7
HELD_DAYS: Final = 30
_BEFORE: Final = timedelta(days=USUAL_DAYS + HELD_DAYS)
"""What is usual of unknown values needs the days on which they were known."""
_PAUSES: Final = frozenset(str(days) for days in range(2, USUAL_DAYS + 1))
_STEPS: Final = 3
"""A size so many groups above the largest of the days before is ten times as large; beyond it, a count is unknown."""

_NODEJS = re.compile(r"v[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)
_KNOWN: Final[Mapping[str, Callable[[str], object]]] = {
    "env.flowforge": is_release,
    "env.nodejs": _NODEJS.fullmatch,
    "platform.config.driver": DRIVERS.__contains__,
    "platform.license.type": LICENSE_TYPES.__contains__,
}
"""Fields with values that are known beforehand. Of the others a value is unknown that was not there before."""
_MOST: Final = {FIELDS[RESOURCES[name]].dotted: most for name, most in BOUNDS.items()}
_BY_VALUE, _BY_SIZE = (
    tuple(field.dotted for field in FIELDS if field.rolled_up is kind and field.type is not bool)
    for kind in (RollupRule.BY_VALUE, RollupRule.BY_SIZE)
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What breaks a rule on a day. Of unknown values, `field` is that of the ping and `value` the most frequent; a
    count is named by the least of its size."""

    day: date
    rule: Rule
    field: str
    value: str
    found: int
    usual: int


def take_findings(store: Store, since: date, until: date) -> list[Finding]:
    """The findings of the days from `since` to `until`, which have to be rolled up. Raises `StoreError`."""
    seen = store.rollups(date.min, until, [rollups.SEEN])
    fields = (rollups.GAP, rollups.CROWD, *_BY_VALUE, *_BY_SIZE)
    return findings([*seen, *store.rollups(since - _BEFORE, until, fields)], since, until)


def counted(found: Iterable[Finding], k: int) -> Mapping[str, int]:
    """What `/metrics` may show: how many findings each rule has, of those that rest on `k` platforms. No platform at
    all may be shown."""
    numbers = Counter({rule.name: 0 for rule in RULES})
    numbers.update(each.rule.name for each in found if not each.found or abs(each.found - each.usual) >= k)
    return numbers


def of_release(document: Document, earlier: Sequence[Document]) -> list[str]:
    """The rules that the last day of a release breaks, by what it and up to `USUAL_DAYS` releases before it show. This
    gives away nothing more of the pings, and readers can recompute it. A figure that is not shown says nothing, and a 0
    may be rounded."""
    shown, *before = (each["platforms"].get("1d") for each in (document, *earlier))
    known = [number for number in before if number is not None]
    usual = int(median(known)) if known else 0
    return [MISSING.name] if shown is not None and MISSING.is_broken(shown, usual, usual) else []


def findings(rows: Iterable[Rollup], since: date, until: date) -> list[Finding]:
    """By day, and in the order of the rules. `rows` are from before `since` too, as far as rules look back."""
    by_field: dict[str, dict[date, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        by_field[row.field][row.day][row.value] = row.platforms
    seen = {day: sum(values.values()) for day, values in by_field[rollups.SEEN].items()}
    first = max(since, min(seen, default=date.max))
    measured = list(_measured(seen, by_field, first - timedelta(days=USUAL_DAYS)))
    found: list[Finding] = []
    for day in (first + timedelta(days=days) for days in range((until - first).days + 1)):
        platforms = _usual(seen, seen, day)
        for rule, field, numbers, values in measured:
            number, usual = numbers.get(day, 0), _usual(numbers, seen, day)
            is_broken = rule is not NO_PINGS and rule.is_broken(number, usual, platforms)
            if is_broken if day in seen else rule is NO_PINGS:
                found.append(Finding(day, rule, field, values.get(day, ""), number, usual))
    return found


Measured = tuple[Rule, str, Mapping[date, int], Mapping[date, str]]
"""A rule with the field it looks at (empty for the pings as a whole), how many platforms it counts on each day, and the
value that most of them share."""


def _measured(
    seen: Mapping[date, int], by_field: Mapping[str, Mapping[date, Mapping[str, int]]], since: date
) -> Iterator[Measured]:
    gaps = by_field[rollups.GAP]
    yield NO_PINGS, "", seen, {}
    yield MISSING, "", seen, {}
    late = {day: sum(n for gap, n in values.items() if gap in _PAUSES) for day, values in gaps.items()}
    yield LATE, "", late, {}
    yield CROWD, "", {day: values.get(rollups.NEW, 0) for day, values in gaps.items()}, {}
    yield CROWD_OF_FEW_SENDERS, "", {day: values[""] for day, values in by_field[rollups.CROWD].items()}, {}
    for field in (*_BY_VALUE, *_BY_SIZE):
        unknown = {day: _unknown(field, day, by_field[field]) for day in by_field[field] if day >= since}
        numbers = {day: sum(values.values()) for day, values in unknown.items()}
        yield UNKNOWN_VALUE, field, numbers, {day: _most(values) for day, values in unknown.items() if values}


def _most(values: Mapping[str, int]) -> str:
    return min(values, key=lambda value: (-values[value], value))


def _usual(numbers: Mapping[date, int], seen: Mapping[date, int], day: date) -> int:
    before = [numbers.get(other, 0) for ago in range(1, USUAL_DAYS + 1) if (other := day - timedelta(days=ago)) in seen]
    return int(median(before)) if before else 0


def _unknown(field: str, day: date, days: Mapping[date, Mapping[str, int]]) -> Mapping[str, int]:
    """The values of a day that are unknown, with their platforms. What is merged as `other` says nothing."""
    said = {value: n for value, n in days[day].items() if value not in (rollups.LEFT_OUT, rollups.OTHER)}
    if (is_known := _KNOWN.get(field)) is not None:
        return {value: n for value, n in said.items() if not is_known(value)}
    before = (days.get(day - timedelta(days=ago), {}) for ago in range(1, HELD_DAYS + 1))
    held = {value for values in before for value in values if value != rollups.LEFT_OUT}
    if field in _BY_SIZE:
        return {value: n for value, n in said.items() if _is_beyond(field, int(value), held)}
    return {value: n for value, n in said.items() if held and rollups.OTHER not in held and value not in held}


def _is_beyond(field: str, least: int, held: Iterable[str]) -> bool:
    largest = max(map(int, held), default=None)
    is_a_leap = largest is not None and rollups.place(least) - rollups.place(largest) > _STEPS
    return is_a_leap or least > _MOST.get(field, least)
