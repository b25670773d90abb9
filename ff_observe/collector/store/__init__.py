"""Where pings are kept: an embedded SQLite file, or PostgreSQL."""

from ff_observe.collector.store.model import Distribution, Ping, Pruned, Sample, Seen, Store, StoreError, Writer

__all__ = ["Distribution", "Ping", "Pruned", "Sample", "Seen", "Store", "StoreError", "Writer"]
