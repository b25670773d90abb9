"""The stores of the collector, each in turn: an embedded SQLite file and a real PostgreSQL."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Count, Store
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.sqlite import open_sqlite
from ff_observe.config.secret import Secret
from tests.contract.rotation import Rotation, rotation_in
from tests.real_parts import postgresql
from tests.real_parts.collector import collecting
from tests.real_parts.processes import wait_until
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import ping

WINDOW = timedelta(hours=1)


def postgresql_store(url: str) -> PostgreSQLStore:
    """A store whose pings are of the tests' days: the server's clock, which is of today, is no witness."""
    return PostgreSQLStore(Secret(url), WINDOW, lambda _: None)


MakeStore = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgresql"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Opens the same, at first empty, store again and again, as several collectors would."""
    if request.param == "sqlite":
        return lambda: open_sqlite(tmp_path / "pings" / "pings.sqlite3", WINDOW, "collector")
    url = request.getfixturevalue("in_postgresql").url.reveal()
    return lambda: postgresql_store(url)


@pytest.fixture
def in_postgresql(postgres: postgresql.Cluster) -> PostgreSQLStore:
    """An empty store, for what PostgreSQL alone does."""
    return postgresql_store(postgres.url(postgres.create(f"pings_{uuid.uuid4().hex}")))


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store()


@pytest.fixture
def writer(store: Store) -> Iterator[BlockingWriter]:
    made = BlockingWriter(store)
    yield made
    made.close()


@pytest.fixture
def settings(tmp_path: Path) -> CollectorSettings:
    return CollectorSettings(port=0, data_dir=tmp_path / "collector")


@pytest.fixture
def collector(settings: CollectorSettings) -> Iterator[Collector]:
    with collecting(settings) as running:
        yield running


@pytest.fixture
def rotation(postgres: postgresql.Cluster, tmp_path: Path) -> Rotation:
    return rotation_in(tmp_path, postgres.url(postgres.create(f"rotation_{uuid.uuid4().hex}")))


def counted(store: Store, at: datetime) -> Count:
    """A count of the fleet at a moment."""
    count = store.count(at, silent_after_days=2)
    assert count is not None
    return count


def documents(store: Store, instance_id: str) -> list[dict[str, object]]:
    return [each.document() for each in store.export(instance_id)]


def three_days_of_pings(writer: BlockingWriter, last: datetime) -> None:
    """As many as vouch for its being that day."""
    for days in (2, 1, 0):
        writer.write([ping(f"witness-{days}", last - timedelta(days=days))])


def wait_for_lock(store: PostgreSQLStore) -> None:
    """Until another session of the database waits for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(store.url.reveal(), autocommit=True) as session:
        wait_until(lambda: session.execute(waits).fetchone() == (1,), "a session to wait for a lock")
