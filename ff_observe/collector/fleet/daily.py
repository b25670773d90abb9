"""What may be shown of the days that are over, by their roll-ups: `/metrics` has the last one, a history all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final, Protocol

from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.model import Metric
from ff_observe.catalogue.ping_contract import Value
from ff_observe.collector.fleet import figures as fleet
from ff_observe.collector.fleet.disclosure import OTHER, Disclosure
from ff_observe.collector.fleet.figures import ByValue
from ff_observe.collector.fleet.questions import MONTH, Sightings
from ff_observe.collector.store import Rollup, Seen
from ff_observe.collector.store.rollups import COHORT, GAP, NEW, RETURNING, SEEN
from ff_observe.exposition.backfill import END, check_labels, head, series

Figures = Mapping[tuple[str, ...], int]
"""The figures of a metric by the values of its labels."""

BY_VALUE: Final[Mapping[Metric, ByValue]] = MappingProxyType(
    {
        catalogue.DAILY_BY_VERSION: fleet.VERSION,
        catalogue.DAILY_BY_NODEJS_VERSION: fleet.NODEJS_VERSION,
        catalogue.DAILY_BY_DRIVER: fleet.DRIVER,
        catalogue.DAILY_BY_LICENSE_TYPE: fleet.LICENSE_TYPE,
        catalogue.DAILY_BY_FIRST_MONTH: ByValue("first month", COHORT, lambda month: str(month) or OTHER),
    }
)
SIGHTINGS: Final = (SEEN, GAP)
READ_BACK: Final = timedelta(days=3 * MONTH)
"""A day's figures rest on those of the 60 days before it (platforms lost within 30 days), of which the first may be
without pings."""
_WINDOWS: Final = {"30d": MONTH, "1d": 1}
DAYS_AT_ONCE: Final = 31
_NOTE: Final = "From the roll-ups of each day."


class Rollups(Protocol):
    """See `Store`."""

    def rollups(self, since: date, until: date, fields: Sequence[str]) -> Sequence[Rollup]: ...


def take_day(store: Rollups, day: date, k: int) -> Mapping[Metric, Figures]:
    """What `/metrics` shows of a day; empty before the first. Raises `StoreError`."""
    days = Days(store.rollups(day - READ_BACK, day, SIGHTINGS), Disclosure(k))
    if not days.seen:
        return {}
    rows = store.rollups(day, day, [each.field for each in BY_VALUE.values()])
    by_value = {metric: days.by_value(metric, rows) for metric in BY_VALUE}
    return {catalogue.DAILY_TIMESTAMP: {(): end_of(day)}, **by_value, catalogue.CHANGED: days.changed(day)}


def end_of(day: date) -> int:
    """In seconds since 1970."""
    return int(datetime.combine(day + timedelta(days=1), time(), UTC).timestamp())


class Days(Sightings):
    """The days of a fleet, by their roll-ups of `SIGHTINGS`, in which none may be missing after the first."""

    def __init__(self, rows: Iterable[Rollup], rules: Disclosure) -> None:
        super().__init__(rows)
        self._rules = rules
        first = min(self.seen, default=date.max)
        has_begun = self.gap(first, NEW) == self.seen.get(first)
        self.known_from = date.min if has_begun or not self.seen else first
        """Before it there may have been days whose roll-ups are not here."""

    def by_value(self, metric: Metric, rows: Iterable[Rollup]) -> Figures:
        """The figures of one of `BY_VALUE`, by the roll-ups of a day."""
        of = BY_VALUE[metric]
        distribution: list[tuple[Value | None, int]] = [
            (row.value, row.platforms) for row in rows if row.field == of.field
        ]
        return {(label,): platforms for label, platforms in of.shares(self._rules, distribution).items()}

    def windows(self, day: date, silent_after_days: int) -> Mapping[Metric, Figures]:
        """The windows that end with a day, and the silent platforms then: what a count at its end would have shown."""
        if not self._reaches(day, MONTH):
            return {}
        by_window = {window: self.within(day, days) for window, days in catalogue.WINDOWS.items()}
        silent = by_window["30d"] - self.within(day, silent_after_days)
        platforms, silent_shown = fleet.windows(self._rules, Seen(by_window, silent))
        return {
            catalogue.PLATFORMS: {(window,): number for window, number in platforms.items()},
            catalogue.SILENT: {} if silent_shown is None else {(): silent_shown},
        }

    def changed(self, day: date) -> Figures:
        """The figures of `CHANGED`."""
        shown: dict[tuple[str, ...], int] = {}
        for window, days in _WINDOWS.items():
            if not self._reaches(day, days + MONTH):
                continue
            ends = [day - timedelta(days=ago) for ago in range(days)]
            new, returning = (sum(self.gap(end, value) for end in ends) for value in (NEW, RETURNING))
            lost = sum(self.lost(end, MONTH) for end in ends)
            seen, before = self.within(day, days), self.within(day - timedelta(days=days), MONTH)
            groups = {"new": (new, seen), "returning": (returning, seen - new), "lost": (lost, before)}
            within = {change: [shown[change, "30d"]] if (change, "30d") in shown else [] for change in groups}
            may = self._rules.changes({change: (*groups[change], *within[change]) for change in groups})
            shown |= {(change, window): number for change, number in may.items()}
        return shown

    def _reaches(self, day: date, days: int) -> bool:
        return self.known_from <= day - timedelta(days=days - 1)


def write_history(
    store: Rollups, since: date | None, until: date, labels: Mapping[str, str], *, k: int, silent_after_days: int
) -> Iterator[str]:
    """For each day what `/metrics` would have shown, as lines of OpenMetrics: a sample at the end of each day from the
    first with pings, or `since`, to the last, or `until`. Raises `StoreError`, or `UsageError` for a label that is a
    metric's own.

    One family of metrics at a time, and a month of roll-ups: what is held is what is shown, however many years these
    are.
    """
    check_labels(labels, (*BY_VALUE, catalogue.CHANGED, catalogue.PLATFORMS, catalogue.SILENT))
    days = Days(store.rollups(date.min, until, SIGHTINGS), Disclosure(k))
    first, last = min(days.seen, default=until), max(days.seen, default=date.min)
    first = first if since is None else max(first, since)
    wanted = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    common = tuple(labels.items())

    def family(metric: Metric, figures: Mapping[date, Figures]) -> Iterator[str]:
        yield head(metric, _NOTE)
        found: dict[tuple[str, ...], list[tuple[float, int]]] = {}
        for day, shown in figures.items():
            for values, number in shown.items():
                found.setdefault(values, []).append((end_of(day), number))
        for values, samples in found.items():
            yield from series(metric, (*zip(metric.labels, values, strict=True), *common), samples)

    yield from family(catalogue.DAILY_TIMESTAMP, {day: {(): end_of(day)} for day in wanted})
    for metric in BY_VALUE:
        yield from family(metric, _by_value(store, days, metric, wanted))
    yield from family(catalogue.CHANGED, {day: days.changed(day) for day in wanted})
    windows = {day: days.windows(day, silent_after_days) for day in wanted}
    for metric in (catalogue.PLATFORMS, catalogue.SILENT):
        yield from family(metric, {day: shown.get(metric, {}) for day, shown in windows.items()})
    yield END


def _by_value(store: Rollups, days: Days, metric: Metric, wanted: Sequence[date]) -> Mapping[date, Figures]:
    found: dict[date, Figures] = {}
    for place in range(0, len(wanted), DAYS_AT_ONCE):
        month = wanted[place : place + DAYS_AT_ONCE]
        rows: dict[date, list[Rollup]] = {day: [] for day in month}
        for row in store.rollups(month[0], month[-1], [BY_VALUE[metric].field]):
            rows[row.day].append(row)
        found |= {day: days.by_value(metric, rows[day]) for day in month}
    return found
