"""What is known of one database between its readings: what is asked again, and what is not."""

import contextlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from ff_observe.catalogue.questions import DatabaseSize, DiskFree, Question, RowsBy, TeamsOverLimit
from ff_observe.platform.sources import intervals, questions
from ff_observe.platform.sources.model import Caps
from ff_observe.platform.sources.reduction import PAUSE, REASON
from ff_observe.platform.sources.sql import StatementError
from ff_observe.telemetry import tracing
from tests.reduced.schema import script
from tests.unit.platform.asked import (
    AT,
    MODES,
    QUESTIONS,
    READ,
    SECOND,
    Database,
    about,
    counting,
    device,
    of_counts,
    of_everything,
    of_schema,
    of_what_moves,
)


def test_one_statement_after_the_schema_reads_everything(database: Database) -> None:
    answer = database.read()
    assert (answer.readings, answer.settings, answer.failures, answer.unchanged) == (
        READ,
        {"instanceId": "abc"},
        {},
        False,
    )
    assert answer.caps == {"modes": Caps()}
    assert [of_schema(sql) for sql in database.asked] == [True, False]
    assert database.read().readings == READ
    assert len(database.asked) == 1


def test_each_statement_is_a_span_that_names_what_it_is_about(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: list[tuple[str, object, object]] = []

    def span(name: str, kind: object, **attributes: object) -> contextlib.AbstractContextManager[None]:
        spans.append((name, kind, attributes))
        return contextlib.nullcontext()

    monkeypatch.setattr(tracing, "span", span)
    answer = database.read(AT, database.stamp)
    database.counting.read_due(database, AT, answer, database.stamp)
    database.read(AT, database.stamp)
    database.write()
    database.refuse = about("Users")
    database.read(AT, database.stamp)
    summaries = ["schema", "counts", "counts with an interval", "what moves with the clock"]
    summaries += ["counts", "schema", "PlatformSettings", "Users", "Devices", "Invitations", "counts"]
    assert spans == [
        (
            f"SELECT {what}",
            "client",
            {
                "db__system__name": "sqlite",
                "db__operation__name": "SELECT",
                "db__query__summary": f"SELECT {what}",
            },
        )
        for what in summaries
    ]


def test_where_nothing_was_written_only_what_the_clock_moves_is_asked(database: Database) -> None:
    before = database.read(AT, database.stamp)
    later = database.read(AT + 60 * SECOND, database.stamp)
    assert [of_what_moves(sql) for sql in database.asked] == [True]
    assert later == replace(before, unchanged=True)
    later = database.read(AT + 61 * SECOND, database.stamp)
    assert later.readings == {**READ, "ages": {("minute",): 0, ("older",): 2, ("never",): 0}}


@pytest.mark.parametrize("why", ["no stamp", "written", "written meanwhile", "refused", "odd", "forgotten", "upgraded"])
def test_all_is_asked_again_where_something_may_have_changed(database: Database, why: str) -> None:
    def write(sql: str) -> None:
        if of_what_moves(sql):
            database.write(device("developer"))

    database.read(AT, database.stamp)
    stamp: str | None = database.stamp
    match why:
        case "no stamp":
            stamp = None
        case "written":
            database.write()
            stamp = database.stamp
        case "written meanwhile":
            database.meanwhile = write
        case "refused":
            database.refuse = of_what_moves
        case "odd":
            database.answer = lambda sql, rows: [row[:-1] for row in rows] if of_what_moves(sql) else rows
        case "forgotten":
            database.counting.forget_counts()
        case "upgraded":
            database.connection.execute("CREATE TABLE other (a)")
    answer = database.read(AT, stamp)
    assert not answer.unchanged
    assert any(map(of_everything, database.asked))
    assert answer.readings["devices"] == {(): 2 + (why == "written meanwhile")}


def test_a_database_that_may_be_another_is_looked_at_anew(database: Database) -> None:
    database.read(AT, database.stamp)
    database.counting.forget()
    database.read(AT, database.stamp)
    assert [of_schema(sql) for sql in database.asked] == [True, False]


def test_a_changed_schema_is_read_by_its_new_columns(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    database.read()
    database.connection.execute('ALTER TABLE "Users" DROP COLUMN "admin"')
    assert "admins" not in database.read().readings
    database.connection.execute('DROP TABLE "Invitations"')
    assert database.read().readings.keys() == QUESTIONS.keys() - {"admins", "invitations"}
    database.connection.execute('ALTER TABLE "Users" ADD COLUMN "admin"')
    assert database.read().readings["admins"] == {(): 0}
    assert caplog.messages == [
        "this FlowFuse version, or the role that reads it, has no column Users.admin: admins is not reported",
        "this FlowFuse version, or the role that reads it, has no table Invitations: invitations is not reported",
        "the database of FlowFuse has been upgraded: admins is reported from now on",
    ]


def test_a_dear_count_that_lacks_its_column_is_said_to_be_absent(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    database.connection.execute('ALTER TABLE "Devices" DROP COLUMN "state"')
    answer = database.read()
    assert "states" not in database.counting.read_due(database, AT, answer).readings
    assert [message for message in caplog.messages if "states is not reported" in message] == [
        "this FlowFuse version, or the role that reads it, has no column Devices.state: states is not reported"
    ]


def test_a_schema_that_differs_in_what_is_not_read_costs_one_look(database: Database) -> None:
    database.read()
    database.connection.execute("CREATE TABLE other (a)")
    assert database.read().readings == READ
    assert [of_schema(sql) for sql in database.asked] == [False, True]
    database.read()
    assert [of_schema(sql) for sql in database.asked] == [False]


def test_values_that_were_found_are_counted_without_grouping_from_then_on(database: Database) -> None:
    database.read()
    assert ["dense_rank" in sql for sql in database.asked if of_counts(sql)] == [
        False,
    ]
    database.write(device("fleet"))
    modes = {**READ["modes"], ("fleet",): 1}
    assert database.read().readings["modes"] == modes
    assert ["dense_rank" in sql for sql in database.asked] == [False, True]
    assert database.read().readings["modes"] == modes
    assert ["dense_rank" in sql for sql in database.asked] == [False]


@pytest.mark.parametrize(
    ("modes", "stays"),
    [
        ([f"mode {number}" for number in range(13)], False),
        ([f"mode {number}" for number in range(14)], True),
        (["it's"], True),
    ],
    ids=["sixteen values", "seventeen", "not simple"],
)
def test_too_many_or_odd_values_are_grouped_each_time(database: Database, modes: list[str], stays: bool) -> None:
    database.write(*map(device, modes))
    database.read()
    database.read()
    assert ["dense_rank" in sql for sql in database.asked] == [stays]


def test_a_value_that_the_database_finds_in_groups_only_is_not_asked_for_again_and_again(database: Database) -> None:
    """Bytes in a column of text: as text they are the word, and yet they do not equal it."""
    database.connection.execute("UPDATE \"Devices\" SET mode = X'666C656574' WHERE mode IS NULL")
    for asked in ([False, True], [False, True], [True], [True]):
        assert database.read().readings["modes"] == {("autonomous",): 1, ("developer",): 0, ("fleet",): 1}
        assert ["dense_rank" in sql for sql in database.asked if of_counts(sql)] == asked


def test_all_values_that_are_not_known_are_looked_for_at_once(database: Database) -> None:
    database.counting = counting({"modes": MODES, "versions": RowsBy("devices", "agent_version", ("3.0.0",))}, {})
    database.write(("Devices", {"mode": "fleet", "state": "running", "agentVersion": "2.0.0"}))
    assert database.read().readings["versions"] == {("3.0.0",): 0, ("none",): 2, ("2.0.0",): 1}
    assert ["dense_rank" in sql for sql in database.asked] == [False, False, True]


def test_values_of_which_none_is_expected_are_grouped_each_time(database: Database) -> None:
    database.counting = counting({"found": RowsBy("devices", "mode")}, {})
    for _ in range(3):
        assert database.read().readings == {"found": {("autonomous",): 1, ("none",): 1}}
        assert "dense_rank" in database.asked[-1]


def test_dear_counts_are_part_of_the_answer_and_asked_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    answer = database.read()
    database.limits.clear()
    due = database.counting.read_due(database, AT, answer)
    assert due == replace(
        answer, readings={**READ, "states": {("running",): 2}}, caps={"modes": Caps(), "states": Caps()}
    )
    assert database.limits == [intervals.STATEMENT_SECONDS]
    database.asked.clear()
    assert database.counting.read_due(database, AT + 59 * SECOND, answer) == due
    assert database.asked == []
    database.refuse = about("Devices")
    failing = database.counting.read_due(database, AT + 60 * SECOND, answer)
    assert failing.failures == {"states": "damage 1"}
    assert caplog.messages == ["database X: states is not reported: damage 1"]


def test_dear_counts_with_statements_of_their_own_know_the_database(database: Database, tmp_path: Path) -> None:
    tables = ("Teams", "TeamTypes", "TeamMembers", "Projects")
    database.connection.executescript(script((), AT, tables=tables))
    own: dict[str, Question] = {"size": DatabaseSize(), "free": DiskFree(), "over": TeamsOverLimit()}
    database.counting = counting({}, own, tmp_path)
    answer = database.counting.read_due(database, AT, database.read())
    assert answer.failures == {}
    assert answer.readings.keys() == own.keys()
    assert answer.readings["free"][()] > 0


def test_what_kept_others_from_being_read_is_no_other_warning(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def malformed(sql: str) -> bool:
        if about("Devices")(sql):
            raise StatementError("malformed")
        return False

    database.refuse = malformed
    answer = database.read()
    assert database.counting.read_due(database, AT, answer).failures["states"] == "malformed"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "database X: table Devices: malformed; what depends on it is not reported"
    ]


def test_dear_counts_are_asked_again_of_another_database_alone(database: Database) -> None:
    answer = database.read(AT, database.stamp)
    database.counting.read_due(database, AT, answer, database.stamp)
    database.asked.clear()
    database.counting.read_due(database, AT + 60 * SECOND, answer, database.stamp)
    assert database.asked == [], "nothing was written"
    database.counting.forget_counts()
    database.counting.read_due(database, AT + 61 * SECOND, answer, database.stamp)
    assert database.asked == []
    database.counting.read_due(database, AT + 120 * SECOND, answer, database.stamp)
    assert len(database.asked) == 1, "nothing was written, but that is not known"
    database.counting.forget_all()
    database.read(AT + 121 * SECOND, database.stamp)
    assert of_schema(database.asked[0])
    database.counting.read_due(database, AT + 121 * SECOND, answer, database.stamp)
    assert len(database.asked) == 3


def test_dear_counts_of_another_platform_are_gone_with_its_id(database: Database) -> None:
    """A server in whose place there is another has the same address, and its tables have the same columns."""
    answer = database.counting.read_due(database, AT, database.read(AT))
    assert answer.readings["states"] == {("running",): 2}
    database.refuse = lambda sql: not of_counts(sql) and not of_schema(sql)
    assert "states" in database.counting.read_due(database, AT + SECOND, database.read(AT + SECOND)).readings
    database.connection.execute("UPDATE PlatformSettings SET value = 'another'")
    answer = database.counting.read_due(database, AT + 2 * SECOND, database.read(AT + 2 * SECOND))
    assert "states" not in answer.readings
    assert "states" in answer.failures


def test_what_takes_too_long_is_left_out_until_the_pause_is_over(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(questions, "MOST_GROUPED_ROWS", 2)
    database.write(device("developer"))
    assert database.counting.ask_for_less(AT)
    answer = database.read(AT, database.stamp)
    assert answer.failures == dict.fromkeys(("admins", "modes", "ages"), REASON)
    assert answer.readings == {"users": {(): 3}, "devices": {(): 3}, "invitations": {(): 0}}
    database.asked.clear()
    assert database.counting.read_due(database, AT, answer) == answer, "dear counts wait in the reading that was slow"
    assert database.asked == []
    small = database.read(AT + SECOND, database.stamp)
    assert small.failures == dict.fromkeys(("admins", "modes", "ages"), REASON), "of tables of more than two rows"
    assert not small.unchanged
    assert database.counting.read_due(database, AT + SECOND, small).readings["states"] == {("running",): 3}
    assert database.read(AT + PAUSE, database.stamp).failures == {}
    database.counting.ask_for_less(AT)
    database.counting.forget_all()
    assert database.read(AT, database.stamp).failures == {}
    assert [database.counting.ask_for_less(AT), database.counting.ask_for_less(AT)] == [True, False]
    what = f"database X: {REASON}; until then, only what can be read in time is reported"
    assert caplog.messages == [what] * 3, "after all was read in time, and of another database"
