"""Collectors that share a PostgreSQL drop partitions while others look at them."""

import contextlib
import uuid
from collections.abc import Callable
from datetime import date, timedelta

import psycopg
import pytest

from ff_observe.collector.store import Store, postgresql_schema, postgresql_session
from ff_observe.collector.store.postgresql_connections import Connection
from ff_observe.collector.store.postgresql_schema import partition, partitions
from tests.contract.conftest import postgresql_store
from tests.contract.test_collector_rollups import fold_all
from tests.real_parts import postgresql
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

OLDEST, EMPTY = 6, -9  # days ago


def drop_after_listing(monkeypatch: pytest.MonkeyPatch, url: str, ago: int, listing: int) -> None:
    """Another collector drops a partition as soon as it was listed so many times, if no lock keeps it from that."""
    listings = iter(range(listing + 1))

    def dropping(connection: Connection) -> dict[date, str]:
        found = partitions(connection)
        if next(listings, None) == listing:
            with psycopg.connect(url) as other, contextlib.suppress(psycopg.errors.LockNotAvailable):
                other.execute("SET lock_timeout = '50ms'")
                other.execute(f"SELECT pg_advisory_xact_lock({postgresql_schema.LOCK})".encode())
                other.execute(f"DROP TABLE IF EXISTS {partition(later(days=-ago).date())}".encode())
        return found

    for module in (postgresql_schema, postgresql_session):
        monkeypatch.setattr(module, "partitions", dropping)


def write(store: Store) -> None:
    with BlockingWriter(store) as writer:
        assert writer.write([ping("new", NOON)]) == [True]


WORKS: dict[str, tuple[Callable[[Store], object], int, int]] = {
    "prune": (lambda store: store.prune(NOON, timedelta(days=4)), OLDEST, 4),
    "count": (lambda store: store.pings_by_day(date.min, date.max), OLDEST, 1),
    "tidy": (lambda store: store.tidy(NOON), EMPTY, 5),
    "write": (write, EMPTY, 1),
}
"""What lists the partitions; which one is dropped meanwhile, so many days ago; and how often it lists them."""


@pytest.mark.parametrize(
    ("work", "listing"), [(name, listing) for name, (*_, listings) in WORKS.items() for listing in range(listings)]
)
def test_a_partition_may_be_dropped_once_it_is_listed(
    postgres: postgresql.Cluster, template: str, monkeypatch: pytest.MonkeyPatch, work: str, listing: int
) -> None:
    url = postgres.url(postgres.create(f"partitions_{uuid.uuid4().hex}", template))
    do, ago, _ = WORKS[work]
    drop_after_listing(monkeypatch, url, ago, listing)
    do(postgresql_store(url))


@pytest.fixture(scope="module")
def template(postgres: postgresql.Cluster) -> str:
    """Some days of pings, rolled up, and an empty day that a wrong clock made."""
    name = postgres.create("partitions")
    store = postgresql_store(postgres.url(name))
    with BlockingWriter(store) as writer:
        for ago in range(OLDEST, -1, -1):
            writer.write([ping("a", later(days=-ago))])
    fold_all(store, NOON)
    with psycopg.connect(postgres.url(name), autocommit=True) as session:
        postgresql_schema.add_partitions(session, {later(days=-EMPTY).date()})
    return name
