"""What a platform's database says of its past: OpenMetrics with timestamps, for `promtool tsdb create-blocks-from`.

From the times at which rows were made, and from the audit log. What was deleted since is not in it: each HELP says so.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, islice
from typing import Final

from ff_observe.catalogue.audit import AUDIT_EVENTS, DERIVED, Event, value_of
from ff_observe.catalogue.counts import COUNTS
from ff_observe.catalogue.model import Metric
from ff_observe.errors import SourceError
from ff_observe.exposition.backfill import END, Labels, check_labels, head, series
from ff_observe.platform.sources.audit_log import AuditLog, moment
from ff_observe.platform.sources.counting import Queryable
from ff_observe.platform.sources.schema import CREATED_AT, TABLES
from ff_observe.platform.sources.sql import literal, quoted

GROWING: Final = ("flowfuse_users", "flowfuse_teams", "flowfuse_instances", "flowfuse_devices", "flowfuse_snapshots")
"""The counts of all rows of the `dated` tables."""
ROWS: Final = 10_000
"""Of one statement: far less than a second, and fewer than a session takes."""

Progress = Callable[[str, float], None]
"""Called with the metric that is being read, and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Span:
    """The moments of a history: every `step` from the first thing that happened, or `since`, to `until`."""

    since: datetime | None
    until: datetime
    step: timedelta

    def index(self, at: datetime) -> int:
        """The first moment at which something that happened `at` is past."""
        return -(-int((at - _EPOCH) / timedelta(milliseconds=1)) // int(self.step / timedelta(milliseconds=1)))

    def seconds(self, index: int) -> float:
        """A moment in seconds since 1970."""
        return index * self.step.total_seconds()


_LOG_NOTE: Final = "Entries deleted from the audit log are missing."
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def write(
    source: Queryable, span: Span, labels: Mapping[str, str], progress: Progress, *, every_event: bool = False
) -> Iterator[str]:
    """The lines of the exposition, with `every_event` also a series for each event and source that the audit log has,
    which makes it ten times as long. Raises `SourceError`, or `UsageError` for a label that a metric has itself."""
    check_labels(labels, (*DERIVED, *([AUDIT_EVENTS] if every_event else ())))
    common = tuple(labels.items())
    for metric in COUNTS:
        if metric.name in GROWING:
            made = _made(source, TABLES[metric.of.table].name, span, partial(progress, metric.name))
            if made is not None:
                note = "Of the rows that are there today, by when they were made: what was deleted since is missing."
                yield from _family(metric, note, {(): made}, span, common)
    happened = _happened(source, span, partial(progress, "the audit log")) or Counter()
    for derived in DERIVED:
        (label,) = derived.labels
        counted: dict[Labels, Counter[int]] = {((label, value),): Counter() for value in derived.label_values}
        for (event, index), number in happened.items():
            value = value_of(derived, event)
            if value is not None:
                counted[((label, value),)][index] += number
        yield from _family(derived, _LOG_NOTE, counted, span, common)
    events: dict[Labels, Counter[int]] = {}
    for (event, index), number in happened.items() if every_event else ():
        events.setdefault((("event", event.event), ("source", event.source)), Counter())[index] += number
    if events:
        yield from _family(AUDIT_EVENTS, _LOG_NOTE, events, span, common)
    yield END


def _family(
    metric: Metric, note: str, found: Mapping[Labels, Counter[int]], span: Span, common: Labels
) -> Iterator[str]:
    """All samples of one metric, series by series, each in the order of time, from the first row on."""
    yield head(metric, note)
    rows = [index for counted in found.values() for index in counted]
    if not rows:
        return
    first = min(rows) if span.since is None else max(min(rows), span.index(span.since))
    last = span.index(span.until + timedelta(milliseconds=1)) - 1
    for labels, counted in found.items():
        before = sum(n for index, n in counted.items() if index < first)
        numbers = accumulate((counted.get(index, 0) for index in range(first, last + 1)), initial=before)
        moments = map(span.seconds, range(first, last + 1))
        yield from series(metric, (*labels, *common), zip(moments, islice(numbers, 1, None), strict=True))


def _made(source: Queryable, table: str, span: Span, progress: Callable[[float], None]) -> Counter[int] | None:
    """How many rows of a table were made in each step; None where the table, or its `createdAt`, is not there."""
    columns = {str(name) for _, name, _ in source.select(source.dialect.columns([table]))}
    if not {"id", CREATED_AT} <= columns:
        return None
    (row,) = source.select(f"SELECT count(*) FROM {quoted(table)}")  # noqa: S608 - a name of ours
    whole, read, after = _whole(row[0]), 0, None
    made: Counter[int] = Counter()
    created = source.dialect.milliseconds(f"a.{quoted(CREATED_AT)}")
    while True:
        where = "" if after is None else f"WHERE a.id > {after if isinstance(after, int) else literal(after)}"
        rows = source.select(
            f"SELECT CAST(a.id AS text), {created}, a.id FROM {quoted(table)} a {where} ORDER BY a.id LIMIT {ROWS}"  # noqa: S608 - a name of our own
        )
        for _, milliseconds, _ in rows:
            made[span.index(moment(_whole(milliseconds)))] += 1
        read += len(rows)
        progress(min(1.0, read / max(1, whole)))
        if len(rows) < ROWS:
            return made
        after = rows[-1][2] if isinstance(rows[-1][2], int) else str(rows[-1][0])


def _happened(source: Queryable, span: Span, progress: Callable[[float], None]) -> Counter[tuple[Event, int]] | None:
    """How often each event happened in each step; None where there is no audit log."""
    log = AuditLog(source)
    bounds = log.bounds(0)
    if bounds is None:
        return None
    happened: Counter[tuple[Event, int]] = Counter()
    after = (bounds.first or 1) - 1
    first, last = after, bounds.last or 0
    while after < last:
        entries = log.entries(after, last, ROWS)
        for _, event, at in entries:
            happened[event, span.index(at)] += 1
        after = entries[-1][0] if entries else last
        progress((after - first) / max(1, last - first))
    return happened


def _whole(value: int | str | None) -> int:
    if not isinstance(value, int):
        raise SourceError("the database answered with something other than times")
    return value
