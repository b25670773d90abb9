"""The one statement: its parts, how it is put together, and how the rows of its answer come apart again."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ff_observe.platform.sources.schema import SETTINGS, TABLES, Table
from ff_observe.platform.sources.sql import (
    MAX_LABEL_CHARACTERS,
    Part,
    Row,
    Statement,
    StatementTooSlowError,
    UnexpectedAnswerError,
    as_text,
    beginning,
    column,
    cut,
    is_simple,
    literal,
    missing,
    moment,
    moments,
    table_names,
)
from ff_observe.platform.sources.sqlite import DIALECT

AT = datetime(2026, 11, 23, 12, 0, 0, 123_999, tzinfo=UTC)
THINGS = Table("Things", {"word": "theWord", "kind": "aKind", "made": "madeAt"})
OTHERS, EMPTY, FOURTH = (Table(name) for name in ("Others", "Empty", "Fourth"))
STAMPED = replace(DIALECT, schema_stamp=lambda missing: f"'{len(missing)} missing'", data_stamp="7")


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:")) as opened:
        opened.execute('CREATE TABLE "Things" (id INTEGER PRIMARY KEY, theWord TEXT, aKind TEXT, madeAt DATETIME)')
        for name, rows in (("Others", 2), ("Empty", 0), ("Fourth", 4)):
            opened.execute(f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY)')
            opened.executemany(f'INSERT INTO "{name}" VALUES (?)', [(number,) for number in range(rows)])
        yield opened


def fill(database: sqlite3.Connection, *rows: tuple[str | None, str | None]) -> None:
    database.executemany('INSERT INTO "Things" (theWord, aKind) VALUES (?, ?)', rows)


def whole(table: Table) -> Part:
    part = Part(table.name.lower(), table)
    part.number("count(*)")
    return part


def words(most: int | None = None, kept: tuple[str, ...] = ()) -> Part:
    part = Part("words", THINGS)
    part.most_values = most or part.most_values
    part.label('t."theWord"', kept)
    part.number("count(*)")
    return part


def rows_of(database: sqlite3.Connection, *parts: Part) -> dict[str, list[Row]]:
    statement = Statement(parts, STAMPED, {})
    found = database.execute(statement.sql, moments(statement.sql, AT)).fetchall()
    assert {len(row) for row in found} == {statement.width}
    stamp, rows = statement.split(found)
    assert stamp == (f"{len(TABLES) + 1} missing", "7")
    return {name: sorted(of_part, key=str) for name, of_part in rows.items()}


def test_text_and_names_are_quoted() -> None:
    assert column("createdAt") == 't."createdAt"'
    assert [literal(text) for text in ("a", "it's", "''", '"')] == ["'a'", "'it''s'", "''''''", "'\"'"]


@pytest.mark.parametrize(
    ("value", "simple"),
    [
        ("Fleet Mode_1.0-x", True),
        ("", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("it's", False),
        ("a\n", False),
        ("é", False),
        ('"', False),
        (":before_1", False),
    ],
)
def test_only_letters_digits_and_four_marks_are_simple(value: str, simple: bool) -> None:
    assert is_simple(value) == simple


def test_long_text_is_cut_where_it_shows(database: sqlite3.Connection) -> None:
    longest = "x" * MAX_LABEL_CHARACTERS
    assert [cut(longest), cut(longest + "y"), cut("")] == [longest, longest[1:] + "…", ""]
    fill(database, (longest, None), (longest + "yz", None))
    sql = f'SELECT {beginning("theWord", MAX_LABEL_CHARACTERS)} FROM "Things" ORDER BY id'
    assert database.execute(sql).fetchall() == [(longest,), (longest + "y",)]


def test_a_moment_is_written_in_utc_to_the_millisecond_wherever_this_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        there = moment(AT)
    time.tzset()
    assert there == moment(AT) == "2026-11-23 12:00:00.123 +00:00"
    assert moment(AT.replace(microsecond=999_000)) == "2026-11-23 12:00:00.999 +00:00"
    assert moment(datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))) == "2025-12-31 23:30:00.000 +00:00"


def test_a_value_is_text_and_null_stays_none() -> None:
    assert [as_text("a"), as_text(7), as_text(0), as_text(None)] == ["a", "7", "0", None]


def test_what_a_database_lacks_are_whole_tables_or_columns_of_those_it_has() -> None:
    assert {"Users", "PlatformSettings", "AuditLogs"} < set(table_names())
    assert missing({}) == [(name, None) for name in table_names()]
    columns = {table.name: {table.key, *table.columns.values()} for table in (*TABLES.values(), SETTINGS)}
    assert missing(columns) == []
    assert missing({**columns, "Sessions": {"other"}, "Teams": columns["Teams"] - {"suspended"}}) == [
        ("Sessions", "sid"),
        ("Sessions", "expiresAt"),
        ("Teams", "suspended"),
    ]


def test_a_statement_that_takes_too_long_says_the_limit() -> None:
    assert str(StatementTooSlowError(2.0)) == "it takes longer than 2 s"
    assert str(StatementTooSlowError(0.25)) == "it takes longer than 0.25 s"


def test_labels_and_numbers_that_are_asked_for_twice_are_one(database: sqlite3.Connection) -> None:
    part = words(1, ("kept",))
    assert (part.label('t."theWord"', ("another",)), part.number("count(*)")) == (0, 0)
    assert (part.label('t."aKind"', ("k",)), part.number("max(t.id)")) == (1, 1)
    assert (part.rank(0), part.rank(1), part.width) == (4, 5, 4)
    fill(database, ("often", "k"), ("often", "k"), ("kept", "k"))
    assert rows_of(database, part) == {"words": [("kept", "k", 1, 3, 1, 1), ("other", "k", 2, 2, 2, 1)]}


def test_a_part_counts_a_whole_table_only_if_it_asks_for_nothing_else() -> None:
    assert whole(THINGS).is_whole_table
    assert not words().is_whole_table
    both = whole(THINGS)
    both.number("max(t.id)")
    assert (both.is_whole_table, both.width, both.number("count(*)")) == (False, 2, 0)
    assert not Part("nothing", THINGS).is_whole_table


@pytest.mark.parametrize(
    ("most", "kept", "rows"),
    [
        (3, (), [("a", 2, 2), ("b", 3, 1), ("c", 1, 3)]),
        (2, (), [("a", 2, 2), ("b", 3, 1), ("other", 1, 3)]),
        (1, (), [("b", 3, 1), ("other", 3, 3)]),
        (1, ("c",), [("c", 1, 1), ("other", 5, 3)]),
        (2, ("c", "it's"), [("b", 3, 2), ("c", 1, 1), ("other", 2, 3)]),
    ],
)
def test_rare_values_are_one_and_kept_ones_are_none_of_them(
    database: sqlite3.Connection, most: int, kept: tuple[str, ...], rows: list[Row]
) -> None:
    fill(database, *[(word, None) for word in "abcabb"])
    assert rows_of(database, words(most, kept)) == {"words": rows}
    _, _, source = words(most, kept).select()
    assert "IN ()" not in source, "PostgreSQL knows no empty list"
    assert "PARTITION" not in source, "a sum over partitions would take most of the time"


def test_of_values_that_are_as_frequent_the_first_by_name_are_told_apart(database: sqlite3.Connection) -> None:
    fill(database, *[(word, None) for word in "cba"])
    assert rows_of(database, words(2)) == {"words": [("a", 1, 1), ("b", 1, 2), ("other", 1, 3)]}


def test_values_of_two_labels_are_ranked_each_by_itself(database: sqlite3.Connection) -> None:
    fill(database, ("a", "x"), ("b", "x"), ("c", "x"), ("c", "y"), ("c", None), (None, "y"))
    part = words(1)
    part.label('t."aKind"')
    assert rows_of(database, part) == {
        "words": [("c", "other", 2, 1, 3), ("c", "x", 1, 1, 1), ("other", "other", 1, 2, 2), ("other", "x", 2, 4, 1)]
    }


def test_a_part_reads_the_columns_and_rows_it_asks_for_and_no_more(database: sqlite3.Connection) -> None:
    fill(database, ("a", "x"), ("b", "x"), ("c", "x"), ("d", "y"))
    part = Part("few", THINGS)
    part.labels, part.numbers = ['t."theWord"'], ['length(t."madeAt")']
    part.where, part.most_rows = " WHERE t.\"aKind\" = 'x'", 2
    assert rows_of(database, part) == {"few": [("a", None), ("b", None)]}
    part.most_rows = None
    assert rows_of(database, part) == {"few": [("a", None), ("b", None), ("c", None)]}


def test_whole_tables_share_rows_of_their_own(database: sqlite3.Connection) -> None:
    fill(database, ("a", None), ("a", None))
    counted = {"others": [(2,)], "empty": [(0,)], "fourth": [(4,)]}
    tables = [whole(table) for table in (OTHERS, EMPTY, FOURTH)]
    assert rows_of(database, *tables) == counted
    assert rows_of(database, tables[0], words(), *tables[1:]) == {**counted, "words": [("a", 2, 1)]}
    assert Statement([*tables, words()], DIALECT, {}).sql.count("UNION ALL") == 3, "two tables in a row"
    assert rows_of(database) == {}


def test_a_statement_holds_the_moments_that_its_parts_compare_with(database: sqlite3.Connection) -> None:
    part = Part("words", THINGS)
    made = DIALECT.moment('t."madeAt"')
    for seconds in (0, 86_400):
        part.number(f"count(*) FILTER (WHERE {made} >= :before_{seconds})")
    day_before = "2026-11-22 12:00:00.123 +00:00"
    assert moments(Statement([part], DIALECT, {}).sql, AT) == {"before_0": moment(AT), "before_86400": day_before}
    database.execute('INSERT INTO "Things" ("madeAt") VALUES (?)', (moment(AT - timedelta(milliseconds=1)),))
    assert rows_of(database, part) == {"words": [(0, 1)]}


@pytest.mark.parametrize("position", [-1, 3, None, "1", 1.0])
def test_a_row_of_no_part_is_refused(position: Any) -> None:
    statement = Statement([whole(OTHERS), words()], DIALECT, {})
    answer: list[Row] = [(0, "5", None, None, None), (1, None, None, 2, None), (2, "a", None, 3, 1)]
    assert statement.split(answer) == (("5", None), {"others": [(2,)], "words": [("a", 3, 1)]})
    assert statement.split([]) == ((None, None), {"others": [], "words": []})
    with pytest.raises(UnexpectedAnswerError):
        statement.split([(position, None, None, 1, 1)])


def test_a_statement_has_room_for_the_most_labels_of_a_part(database: sqlite3.Connection) -> None:
    part = words()
    assert (Statement([], DIALECT, {}).width, Statement([part], DIALECT, {}).width) == (4, 5)
    for name in ("aKind", "madeAt"):
        part.label(f't."{name}"')
    assert Statement([part, whole(OTHERS)], DIALECT, {}).width == 1 + 3 + 4
    assert rows_of(database, part, whole(OTHERS)) == {"words": [], "others": [(2,)]}
