"""Whatever a database answers: what fails is left out, tried again later and logged, and the rest is read."""

import logging
from collections.abc import Callable

import pytest

from ff_observe.errors import SourceError
from ff_observe.platform.sources.sql import Row
from tests.unit.platform.asked import (
    AT,
    READ,
    SECOND,
    TABLES,
    Database,
    about,
    of_counts,
    of_everything,
    of_schema,
)


def test_a_schema_that_changes_with_every_statement_is_an_error_of_this_reading(database: Database) -> None:
    names = iter(("agentVersion", "nodeRedVersion", "nodejsVersion", "editorConnected", "targetSnapshotId"))

    def upgraded(sql: str) -> None:
        if of_counts(sql):
            database.connection.execute(f'ALTER TABLE "Devices" DROP COLUMN "{next(names)}"')

    database.meanwhile = upgraded
    with pytest.raises(SourceError) as raised:
        database.read()
    assert str(raised.value) == (
        "database X cannot be read: it changed again and again while it was read; the next reading tries again"
    )
    assert sum(of_counts(sql) for sql in database.asked) == 4
    database.meanwhile = lambda sql: None
    assert database.read().readings == READ


UNEXPECTED = (
    "database X answered with something other than what was asked for; is it a database of FlowFuse's, and nothing "
    "between that changes answers?"
)


@pytest.mark.parametrize("which", [of_schema, of_counts])
@pytest.mark.parametrize("change", [lambda row: row[:-1], lambda row: (*row, 1)], ids=["narrow", "wide"])
def test_rows_of_another_width_are_an_error_that_says_what_to_check(
    database: Database, which: Callable[[str], bool], change: Callable[[Row], Row]
) -> None:
    database.answer = lambda sql, rows: [*rows[:-1], change(rows[-1])] if which(sql) else rows
    with pytest.raises(SourceError) as raised:
        database.read()
    assert str(raised.value) == UNEXPECTED


def test_a_number_that_is_none_is_an_error_that_says_what_to_check(database: Database) -> None:
    database.answer = lambda sql, rows: [(*row[:3], *["x"] * len(row[3:])) for row in rows] if of_counts(sql) else rows
    with pytest.raises(SourceError) as raised:
        database.read()
    assert str(raised.value) == UNEXPECTED


def test_a_schema_that_cannot_be_seen_is_an_error(database: Database) -> None:
    database.refuse = of_schema
    with pytest.raises(SourceError) as raised:
        database.read()
    assert str(raised.value) == "database X: cannot see which tables it has: damage 1"


def test_a_database_without_a_table_of_flowfuses_says_what_to_check(database: Database) -> None:
    for table in TABLES:
        database.connection.execute(f'DROP TABLE "{table}"')
    with pytest.raises(SourceError) as raised:
        database.read()
    assert str(raised.value) == (
        "database X has none of FlowFuse's tables; check that `db` in flowforge.yml names FlowFuse's database, and "
        "that FlowFuse has been started once"
    )
    database.connection.execute('CREATE TABLE "Invitations" (id INTEGER)')
    assert database.read().readings == {"invitations": {(): 0}}


def test_a_view_in_place_of_a_table_is_a_failure_and_no_version(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for table in ("Invitations", "PlatformSettings"):
        database.connection.execute(f'ALTER TABLE "{table}" RENAME TO "Old{table}"')
        database.connection.execute(f'CREATE VIEW "{table}" AS SELECT * FROM "Old{table}"')
    answer = database.read()
    assert answer.failures == {
        "invitations": "Invitations is not a table of FlowFuse's; only those are read",
        "platform_settings": "PlatformSettings is not a table of FlowFuse's; only those are read",
    }
    assert caplog.messages == []


def damaged(table: str, number: int) -> str:
    return f"table {table}: damage {number}"


def test_a_table_that_fails_is_left_out_and_asked_again_after_ever_longer_pauses(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ff_observe.platform.sources.counting")
    database.refuse = about("Devices")
    answer = database.read(AT, database.stamp)
    assert answer.failures == dict.fromkeys(("devices", "modes", "ages"), damaged("Devices", 6))
    assert answer.readings == {name: READ[name] for name in ("users", "admins", "invitations")}
    at = AT
    for pause in (10, 20, 40, 60, 60):
        at += pause * SECOND - SECOND
        assert database.read(at, database.stamp).failures == answer.failures
        assert len(database.asked) == 1, "not before the pause is over"
        at += SECOND
        answer = database.read(at, database.stamp)
        assert len(database.asked) > 1
    database.refuse = lambda sql: False
    assert database.read(at + 60 * SECOND, database.stamp).failures == {}
    warning, *others = caplog.records
    assert warning.getMessage() == f"database X: {damaged('Devices', 6)}; what depends on it is not reported"
    assert [record.levelname for record in caplog.records] == ["WARNING", *["DEBUG"] * 5, "INFO"]
    assert others[-1].getMessage() == "database X: devices can be read again"
    database.write()
    database.refuse = about("Devices")
    database.read(at, database.stamp)
    assert caplog.records[-1].levelname == "WARNING"
    database.read(at + 10 * SECOND, database.stamp)
    assert len(database.asked) > 1, "the first pause is short again"


def test_settings_that_fail_are_a_failure_of_their_own(database: Database) -> None:
    database.refuse = about("PlatformSettings")
    answer = database.read()
    assert answer.failures == {"platform_settings": damaged("PlatformSettings", 4)}
    assert answer.readings == READ


def test_a_table_that_fails_for_a_moment_only_is_not_left_out(database: Database) -> None:
    database.refuse = lambda sql: of_everything(sql) and len(database.asked) == 2
    answer = database.read()
    assert (answer.failures, answer.readings) == ({}, READ)


def test_a_database_whose_tables_all_fail_cannot_be_read(database: Database) -> None:
    database.refuse = of_counts
    with pytest.raises(SourceError) as raised:
        database.read()
    assert str(raised.value) == "database X cannot be read: damage 2"
    database.refuse = lambda sql: False
    assert database.read().failures == {}


def test_a_statement_that_is_refused_each_time_is_the_reason(database: Database) -> None:
    database.refuse = of_everything
    with pytest.raises(SourceError) as raised:
        database.read()
    assert str(raised.value).startswith("database X cannot be read: damage ")
    assert str(raised.value).endswith("; the next reading tries again")
    assert sum(map(of_everything, database.asked)) == 4
