"""Where pings are kept: an embedded SQLite file, or PostgreSQL."""

from ff_observe.collector.store.model import (
    Count,
    Distribution,
    Folded,
    Ping,
    Pruned,
    Released,
    Rollup,
    Sample,
    Seen,
    Store,
    StoreError,
    Writer,
)

__all__ = [
    "Count",
    "Distribution",
    "Folded",
    "Ping",
    "Pruned",
    "Released",
    "Rollup",
    "Sample",
    "Seen",
    "Store",
    "StoreError",
    "Writer",
]
