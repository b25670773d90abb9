"""What each question of the catalogue reads from rows of which the answer is known, in SQLite in memory."""

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ff_observe.catalogue import COUNTS, Count
from ff_observe.catalogue.model import Reading
from ff_observe.catalogue.questions import (
    AgeBucket,
    Cases,
    Earliest,
    Is,
    IsTrue,
    LiesAhead,
    MostFrequent,
    Question,
    Rows,
    RowsBy,
    RowsByAge,
    RowsByCase,
    RowsWhere,
    TeamsOverLimit,
)
from ff_observe.platform.sources import questions, sql
from ff_observe.platform.sources.model import Caps
from ff_observe.platform.sources.own_statements import is_own
from ff_observe.platform.sources.questions import (
    MAX_SETTING_CHARACTERS,
    DoesNotAddUpError,
    Known,
    answerable,
    plan,
    read_settings,
    sizes,
    standalone,
)
from ff_observe.platform.sources.schema import SETTING_KEYS, TABLES
from ff_observe.platform.sources.sql import Row, Statement, UnexpectedAnswerError
from ff_observe.platform.sources.sqlite import DIALECT
from tests.reduced.schema import Row as Written
from tests.reduced.schema import script
from tests.unit.platform.asked import EVERYTHING

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MADE = ("PlatformSettings", "Users", "Devices", "DeviceGroups", "Subscriptions", "ProjectStacks")
SECOND = timedelta(seconds=1)
LONG = "l" * 129
CUT = "l" * 127 + "…"
HALL = "h" * 128
BY_STATE = Cases((("new", Is("state", "new")), ("running", Is("state", "running"))), "else")
IS_LINE = Cases((("line", Is("other.name", "Line")),), "no line")
OF_TRIALS = RowsBy("subscriptions", "trial_status", ("created",), where=Is("status", "trial"))
MODES = RowsBy("devices", "mode", ("autonomous", "developer"))

DEVICES: list[Written] = [
    ("Devices", {"mode": mode, "state": state, "lastSeenAt": seen, "DeviceGroupId": group})
    for mode, state, seen, group in (
        ("autonomous", "running", AT, 1),
        ("autonomous", "running", AT - SECOND, 1),
        ("autonomous", "stopped", AT - 60 * SECOND, 2),
        (None, "stopped", AT - 61 * SECOND, 3),
        (None, "stopped", AT - 61 * SECOND, None),
        ("fleet", "new", AT + 3600 * SECOND, None),
        (LONG, LONG, None, None),
    )
]
ROWS: list[Written] = [
    *DEVICES,
    *(("DeviceGroups", {"id": number, "name": name}) for number, name in ((1, "Line"), (2, HALL))),
    *(("Users", {"username": str(number), "admin": number < 2}) for number in range(3)),
    *(
        ("Subscriptions", {"status": status, "trialStatus": trial, "trialEndsAt": AT + ends * SECOND})
        for status, trial, ends in (
            ("trial", "created", 90),
            ("trial", "ended", -1),
            ("trial", "ended", 30),
            ("active", "ended", 5),
            ("active", "none", 5),
        )
    ),
]


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:")) as opened:
        opened.executescript(script(ROWS, AT, tables=MADE))
        opened.execute("PRAGMA query_only = on")
        yield opened


def count(of: Question, name: str = "asked") -> Count:
    return replace(COUNTS[0], name=name, of=of)


def answer(
    database: sqlite3.Connection, counts: Iterable[Count], known: Known | None = None
) -> tuple[dict[str, Reading], dict[str, Caps]]:
    parts, lacking = plan(list(counts), EVERYTHING, known or {}, DIALECT)
    assert lacking == {}
    statement = Statement(parts, DIALECT, EVERYTHING)
    _, rows = statement.split(database.execute(statement.sql, sql.moments(statement.sql, AT)).fetchall())
    return (
        {name: read(rows[part.name]) for part in parts for name, read in part.readers.items()},
        {name: of(rows[part.name]) for part in parts for name, of in part.caps.items()},
    )


NOTHING_CUT, CUT_ONCE = Caps(), Caps(length=1)
ANSWERS: list[tuple[Question, Mapping[str | tuple[str, ...], float], Caps | None]] = [
    (Rows("users"), {(): 3}, None),
    (RowsWhere("users", IsTrue("admin")), {(): 2}, None),
    (RowsByCase("devices", BY_STATE), {"new": 1, "running": 2, "else": 4}, None),
    (RowsByCase("devices", BY_STATE, Is("mode", "autonomous")), {"new": 0, "running": 2, "else": 1}, None),
    (MostFrequent("devices", "state"), {"stopped": 3, "running": 2, CUT: 1, "new": 1}, CUT_ONCE),
    (MostFrequent("devices", "state", most=2), {"stopped": 3, "running": 2, "other": 2}, Caps(number=2)),
    (MostFrequent("devices", "state", most=4), {"stopped": 3, "running": 2, CUT: 1, "new": 1}, CUT_ONCE),
    (
        MostFrequent("devices", "device_group", "device_groups", "name"),
        {"none": 4, "Line": 2, HALL: 1},
        NOTHING_CUT,
    ),
    (
        MostFrequent("devices", "device_group", "device_groups", "name", IS_LINE, most=2),
        {("Line", "line"): 2, ("none", "no line"): 4, ("other", "no line"): 1},
        Caps(number=1),
    ),
    (
        MostFrequent("devices", "mode", cases=BY_STATE, most=1),
        {("autonomous", "running"): 2, ("autonomous", "else"): 1, ("other", "new"): 1, ("other", "else"): 3},
        Caps(number=3),
    ),
    (
        MostFrequent("devices", "mode", cases=Cases((("ahead", LiesAhead("last_seen")),), "past"), most=0),
        {("other", "ahead"): 2, ("other", "past"): 5},
        Caps(number=4),
    ),
    (Earliest("subscriptions", "trial_ends"), {(): int(AT.timestamp()) + 5}, None),
    (Earliest("subscriptions", "trial_ends", Is("status", "trial")), {(): int(AT.timestamp()) + 30}, None),
    (Earliest("subscriptions", "trial_ends", Is("status", "none")), {}, None),
    (Earliest("devices", "last_seen", LiesAhead("last_seen")), {(): int(AT.timestamp())}, None),
    (
        RowsByAge("devices", "last_seen", (AgeBucket("second", 1), AgeBucket("minute", 60))),
        {"second": 3, "minute": 1, "older": 2, "never": 1},
        None,
    ),
    (
        RowsByAge("devices", "last_seen", (AgeBucket("now", 0),), never="not_seen", older="offline"),
        {"now": 2, "offline": 4, "not_seen": 1},
        None,
    ),
    (MostFrequent("stacks", "name", most=0), {}, NOTHING_CUT),
    (MODES, {"autonomous": 3, "developer": 0, "none": 2, "fleet": 1, CUT: 1}, CUT_ONCE),
    (RowsBy("subscriptions", "status"), {"trial": 3, "active": 2}, NOTHING_CUT),
    (OF_TRIALS, {"created": 1, "ended": 2}, NOTHING_CUT),
    (
        RowsBy("subscriptions", "trial_status", ("failed",), where=Is("status", "trial")),
        {"failed": 0, "created": 1, "ended": 2},
        NOTHING_CUT,
    ),
]


@pytest.mark.parametrize(("question", "expected", "caps"), ANSWERS, ids=lambda value: type(value).__name__)
def test_a_question_reads_its_answer(
    database: sqlite3.Connection,
    question: Question,
    expected: Mapping[str | tuple[str, ...], float],
    caps: Caps | None,
) -> None:
    found, capped = answer(database, [count(question)])
    assert found == {"asked": {(key,) if isinstance(key, str) else key: number for key, number in expected.items()}}
    assert capped == ({} if caps is None else {"asked": caps})


def test_questions_to_one_table_share_its_rows(database: sqlite3.Connection) -> None:
    """A label of one groups the rows of the others, which sum them."""
    own = (MostFrequent, Earliest)
    together = [entry for entry in ANSWERS if not isinstance(entry[0], own)]
    found, _ = answer(database, [count(question, str(place)) for place, (question, _, _) in enumerate(together)])
    for place, (question, _, _) in enumerate(together):
        assert found[str(place)] == answer(database, [count(question)])[0]["asked"], question


def test_a_first_moment_beside_groups_is_no_question(database: sqlite3.Connection) -> None:
    """The catalogue asks for one by itself; the first of each group would be summed."""
    with pytest.raises(AssertionError, match=r"^a first moment is not summed over groups"):
        answer(database, [count(MODES, "modes"), count(Earliest("devices", "last_seen"), "first")])


def test_the_samples_of_two_labels_are_in_order(database: sqlite3.Connection) -> None:
    found, _ = answer(database, [count(MostFrequent("devices", "mode", cases=BY_STATE, most=1))])
    assert list(found["asked"]) == sorted(found["asked"])


@pytest.mark.parametrize(
    ("question", "known", "expected"),
    [
        (MODES, ("autonomous", "developer", None, "fleet", LONG), {"autonomous": 3, "none": 2, "fleet": 1, LONG: 1}),
        (OF_TRIALS, ("created", "ended", "none", None), {"ended": 2, "created": 1}),
        (RowsBy("users", "admin", ("1",)), ("1", "0", "2"), {"1": 2, "0": 1}),
    ],
)
def test_known_values_are_counted_without_grouping(
    database: sqlite3.Connection, question: RowsBy, known: tuple[str | None, ...], expected: Mapping[str, float]
) -> None:
    found, caps = answer(database, [count(question)], {"asked": known})
    zero = dict.fromkeys(question.expected, 0)
    assert found["asked"] == {(key,): number for key, number in {**zero, **expected}.items()}
    assert caps == {"asked": Caps()}


def test_values_that_are_not_known_are_grouped_or_one_in_a_large_table(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"asked": ("autonomous", "developer", None)}
    for rows in (len(DEVICES), len(DEVICES) - 1):
        monkeypatch.setattr(questions, "MOST_GROUPED_ROWS", rows)
        if rows == len(DEVICES):
            with pytest.raises(DoesNotAddUpError) as raised:
                answer(database, [count(MODES)], known)
            assert list(raised.value.counts) == ["asked"]
            assert str(raised.value) == "asked"
        else:
            found, caps = answer(database, [count(MODES)], known)
            assert found["asked"] == {("autonomous",): 3, ("developer",): 0, ("none",): 2, ("other",): 2}
            assert caps == {"asked": Caps(number=1)}


def test_tables_and_columns_are_spelled_as_in_flowfuse_in_these_very_letters() -> None:
    """PostgreSQL tells upper and lower case apart in names in quotes; SQLite does not."""
    spelled = {*EVERYTHING, *(name for names in EVERYTHING.values() for name in names)}
    known = {entry.name: (*entry.of.expected, None) for entry in COUNTS if isinstance(entry.of, RowsBy)}
    asked = [entry for entry in COUNTS if not is_own(entry.of)]
    parts = [standalone([entry], DIALECT) for entry in asked if entry.every_seconds]
    for values in ({}, known):
        parts += plan([entry for entry in asked if not entry.every_seconds], EVERYTHING, values, DIALECT)[0]
    asked_for = " ".join(f"{part.join}{part.where} {' '.join([*part.labels, *part.numbers])}" for part in parts)
    assert {*re.findall('"([^"]*)"', asked_for)} <= spelled


def test_of_what_is_left_out_the_rows_of_its_table_are_counted() -> None:
    counts = [
        count(MODES, "modes"),
        count(RowsWhere("users", IsTrue("admin")), "admins"),
        count(Rows("users"), "users"),
    ]
    parts, _ = plan(counts, EVERYTHING, {}, DIALECT, frozenset({"modes", "admins"}))
    assert [(part.name, part.is_whole_table, list(part.readers)) for part in parts] == [
        ("settings", False, []),
        ("devices", True, []),
        ("users", True, ["users"]),
    ]
    assert sizes(parts, {"settings": [], "devices": [(7,)], "users": [(3,)]}) == {"devices": 7, "users": 3}


def test_without_a_table_of_settings_they_are_not_asked_for() -> None:
    assert plan([], {}, {}, DIALECT) == ([], {})
    assert [part.name for part in plan([], EVERYTHING, {}, DIALECT)[0]] == ["settings"]


@pytest.mark.parametrize(
    ("question", "table", "column", "lacks"),
    [
        (Rows("users"), "Users", None, "table Users"),
        (MODES, "Devices", None, "table Devices"),
        (MODES, "Devices", "mode", "column Devices.mode"),
        (OF_TRIALS, "Subscriptions", "status", "column Subscriptions.status"),
        (MostFrequent("devices", "device_group", "device_groups", "name"), "DeviceGroups", None, "table DeviceGroups"),
        (
            MostFrequent("devices", "device_group", "device_groups", "name"),
            "DeviceGroups",
            "name",
            "column DeviceGroups.name",
        ),
        (TeamsOverLimit(), "TeamTypes", None, "table TeamTypes"),
    ],
)
def test_a_count_that_lacks_something_says_what(question: Question, table: str, column: str | None, lacks: str) -> None:
    counts = [count(Rows("invitations"), "there"), count(question, "lacking")]
    assert answerable(counts, EVERYTHING) == (counts, {})
    columns = {name: names for name, names in EVERYTHING.items() if name != table}
    if column is not None:
        columns[table] = EVERYTHING[table] - {column}
    assert answerable(counts, columns) == (counts[:1], {"lacking": lacks})
    assert plan(counts, columns, {}, DIALECT)[1] == {"lacking": lacks}


def test_rare_values_that_flowfuse_writes_are_told_apart(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "MAX_VALUES", 1)
    found, caps = answer(database, [count(RowsBy("devices", "state", ("new",)))])
    assert (found["asked"], caps["asked"]) == ({("new",): 1, ("other",): 6}, Caps(number=3))
    ended = RowsBy("subscriptions", "trial_status", ("none",), where=Is("status", "active"))
    assert answer(database, [count(ended)])[0]["asked"] == {("none",): 1, ("other",): 1}


def test_counts_beside_the_statement_of_all_are_a_part_of_their_own(database: sqlite3.Connection) -> None:
    together: dict[str, Question] = {"users": Rows("users"), "flags": RowsBy("users", "admin", ("1",))}
    part = standalone([count(of, name) for name, of in together.items()], DIALECT)
    assert (part.name, part.table) == ("users", TABLES["users"])
    labels, numbers, source = part.select()
    rows = database.execute(f"SELECT {', '.join([*labels, *numbers])}{source}").fetchall()
    found = {name: read(rows) for name, read in part.readers.items()}
    assert found == {"users": {(): 3}, "flags": {("1",): 2, ("0",): 1}}
    with pytest.raises(AssertionError, match="limits has a statement of its own"):
        standalone([count(TeamsOverLimit(), "limits")], DIALECT)


@pytest.mark.parametrize("value", [-1, 2**63, "1", 1.5])
def test_what_is_no_number_of_rows_is_refused(value: Any) -> None:
    read = standalone([count(Rows("users"))], DIALECT).readers["asked"]
    assert [read([(number,)]) for number in (0, 1, 2**63 - 1, None)] == [{(): 0}, {(): 1}, {(): 2**63 - 1}, {(): 0}]
    with pytest.raises(UnexpectedAnswerError):
        read([(value,)])


def settings_of(*rows: Written) -> list[Row]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute('CREATE TABLE "PlatformSettings" ("key" TEXT, "value" TEXT, "valueType" INTEGER)')
        for _, row in rows:
            database.execute('INSERT INTO "PlatformSettings" VALUES (:key, :value, :valueType)', row)
        statement = Statement(plan([], EVERYTHING, {}, DIALECT)[0], DIALECT, EVERYTHING)
        return statement.split(database.execute(statement.sql).fetchall())[1]["settings"]


def setting(key: str, value: str | None, value_type: int | None = 0) -> Written:
    return "PlatformSettings", {"key": key, "value": value, "valueType": value_type}


def test_the_settings_that_are_read_are_few_and_no_secret() -> None:
    rows = [setting(key, f"{key} is here") for key in (*SETTING_KEYS, "cookieSecret")]
    assert read_settings(settings_of(*rows)) == ({key: f"{key} is here" for key in SETTING_KEYS}, {})
    twice = "a platform setting is there more than once"
    assert read_settings(settings_of(*rows, *rows, *rows)) == ({}, {"platform_settings": twice})
    assert len(settings_of(*rows, *rows, *rows)) == len(SETTING_KEYS) + 1


@pytest.mark.parametrize(
    ("value", "value_type", "read"),
    [
        ("true", 0, "true"),
        ("true", 1, True),
        ("true", 2, "true"),
        ("true", None, "true"),
        ('{"a": [1]}', 1, {"a": [1]}),
        (None, 0, None),
        (None, 1, None),
        (json.dumps("a\ud800b"), 1, "a?b"),
        ("x" * MAX_SETTING_CHARACTERS, 0, "x" * MAX_SETTING_CHARACTERS),
    ],
)
def test_a_setting_is_text_or_json(value: str | None, value_type: int | None, read: object) -> None:
    assert read_settings(settings_of(setting("license", value, value_type))) == ({"license": read}, {})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x" * (MAX_SETTING_CHARACTERS + 1), "the platform setting 'license' has more than 65536 characters"),
        ("{", "the platform setting 'license' is marked as JSON but is not"),
        ("[" * 60_000, "the platform setting 'license' is JSON nested too deeply"),
    ],
)
def test_a_setting_that_cannot_be_read_takes_no_other_down(value: str, says: str) -> None:
    rows = settings_of(setting("license", value, 1), setting("instanceId", "abc"))
    assert read_settings(rows) == ({"instanceId": "abc"}, {"platform_settings": says})
