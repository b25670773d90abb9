"""The cursor on the audit log, one trap at a time; what happens in any order is in `test_histories.py`."""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ff_observe.catalogue.audit import EVENTS, Event
from ff_observe.errors import SourceError
from ff_observe.platform import audit_counters
from ff_observe.platform.sources.audit_log import AuditLog, Bounds, Stretch
from ff_observe.platform.sources.counting import TooSlowError
from ff_observe.platform.sources.sql import StatementError
from ff_observe.running.audit_state import AuditState
from tests.real_parts.postgresql import Cluster
from tests.unit.audit.logs import BEGAN, STEP, Log, PostgreSQLLog, Row, SQLiteLog, counters, full_disk, recount
from tests.unit.platform.scripted_source import StandingClock

CRASHED: Row = ("crashed", None, "project", None)
CRASHES = "flowfuse_instance_failures_total"


@pytest.fixture
def in_postgresql(postgres: Cluster) -> Iterator[PostgreSQLLog]:
    with contextlib.closing(PostgreSQLLog(postgres, "audited_once")) as log:
        yield log


@pytest.fixture
def in_sqlite(tmp_path: Path) -> SQLiteLog:
    return SQLiteLog(tmp_path / "forge.db")


@pytest.fixture(params=["in_sqlite", "in_postgresql"])
def log(request: pytest.FixtureRequest) -> Log:
    found: Log = request.getfixturevalue(request.param)
    return found


def add(log: Log, *rows: Row) -> None:
    transaction = log.begin()
    for row in rows:
        log.insert(transaction, row)
    log.end(transaction, commit=True)


def crashes(found: audit_counters.Counted) -> float | None:
    reading = found.readings.get(CRASHES)
    return None if reading is None else reading["crashed",]


def test_an_entry_that_is_committed_after_a_later_one_is_counted(in_postgresql: PostgreSQLLog) -> None:
    log = in_postgresql
    add(log, CRASHED)
    with log.source() as source:
        bridge = counters(source, StandingClock())
        assert crashes(bridge.look("p")) == 1
        early, late = log.begin(), log.begin()
        log.insert(early, CRASHED)
        log.insert(late, CRASHED)
        log.end(late, commit=True)
        waiting = bridge.look("p")
        assert crashes(waiting) == 1
        assert waiting.share is not None
        assert waiting.share < 1
        log.end(early, commit=True)
        assert crashes(bridge.look("p")) == 3


def test_an_open_transaction_holds_up_nothing_where_no_id_is_missing(in_postgresql: PostgreSQLLog) -> None:
    log = in_postgresql
    add(log, CRASHED)
    with log.source() as source:
        bridge = counters(source, StandingClock())
        bridge.look("p")
        add(log, CRASHED, CRASHED)
        forgotten = log.begin()
        log.insert(forgotten, CRASHED)
        assert crashes(bridge.look("p")) == 3
        other = log.begin()
        log.insert(other, CRASHED)
        log.end(other, commit=True)
        assert crashes(bridge.look("p")) == 3
        log.end(forgotten, commit=False)
        assert crashes(bridge.look("p")) == 4


def test_transactions_that_never_leave_a_moment_without_one_hold_it_up_for_as_long_as_one(
    in_postgresql: PostgreSQLLog,
) -> None:
    log = in_postgresql
    with log.source() as source:
        bridge = counters(source, StandingClock())
        seen = []
        before = log.begin()
        log.insert(before, CRASHED)
        for _ in range(6):
            following = log.begin()
            log.insert(following, CRASHED)
            log.end(before, commit=True)
            before = following
            seen.append(crashes(bridge.look("p")))
        log.end(before, commit=True)
        assert seen[0] is None, "not settled yet"
        assert [number for number in seen if number is not None][-1:] >= [4]


def test_a_backup_that_has_grown_beyond_the_cursor_is_counted_anew(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    add(log, CRASHED, CRASHED)
    log.backup()
    add(log, CRASHED, CRASHED)
    with log.source() as source:
        bridge = counters(source, StandingClock())
        assert crashes(bridge.look("p")) == 4
        log.restore()
        add(log, *[("flows.set", "api", "project", None)] * 5)
        with caplog.at_level(logging.WARNING):
            found = bridge.look("p")
        assert found.readings == recount(log.rows())
        assert "is counted anew" in caplog.text


def test_a_backup_put_back_between_two_statements_is_noticed(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    add(log, CRASHED, CRASHED)
    log.backup()
    add(log, CRASHED)
    with log.source() as source:
        bridge = counters(source, StandingClock())
        bridge.look("p")
        add(log, CRASHED, CRASHED)
        plain = AuditLog.stretch

        def after_a_restore(self: AuditLog, after: int, last: int, most: int) -> Stretch:
            monkeypatch.setattr(AuditLog, "stretch", plain)
            log.restore()
            add(log, *[("flows.set", "api", "project", None)] * 4)
            return plain(self, after, last, most)

        monkeypatch.setattr(AuditLog, "stretch", after_a_restore)
        assert bridge.look("p").readings == {}
        assert bridge.look("p").readings == recount(log.rows())


def test_the_first_entry_is_when_the_counters_began(log: Log) -> None:
    with log.source() as source:
        bridge = counters(source, StandingClock())
        empty = bridge.look("p")
        assert (empty.since, empty.share, crashes(empty)) == (None, 1, 0)
        add(log, CRASHED)
        assert bridge.look("p").since == BEGAN + STEP
        assert counters(source, StandingClock()).look("p").since == BEGAN + STEP


def test_replicas_count_the_same(log: Log) -> None:
    add(log, CRASHED, CRASHED)
    with log.source() as source, log.source() as other:
        one, two = counters(source, StandingClock()), counters(other, StandingClock())
        one.look("p")
        add(log, CRASHED)
        assert one.look("p") == two.look("p")


def test_what_could_not_be_kept_is_kept_later_though_nothing_new_happened(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = StandingClock()
    state = AuditState(tmp_path / "state", clock)
    add(log, CRASHED)
    with log.source() as source:
        bridge = counters(source, clock, state)
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full_disk)
            bridge.look("p")
        assert state.load("p") is None
        bridge.keep()
    kept = state.load("p")
    assert kept is not None
    assert kept.complete


def test_until_all_is_counted_there_are_no_counters_but_progress(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_counters, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(audit_counters, "FIRST_SLICE", 10)
    monkeypatch.setattr(audit_counters, "LARGEST_SLICE", 10)
    add(log, *[CRASHED] * 25)
    with log.source() as source:
        bridge = counters(source, StandingClock())
        shares = []
        for _ in range(3):
            shares.append(bridge.look("p").share)
            assert bridge.look("p").readings == {}
            bridge._step()
        found = bridge.look("p")
        assert shares == [0, pytest.approx(10 / 26), pytest.approx(20 / 26)]
        assert crashes(found) == 25


def test_a_slice_that_takes_too_long_is_made_smaller(in_sqlite: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    add(in_sqlite, *[CRASHED] * 2_000)
    plain, asked = AuditLog.stretch, []

    def slow(self: AuditLog, after: int, last: int, most: int) -> Stretch:
        asked.append(most)
        if most > 1_000:
            raise TooSlowError("too slow")
        return plain(self, after, last, most)

    monkeypatch.setattr(AuditLog, "stretch", slow)
    with in_sqlite.source() as source:
        bridge = counters(source, StandingClock())
        bridge.look("p")
        bridge.catch_up()
        assert crashes(bridge.look("p")) == 2_000
    assert asked[:3] == [10_000, 2_500, 625]


def test_a_million_invented_names_are_one_series(in_sqlite: SQLiteLog) -> None:
    with contextlib.closing(sqlite3.connect(in_sqlite.path)) as connection:
        connection.execute(
            'INSERT INTO "AuditLogs" ("event", "source", "createdAt")'
            " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)"
            " SELECT 'tenant ' || i, NULL, '2026-01-01 00:00:00.000 +00:00' FROM n"
        )
        connection.commit()
    with in_sqlite.source() as source:
        bridge = counters(source, StandingClock())
        while not (found := bridge.look("p")).readings:
            bridge.catch_up()
    assert found.readings["flowfuse_audit_events_total"] == {("other", "none"): 1_000_000}


def entry(identity: int, event: str) -> str:
    """What tells this entry of a `Log` from another in its place."""
    return f"{int((BEGAN + identity * STEP).timestamp() * 1000)} {event}"


def test_what_is_read_of_a_log(in_sqlite: SQLiteLog) -> None:
    crash, failed = Event("crashed", "api", device=True), Event("account.login", "none", failed=True)
    invented = Event("other", "other")
    with in_sqlite.source() as source:
        audit = AuditLog(source)
        assert audit.bounds(0) == Bounds(None, None, None, None, frozenset())
        assert audit.stretch(0, 9, 9) == Stretch({}, 0, 0, None, None)
        add(
            in_sqlite,
            ("crashed", "api", "device", None),
            ("account.login", None, "user", '{"error":{"code":"x"}}'),
            ("an invented name", "invented", "team", '{"error":{"code":"x"}}'),
        )
        first, second, third = entry(1, "crashed"), entry(2, "account.login"), entry(3, "")
        assert audit.bounds(2) == Bounds(1, 3, BEGAN + STEP, second, frozenset())
        assert audit.bounds(99) == Bounds(1, 3, BEGAN + STEP, None, frozenset())
        assert audit.stretch(0, 9, 9) == Stretch({crash: 1, failed: 1, invented: 1}, 3, 3, third, None)
        assert audit.stretch(1, 3, 1) == Stretch({failed: 1}, 1, 2, second, first)
        assert audit.stretch(1, 2, 9) == audit.stretch(1, 3, 1)
        assert audit.entries(0, 9, 2) == [(1, crash, BEGAN + STEP), (2, failed, BEGAN + 2 * STEP)]
        assert audit.entries(2, 3, 9) == [(3, invented, BEGAN + 3 * STEP)]
        assert [audit.unbroken(after, 3) for after in range(4)] == [3, 3, 3, 3]
        assert audit.unbroken(0, 2) == 2
        in_sqlite.execute('DELETE FROM "AuditLogs" WHERE "id" = 2')
        assert [audit.unbroken(after, 3) for after in range(4)] == [1, 1, 3, 3]


ASK: dict[str, Callable[[AuditLog], object]] = {
    "bounds": lambda audit: audit.bounds(1),
    "unbroken": lambda audit: audit.unbroken(0, 1),
    "stretch": lambda audit: audit.stretch(0, 1, 9),
    "entries": lambda audit: audit.entries(0, 1, 9),
}


@pytest.mark.parametrize(
    ("asked", "place", "value"),
    [
        *((asked, None, None) for asked in ASK),  # a column too many
        *(("bounds", place, "1") for place in range(3)),
        ("unbroken", 0, "1"),
        ("stretch", 0, "an invented name"),
        *(("stretch", place, "1") for place in (4, 5)),
        *(("entries", place, value) for place in (0, 5) for value in ("1", None)),
    ],
)
def test_an_answer_of_another_form_is_not_believed(
    in_sqlite: SQLiteLog, monkeypatch: pytest.MonkeyPatch, asked: str, place: int | None, value: str | None
) -> None:
    add(in_sqlite, CRASHED)
    with in_sqlite.source() as source:
        audit, plain = AuditLog(source), source.select
        ASK["bounds"](audit)

        def altered(sql: str) -> list[tuple[int | str | None, ...]]:
            return [(*row, value) if place is None else (*row[:place], value, *row[place + 1 :]) for row in plain(sql)]

        monkeypatch.setattr(source, "select", altered)
        with pytest.raises(SourceError, match=r"^the database answered with something other than its audit log$"):
            ASK[asked](audit)


def test_after_a_refusal_the_schema_is_looked_at_again(in_sqlite: SQLiteLog) -> None:
    with in_sqlite.source() as source:
        audit = AuditLog(source)
        assert audit.bounds(0) is not None
        in_sqlite.execute('DROP TABLE "AuditLogs"')
        with pytest.raises(StatementError):
            audit.bounds(0)
        assert audit.bounds(0) is None


@pytest.mark.parametrize("made", ['TABLE "Users" ("id" INTEGER PRIMARY KEY)', 'VIEW "AuditLogs" AS SELECT 1 AS "id"'])
def test_a_flowfuse_without_the_log_has_no_counters_and_no_failure(tmp_path: Path, made: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "forge.db")) as connection:
        connection.execute(f"CREATE {made}")
    log = SQLiteLog(tmp_path / "other.db")
    log.path = tmp_path / "forge.db"
    with log.source() as source:
        assert counters(source, StandingClock()).look("p") == audit_counters.Counted()


def test_before_2_33_there_is_no_source(log: Log) -> None:
    add(log, CRASHED)
    log.execute('ALTER TABLE "AuditLogs" DROP COLUMN "source"')
    with log.source() as source:
        bridge = counters(source, StandingClock())
        assert bridge.look("p").readings["flowfuse_audit_events_total"] == {("crashed", "none"): 1}
        log.execute('ALTER TABLE "AuditLogs" ADD COLUMN "source" VARCHAR(255)')  # upgraded
        add(log, ("crashed", "api", "project", None))
        found = bridge.look("p").readings["flowfuse_audit_events_total"]
    assert found == {("crashed", "none"): 1, ("crashed", "api"): 1}


def test_what_may_not_be_read_is_a_failure_that_is_not_asked_for_all_the_time(in_postgresql: PostgreSQLLog) -> None:
    clock = StandingClock()
    with in_postgresql.source() as source:
        bridge = counters(source, clock)
        in_postgresql.execute('ALTER TABLE "AuditLogs" DROP COLUMN body')
        add_column = 'ALTER TABLE "AuditLogs" ADD COLUMN body text'
        in_postgresql.execute('INSERT INTO "AuditLogs" (event, "createdAt") VALUES (\'crashed\', now())')
        failed = bridge.look("p")
        assert failed.readings == {}
        assert failed.failure is not None
        assert "body" in failed.failure
        in_postgresql.execute(add_column)
        assert bridge.look("p") == failed
        clock.seconds += audit_counters.RETRY_SECONDS
        assert crashes(bridge.look("p")) == 1


def test_a_database_that_answers_nonsense_is_not_believed(in_sqlite: SQLiteLog) -> None:
    class Nonsense:
        dialect = property(lambda _: audit_dialect)

        def select(self, sql: str) -> list[tuple[int | str | None, ...]]:
            return [("x",) * 6] if "max(" in sql else [("AuditLogs", "event", "")] if "FROM" in sql else [("",)]

    with in_sqlite.source() as source:
        audit_dialect = source.dialect
    found = counters(Nonsense(), StandingClock()).look("p")
    assert found.readings == {}
    assert found.failure is not None


def test_every_event_that_a_rule_names_is_told_apart() -> None:
    from ff_observe.catalogue.audit import DERIVED

    assert {event for metric in DERIVED for rule in metric.rules for event in rule.events} <= EVENTS
    for metric in DERIVED:
        values = {value for rule in metric.rules for value in (rule.value, *rule.by_source.values())}
        assert values == set(metric.label_values)


def test_a_standby_says_that_it_cannot_know(in_postgresql: PostgreSQLLog, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_postgresql.source() as source:
        plain = source.select

        def on_a_standby(sql: str) -> list[tuple[int | str | None, ...]]:
            return plain(sql.replace("pg_is_in_recovery()", "true"))

        monkeypatch.setattr(source, "select", on_a_standby)
        with pytest.raises(SourceError) as refused:
            AuditLog(source).bounds(0)
    assert str(refused.value) == (
        "the database is a standby, which does not know of the primary's open transactions: the audit log can only be "
        "counted on the primary"
    )


def test_none_of_it_is_in_the_ping() -> None:
    from ff_observe.catalogue import AUDIT
    from ff_observe.catalogue.ping_contract import FIELDS

    words = {
        word for metric in AUDIT for word in metric.name.removeprefix("flowfuse_").removesuffix("_total").split("_")
    }
    in_ping = {part.lower() for field in FIELDS for part in field.path}
    assert {"audit", "deployments", "failures", "sign"} <= words
    assert not [path for path in in_ping if any(word in path for word in ("audit", "deploy", "failure", "sign_in"))]
