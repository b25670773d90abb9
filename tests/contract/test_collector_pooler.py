"""The collector's PostgreSQL behind a pooler that gives sessions to each transaction anew, and drops their options."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime

import psycopg
import pytest

from ff_observe.collector.store.postgresql import PostgreSQLStore
from tests.contract.conftest import counted, postgresql_store, three_days_of_pings
from tests.real_parts import pgbouncer
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

SESSIONS = 4
NEAR_MIDNIGHT = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # a day later in Berlin


@pytest.fixture
def pooled(postgres: Cluster) -> Iterator[str]:
    """The URL of a database whose sessions begin with another time zone and style of dates."""
    name = postgres.create("pooled_pings")
    with postgres.connect() as session:
        for setting in ("timezone = 'Europe/Berlin'", "datestyle = 'German, DMY'"):
            session.execute(f"ALTER DATABASE {name} SET {setting}".encode())
    with BlockingWriter(postgresql_store(postgres.url(name))) as writer:
        three_days_of_pings(writer, later(days=-3))
        writer.write([ping("a", NEAR_MIDNIGHT), ping("b")])
    with pgbouncer.pooler(postgres, ignores="options, extra_float_digits", sessions=SESSIONS) as port:
        yield f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{name}"


@pytest.fixture
def store(pooled: str) -> PostgreSQLStore:
    return postgresql_store(pooled)


@contextlib.contextmanager
def idle_sessions_taken(pooled: str, number: int) -> Iterator[None]:
    """So that others get sessions that were not used last."""
    with contextlib.ExitStack() as clients:
        for _ in range(number):
            client = clients.enter_context(psycopg.connect(pooled))
            client.execute("SELECT 1")
        yield


def test_whoever_has_counted_keeps_nobody_from_counting(pooled: str, store: PostgreSQLStore) -> None:
    for taken in range(SESSIONS - 1):
        with idle_sessions_taken(pooled, taken):
            assert counted(store, later(minutes=taken)).seen.by_window["1d"] == 2


def test_whoever_has_copied_keeps_nobody_from_copying(pooled: str, store: PostgreSQLStore) -> None:
    for taken in range(SESSIONS - 1):
        with idle_sessions_taken(pooled, taken), store.copying() as is_alone:
            assert is_alone
            with postgresql_store(pooled).copying() as also:
                assert not also


def test_days_are_those_of_utc_and_no_setting_stays_in_a_session(pooled: str, store: PostgreSQLStore) -> None:
    assert store.fold(NOON, 9).oldest_due is None
    days = date(2026, 11, 22), date(2026, 11, 23)
    assert store.pings_by_day(*days) == dict.fromkeys(days, 1)
    assert counted(store, NOON) == store.last_count()
    assert store.forget(ping("a").instance_id) == 1
    assert store.fold(NOON, 9).oldest_due is None
    assert [rollup.day for rollup in store.rollups(*days, ["pings"])] == [days[1]]
    store.tidy(NOON)
    with contextlib.ExitStack() as clients:
        for _ in range(SESSIONS):
            client = clients.enter_context(psycopg.connect(pooled))
            for name, expected in (("lock_timeout", "0"), ("TimeZone", "Europe/Berlin"), ("DateStyle", "German, DMY")):
                assert client.execute(f"SHOW {name}".encode()).fetchone() == (expected,)


def test_pings_are_stored_through_a_pooler_of_sessions(postgres: Cluster) -> None:
    name = postgres.create("pooled_writer")
    with pgbouncer.pooler(postgres, ignores="options, extra_float_digits", mode="session", sessions=SESSIONS) as port:
        store = postgresql_store(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{name}")
        with BlockingWriter(store) as writer:
            assert writer.write([ping("a"), ping("b")]) == [True, True]
            assert writer.write([ping("a")]) == [False]
        assert counted(store, later(seconds=1)).seen.by_window["1d"] == 2
