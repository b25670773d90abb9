"""Counts with an interval of their own: few in one reading, none before it is due, none that takes others down."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from ff_observe.catalogue import COUNTS
from ff_observe.catalogue.model import Reading
from ff_observe.catalogue.questions import CertificateExpiry, CertifiedNodes, DistinctSince, MostFrequent, RowsByAge
from ff_observe.config.secret import Secret
from ff_observe.errors import SourceError
from ff_observe.platform.sources import intervals
from ff_observe.platform.sources.model import Answer, Caps
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sql import Row, StatementError, StatementTooSlowError, UnexpectedAnswerError
from ff_observe.platform.sources.sqlite import DIALECT, SQLiteSource
from tests.fakes import FakeClock
from tests.platforms import cluster_database
from tests.real_parts.postgresql import Cluster
from tests.reduced.crowded import rows
from tests.reduced.platforms import write_sqlite
from tests.reduced.schema import script

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DEAR = {count.name: count.every_seconds for count in COUNTS if count.every_seconds}
STATES = "flowfuse_devices_by_state"
ROLLOUT, TUNNELS = "flowfuse_devices_by_rollout", "flowfuse_device_editor_tunnels"  # of one statement
TOKENS = tuple(count.name for count in COUNTS if count.of.table == "access_tokens")  # of one statement, too
CERTIFIED = "flowfuse_certified_nodes"
DISK_FREE = "flowfuse_database_disk_free_bytes"
A_SECOND, A_DAY = timedelta(seconds=1), timedelta(days=1)
AGAIN = timedelta(seconds=intervals.AGAIN_SECONDS)

Answered = tuple[Mapping[str, Reading], Mapping[str, Caps]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_sqlite(tmp_path / "forge.db", script(rows(Random(1), AT), AT))
    return tmp_path / "forge.db"


@pytest.fixture
def source(path: Path) -> Iterator[SQLiteSource]:
    with contextlib.closing(SQLiteSource(path)) as opened:
        yield opened


def write(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_certified_nodes_are_asked_hourly_at_most() -> None:
    (certified,) = [count for count in COUNTS if isinstance(count.of, CertifiedNodes)]
    assert certified.every_seconds >= 3_600


def test_labels_of_the_database_say_what_of_them_was_left_out(source: SQLiteSource) -> None:
    answer = source.read(AT)
    labelled = (MostFrequent, CertificateExpiry, CertifiedNodes)
    of_database = {count.name for count in COUNTS if count.every_seconds and isinstance(count.of, labelled)}
    assert DEAR.keys() & answer.caps.keys() == of_database
    assert answer.readings[DISK_FREE][()] > 0


def test_a_count_with_an_interval_counts_the_same_as_one_without(path: Path) -> None:
    ages = [count for count in COUNTS if isinstance(count.of, RowsByAge)]
    answers = []
    for counts in (ages, [replace(count, every_seconds=60) for count in ages]):
        with contextlib.closing(SQLiteSource(path, counts)) as source:
            answers.append(source.read(AT).readings)
    plain, dear = answers
    assert plain == dear
    assert len(plain) == len(ages)


def test_the_budget_is_of_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(intervals, "time", clock)
    monkeypatch.setattr(intervals, "BUDGET_SECONDS", 0.5)
    asking = intervals.Intervals(DIALECT, "a database", None)
    asking.plan([count for count in COUNTS if count.name in DEAR and type(count.of) is MostFrequent], {})

    def query(*_: object) -> list[Row]:
        clock.advance(0.25)
        return []

    known = []
    for _ in range(3):
        asking.ask(query, AT, None)
        known.append(len(asking.added_to(Answer({}, {}, {})).readings))
    assert known == [2, 4, 6]


def test_once_the_budget_is_spent_each_reading_asks_one_more(
    source: SQLiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "BUDGET_SECONDS", 0.0)
    before: set[str] = set()
    readings = 0
    while before != DEAR.keys():
        answer = source.read(AT + timedelta(milliseconds=readings))
        asked = DEAR.keys() & answer.readings.keys()
        tables = {count.of.table for count in COUNTS if count.name in asked - before}
        assert len(tables) == 1, "one statement, of one table"
        before = asked
        readings += 1
    assert readings > len(DEAR) / 2


def test_a_count_is_asked_again_when_its_interval_is_over(source: SQLiteSource, path: Path) -> None:
    before = source.read(AT).readings[STATES]
    write(path, "UPDATE Devices SET state = 'new state'")
    early = source.read(AT + timedelta(seconds=DEAR[STATES] - 1))
    assert early.readings[STATES] == before
    assert early.readings["flowfuse_devices_by_status"] != {}
    assert set(source.read(AT + timedelta(seconds=DEAR[STATES])).readings[STATES]) == {("new state",)}


def test_what_is_known_outlives_an_upgrade_of_flowfuse(source: SQLiteSource, path: Path) -> None:
    before = source.read(AT).readings[STATES]
    write(path, "UPDATE Devices SET state = 'new state'", "ALTER TABLE Devices ADD COLUMN added TEXT")
    assert source.read(AT).readings[STATES] == before
    assert set(source.read(AT + timedelta(seconds=DEAR[STATES])).readings[STATES]) == {("new state",)}


def test_a_clock_that_is_set_back_does_not_put_it_off(source: SQLiteSource, path: Path) -> None:
    source.read(AT)
    write(path, "UPDATE Devices SET state = 'new state'")
    assert set(source.read(AT - timedelta(days=1)).readings[STATES]) == {("new state",)}


def test_another_database_in_its_place_is_asked_at_once(source: SQLiteSource, path: Path) -> None:
    source.read(AT)
    other = path.with_name("other.db")
    write_sqlite(other, script(rows(Random(2), AT), AT))
    write(other, "UPDATE Devices SET state = 'of the other'")
    other.replace(path)
    assert set(source.read(AT).readings[STATES]) == {("of the other",)}


def many_states(number: int) -> str:
    return (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number}) "
        "INSERT INTO Devices (name, type, credentialSecret, state, createdAt, updatedAt) "
        "SELECT i, 't', 's', 'state ' || i, '2026-01-01 00:00:00.000 +00:00', '2026-01-01 00:00:00.000 +00:00' FROM n"
    )


def test_what_takes_too_long_with_sqlite_is_absent_and_takes_no_other_down(
    source: SQLiteSource, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, many_states(5_000))
    monkeypatch.setattr(intervals, "STATEMENT_SECONDS", 0.0)
    answer = source.read(AT)
    assert answer.failures[STATES] == "it takes longer than 0 s"
    assert STATES not in answer.readings
    assert answer.readings["flowfuse_devices"][()] > 5_000
    monkeypatch.setattr(intervals, "STATEMENT_SECONDS", 60.0)
    assert STATES in source.read(AT + timedelta(seconds=DEAR[STATES] - 1)).failures, "not before it is due"
    assert source.read(AT + timedelta(hours=2)).readings[STATES][("other",)] > 0
    assert f"{STATES} is not reported: it takes longer than 0 s" in caplog.text


def test_what_takes_too_long_with_postgresql_is_absent_and_takes_no_other_down(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dump.sql").write_text(script(rows(Random(1), AT), AT, postgresql=True))
    name = postgres.load("intervals", tmp_path / "dump.sql")
    with postgres.connect(name) as connection:
        connection.execute(
            'INSERT INTO "Devices" (name, type, "credentialSecret", state, "createdAt", "updatedAt")'
            " SELECT i, 't', 's', 'state ' || i, now(), now() FROM generate_series(1, 60000) i"
        )
    with contextlib.closing(PostgreSQLSource(cluster_database(postgres, name))) as source:
        monkeypatch.setattr(intervals, "STATEMENT_SECONDS", 0.001)
        answer = source.read(AT)
        assert answer.failures[STATES] == "it takes longer than 0.001 s"
        assert answer.readings["flowfuse_devices"][()] > 60_000
        monkeypatch.setattr(intervals, "STATEMENT_SECONDS", 60.0)
        assert source.read(AT + timedelta(hours=2)).readings[STATES][("other",)] > 0


def test_a_column_that_the_role_must_not_read_is_absent_like_one_that_is_not_there(
    postgres: Cluster, tmp_path: Path
) -> None:
    """A role with the columns that earlier versions read keeps what it had."""
    (tmp_path / "dump.sql").write_text(script(rows(Random(1), AT), AT, postgresql=True))
    name = postgres.load("least_privilege", tmp_path / "dump.sql")
    with postgres.connect(name) as connection:
        for statement in (
            "DO $$ BEGIN CREATE ROLE least LOGIN PASSWORD 'least'; EXCEPTION WHEN duplicate_object THEN END $$",
            'GRANT SELECT (id, admin) ON "Users" TO least',
            'GRANT SELECT (id, mode, "lastSeenAt") ON "Devices" TO least',
        ):
            connection.execute(statement.encode())
    database = cluster_database(postgres, name)
    with contextlib.closing(PostgreSQLSource(replace(database, user="least", password=Secret("least")))) as source:
        answer = source.read(AT)
        assert answer.readings["flowfuse_users"] == {(): 30}
        assert answer.readings["flowfuse_devices_by_status"] != {}
        assert not {"flowfuse_users_with_mfa", STATES} & (answer.readings.keys() | answer.failures.keys())
        with postgres.connect(name) as connection:
            connection.execute('GRANT SELECT (mfa_enabled) ON "Users" TO least')
        assert "flowfuse_users_with_mfa" in source.read(AT).readings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The counts that are asked for, in that order; one of each statement."""
    names: list[str] = []
    answer = intervals.Intervals._answer

    def noted(self: intervals.Intervals, turn: intervals._Turn, query: intervals.Query) -> Answered:
        names.append(turn.names[0])
        return answer(self, turn, query)

    monkeypatch.setattr(intervals.Intervals, "_answer", noted)
    return names


def test_nothing_is_asked_again_while_nothing_was_written_but_what_time_changes(
    source: SQLiteSource, path: Path, asked: list[str]
) -> None:
    source.read(AT)
    everything = {*asked}
    asked.clear()
    source.read(AT + A_DAY)
    assert STATES not in asked
    assert {count.name for count in COUNTS if count.every_seconds and type(count.of) is DistinctSince} <= {*asked}
    asked.clear()
    write(path, "UPDATE Devices SET state = 'new state'")
    source.read(AT + A_DAY + A_SECOND)
    assert asked == [], "its interval has begun anew"
    source.read(AT + 2 * A_DAY)
    assert {*asked} == everything


def test_the_most_overdue_are_asked_first(
    source: SQLiteSource, path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "BUDGET_SECONDS", 0.0)  # one a reading
    number = 0
    while len({*asked}) == number:  # a clock that goes back: each is asked before those that were asked first
        write(path, f"UPDATE Devices SET state = 'state {number}'")
        source.read(AT - timedelta(milliseconds=number))
        number += 1
    last_first = asked[: number - 1][::-1]
    asked.clear()
    for _ in last_first:
        source.read(AT + A_DAY)
    assert asked == last_first


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """What the database answers instead, by the first count of the statement."""
    errors: dict[str, Exception] = {}
    answer = intervals.Intervals._answer

    def refused(self: intervals.Intervals, turn: intervals._Turn, query: intervals.Query) -> Answered:
        if turn.names[0] in errors:
            raise errors[turn.names[0]]
        return answer(self, turn, query)

    monkeypatch.setattr(intervals.Intervals, "_answer", refused)
    return errors


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of what the log says of counts with an interval."""
    return [(record.levelname, record.message) for record in caplog.records if record.name == intervals.__name__]


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, intervals.__name__)


def test_what_was_refused_is_asked_again_after_a_minute(
    source: SQLiteSource, asked: list[str], refusals: dict[str, Exception]
) -> None:
    assert timedelta(seconds=DEAR[CERTIFIED]) > AGAIN
    refusals[CERTIFIED] = StatementError("permission denied")
    assert source.read(AT).failures[CERTIFIED] == "permission denied"
    refusals.clear()
    assert source.read(AT + AGAIN - A_SECOND).failures[CERTIFIED] == "permission denied"
    assert CERTIFIED in source.read(AT + AGAIN).readings
    asked.clear()
    source.read(AT + 2 * AGAIN)
    assert CERTIFIED not in asked, "it has its own interval again"


def test_the_log_says_once_that_and_why_a_count_is_refused_and_that_it_is_back(
    source: SQLiteSource, path: Path, refusals: dict[str, Exception], caplog: pytest.LogCaptureFixture
) -> None:
    reasons = ["permission denied", "of another reason", None, "permission denied"]
    for number, reason in enumerate(reasons):
        refusals.clear()
        if reason is not None:
            refusals[ROLLOUT] = StatementError(reason)
        write(path, f"UPDATE Devices SET state = 'state {number}'")
        source.read(AT + number * AGAIN)
    counts = f"SQLite database {path}: {ROLLOUT}, {TUNNELS}"
    assert said(caplog) == [
        ("WARNING", f"{counts} is not reported: permission denied"),
        ("DEBUG", f"{counts} is not reported: of another reason"),
        ("INFO", f"{counts} is reported again"),
        ("WARNING", f"{counts} is not reported: permission denied"),
    ]


@pytest.mark.parametrize(
    ("error", "reason", "second"),
    [
        (StatementError("permission denied"), "permission denied", "DEBUG"),
        (UnexpectedAnswerError(), "an answer of another form", "DEBUG"),
        (StatementTooSlowError(2), "it takes longer than 2 s", "WARNING"),
    ],
    ids=["refused", "another form", "too slow"],
)
def test_one_reason_of_several_counts_is_one_warning_unless_each_is_too_slow(
    source: SQLiteSource,
    refusals: dict[str, Exception],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    reason: str,
    second: str,
) -> None:
    refusals.update({STATES: error, ROLLOUT: error})
    assert source.read(AT).failures == {STATES: reason, ROLLOUT: reason, TUNNELS: reason}
    assert [level for level, _ in said(caplog)] == ["WARNING", second]


def test_a_reason_that_other_counts_were_not_read_for_is_no_warning(
    refusals: dict[str, Exception], caplog: pytest.LogCaptureFixture
) -> None:
    asking = intervals.Intervals(DIALECT, "a database", None)
    asking.plan([count for count in COUNTS if count.name == STATES], {})
    refusals[STATES] = StatementError("permission denied")
    asking.ask(lambda *_: [], AT, None, ["table Teams: it is locked", "table Devices: permission denied"])
    assert said(caplog) == [("DEBUG", f"a database: {STATES} is not reported: permission denied")]


def test_a_database_that_breaks_off_is_asked_no_more_and_its_next_refusal_is_a_warning(
    source: SQLiteSource, asked: list[str], refusals: dict[str, Exception], caplog: pytest.LogCaptureFixture
) -> None:
    refusals[TOKENS[0]] = SourceError("the connection was lost")
    assert source.read(AT).failures == dict.fromkeys(TOKENS, "the connection was lost")
    assert STATES in asked
    assert CERTIFIED not in asked
    refusals[TOKENS[0]] = StatementError("permission denied")
    assert source.read(AT + AGAIN).failures == dict.fromkeys(TOKENS, "permission denied")
    (lost, refused) = said(caplog)
    assert lost == ("DEBUG", f"{', '.join(TOKENS)}: the connection was lost")
    assert refused[0] == "WARNING"
