"""Counting the whole fleet in portions, between which pings are stored; and the last result, which is kept for all
collectors.

A portion is a transaction of its own: a count of minutes holds up neither `forget`, which rewrites tables, nor the
database's own cleaning. Portions follow each other in the order of a key that a platform keeps, so each platform is
counted once, however often it pings meanwhile.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import orjson

from ff_observe.catalogue.fleet import WINDOWS
from ff_observe.catalogue.ping_contract import FIELDS
from ff_observe.collector.store.batch import moment
from ff_observe.collector.store.columns import COLUMNS, NAMES, restored
from ff_observe.collector.store.model import Count, Distribution, Seen, StoreError
from ff_observe.collector.store.rollups import ROLLED_UP, ascending
from ff_observe.collector.store.session import Session, Walk

COUNTED_AT_ONCE = 50
"""So many platforms take half a millisecond, for which a ping may wait."""
SHARE = 60
"""A count works in one part in so many of the time it takes, and rests in the others."""
LONGEST_REST_SECONDS = 0.2
"""So that those of a count of a million platforms come to an hour at most, however slow a disk is."""
_FIELDS = ", ".join(NAMES[index] for index in ROLLED_UP)

# Without a document as long as the first count, or the first after `forget`, is under way.
_LAST = "SELECT CAST(taken_at AS TEXT), document FROM fleet_count WHERE document <> ''"
_BEGIN = "INSERT INTO fleet_count (id, taken_at, document) VALUES (1, ?, '') ON CONFLICT (id) DO NOTHING"
_END = "UPDATE fleet_count SET taken_at = ?, document = ? WHERE id = 1"


def _portion(walk: Walk) -> str:
    """The statement that reads the next platforms: the key of each, whether it was seen after each of four moments, and
    the values of its fields."""
    seen = ", ".join(["last_seen > ?"] * 4)
    return (
        f"SELECT {walk.key}, {seen}, {_FIELDS} FROM platform "  # noqa: S608 - only our own names
        f"WHERE {walk.key} > ? AND {walk.known} AND last_seen > ? ORDER BY {walk.key} LIMIT {COUNTED_AT_ONCE}"
    )


def take(session: Session, at: datetime, silent_after_days: int, interrupted: threading.Event) -> Count:
    """Count the platforms of the last 30 days, and keep the result, unless a platform is forgotten meanwhile, which may
    be in it. Raises `StoreError` once interrupted."""
    started = time.monotonic()
    walk = session.walk(at)
    session.run(_BEGIN, at.isoformat())
    since = [moment(at - timedelta(days=days)) for days in (*WINDOWS.values(), silent_after_days)]
    month, portion, after = since[len(WINDOWS) - 1], _portion(walk), walk.first
    tallies = [Counter[Any]() for _ in (*since, *ROLLED_UP)]
    while True:
        began = time.monotonic()
        rows = session.run(portion, *since, after, walk.limit, month)
        for place, tally in enumerate(tallies, 1):
            tally.update(map(itemgetter(place), rows))
        if len(rows) < COUNTED_AT_ONCE:
            break
        after = rows[-1][0]
        if interrupted.wait(min(LONGEST_REST_SECONDS, (SHARE - 1) * (time.monotonic() - began))):
            raise StoreError("the count is interrupted")
    counted = replace(_count(at, tallies), took_seconds=time.monotonic() - started)
    session.run(_END, at.isoformat(), _written(counted))
    return counted


def _count(at: datetime, tallies: Sequence[Counter[Any]]) -> Count:
    """From how often each value was in each column of the portions, but the key."""
    found = iter(tallies)
    by_window = {window: next(found)[True] for window in WINDOWS}
    lately = next(found)[True]
    distributions = {
        index: ascending((restored(COLUMNS[index], value), platforms) for value, platforms in next(found).items())
        for index in ROLLED_UP
    }
    return Count(at, Seen(by_window, by_window["30d"] - lately), distributions)


def last(session: Session) -> Count | None:
    for taken_at, document in session.run(_LAST):
        return _read(datetime.fromisoformat(taken_at), document)
    return None


def _written(count: Count) -> str:
    """JSON, fields by their names, because other collectors may know more or fewer."""
    named = {FIELDS[index].dotted: distribution for index, distribution in count.distributions.items()}
    windows = {"windows": count.seen.by_window, "silent": count.seen.silent}
    document = {**windows, "fields": named, "seconds": count.took_seconds}
    return orjson.dumps(document).decode("utf-8")


def _read(taken_at: datetime, document: str) -> Count:
    found: dict[str, Any] = orjson.loads(document)
    fields: dict[int, Distribution] = {
        index: [(value, platforms) for value, platforms in found["fields"].get(FIELDS[index].dotted, ())]
        for index in ROLLED_UP
    }
    return Count(taken_at, Seen(found["windows"], found["silent"]), fields, found.get("seconds", 0.0))
