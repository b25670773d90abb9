"""The copy of a store in ClickHouse: its answers are those of the store, whatever happened to pings and processes."""

import contextlib
import json
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ff_observe.catalogue.ping_contract import FIELDS as ALL_FIELDS
from ff_observe.cli import main
from ff_observe.collector import commands
from ff_observe.collector.clickhouse.engine import ClickHouseEngine
from ff_observe.collector.clickhouse.server import Server
from ff_observe.collector.clickhouse.sink import _COLUMNS, _ENGINE, Sink, migrate
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings, PostgreSQLServer, SQLiteFile
from ff_observe.collector.settings_file import collector_settings
from ff_observe.collector.settings_kinds import ClickHouse
from ff_observe.collector.store import Store, StoreError
from ff_observe.collector.store.columns import NAMES
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.rollups import CROWD
from ff_observe.collector.store.sqlite import SQLiteStore, open_sqlite
from ff_observe.config.secret import Secret
from ff_observe.system.clock import FrozenClock, SystemClock
from tests.contract.conftest import MakeStore, postgresql_store, three_days_of_pings
from tests.contract.test_collector_rollups import FIELDS, fold_all, kept, some, stored
from tests.contract.test_collector_rollups import NAMES as PLATFORMS
from tests.pace import in_full
from tests.real_parts import clickhouse, postgresql
from tests.recount import recounted
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

TODAY = NOON.date()
ID = ping("forgotten").instance_id
FOREVER = timedelta(days=36_500)
DRIVER, VERSION = (
    next(index for index, field in enumerate(ALL_FIELDS) if field.dotted == name)
    for name in ("platform.config.driver", "env.flowforge")
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clickhouse.ClickHouse]:
    with clickhouse.running(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


@pytest.fixture
def database(server: clickhouse.ClickHouse) -> ClickHouse:
    return ClickHouse(Secret(server.url(f"fleet_{uuid.uuid4().hex}")))


@pytest.fixture
def sink(database: ClickHouse) -> Sink:
    return Sink(database, FOREVER)


@pytest.fixture
def settings(store: Store, database: ClickHouse) -> CollectorSettings:
    if isinstance(store, PostgreSQLStore):
        return CollectorSettings(database=PostgreSQLServer(store.url), fleet_analytics=database, retention=FOREVER)
    assert isinstance(store, SQLiteStore)
    return CollectorSettings(database=SQLiteFile(store.path), fleet_analytics=database, retention=FOREVER)


COPIED = "ff_observe_collector_copied_timestamp_seconds"


def exposed(collector: Collector) -> dict[str, float]:
    """The samples without labels."""
    return {
        found.name: found.value for each in collector.metrics.collect() for found in each.samples if not found.labels
    }


def send_all(sink: Sink, store: Store, today: date) -> None:
    while sink.send(store, today, 3) != today:
        pass


def count(sink: Sink, table: str = "ping", where: str = "1") -> int:
    ((number,),) = sink.server.run("count", f"SELECT count() FROM {table} WHERE {where}")
    return int(number)


@contextlib.contextmanager
def ending_after(sink: Sink, statements: int, then: Callable[[], object]) -> Iterator[None]:
    """The process ends before some statement."""
    answer = sink.server._answer
    left = iter(range(statements))

    def counted(*arguments: Any) -> bytes:
        if next(left, None) is None:
            then()
        return answer(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sink.server, "_answer", counted)
        yield


def killed() -> None:
    raise StoreError("killed")


@pytest.mark.parametrize("seed", range(in_full(60, 1)))
def test_its_answers_are_those_of_the_store_after_any_history(
    seed: int, make_store: MakeStore, database: ClickHouse, sink: Sink
) -> None:
    draw = random.Random(seed)
    store = make_store()
    now = NOON
    with BlockingWriter(store) as writer:
        for _ in range(in_full(8, 5)):
            now += timedelta(days=draw.choice((0, 1, 1, 1, 2, 35)), hours=draw.choice((0, 0, 1)))
            writer.write(some(draw, now))
            if draw.random() < 0.5:
                store.fold(now, 3)
            match draw.randrange(5):
                case 0:
                    forgotten = ping(draw.choice(PLATFORMS)).instance_id
                    store.forget(forgotten)
                    with contextlib.suppress(StoreError), ending_after(sink, draw.randrange(4), killed):
                        sink.forget(forgotten)
                case 1:
                    wrong = now + timedelta(days=40)
                    writer.write([ping(draw.choice(PLATFORMS), wrong, env__flowforge="2.30.0")])
                    store.fold(wrong, 2)
                    send_all(sink, store, wrong.date() + timedelta(days=1))
                    store.tidy(now)
                case 2:
                    with contextlib.suppress(StoreError), ending_after(sink, draw.randrange(12), killed):
                        sink.send(store, now.date(), 2)
                case _:
                    sink.send(store, now.date(), 2)
    fold_all(store, now)
    tomorrow = now.date() + timedelta(days=1)
    send_all(sink, store, tomorrow)
    engine = ClickHouseEngine(database)
    answered = engine.rollups(date.min, date.max, FIELDS)
    assert len(answered) == len(set(answered))
    assert kept(store) == recounted(stored(store))
    assert set(answered) == {row for row in kept(store) if row.field != CROWD}, "it has no hashes of senders"
    last = max(row.day for row in answered)
    assert sorted(engine.crosstab(last, DRIVER, VERSION)) == sorted(store.crosstab(last, DRIVER, VERSION))
    for field in ("seen", "env.flowforge", "platform.counts.users"):
        since = last - timedelta(days=2)
        assert list(engine.rollups(since, last, [field])) == list(store.rollups(since, last, [field]))


def test_a_platform_is_as_old_as_the_store_says_also_without_its_first_pings(
    store: Store, writer: BlockingWriter, database: ClickHouse, sink: Sink
) -> None:
    writer.write([ping("a", later(days=-40))])
    writer.write([ping("a", later(days=-3))])
    three_days_of_pings(writer, NOON)
    store.prune(NOON, timedelta(days=20))
    fold_all(store, NOON)
    send_all(sink, store, TODAY)
    day = TODAY - timedelta(days=3)
    assert {(row.field, row.value) for row in ClickHouseEngine(database).rollups(day, day, ["gap", "cohort"])} == {
        ("gap", "returning"),
        ("cohort", "2026-10"),
    }


def test_days_that_are_deleted_by_age_stay_until_the_server_deletes_them(
    store: Store, writer: BlockingWriter, sink: Sink
) -> None:
    writer.write([ping("a", later(days=-9))])
    three_days_of_pings(writer, NOON)
    fold_all(store, NOON)
    send_all(sink, store, TODAY)
    assert count(sink) == 3
    assert store.prune(NOON, timedelta(days=5)).pings == 1
    fold_all(store, NOON)
    send_all(sink, store, TODAY)
    assert count(sink) == 3
    sink.server.run("test", "ALTER TABLE ping MODIFY TTL toDate(received_at) + toIntervalDay(1)")
    migrate(sink.server, FOREVER)
    ((engine,),) = sink.server.run("test", _ENGINE)
    assert "TTL toDate(received_at) + toIntervalDay(36500)" in engine


def test_what_is_forgotten_while_its_day_is_copied_does_not_come_back(
    store: Store, writer: BlockingWriter, sink: Sink, database: ClickHouse
) -> None:
    other = Sink(database, FOREVER)
    writer.write([ping(who, later(days=-1)) for who in ("a", "forgotten")])
    fold_all(store, NOON)

    held: list[int] = []

    def forget() -> None:
        if not held:
            held.append(count(other, "ping_new", f"instance_id = '{ID}'"))
            store.forget(ID)

    with ending_after(sink, 6, forget):
        sink.send(store, TODAY, 3)
    assert held == [1], "the day was prepared, and not yet in its place"
    assert count(sink, where=f"instance_id = '{ID}'") == 0
    assert count(sink) == 1


def test_forgetting_reaches_a_day_that_was_left_half_prepared(
    settings: CollectorSettings, store: Store, writer: BlockingWriter, sink: Sink
) -> None:
    writer.write([ping(who, later(days=-1)) for who in ("a", "forgotten")])
    fold_all(store, NOON)
    send_all(sink, store, TODAY)
    sink.server.run("test", "CREATE TABLE ping_new AS ping")
    sink.server.run("test", "INSERT INTO ping_new SELECT * FROM ping")
    assert commands.forget(settings, ID).pings == 1
    assert (count(sink), count(sink, "ping_new")) == (1, 1)
    assert count(sink, where=f"instance_id = '{ID}'") + count(sink, "ping_new", f"instance_id = '{ID}'") == 0
    fold_all(store, NOON)
    send_all(sink, store, TODAY)
    assert count(sink) == 1


def test_one_of_several_collectors_copies_at_a_time(postgres: postgresql.Cluster, sink: Sink) -> None:
    url = postgres.url(postgres.create(f"pings_{uuid.uuid4().hex}"))
    one, other = postgresql_store(url), postgresql_store(url)
    with BlockingWriter(one) as writer:
        writer.write([ping("a", later(days=-1))])
    fold_all(one, NOON)
    with other.copying() as is_alone:
        assert is_alone
        assert sink.send(one, TODAY, 3) is None
    assert sink.server.run("test", _COLUMNS) == []
    assert sink.send(one, TODAY, 3) == TODAY
    assert count(sink) == 1


def test_the_oldest_day_that_is_still_to_be_copied_is_known(store: Store, writer: BlockingWriter, sink: Sink) -> None:
    for days in (9, 6, 4, 1):
        writer.write([ping(name, later(days=-days)) for name in ("a", "b")])
    fold_all(store, NOON)
    due = [sink.send(store, TODAY, 3) for _ in range(3)]
    assert due == [TODAY - timedelta(days=9), TODAY, TODAY]
    store.forget(ping("b").instance_id)
    due = [sink.send(store, TODAY, 2) for _ in range(2)]
    assert due == [TODAY - timedelta(days=9), TODAY], "all four have changed, and the newest two are copied first"


def test_an_older_table_gets_what_it_lacks_and_no_table_holds_hashes_of_addresses(sink: Sink) -> None:
    sink.server.run("test", "CREATE TABLE ping (received_at DateTime64(6, 'UTC'), instance_id String) "
        "ENGINE = MergeTree PARTITION BY toYYYYMMDD(received_at) ORDER BY (instance_id, received_at)")  # fmt: skip
    migrate(sink.server, timedelta(days=400))
    assert {name for (name,) in sink.server.run("test", _COLUMNS)} == {"received_at", "first_seen", *NAMES}
    ((engine,),) = sink.server.run("test", _ENGINE)
    assert "toIntervalDay(400)" in engine


def test_an_error_names_itself_and_no_secret(server: clickhouse.ClickHouse) -> None:
    wrong = Server(ClickHouse(Secret(server.url("fleet", password="planted-wrong"))))
    with pytest.raises(StoreError, match=r"^ClickHouse could not count: AUTHENTICATION_FAILED$"):
        wrong.run("count", "SELECT 1")
    with pytest.raises(StoreError, match="could not answer: UNKNOWN_TABLE"):
        Server(ClickHouse(Secret(server.url("none")))).run("answer", "SELECT 'planted' FROM missing")
    interrupted = Server(ClickHouse(Secret(server.url("fleet"))))
    interrupted.interrupt()
    with pytest.raises(StoreError):
        interrupted.run("count", "SELECT 1")


def test_a_collector_copies_days_and_goes_on_after_the_server_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with clickhouse.running(tmp_path / "clickhouse") as server:
        (tmp_path / "analytics").write_text(server.url("fleet"))
        (tmp_path / "collector.yml").write_text("data_dir: data\nfleet: {analytics_file: analytics}\nlisten: ':0'\n")
        settings = collector_settings(tmp_path / "collector.yml")
        assert "planted" not in repr(settings)
        assert settings.database_file is not None
        store = open_sqlite(settings.database_file, timedelta(0), "collector")
        now = SystemClock().now()
        with BlockingWriter(store) as writer:
            for days in (3, 2, 1):
                writer.write(
                    [ping(f"{n}", now - timedelta(days=days), env__flowforge=f"2.3{days}.0") for n in range(3)]
                )
        collector = Collector(settings, FrozenClock(now))
        collector.fold()
        server.kill()
        collector.copy()
        assert "could not be reached" in caplog.text
        assert "planted" not in caplog.text
        collector._register_gauges()
        assert COPIED not in exposed(collector)
        server.start()
        collector.copy()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        assert exposed(collector)[COPIED] == midnight.timestamp()
        command = ["fleet", "adoption", "--format", "json", "--settings", str(tmp_path / "collector.yml")]
        assert main(command) == 0
        answered = json.loads(capsys.readouterr().out)
        assert [(row["value"], row["platforms"]) for row in answered] == [("2.33.0", 3), ("2.32.0", 3), ("2.31.0", 3)]
        server.kill()
        assert main(command) == 1
        assert "ClickHouse could not count values: it could not be reached" in capsys.readouterr().err
        assert main(["collector", "forget", ping("0").instance_id, "--settings", str(tmp_path / "collector.yml")]) == 1
        assert "3 pings are deleted, but not in ClickHouse" in capsys.readouterr().err
        server.start()
        assert main(["collector", "forget", ping("0").instance_id, "--settings", str(tmp_path / "collector.yml")]) == 0
        assert capsys.readouterr().out == "deleted 3 pings\n"
        collector.fold()
        collector.copy()
        assert main(command) == 0
        assert [row["platforms"] for row in json.loads(capsys.readouterr().out)] == [2, 2, 2]


def test_copies_of_one_collector_wait_for_each_other(
    database: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A program that has a collector in it may ask for one while the collector's own thread copies."""
    settings = CollectorSettings(data_dir=tmp_path, fleet_analytics=database)
    assert settings.database_file is not None
    now = SystemClock().now()
    with BlockingWriter(open_sqlite(settings.database_file, timedelta(0), "collector")) as writer:
        writer.write([ping("a", now - timedelta(days=1))])
    collector = Collector(settings, FrozenClock(now))
    collector.fold()
    other = threading.Thread(target=collector.copy)
    read_day = SQLiteStore.read_day

    def read_while_another_begins(store: SQLiteStore, day: date) -> Any:
        if other.ident is None:
            other.start()
            other.join(0.5)  # it comes to its end, unless it waits
        return read_day(store, day)

    monkeypatch.setattr(SQLiteStore, "read_day", read_while_another_begins)
    collector.copy()
    other.join()
    assert Server(database).run("count", "SELECT count() FROM ping") == [[1]]
    assert "could not be copied" not in caplog.text
