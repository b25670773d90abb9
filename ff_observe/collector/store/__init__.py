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
    StoreError,
    Writer,
)
from ff_observe.collector.store.store import Store

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
