"""A database that cannot answer every count in time: what it can is reported, and the rest is said to be missing."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.bridge import READING_SUCCESS
from ff_observe.catalogue.questions import Rows
from ff_observe.errors import SourceError
from ff_observe.platform.sources import intervals, questions, reduction, sqlite
from ff_observe.platform.sources.model import SETTINGS_READING, Answer
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.questions import MOST_GROUPED_ROWS
from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.platforms import (
    case_named,
    cluster_database,
    postgresql_rows,
    reported,
    sqlite_rows,
    truth,
    writable_copy,
)
from tests.real_parts.postgresql import Cluster
from tests.unit.platform.hostile import compute_team_type_names

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CASE = case_named("v2.4.0-sqlite-dev")
IN_POSTGRESQL = case_named("v2.4.0-postgres-dev")
NUMBERS_OF_ROWS = {count.name for count in COUNTS if isinstance(count.of, Rows)}
OF_DEVICES = {
    *("flowfuse_devices_by_mode", "flowfuse_devices_by_last_seen", "flowfuse_devices_by_status"),
}


def of_everything(sql: str) -> bool:
    return "FILTER" in sql


def of_devices(sql: str) -> bool:
    return 'FROM "Devices" t' in sql


@dataclass
class Slow:
    """A platform whose statements expire where `is_slow` says so."""

    source: SQLiteSource
    truth: dict[str, object]
    is_slow: Callable[[str], bool] = of_devices
    expired: int = 0

    def read(self, at: datetime) -> Answer:
        self.expired = 0
        return self.source.read(at)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    path = writable_copy(CASE, tmp_path / "var")
    every_seconds = {count.name for count in COUNTS if count.every_seconds}
    found = {name: reading for name, reading in truth(sqlite_rows(path), AT).items() if name not in every_seconds}
    monkeypatch.setattr(questions, "MOST_GROUPED_ROWS", 12)  # of what has groups, there are more devices only
    with contextlib.closing(SQLiteSource(path, [count for count in COUNTS if not count.every_seconds])) as source:
        platform = Slow(source, dict(found))
        plain = sqlite._Session.query

        def query(self: sqlite._Session, sql: str, *arguments: Any) -> object:
            if platform.is_slow(sql):
                platform.expired += 1
                vars(source)["_limit"].expired = True
                raise SourceError("interrupted")
            return plain(self, sql, *arguments)

        monkeypatch.setattr(sqlite._Session, "query", query)
        yield platform


def test_the_help_says_what_is_left_out() -> None:
    assert f"more than {MOST_GROUPED_ROWS:,} rows" in READING_SUCCESS.help
    assert timedelta(minutes=10) == reduction.PAUSE
    assert "for ten minutes" in READING_SUCCESS.help


def others_than(slow: Slow, absent: set[str]) -> dict[str, object]:
    return {name: reading for name, reading in slow.truth.items() if name not in absent}


def test_numbers_of_rows_are_read_where_all_cannot_be(slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    slow.is_slow = of_everything
    for minutes in range(3):
        answer = slow.read(AT + timedelta(minutes=minutes))
        there = NUMBERS_OF_ROWS & slow.truth.keys()
        assert {"flowfuse_users", "flowfuse_teams", "flowfuse_instances", "flowfuse_devices"} <= there
        assert reported(answer.readings) == {name: slow.truth[name] for name in there}
        assert reported(answer.failures) == dict.fromkeys(slow.truth.keys() - there, reduction.REASON)
        assert answer.settings
        assert not answer.failures.keys() & {SETTINGS_READING, "flowfuse_git_stages_by_status"}, "has no such table"
    assert slow.expired == 0, "it is not tried again at each reading"
    assert caplog.text.count(reduction.REASON) == 1


def test_only_the_groups_of_large_tables_are_left_out_afterwards(slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    slow.read(AT)
    for seconds in (30, 60, reduction.PAUSE.total_seconds()):  # the last: all is asked for, in vain
        answer = slow.read(AT + timedelta(seconds=seconds))
        assert reported(answer.readings) == others_than(slow, OF_DEVICES)
        assert answer.failures == dict.fromkeys(OF_DEVICES, reduction.REASON)
        assert slow.expired == (seconds == reduction.PAUSE.total_seconds())
    slow.is_slow = lambda _: False
    answer = slow.read(AT + 2 * reduction.PAUSE)
    assert answer.failures == {}
    assert answer.readings.keys() >= OF_DEVICES
    assert caplog.text.count(reduction.REASON) == 1
    assert caplog.text.count("every count can be read in time again") == 1


def test_a_database_of_small_tables_is_read_in_full_the_next_time(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MOST_GROUPED_ROWS", 100)
    slow.read(AT)
    slow.is_slow = lambda _: False
    assert reported(slow.read(AT).readings) == slow.truth


def test_a_database_that_cannot_count_its_rows_either_is_an_error(slow: Slow) -> None:
    slow.is_slow = lambda _: True
    for _ in range(2):
        with pytest.raises(SourceError, match="not read within"):
            slow.read(AT)
    slow.is_slow = lambda _: False
    slow.read(AT)
    assert "flowfuse_users_suspended" in slow.read(AT).readings


def test_one_statement_counts_the_rows_of_all_tables(slow: Slow) -> None:
    slow.is_slow = of_everything
    slow.read(AT)
    slow.read(AT)
    asked: list[str] = []
    vars(slow.source)["_connection"].set_trace_callback(asked.append)
    slow.read(AT)
    assert len([statement for statement in asked if "count(*)" in statement]) == 1


def test_another_database_in_its_place_is_asked_for_all(slow: Slow) -> None:
    slow.is_slow = of_everything
    slow.read(AT)
    path = vars(slow.source)["_path"]
    slow.is_slow = lambda _: False
    writable_copy(CASE, path.parent / "other").replace(path)
    assert reported(slow.read(AT).readings) == slow.truth


def test_postgresql_leaves_out_what_it_gives_up(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MOST_GROUPED_ROWS", 6)  # there are 7 teams and 6 subscriptions
    name = postgres.load("gives_up", IN_POSTGRESQL.home / "dump.sql")
    with (
        postgres.connect(name) as connection,
        contextlib.closing(PostgreSQLSource(cluster_database(postgres, name))) as source,
    ):
        expected = truth(postgresql_rows(connection), AT)
        there = NUMBERS_OF_ROWS & expected.keys()
        compute_team_type_names(connection, "RAISE EXCEPTION USING ERRCODE = 'query_canceled'; RETURN ''")
        for _ in range(2):
            answer = source.read(AT)
            assert {key: answer.readings[key] for key in there} == {key: expected[key] for key in there}
            assert answer.failures["flowfuse_teams_by_type"] == reduction.REASON
        assert answer.readings["flowfuse_teams_by_billing_state"] == expected["flowfuse_teams_by_billing_state"]
        mended = "CREATE OR REPLACE FUNCTION compute(computed) RETURNS text LANGUAGE sql AS 'SELECT $1.v'"
        connection.execute(mended)
        assert (
            source.read(AT + reduction.PAUSE).readings["flowfuse_teams_by_type"] == expected["flowfuse_teams_by_type"]
        )


def test_dear_counts_wait_where_the_reading_was_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = writable_copy(CASE, tmp_path / "var")
    plain, limits = sqlite._Session.query, set[float | None]()
    expired: list[str] = []
    with contextlib.closing(SQLiteSource(path)) as source:

        def query(self: sqlite._Session, sql: str, at: Any = None, limit: float | None = None) -> object:
            limits.add(limit)
            if limit is None and of_devices(sql) and not expired:
                expired.append(sql)
                vars(source)["_limit"].expired = True
                raise SourceError("interrupted")
            return plain(self, sql, at, limit)

        monkeypatch.setattr(sqlite._Session, "query", query)
        assert source.read(AT).failures["flowfuse_devices_by_mode"] == reduction.REASON
        assert limits == {None}
        source.read(AT + timedelta(seconds=5))
        assert limits == {None, intervals.STATEMENT_SECONDS}
