"""Counting the whole fleet in portions, between which pings are stored; and the last result, which is kept for all
collectors.

A portion is a transaction of its own: a count of minutes holds up neither `forget`, which rewrites tables, nor the
database's own cleaning. Portions follow each other in the order of a key that a platform keeps, so each platform is
counted once, however often it pings meanwhile.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson

from ff_observe.collector.store.columns import COLUMNS, restored
from ff_observe.collector.store.copies import Run
from ff_observe.collector.store.model import Count, Distribution, Seen, StoreError
from ff_observe.collector.store.rollups import ROLLED_UP, ascending
from ff_observe.ping_contract import FIELDS

SHARE = 15
"""A count works in one part in so many of the time it takes, and rests in the others."""
_WINDOWS = {"1d": 1, "7d": 7, "30d": 30}

# Without a document as long as the first count, or the first after `forget`, is under way.
_LAST = "SELECT CAST(taken_at AS TEXT), document FROM fleet_count WHERE document <> ''"
_BEGIN = "INSERT INTO fleet_count (id, taken_at, document) VALUES (1, ?, '') ON CONFLICT (id) DO NOTHING"
_END = "UPDATE fleet_count SET taken_at = ?, document = ? WHERE id = 1"


class Tally:
    """What a count has found. `since` are the moments after which a platform must have been seen to be in the windows
    of a day, a week and 30 days, and not to be silent; `seen` is how many were, and `values` the values they have, by
    the index of the field."""

    def __init__(self, at: datetime, silent_after_days: int) -> None:
        self.at = at
        self.since = [at - timedelta(days=days) for days in (*_WINDOWS.values(), silent_after_days)]
        self.seen = [0] * len(self.since)
        self.values: dict[int, Counter[Any]] = {index: Counter() for index in ROLLED_UP}

    def count(self) -> Count:
        *by_window, lately = self.seen
        distributions = {
            index: ascending((restored(COLUMNS[index], value), platforms) for value, platforms in counter.items())
            for index, counter in self.values.items()
        }
        seen = Seen(dict(zip(_WINDOWS, by_window, strict=True)), by_window[-1] - lately)
        return Count(self.at, seen, distributions)


def take(run: Run, tally: Tally, add: Callable[[Any], Any], first: object, interrupted: threading.Event) -> Count:
    """Have `add` add one portion after the other to the tally, and keep the result, unless a platform is forgotten
    meanwhile, which may be in it. `add` gets the key that comes before a portion's and returns the last of it, or None
    after the last portion. Raises `StoreError` once interrupted."""
    run(_BEGIN, tally.at.isoformat())
    began, after = time.monotonic(), add(first)
    while after is not None:
        if interrupted.wait((SHARE - 1) * (time.monotonic() - began)):
            raise StoreError("the count is interrupted")
        began, after = time.monotonic(), add(after)
    counted = tally.count()
    run(_END, tally.at.isoformat(), _written(counted))
    return counted


def last(run: Run) -> Count | None:
    """The result of the last one."""
    for taken_at, document in run(_LAST):
        return _read(datetime.fromisoformat(taken_at), document)
    return None


def _written(count: Count) -> str:
    """JSON, fields by their names, because other collectors may know more or fewer."""
    named = {FIELDS[index].dotted: distribution for index, distribution in count.distributions.items()}
    document = {"windows": count.seen.by_window, "silent": count.seen.silent, "fields": named}
    return orjson.dumps(document).decode("utf-8")


def _read(taken_at: datetime, document: str) -> Count:
    found: dict[str, Any] = orjson.loads(document)
    fields: dict[int, Distribution] = {
        index: [(value, platforms) for value, platforms in found["fields"].get(FIELDS[index].dotted, ())]
        for index in ROLLED_UP
    }
    return Count(taken_at, Seen(found["windows"], found["silent"]), fields)
