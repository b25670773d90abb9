"""The past of a fleet by its roll-ups: for each day what `/metrics` would have shown, as OpenMetrics with timestamps.

One family of metrics at a time, and a month of roll-ups: what is held is what is shown, however many years these are.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.model import Metric
from ff_observe.collector.daily import BY_VALUE, SIGHTINGS, Days, Figures, Rollups, end_of
from ff_observe.collector.disclosure import Disclosure
from ff_observe.collector.store import Rollup
from ff_observe.exposition.backfill import END, head, series

DAYS_AT_ONCE: Final = 31
_NOTE: Final = "From the roll-ups of each day."


def write(
    store: Rollups, since: date | None, until: date, labels: Mapping[str, str], *, k: int, silent_after_days: int
) -> Iterator[str]:
    """The lines of the exposition: a sample at the end of each day from the first with pings, or `since`, to the last,
    or `until`. Raises `StoreError`."""
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
