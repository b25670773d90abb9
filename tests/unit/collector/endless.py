"""A store in which counting the fleet never ends, as it seems to with very many platforms."""

import contextlib
import sqlite3

import psycopg

from ff_observe.collector.store import Store
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.sqlite import SQLiteStore

_RENAMED = "ALTER TABLE platform RENAME TO once"
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
_SQLITE = f"CREATE VIEW platform AS {_NUMBERS} SELECT i AS rowid, once.* FROM once, n"
_POSTGRESQL = "CREATE VIEW platform AS SELECT once.* FROM once, generate_series(1, 1000000000000)"


def make_counting_endless(store: Store) -> None:
    """Have each platform any number of times. There must be one."""
    if isinstance(store, SQLiteStore):
        with contextlib.closing(sqlite3.connect(store.path)) as connection:
            connection.execute(_RENAMED)
            connection.execute(_SQLITE)
    else:
        assert isinstance(store, PostgreSQLStore)
        with psycopg.connect(store.url.reveal(), autocommit=True) as session:
            session.execute(_RENAMED)
            session.execute(_POSTGRESQL)
