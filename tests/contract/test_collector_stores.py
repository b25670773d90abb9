"""What every store of pings must do, run against each: an embedded SQLite file and a real PostgreSQL."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ff_observe.catalogue import fleet as catalogue
from ff_observe.catalogue.ping_contract import FIELDS, MAX_COUNT
from ff_observe.collector.fleet.figures import take_fleet
from ff_observe.collector.store import Ping, Pruned, Store, StoreError
from ff_observe.collector.store.columns import NAMES
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.sqlite import open_sqlite
from tests.contract.conftest import MakeStore, counted, documents, three_days_of_pings
from tests.contract.test_collector_rollups import fold_all
from tests.real_parts.processes import wait_until
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.endless import make_counting_endless
from tests.unit.collector.pings import NOON, later, ping


def test_a_ping_comes_back_with_its_moment_and_sender(store: Store, writer: BlockingWriter) -> None:
    sent = ping("a", later(microseconds=123_456), sender=b"\x07" * 32)
    writer.write([sent])
    assert list(store.export("a")) == [sent]


def test_a_ping_without_a_sender_comes_back_without(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("a", sender=None)])
    (back,) = store.export("a")
    assert back.sender is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    values=st.tuples(
        *(
            st.none() | st.booleans()
            if field.type is bool
            else st.none() | st.integers(0, MAX_COUNT)
            if field.type is int
            else st.none() | st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=256)
            for field in FIELDS[1:]
        )
    )
)
def test_whatever_any_contract_allowed_comes_back_exactly(
    store: Store, writer: BlockingWriter, values: tuple[object, ...]
) -> None:
    instance_id = f"{uuid.uuid4()}"
    whole = (instance_id, *values)
    assert writer.write([Ping.of(NOON, None, whole)]) == [True]  # type: ignore[arg-type]  # drawn by its type
    (back,) = store.export(instance_id)
    assert back.values == whole


@pytest.mark.parametrize(
    "text",
    [
        '"',
        "\\",
        '\\"',
        "{}",
        "{a,b}",
        "null",
        "NULL",
        "true",
        "\\x41",
        "'; DROP TABLE ping; --",
        "%s",
        "ü",
        "\U0001f600",
    ],
)
def test_no_text_means_anything_to_the_store(store: Store, writer: BlockingWriter, text: str) -> None:
    assert writer.write([ping(text, os__type=text)]) == [True]
    (back,) = store.export(text)
    assert (back.instance_id, back.values[1]) == (text, text)


def test_the_same_payload_within_the_window_is_a_duplicate(store: Store, writer: BlockingWriter) -> None:
    assert writer.write([ping("a"), ping("b"), ping("a")]) == [True, True, False]
    assert writer.write([ping("a", later(minutes=59)), ping("b", NOON, platform__counts__users=10)]) == [
        False,
        True,
    ]
    assert len(documents(store, "a")) == 1
    assert len(documents(store, "b")) == 2


def test_the_same_payload_after_the_window_is_a_new_ping(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("a")])
    assert writer.write([ping("a", later(minutes=61))]) == [True]
    assert writer.write([ping("a", later(minutes=62))]) == [False]
    assert [each.received_at for each in store.export("a")] == [NOON, later(minutes=61)]


def test_a_clock_that_was_set_back_makes_no_duplicates_of_what_it_dated_in_the_future(
    store: Store, writer: BlockingWriter
) -> None:
    writer.write([ping("a", later(days=365))])
    assert writer.write([ping("a", later(days=365, minutes=-59))]) == [False], "collectors' clocks differ a little"
    assert writer.write([ping("a", NOON)]) == [True]
    assert [each.received_at for each in store.export("a")] == [NOON, later(days=365)]


def test_a_platform_seen_in_the_future_by_a_clock_since_set_back_falls_silent_like_others(
    store: Store, writer: BlockingWriter
) -> None:
    three_days_of_pings(writer, NOON)
    writer.write([ping("wrong", later(days=365)), ping("a little ahead", later(minutes=5))])
    store.tidy(NOON)
    assert counted(store, later(days=3)).seen.silent == 5
    writer.write([ping("wrong", later(days=3), platform__counts__users=1)])
    index = NAMES.index("platform_counts_users")
    assert (1, 1) in counted(store, later(days=3)).distributions[index], "and its next ping is its latest"


def test_a_payload_is_a_duplicate_also_when_another_came_between(writer: BlockingWriter) -> None:
    changed = ping("a", later(seconds=1), platform__counts__users=10)
    assert writer.write([ping("a")]) == [True]
    assert writer.write([changed]) == [True]
    assert writer.write([ping("a", later(seconds=2))]) == [False]


def test_a_duplicate_is_recognised_by_another_collector_and_after_a_restart(make_store: MakeStore) -> None:
    with BlockingWriter(make_store()) as first, BlockingWriter(make_store()) as second:
        assert first.write([ping("a")]) == [True]
        assert second.write([ping("a", later(seconds=5))]) == [False]


def test_collectors_that_write_the_same_pings_at_once_store_each_once(make_store: MakeStore) -> None:
    pings = [ping(f"instance-{index}") for index in range(50)]

    def write(order: list[Ping]) -> list[bool]:
        with BlockingWriter(make_store()) as writer:
            return [each for start in range(0, len(order), 10) for each in writer.write(order[start : start + 10])]

    with ThreadPoolExecutor(3) as pool:
        stored = Counter(chain.from_iterable(pool.map(write, (pings, pings[::-1], pings[25:] + pings[:25]))))
    assert stored == {True: 50, False: 100}
    assert all(len(documents(make_store(), each.instance_id)) == 1 for each in pings)


def test_an_empty_batch_is_a_probe(writer: BlockingWriter) -> None:
    assert writer.write([]) == []
    assert writer.write([ping("a")]) == [True]


def test_an_empty_store_has_an_empty_fleet(store: Store) -> None:
    fleet = take_fleet(store, NOON, k=5, silent_after_days=2)
    assert fleet.platforms == {"1d": 0, "7d": 0, "30d": 0}
    assert (fleet.silent, fleet.by_value[catalogue.BY_VERSION], fleet.resources) == (0, {}, {})


def test_the_fleet_counts_each_platform_once_with_its_latest_ping(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("gone", later(days=-31))])
    writer.write([ping(f"month-{index}", later(days=-20), platform__license__type="DEV") for index in range(4)])
    writer.write([ping(f"week-{index}", later(days=-5), env__flowforge="2.4.0") for index in range(5)])
    for index in range(6):
        writer.write([ping(f"now-{index}", later(days=-1), env__flowforge="2.4.0", platform__counts__users=1)])
        writer.write([ping(f"now-{index}", NOON, platform__counts__users=100 + index)])
    fleet = take_fleet(store, later(seconds=1), k=5, silent_after_days=2)
    assert fleet.platforms == {"1d": 6, "30d": 15}, "or 4 would be those seen in 30 days and not in 7"
    assert fleet.silent == 9
    assert fleet.by_value[catalogue.BY_VERSION] == {"2.33.2": 10, "2.4.0": 5}
    assert fleet.by_value[catalogue.BY_LICENSE_TYPE] == {"other": 15}, "or 4 of another type would stand out"
    assert fleet.by_feature == {"broker": {"true": 15}, "file_store": {"none": 15}, "email": {"none": 15}}
    users = fleet.resources["users"]
    assert (users.platforms, users.total) == (15, sum(range(100, 106)) + 9 * 9)
    assert "blueprints" not in fleet.resources


def test_a_ping_that_arrives_late_does_not_replace_the_latest(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("a", later(days=1), platform__counts__users=2)])
    writer.write([ping("a", NOON, platform__counts__users=1)])
    index = NAMES.index("platform_counts_users")
    assert counted(store, later(days=1)).distributions[index] == [(2, 1)]
    assert len(documents(store, "a")) == 2


def test_distributions_are_ascending_and_typed(store: Store, writer: BlockingWriter) -> None:
    writer.write(
        [
            ping(f"{users}", platform__counts__users=users, platform__config__email__enabled=users > 9)
            for users in (10, 9, 100)
        ]
    )
    users, email = NAMES.index("platform_counts_users"), NAMES.index("platform_config_email_enabled")
    found = counted(store, later(days=1)).distributions
    assert list(found[users]) == [(9, 1), (10, 1), (100, 1)]
    assert list(found[email]) == [(False, 1), (True, 2)]
    assert all(isinstance(value, bool) for value, _ in found[email])


def test_an_instance_is_forgotten_whole_and_the_others_are_not(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("a"), ping("b")])
    writer.write([ping("a", later(days=1))])
    writer.write([ping("a", later(days=2))])
    assert store.forget("a") == 3
    assert documents(store, "a") == []
    assert len(documents(store, "b")) == 1
    assert store.forget("a") == 0
    assert take_fleet(store, later(days=2), k=1, silent_after_days=2).platforms["30d"] == 1
    assert writer.write([ping("a", later(days=2))]) == [True], "what was forgotten is no duplicate of anything"


def test_what_is_older_than_the_retention_is_deleted(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("old", later(days=-5)), ping("both", later(days=-5))])
    three_days_of_pings(writer, NOON)
    writer.write([ping("both", NOON)])
    fold_all(store, NOON)
    assert store.prune(NOON, timedelta(days=2)) == Pruned(2)
    assert documents(store, "old") == []
    assert len(documents(store, "both")) == 1
    assert take_fleet(store, NOON + timedelta(seconds=1), k=1, silent_after_days=2).platforms["30d"] == 4
    assert store.prune(NOON, timedelta(days=2)) == Pruned(0)


def test_upkeep_forgets_duplicates_that_are_past_their_window(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("a")])
    store.tidy(later(minutes=30))
    assert writer.write([ping("a", later(minutes=31))]) == [False]
    store.tidy(later(minutes=90))
    assert writer.write([ping("a", later(minutes=91))]) == [True]


def test_more_pings_than_are_pruned_at_once_are_pruned(
    store: Store, writer: BlockingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ff_observe.collector.store.sqlite_session.PRUNED_AT_ONCE", 3)
    writer.write([ping(f"{index}", later(days=-5)) for index in range(10)])
    three_days_of_pings(writer, NOON)
    fold_all(store, NOON)
    assert store.prune(NOON, timedelta(days=2)).pings == 10


def test_a_large_day_is_pruned_in_several_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ff_observe.collector.store.sqlite_session.PRUNED_AT_ONCE", 3)
    monkeypatch.setattr("ff_observe.collector.store.sqlite_session.PORTIONS", 2)
    store = open_sqlite(tmp_path / "pings.sqlite3", timedelta(hours=1), "collector")
    with BlockingWriter(store) as writer:
        for days in (-6, -5, -4):
            writer.write([ping(f"{index}", later(days=days)) for index in range(5)])
        three_days_of_pings(writer, NOON)
    fold_all(store, NOON)
    found = [store.prune(NOON, timedelta(days=2)) for _ in range(4)]
    assert [each.pings for each in found] == [6, 4, 5, 0], "of two days at most, before the next goes"
    assert [each.unfinished for each in found] == [True, False, False, False]
    assert [each.more for each in found] == [True, True, False, False]


def statements_under_way(store: PostgreSQLStore) -> int:
    with psycopg.connect(store.url.reveal(), autocommit=True) as session:
        row = session.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
            " AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_count_that_takes_long_is_interrupted_and_none_begins_after(store: Store, writer: BlockingWriter) -> None:
    writer.write([ping("a")])
    store.count(NOON, silent_after_days=2)
    make_counting_endless(store)
    with ThreadPoolExecutor() as pool:
        counting = pool.submit(store.count, NOON, silent_after_days=2)
        with pytest.raises(TimeoutError):
            counting.result(0.2)
        store.interrupt()
        assert isinstance(counting.exception(10), StoreError)
    with pytest.raises(StoreError):
        store.count(NOON, silent_after_days=2)
    if isinstance(store, PostgreSQLStore):
        wait_until(lambda: not statements_under_way(store), "the server to give up the count")
