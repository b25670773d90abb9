"""The demo platform is a FlowFuse home that is alive, the same for the same seed, keeps to itself, and is read by the
bridge's own configuration and source as any platform is."""

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from ff_observe.catalogue import COUNTS
from ff_observe.config import load_settings
from ff_observe.config.settings import SQLiteDatabase
from ff_observe.demo.company import COMPANY, Company, stamp
from ff_observe.demo.operations import GROUPS
from ff_observe.demo.platform import DemoPlatform
from ff_observe.errors import UsageError
from ff_observe.platform import facts as platform_facts
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.model import Answer, Installation
from ff_observe.platform.sources.schema import TABLES, Table
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.system.clock import Clock, FrozenClock, SystemClock
from tests import recordings
from tests.real_parts.processes import wait_until

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)  # a Wednesday morning
LICENSED_INSTANCES = 100  # claim `instances` of the development licence: hosted instances and devices together
LICENSED_USERS = 150


def demo(home: Path, clock: Clock | None = None, seed: int = 7, company: Company = COMPANY) -> DemoPlatform:
    return DemoPlatform(
        home,
        clock or FrozenClock(NOW),
        Random(seed),
        ping_url="http://127.0.0.1:9/ping",
        metrics_port=9,
        company=company,
        tick_seconds=0.01,
    )


@pytest.fixture
def platform(tmp_path: Path) -> DemoPlatform:
    made = demo(tmp_path / "home")
    made.create()
    return made


def ask(platform: DemoPlatform, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{platform.database}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def number(platform: DemoPlatform, table: str, where: str = "1") -> int:
    answer = ask(platform, f'SELECT count(*) FROM "{table}" WHERE {where}')[0][0]
    assert isinstance(answer, int)
    return answer


def content(platform: DemoPlatform) -> list[str]:
    with contextlib.closing(sqlite3.connect(platform.database)) as database:
        return list(database.iterdump())


def test_the_first_day_is_as_large_as_the_company(platform: DemoPlatform) -> None:
    assert number(platform, "Users") == COMPANY.users
    assert number(platform, "Projects") == COMPANY.instances
    assert number(platform, "Devices") == COMPANY.devices
    assert number(platform, "ProjectSnapshots") == COMPANY.snapshots + len(
        GROUPS
    )  # a release for each group of devices


def test_a_company_of_hundreds_of_devices_can_be_had(tmp_path: Path) -> None:
    large = demo(tmp_path, company=Company(users=120, teams=14, instances=140, devices=640))
    large.create()
    large.step(60)
    assert number(large, "Devices") >= 640


def test_the_same_seed_gives_the_same_life(tmp_path: Path) -> None:
    lives = []
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        platform = demo(tmp_path / name, seed=seed)
        platform.create()
        for _ in range(20):
            platform.step(30)
        lives.append(content(platform))
    assert lives[0] == lives[1]
    assert lives[0] != lives[2]


SAME_VERSION = [case for case in recordings.cases() if case.name in ("reduced-sqlite-dev", "v2.33.2-sqlite-dev")]


@pytest.fixture(params=SAME_VERSION, ids=lambda case: case.name)
def real_database(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """A database with the tables of the FlowFuse version that the demo says it is."""
    uri = f"file:{request.param.home / 'var' / 'forge.db'}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        yield database


def test_tables_and_columns_are_those_of_flowfuse(platform: DemoPlatform, real_database: sqlite3.Connection) -> None:
    for (table,) in ask(platform, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        real = {row[1] for row in real_database.execute(f'PRAGMA table_info("{table}")')}
        missing = {row[1] for row in ask(platform, f'PRAGMA table_info("{table}")')} - real
        where = "of another name in FlowFuse, or to be added to _COLUMNS of tests/reduced/schema.py"
        assert missing == set(), f"{table}: {where}"


def test_timestamps_are_written_as_flowfuse_writes_them() -> None:
    """As seen in the databases of real platforms: `2026-11-23 12:00:17.515 +00:00`."""
    assert stamp(datetime(2026, 11, 23, 12, 0, 17, 515999, tzinfo=UTC)) == "2026-11-23 12:00:17.515 +00:00"


def test_people_come_instances_change_state_and_devices_are_lost(platform: DemoPlatform) -> None:
    states: set[object] = set()
    for _ in range(24 * 6 * 3):
        platform.step(10)
        states |= {state for (state,) in ask(platform, 'SELECT DISTINCT "state" FROM "Projects"')}
    assert states == {"running", "suspended", "stopped"}
    assert number(platform, "Users") != COMPANY.users
    assert number(platform, "Devices") != COMPANY.devices
    assert number(platform, "ProjectSnapshots") != COMPANY.snapshots
    fallen_silent = f"\"state\" = 'stopped' AND \"lastSeenAt\" < '{stamp(NOW - timedelta(days=1))}'"
    assert number(platform, "Devices", fallen_silent) > 0


def test_what_is_past_recedes_as_fast_as_the_platform_lives(platform: DemoPlatform) -> None:
    query = 'SELECT "id", "lastSeenAt" FROM "Devices" WHERE "state" = \'stopped\''
    before = {device: seen for device, seen in ask(platform, query)}  # noqa: C416 (dict() does not type-check)
    platform.step(90)
    after = {device: seen for device, seen in ask(platform, query)}  # noqa: C416 (as above)
    still_silent = before.keys() & after.keys()
    assert still_silent
    for device in still_silent:
        assert parsed(before[device]) - parsed(after[device]) == timedelta(minutes=90)


def parsed(text: object) -> datetime:
    return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S.%f %z")


def test_connected_devices_were_seen_just_now(platform: DemoPlatform) -> None:
    platform.step(10)
    assert {seen for (seen,) in ask(platform, 'SELECT "lastSeenAt" FROM "Devices" WHERE "state" = \'running\'')} == {
        stamp(NOW)
    }


def test_releases_reach_groups_stacks_and_agents_are_upgraded_and_people_sign_in(platform: DemoPlatform) -> None:
    def versions() -> list[tuple[object, ...]]:
        return ask(platform, 'SELECT "agentVersion", count(*) FROM "Devices" GROUP BY 1 ORDER BY 1')

    in_sync = '"targetSnapshotId" = "activeSnapshotId"'
    behind = '"targetSnapshotId" <> ifnull("activeSnapshotId", 0)'
    before, newest = versions(), number(platform, "Projects", '"ProjectStackId" = 3')
    assert number(platform, "Devices", behind) > 0
    for _ in range(60):
        platform.step(240)
        assert number(platform, "Devices", in_sync) > number(platform, "Devices", behind) > 0
    assert versions() != before
    assert number(platform, "Projects", '"ProjectStackId" = 3') > newest
    assert number(platform, "ProjectSnapshots", "\"name\" LIKE 'Release for %'") > len(GROUPS)
    assert number(platform, "Notifications", 'NOT "read"') > 0
    assert number(platform, "TeamMembers") == number(platform, "Users")


def test_a_long_life_stays_within_the_licence(platform: DemoPlatform) -> None:
    for _ in range(60 * 6):
        platform.step(240)
        assert number(platform, "Projects") + number(platform, "Devices") <= LICENSED_INSTANCES
        assert 0 < number(platform, "Users") <= LICENSED_USERS
        assert number(platform, "Users", '"admin"') == 3


def test_history_gives_each_moment_with_the_platform_as_it_was_then(tmp_path: Path) -> None:
    platform = demo(tmp_path)
    moments = []
    for moment in platform.history(NOW - timedelta(days=1), NOW, timedelta(hours=6)):
        moments.append(moment)
        (latest,) = ask(platform, 'SELECT max("lastSeenAt") FROM "Devices"')[0]
        assert moment - timedelta(minutes=1) <= parsed(latest) <= moment
    assert moments == [NOW - timedelta(hours=hours) for hours in (24, 18, 12, 6, 0)]


def test_time_passes_in_a_thread_until_it_is_stopped(tmp_path: Path) -> None:
    clock = SystemClock()
    platform = demo(tmp_path, clock)
    platform.start()
    try:
        first = content(platform)
        wait_until(lambda: content(platform) != first, "life on the platform")
    finally:
        platform.stop(clock.monotonic() + 5)
    stopped = content(platform)
    assert content(platform) == stopped


def test_stopping_before_the_start_is_legal(tmp_path: Path) -> None:
    demo(tmp_path).stop(0.0)


def test_an_existing_platform_is_not_touched(platform: DemoPlatform) -> None:
    before = content(platform)
    with pytest.raises(UsageError, match=r"flowforge\.yml exists; give the demo an empty directory"):
        demo(platform.home).create()
    assert content(platform) == before


@pytest.fixture
def answer(platform: DemoPlatform) -> Iterator[Answer]:
    """What the bridge's own source reads of it, some time later."""
    platform.step(600)
    with contextlib.closing(SQLiteSource(platform.database)) as source:
        yield source.read(NOW)


def test_its_file_is_valid_and_says_where_everything_is(platform: DemoPlatform) -> None:
    settings = load_settings(platform.home, variables={})
    assert settings.warnings == ()
    assert settings.database == SQLiteDatabase(platform.database)
    assert settings.prometheus.enabled
    assert (settings.prometheus.host, settings.prometheus.port) == ("127.0.0.1", 9)
    assert settings.ping.url.reveal() == "http://127.0.0.1:9/ping"
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
    made = demo(tmp_path)
    made.create()
    with contextlib.closing(sqlite3.connect(made.database)) as database:
        assert database.execute('SELECT count("createdAt") FROM "Organizations"').fetchone() == (7,), "a row a month"
        assert set(database.execute('SELECT "locale" FROM "Users"')) == {(None,)}


def test_the_counts_are_those_of_its_tables(platform: DemoPlatform, answer: Answer) -> None:
    with contextlib.closing(sqlite3.connect(platform.database)) as database:
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
    platform = demo(tmp_path, clock)
    platform.start()
    seen: set[float] = set()
    try:
        with contextlib.closing(SQLiteSource(platform.database)) as source:
            end = clock.monotonic() + 10
            while len(seen) < 4 and clock.monotonic() < end:
                answer = source.read(clock.now() + timedelta(seconds=1))
                assert answer.failures == {}
                seen.add(answer.readings["flowfuse_snapshots"][()])
    finally:
        platform.stop(clock.monotonic() + 5)
    assert len(seen) >= 4
    assert min(seen) >= COMPANY.snapshots // 2


_watched: list[tuple[str, object]] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watched is not None and event.startswith(("socket.", "sqlite3.connect", "os.mkdir", "subprocess.", "open")):
        _watched.append((event, arguments))


@pytest.fixture
def watched() -> Iterator[list[tuple[str, object]]]:
    """What the interpreter does meanwhile: sockets, files, processes."""
    global _watched  # noqa: PLW0603 (audit hooks cannot be removed, only told to look away)
    if _watch not in _installed:
        sys.addaudithook(_watch)
        _installed.append(_watch)
    _watched = []
    yield _watched
    _watched = None


_installed: list[object] = []


def test_it_writes_below_its_directory_only_and_contacts_nobody(
    tmp_path: Path, watched: list[tuple[str, object]]
) -> None:
    platform = demo(tmp_path / "home")
    platform.create()
    platform.step(30)
    events = list(watched)
    assert not [event for event, _ in events if event.startswith(("socket.", "subprocess."))]
    written = [
        str(arguments[0])
        for event, arguments in events
        if isinstance(arguments, tuple)
        and (event in ("sqlite3.connect", "os.mkdir") or (event == "open" and set(str(arguments[1])) & set("wax+")))
    ]
    assert written
    assert [path for path in written if not path.startswith(str(tmp_path))] == []
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
