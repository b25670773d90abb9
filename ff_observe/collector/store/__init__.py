"""Where pings are kept: an embedded SQLite file, or PostgreSQL."""

from ff_observe.collector.store.model import (
    Columns,
    Copy,
    Count,
    Distribution,
    Folded,
    Ping,
    Pruned,
    Released,
    Rollup,
    Seen,
    Store,
    StoreError,
    Writer,
)

__all__ = [
    "Columns",
    "Copy",
    "Count",
    "Distribution",
    "Folded",
    "Ping",
    "Pruned",
    "Released",
    "Rollup",
    "Seen",
    "Store",
    "StoreError",
    "Writer",
]
