"""More values, longer texts and odder settings than any platform has, in both databases: bounded, and the sums hold."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.platform.sources.model import Answer, Caps, Source
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.platforms import case_named, cluster_database, writable_copy
from tests.unit.platform.hostile import read_in_a_process

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PROCESS_MEGABYTES = 160  # Python with the driver has some 50


@dataclass
class Platform:
    """A platform's database: `write` runs SQL that both databases understand. `series` makes numbers."""

    database: Path | PostgreSQLDatabase
    source: Source
    write: Callable[[str], object]

    def read(self) -> Answer:
        return self.source.read(AT)

    def insert(self, table: str, **values: str) -> None:
        """Rows of SQL expressions; `i` counts them, up to the number in `rows`."""
        rows = values.pop("rows")
        if isinstance(self.database, Path):
            series = (
                f"(WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {rows}) SELECT i FROM s)"
            )
        else:
            series = f"generate_series(1, {rows}) s(i)"
        moment = "'2026-11-01 00:00:00.000 +00:00'"
        columns = {"createdAt": moment, "updatedAt": moment, **values}
        names = ", ".join(f'"{name}"' for name in columns)
        self.write(f'INSERT INTO "{table}" ({names}) SELECT {", ".join(columns.values())} FROM {series}')

    def insert_instances(self, rows: int, state: str, mark: str = "") -> None:
        """Hosted instances by an expression for the state."""
        self.insert(
            "Projects",
            rows=str(rows),
            id=f"{self.uuid(mark)}",
            name="'n'",
            type="'t'",
            url="'u'",
            state=state,
            safeName=f"'{mark}' || i",
        )

    def uuid(self, mark: str) -> str:
        return f"'{mark}' || i" if isinstance(self.database, Path) else "gen_random_uuid()"


@pytest.fixture(params=["sqlite", "postgresql"])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            path = writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)
            writer = stack.enter_context(contextlib.closing(sqlite3.connect(path, isolation_level=None)))
            writer.execute("PRAGMA foreign_keys = off")
            source = stack.enter_context(contextlib.closing(SQLiteSource(path)))
            yield Platform(path, source, writer.execute)
        else:
            postgres = request.getfixturevalue("postgres")
            name = postgres.load("hostile", case_named("v2.4.0-postgres-dev").home / "dump.sql")
            connection = stack.enter_context(postgres.connect(name))
            database = cluster_database(postgres, name)
            opened = stack.enter_context(contextlib.closing(PostgreSQLSource(database)))
            yield Platform(database, opened, lambda sql: connection.execute(sql.encode()))


def test_three_thousand_states_are_a_hundred_and_the_rest(platform: Platform) -> None:
    platform.write('DELETE FROM "Projects"')
    platform.insert_instances(3_000, "'state ' || i", "a")
    platform.insert_instances(300, "'often'", "b")
    platform.insert_instances(1, "'running'", "c")
    for _ in range(2):
        answer = platform.read()
        by_state = answer.readings["flowfuse_instances_by_state"]
        assert len(by_state) == 102  # the hundred most frequent, `other`, and `suspended`
        assert by_state["often",] == 300
        assert by_state["running",] == 1  # however rare: FlowFuse's own states are always told apart
        assert by_state["suspended",] == 0
        assert by_state["other",] == 3_000 - 98
        assert sum(by_state.values()) == answer.readings["flowfuse_instances"][()]
        assert answer.caps["flowfuse_instances_by_state"] == Caps(number=3_002 - 100)
        assert answer.failures == {}


def test_no_more_than_a_hundred_values_are_all_told_apart(platform: Platform) -> None:
    platform.write('DELETE FROM "Projects"')
    platform.insert_instances(100, "'state ' || i", "a")
    answer = platform.read()
    by_state = answer.readings["flowfuse_instances_by_state"]
    assert {f"state {number}" for number in range(1, 101)} | {"running", "suspended"} == {key for (key,) in by_state}
    assert answer.caps["flowfuse_instances_by_state"] == Caps()


def test_a_real_value_called_other_is_part_of_the_rest(platform: Platform) -> None:
    platform.write('DELETE FROM "Projects"')
    platform.insert_instances(200, "'state ' || i", "a")
    platform.insert_instances(7, "'other'", "b")
    by_state = platform.read().readings["flowfuse_instances_by_state"]
    assert sum(by_state.values()) == 207
    assert by_state["other",] == 7 + 200 - 99


def test_values_of_two_columns_are_each_told_apart_and_each_sum_is_the_whole(platform: Platform) -> None:
    platform.write('DELETE FROM "Subscriptions"')
    if not isinstance(platform.database, Path):  # an enumeration there
        for name in ("status", "trialStatus"):
            platform.write(f'ALTER TABLE "Subscriptions" ALTER "{name}" DROP DEFAULT, ALTER "{name}" TYPE text')
    platform.insert(
        "Subscriptions", rows="3000", customer="'c'", subscription="'s'", status="'status ' || i", trialStatus="'none'"
    )
    platform.insert(
        "Subscriptions", rows="2000", customer="'c'", subscription="'s'", status="'trial'", trialStatus="'trial ' || i"
    )
    answer = platform.read()
    by_status = answer.readings["flowfuse_teams_by_billing_state"]
    trials = answer.readings["flowfuse_trials_by_state"]
    assert (len(by_status), sum(by_status.values()), by_status["trial",]) == (101, 5000, 2000)
    assert len(trials) <= 101
    assert sum(trials.values()) == 2000
    assert answer.caps["flowfuse_teams_by_billing_state"] == Caps(number=3001 - 100)


def test_long_values_are_cut_and_their_rows_are_counted(platform: Platform) -> None:
    types = {"SQLite": "", "x" * 128: "", "y" * 127 + "…": "y" * 250, "é" * 127 + "…": "é" * 129}
    platform.write('DELETE FROM "Teams"')
    platform.write('DELETE FROM "TeamTypes"')
    for number, (label, name) in enumerate(types.items()):
        platform.insert("TeamTypes", rows="1", id=str(900 + number), name=f"'{name or label}'")
        platform.insert(
            "Teams", rows=str(number + 1), name="'t'", slug=f"'{number}-' || i", TeamTypeId=str(900 + number)
        )
    answer = platform.read()
    assert answer.readings["flowfuse_teams_by_type"] == {
        (label,): number for number, label in enumerate(types, start=1)
    }
    assert answer.caps["flowfuse_teams_by_type"] == Caps(length=2)


DEEP = "[" * 60_000


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (DEEP, "nested too deeply"),
        ("x" * 65_537, "more than 65536 characters"),
        ("{", "marked as JSON but is not"),
        ("9" * 60_000, "marked as JSON but is not"),
    ],
    ids=["deep", "long", "cut off", "a number of many digits"],
)
def test_a_setting_that_cannot_be_read_is_a_failure_of_the_settings_alone(
    platform: Platform, value: str, says: str
) -> None:
    platform.write('DELETE FROM "PlatformSettings"')
    platform.insert("PlatformSettings", rows="1", key="'setup:initialised'", value=f"'{value}'", valueType="1")
    platform.insert("PlatformSettings", rows="1", key="'instanceId'", value="'abc'", valueType="0")
    answer = platform.read()
    assert set(answer.failures) == {"platform_settings"}
    assert says in answer.failures["platform_settings"]
    assert "'setup:initialised'" in answer.failures["platform_settings"]
    assert answer.settings == {"instanceId": "abc"}


def test_half_a_surrogate_pair_in_a_setting_becomes_text_that_can_be_sent(platform: Platform) -> None:
    platform.write('DELETE FROM "PlatformSettings"')
    value = json.dumps("abc\ud800")
    platform.insert("PlatformSettings", rows="1", key="'instanceId'", value=f"'{value}'", valueType="1")
    assert platform.read().settings == {"instanceId": "abc?"}


def test_settings_that_repeat_are_a_failure_of_the_settings_alone(platform: Platform) -> None:
    platform.write('DROP TABLE "PlatformSettings"')
    platform.write('CREATE TABLE "PlatformSettings" ("key" text, "value" text, "valueType" int)')
    for _ in range(50):
        platform.write("""INSERT INTO "PlatformSettings" VALUES ('license', 'x', 0)""")
    answer = platform.read()
    assert answer.failures == {"platform_settings": "a platform setting is there more than once"}
    assert answer.settings == {}


def test_a_view_is_not_read_in_place_of_a_table(platform: Platform) -> None:
    for table in ("PlatformSettings", "Invitations", "Projects"):
        platform.write(f'ALTER TABLE "{table}" RENAME TO "Old{table}"')
        platform.write(f'CREATE VIEW "{table}" AS SELECT * FROM "Old{table}"')
    for _ in range(2):
        answer = platform.read()
        assert answer.failures == {
            "platform_settings": "PlatformSettings is not a table of FlowFuse's; only those are read",
            "flowfuse_invitations": "Invitations is not a table of FlowFuse's; only those are read",
            "flowfuse_instances": "Projects is not a table of FlowFuse's; only those are read",
            "flowfuse_instances_by_state": "Projects is not a table of FlowFuse's; only those are read",
        }
        assert answer.settings == {}
        assert not answer.failures.keys() & answer.readings.keys()


def test_an_endless_view_keeps_nothing_else_from_being_read(platform: Platform) -> None:
    platform.write('DROP TABLE "Invitations"')
    platform.write(
        'CREATE VIEW "Invitations" AS WITH RECURSIVE s(id) AS (SELECT 1 UNION ALL SELECT 1 FROM s) SELECT id FROM s'
    )
    answer = platform.read()
    assert set(answer.failures) == {"flowfuse_invitations"}
    assert answer.readings["flowfuse_users"][()] > 0


def test_huge_settings_stay_out_of_memory(platform: Platform) -> None:
    platform.write('DELETE FROM "PlatformSettings"')
    huge = "repeat('x', 40000000)" if not isinstance(platform.database, Path) else "hex(zeroblob(8000000))"
    for key in ("license", "instanceId", "setup:initialised", "telemetry:enabled"):
        platform.insert("PlatformSettings", rows="1", key=f"'{key}'", value=huge, valueType="0")
    said = read_in_a_process(platform.database)
    assert list(said["failures"]) == ["platform_settings"]
    assert said["megabytes"] < PROCESS_MEGABYTES
