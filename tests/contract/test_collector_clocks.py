"""Clocks that are wrong, by years and in either direction: no ping is lost by one, and none is kept for ever."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ff_observe.collector.store import Pruned, Store
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.config.secret import Secret
from tests.contract.conftest import WINDOW, MakeStore, counted, three_days_of_pings
from tests.contract.test_collector_rollups import fold_all
from tests.real_parts import postgresql
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

RETENTION = timedelta(days=400)
IN_1972 = datetime(1972, 3, 1, tzinfo=UTC)
IN_9999 = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def stored(store: Store, *names: str) -> list[datetime]:
    return [each.received_at for name in names for each in store.export(name)]


@pytest.mark.parametrize("clock", [later(days=500), IN_9999])
@pytest.mark.parametrize("pings_meanwhile", [False, True])
def test_a_clock_ahead_erases_nothing(
    store: Store, writer: BlockingWriter, clock: datetime, pings_meanwhile: bool
) -> None:
    writer.write([ping("old", later(days=-399))])
    three_days_of_pings(writer, NOON)
    if pings_meanwhile:
        writer.write([ping("meanwhile", clock)])
    store.tidy(clock)
    assert store.prune(clock, RETENTION) == Pruned(doubtful=True)
    store.tidy(NOON)
    assert len(stored(store, "old", "witness-2", "witness-1", "witness-0")) == 4
    lately = 1 + pings_meanwhile
    assert counted(store, later(seconds=1)).seen.by_window == {
        "1d": lately,
        "7d": 2 + lately,
        "30d": 2 + lately,
    }


def test_nothing_is_pruned_before_pings_of_three_days_agree_with_the_clock(
    store: Store, writer: BlockingWriter
) -> None:
    writer.write([ping("old", NOON)])
    for days, pruned in ((500, Pruned(doubtful=True)), (501, Pruned(doubtful=True)), (502, Pruned(1))):
        writer.write([ping("new", later(days=days))])
        fold_all(store, later(days=days))
        assert store.prune(later(days=days), RETENTION) == pruned
    assert stored(store, "old") == []


def test_a_prune_deletes_the_pings_of_few_days_at_once(store: Store, writer: BlockingWriter) -> None:
    for days in range(8):
        writer.write([ping(f"{days}", later(days=days))])
    fold_all(store, later(days=7))
    found = [store.prune(later(days=7), timedelta(days=2)) for _ in range(4)]
    assert [(each.pings, each.more) for each in found] == [(2, True), (2, True), (1, False), (0, False)]


@pytest.mark.parametrize("wrong", [IN_1972, later(days=-450)])
def test_a_ping_taken_while_the_clock_was_behind_is_kept_as_long_as_the_others(
    make_store: MakeStore, wrong: datetime
) -> None:
    with BlockingWriter(make_store()) as writer:
        three_days_of_pings(writer, NOON)
    with BlockingWriter(make_store()) as writer:  # restarted before the clock was set
        assert writer.write([ping("a", wrong)]) == [True]
        assert writer.write([ping("a", wrong + timedelta(minutes=1))]) == [False]
    store = make_store()
    store.tidy(later(minutes=1))
    assert store.prune(later(minutes=1), RETENTION) == Pruned()
    (at,) = stored(store, "a")
    assert NOON.date() == at.date()


def test_a_first_ping_taken_while_the_clock_was_behind_is_dated_once_it_is_right(make_store: MakeStore) -> None:
    store = make_store()
    with BlockingWriter(store) as writer:
        assert writer.write([ping("a", IN_1972)]) == [True]
        store.tidy(IN_1972)
        three_days_of_pings(writer, later(days=900))
        assert store.prune(later(days=900), RETENTION).pings == 0
        store.tidy(later(days=900))
        assert stored(store, "a") == [later(days=900)]
        assert counted(store, later(days=900, seconds=1)).seen.by_window["1d"] == 2


def test_a_clock_behind_takes_no_other_ping_for_one_from_the_future(store: Store, writer: BlockingWriter) -> None:
    three_days_of_pings(writer, NOON)
    store.tidy(IN_1972)
    assert stored(store, "witness-2", "witness-0") == [later(days=-2), NOON]
    assert counted(store, later(seconds=1)).seen.by_window["1d"] == 1


def test_what_a_clock_dated_in_the_future_is_dated_and_deleted_like_the_rest(
    store: Store, writer: BlockingWriter
) -> None:
    three_days_of_pings(writer, NOON)
    writer.write([ping("future", later(days=500))])
    store.tidy(later(minutes=1))
    assert stored(store, "future") == [later(minutes=1)]
    three_days_of_pings(writer, later(days=410))
    fold_all(store, later(days=410))
    assert store.prune(later(days=410), RETENTION).pings == 2
    assert store.prune(later(days=410), RETENTION).pings == 2
    assert stored(store, "future") == []


def test_a_clock_that_is_wrong_is_logged_once(make_store: MakeStore, caplog: pytest.LogCaptureFixture) -> None:
    with BlockingWriter(make_store()) as writer:
        three_days_of_pings(writer, NOON)
        for minutes in range(3):
            writer.write([ping(f"{minutes}", IN_1972 + timedelta(minutes=minutes))])
        writer.write([ping("right", later(minutes=1))])
    said = [record.getMessage() for record in caplog.records if "clock" in record.getMessage()]
    assert said[0].startswith("the clock says 1972-03-01 00:00, which")
    assert len([each for each in said if "set the clock" in each]) == 1


class ServerTime:
    """The server's clock as the test says."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self, _connection: object) -> datetime:
        return self.now


@pytest.fixture
def on_a_server(postgres: postgresql.Cluster) -> tuple[PostgreSQLStore, ServerTime]:
    server = ServerTime()
    url = postgres.url(postgres.create("server_time"))
    return PostgreSQLStore(Secret(url), WINDOW, server), server


def test_postgresql_s_own_clock_dates_pings_when_the_collector_s_differs(
    on_a_server: tuple[PostgreSQLStore, ServerTime],
) -> None:
    store, server = on_a_server
    with BlockingWriter(store) as writer:
        writer.write([ping("near", later(minutes=5)), ping("behind", IN_1972), ping("ahead", later(days=500))])
        server.now = later(hours=2)
        writer.write([ping("still ahead", later(days=500))])
    assert stored(store, "near", "behind", "ahead", "still ahead") == [later(minutes=5), NOON, NOON, later(hours=2)]


def test_a_collector_ahead_of_postgresql_prunes_nothing_and_takes_no_partition_from_others(
    on_a_server: tuple[PostgreSQLStore, ServerTime],
) -> None:
    store, _ = on_a_server
    with BlockingWriter(store) as writer:
        three_days_of_pings(writer, NOON)
        store.tidy(later(days=500))
        assert store.prune(later(days=500), RETENTION) == Pruned(doubtful=True)
        assert writer.write([ping("a", later(days=3))]) == [True]


def test_empty_partitions_of_absurd_days_are_dropped(postgres: postgresql.Cluster) -> None:
    url = postgres.url(postgres.create("absurd"))
    store = PostgreSQLStore(Secret(url), WINDOW, lambda _: None)
    with BlockingWriter(store) as writer, psycopg.connect(url, autocommit=True) as session:
        three_days_of_pings(writer, NOON)
        writer.write([ping("future", later(days=500))])
        store.tidy(later(minutes=1))
        rows = session.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ping'::regclass")
        days = {str(name) for (name,) in rows}
    assert {name for name in days if name > "ping_20261201"} == set()
    assert {"ping_20261121", "ping_20261123", "ping_20261126"} <= days
