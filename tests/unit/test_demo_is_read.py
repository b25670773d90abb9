"""The demo platform, read by the bridge's own configuration and source as any platform is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from ff_observe.catalogue import COUNTS
from ff_observe.clock import FrozenClock, SystemClock
from ff_observe.config import load_settings
from ff_observe.config.settings import SQLiteDatabase
from ff_observe.demo.company import COMPANY
from ff_observe.demo.platform import DemoPlatform
from ff_observe.platform import facts as platform_facts
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.model import Answer, Installation
from ff_observe.platform.sources.schema import TABLES, Table
from ff_observe.platform.sources.sqlite import SQLiteSource

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)
PING_URL = "http://127.0.0.1:10465/ping"


@pytest.fixture
def platform(tmp_path: Path) -> DemoPlatform:
    made = DemoPlatform(tmp_path, FrozenClock(NOW), Random(3), ping_url=PING_URL, metrics_port=10464)
    made.create()
    made.step(600)
    return made


@pytest.fixture
def answer(platform: DemoPlatform) -> Iterator[Answer]:
    with closing(SQLiteSource(platform.database)) as source:
        yield source.read(NOW)


def test_its_file_is_valid_and_says_where_everything_is(platform: DemoPlatform) -> None:
    settings = load_settings(platform.home, variables={})
    assert settings.warnings == ()
    assert settings.database == SQLiteDatabase(platform.database)
    assert settings.prometheus.enabled
    assert (settings.prometheus.host, settings.prometheus.port) == ("127.0.0.1", 10464)
    assert settings.ping.url.reveal() == PING_URL
    assert settings.ping.enabled is True


def test_every_count_can_be_read(answer: Answer) -> None:
    assert answer.failures == {}
    assert set(answer.readings) >= {count.name for count in COUNTS}
    zero = {name for name, reading in answer.readings.items() if not any(reading.values())}
    may_be_zero = {"flowfuse_users_active", *(count.name for count in COUNTS if count.billing)}  # it does not bill
    assert zero - may_be_zero == set(), "ff_observe/demo/operations.py, Operations.found: add rows that it counts"


def test_a_table_that_is_not_drawn_has_rows_and_a_column_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {
        **TABLES,
        "organizations": Table("Organizations"),
        "users": Table("Users", {"admin": "admin", "locale": "locale"}),
    }
    monkeypatch.setattr("ff_observe.demo.platform.TABLES", new)
    made = DemoPlatform(tmp_path, FrozenClock(NOW), Random(3), ping_url=PING_URL, metrics_port=10464)
    made.create()
    with closing(sqlite3.connect(made.database)) as database:
        assert database.execute('SELECT count("createdAt") FROM "Organizations"').fetchone() == (7,), "a row a month"
        assert set(database.execute('SELECT "locale" FROM "Users"')) == {(None,)}


def test_the_counts_are_those_of_its_tables(platform: DemoPlatform, answer: Answer) -> None:
    with closing(sqlite3.connect(platform.database)) as database:
        for metric, table in (("users", "Users"), ("devices", "Devices"), ("snapshots", "ProjectSnapshots")):
            (rows,) = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()
            assert answer.readings[f"flowfuse_{metric}"] == {(): rows}
        (silent,) = database.execute(
            'SELECT count(*) FROM "Devices" WHERE "lastSeenAt" < \'2026-03-03 10:30:00.000 +00:00\''
        ).fetchone()
    by_last_seen = answer.readings["flowfuse_devices_by_last_seen"]
    assert silent == sum(by_last_seen[(age,)] for age in ("week", "month", "older"))


def test_it_is_initialised_and_has_flowfuses_development_licence(platform: DemoPlatform, answer: Answer) -> None:
    settings = load_settings(platform.home, variables={})
    versions = Installation(flowfuse_version=InstalledVersions(platform.home).flowfuse())
    found = platform_facts.installation(answer, settings.platform, versions, NOW)
    assert found.initialised
    assert found.flowfuse_version == "2.33.2"
    assert found.licence_problem is None
    assert found.licence is not None
    assert (found.licence.type, found.licence.limits["instances"], found.licence.limits["users"]) == ("DEV", 100, 150)


def test_the_source_reads_it_while_it_lives(tmp_path: Path) -> None:
    clock = SystemClock()
    platform = DemoPlatform(tmp_path, clock, Random(3), ping_url=PING_URL, metrics_port=10464, tick_seconds=0.001)
    platform.start()
    seen: set[float] = set()
    try:
        with closing(SQLiteSource(platform.database)) as source:
            end = clock.monotonic() + 10
            while len(seen) < 4 and clock.monotonic() < end:
                answer = source.read(clock.now() + timedelta(seconds=1))
                assert answer.failures == {}
                seen.add(answer.readings["flowfuse_snapshots"][()])
    finally:
        platform.stop(clock.monotonic() + 5)
    assert len(seen) >= 4
    assert min(seen) >= COMPANY.snapshots // 2
