"""The catalogue's conditions as SQL, run by SQLite on rows of which the answer is known, and the columns they need."""

import contextlib
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest

from ff_observe.catalogue.questions import (
    AgeBucket,
    All,
    BeginsWith,
    Cases,
    CertificateExpiry,
    CertifiedNodes,
    Condition,
    DatabaseSize,
    DiskFree,
    DistinctSince,
    Earliest,
    Is,
    IsNull,
    IsTrue,
    LiesAhead,
    MostFrequent,
    Not,
    Question,
    Rows,
    RowsBy,
    RowsByAge,
    RowsByCase,
    RowsWhere,
    Same,
    TableSizes,
    TeamsOverLimit,
)
from ff_observe.platform.sources.conditions import cases_sql, condition_sql, needed_columns
from ff_observe.platform.sources.schema import Table
from ff_observe.platform.sources.sql import moment
from ff_observe.platform.sources.sqlite import DIALECT

THINGS = Table(
    "Things",
    {"on": "isOn", "word": "theWord", "number": "aNumber", "second": "aSecond", "ends": "endsAt", "owner": "OwnerId"},
)
OWNERS = Table("Owners", {"on": "isActive"})
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ROWS: dict[int, tuple[Any, ...]] = {
    1: (1, "it's", 5, 5, "2026-11-23 12:00:00.000 +00:00", 1),
    2: (0, "It's", 5, 6, "2026-11-23 11:59:59.999 +00:00", 2),
    3: (None, "it", None, None, "2026-11-24 00:00:00.000 +00:00", None),
    4: (1, None, 6, None, None, 2),
    5: (0, "so it's", 6, 6, None, 1),
}


def rows_of(expression: str) -> set[int]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute(
            'CREATE TABLE "Things" ("id" INTEGER PRIMARY KEY, "isOn" TINYINT(1), "theWord" TEXT, "aNumber" INTEGER,'
            ' "aSecond" INTEGER, "endsAt" DATETIME, "OwnerId" INTEGER)'
        )
        database.execute('CREATE TABLE "Owners" ("id" INTEGER PRIMARY KEY, "isActive" TINYINT(1))')
        database.executemany('INSERT INTO "Owners" VALUES (?, ?)', [(1, 1), (2, 0)])
        database.executemany('INSERT INTO "Things" VALUES (?, ?, ?, ?, ?, ?, ?)', [(k, *v) for k, v in ROWS.items()])
        query = f'SELECT t."id" FROM "Things" t LEFT JOIN "Owners" o ON o."id" = t."OwnerId" WHERE {expression}'
        return {found for (found,) in database.execute(query, {"before_0": moment(AT)} if ":before_0" in query else {})}


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (IsTrue("on"), {1, 4}),
        (IsNull("word"), {4}),
        (Is("number", 5), {1, 2}),
        (Is("word", "it's"), {1}),
        (Same("number", "second"), {1, 5}),
        (LiesAhead("ends"), {1, 3}),
        (BeginsWith("word", "it's"), {1}),
        (BeginsWith("word", "it"), {1, 3}),
        (Not(IsTrue("on")), {2, 3, 5}),
        (Not(Not(IsTrue("on"))), {1, 4}),
        (Not(Is("number", 5)), {3, 4, 5}),
        (Not(LiesAhead("ends")), {2, 4, 5}),
        (All((IsTrue("on"), Is("number", 5))), {1}),
        (All((Is("number", 6), Not(All((IsTrue("on"), IsNull("word")))))), {5}),
        (IsTrue("other.on"), {1, 5}),
        (Not(IsTrue("other.on")), {2, 3, 4}),
        (All((IsTrue("other.on"), IsTrue("on"))), {1}),
    ],
    ids=str,
)
def test_a_condition_holds_for_its_rows(condition: Condition, rows: set[int]) -> None:
    assert rows_of(condition_sql(condition, THINGS, DIALECT, OWNERS)) == rows


def test_without_a_joined_table_every_column_is_the_tables_own() -> None:
    own = Table("Things", {"other.on": "isOn"})
    assert rows_of(condition_sql(Not(All((IsTrue("other.on"),))), own, DIALECT)) == {2, 3, 5}
    assert [rows_of(sql) for _, sql in cases_sql(Cases((("a", IsTrue("other.on")),), "b"), own, DIALECT)] == [
        {1, 4},
        {2, 3, 5},
    ]


CASES = Cases((("five", Is("number", 5)), ("on", IsTrue("on")), ("active", IsTrue("other.on"))), "rest")


def test_each_row_is_of_the_first_case_that_holds() -> None:
    found = [(value, rows_of(sql)) for value, sql in cases_sql(CASES, THINGS, DIALECT, other=OWNERS)]
    assert found == [("five", {1, 2}), ("on", {4}), ("active", {5}), ("rest", {3})]


def test_cases_of_some_rows_leave_the_others_out() -> None:
    where = Not(IsTrue("other.on"))
    found = [(value, rows_of(sql)) for value, sql in cases_sql(CASES, THINGS, DIALECT, where, OWNERS)]
    assert found == [("five", {2}), ("on", {4}), ("active", set()), ("rest", {3})]


def test_cases_and_their_rows_may_depend_on_the_present() -> None:
    ahead = Cases((("on", IsTrue("on")), ("ahead", LiesAhead("ends"))), "rest")
    assert [rows_of(sql) for _, sql in cases_sql(ahead, THINGS, DIALECT)] == [{1, 4}, {3}, {2, 5}]
    where = All((LiesAhead("ends"), Not(IsTrue("on"))))
    assert [rows_of(sql) for _, sql in cases_sql(ahead, THINGS, DIALECT, where)] == [set(), {3}, set()]


HOUR = (AgeBucket("hour", 3600),)


@pytest.mark.parametrize(
    ("question", "columns"),
    [
        (Rows("users"), set()),
        (RowsWhere("users", IsTrue("mfa")), {("Users", "mfa_enabled")}),
        (RowsByAge("devices", "last_seen", HOUR), {("Devices", "lastSeenAt")}),
        (RowsBy("instances", "state"), {("Projects", "state")}),
        (
            RowsBy("subscriptions", "trial_status", where=Is("status", "trial")),
            {("Subscriptions", "trialStatus"), ("Subscriptions", "status")},
        ),
        (
            RowsByCase(
                "devices", Cases((("a", Same("target", "active")),), "b"), All((IsNull("state"), IsTrue("mode")))
            ),
            {("Devices", name) for name in ("targetSnapshotId", "activeSnapshotId", "state", "mode")},
        ),
        (RowsByCase("devices", Cases((("a", IsNull("state")),), "b")), {("Devices", "state")}),
        (MostFrequent("devices", "agent_version"), {("Devices", "agentVersion")}),
        (
            MostFrequent("instances", "stack", "stacks", "name", Cases((("a", IsNull("other.replaced_by")),), "b")),
            {("Projects", "ProjectStackId"), *(("ProjectStacks", name) for name in ("id", "name", "replacedBy"))},
        ),
        (
            MostFrequent("devices", "mode", cases=Cases((("a", IsNull("state")),), "b")),
            {("Devices", "mode"), ("Devices", "state")},
        ),
        (Earliest("access_tokens", "expires"), {("AccessTokens", "expiresAt")}),
        (
            Earliest("access_tokens", "expires", Is("owner_type", "user")),
            {("AccessTokens", "expiresAt"), ("AccessTokens", "ownerType")},
        ),
        (
            DistinctSince("audit_log", "user", "created", HOUR),
            {("AuditLogs", "UserId"), ("AuditLogs", "createdAt"), ("AuditLogs", "id")},
        ),
        (
            TeamsOverLimit(),
            {
                *(("Teams", "TeamTypeId"), ("TeamTypes", "properties")),
                *((table, "TeamId") for table in ("TeamMembers", "Devices", "Projects")),
            },
        ),
        (CertificateExpiry(), {("SAMLProviders", name) for name in ("name", "active", "options")}),
        (
            CertifiedNodes(),
            {
                *(("Projects", "state"), ("ProjectSnapshots", "settings")),
                *(("ProjectSettings", name) for name in ("ProjectId", "key", "value", "valueType")),
                *(("Devices", name) for name in ("state", "lastSeenAt", "activeSnapshotId")),
                *(("PlatformSettings", name) for name in ("key", "value")),
            },
        ),
        (DatabaseSize(), set()),
        (TableSizes(), set()),
        (DiskFree(), set()),
    ],
    ids=lambda it: type(it).__name__,
)
def test_a_question_needs_the_columns_that_it_reads(question: Question, columns: set[tuple[str, str]]) -> None:
    assert {(table.name, name) for table, name in needed_columns(question)} == columns
