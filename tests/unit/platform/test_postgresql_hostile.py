"""What answers as PostgreSQL but is not to be believed: every answer is an error or a count, in bounded memory."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from tests.platforms import reported
from tests.unit.platform.hostile import read_in_a_process
from tests.unit.platform.hostile_server import INT8, TEXT, Answer, Values, description, hostile_server, row, rows

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PROCESS_MEGABYTES = 200  # Python with the driver has some 50
COUNTS = (INT8, TEXT, TEXT, INT8, INT8)
STAMP: Values = (b"0", b"", None, None, None)


def database(port: int) -> PostgreSQLDatabase:
    return PostgreSQLDatabase("127.0.0.1", port, "forge", Secret("secret-word"))


def columns() -> Answer:
    """A platform with nothing but users."""
    return rows((TEXT, TEXT, TEXT), (b"Users", b"id", b""), (b"Users", b"admin", b""))


def is_about_columns(statement: str) -> bool:
    return "pg_class" in statement and "count(*)" not in statement


@pytest.mark.parametrize(
    "answer",
    {
        "negative": (STAMP, (b"1", None, None, b"-5", b"0")),
        "no number": (STAMP, (b"1", None, None, b"many", b"0")),
        "a fraction": (STAMP, (b"1", None, None, b"1.5", b"0")),
        "too large": (STAMP, (b"1", None, None, b"9" * 19, b"0")),
        "of five thousand digits": (STAMP, (b"1", None, None, b"9" * 5000, b"0")),
        "of a select that was not there": (STAMP, (b"77", None, None, b"5", b"0")),
        "of no select": (STAMP, (None, None, None, b"5", b"0")),
    }.values(),
    ids=lambda answer: str(answer[1][3])[:12],
)
def test_a_count_that_cannot_be_one_is_an_error(answer: tuple[Values, ...]) -> None:
    def respond(statement: str) -> Answer:
        return columns() if is_about_columns(statement) else rows(COUNTS, *answer)

    with (
        hostile_server(respond) as port,
        contextlib.closing(PostgreSQLSource(database(port))) as source,
        pytest.raises(SourceError, match="something other than what was asked for"),
    ):
        source.read(AT)


@pytest.mark.parametrize("about_columns", [True, False])
def test_an_answer_of_another_width_is_an_error(about_columns: bool) -> None:
    def respond(statement: str) -> Answer:
        if is_about_columns(statement) and not about_columns:
            return columns()
        return rows((INT8,), (b"1",))

    with (
        hostile_server(respond) as port,
        contextlib.closing(PostgreSQLSource(database(port))) as source,
        pytest.raises(SourceError, match="something other than what was asked for"),
    ):
        source.read(AT)


def test_names_that_are_not_utf8_spoil_no_count() -> None:
    def respond(statement: str) -> Answer:
        if is_about_columns(statement):
            return rows((TEXT, TEXT, TEXT), (b"Users", b"id", b""), (b"Users", b"admin", b""), (b"\xff", b"\xfe", b""))
        return rows(COUNTS, (b"0", b"\xff\xfe", None, None, None), (b"1", None, None, b"5", b"2"))

    with hostile_server(respond) as port, contextlib.closing(PostgreSQLSource(database(port))) as source:
        answer = source.read(AT)
    assert reported(answer.readings) == {"flowfuse_users": {(): 5}, "flowfuse_admins": {(): 2}}
    assert set(answer.failures) == {"flowfuse_table_size_bytes"}, "rows of another width"


def endless_rows() -> Iterator[bytes]:
    """Short ones: as many as the connection takes."""
    yield description(COUNTS)
    some = row((b"1", None, None, b"5", b"0")) * 1000
    while True:
        yield some


def long_rows() -> Iterator[bytes]:
    """Of a megabyte each: fewer than there may be rows, and yet more than there is memory."""
    yield description(COUNTS)
    some = row((b"1", b"x" * 2**20, None, b"5", b"0"))
    while True:
        yield some


@pytest.mark.parametrize("answer", [endless_rows, long_rows])
@pytest.mark.parametrize("about_columns", [True, False])
def test_an_answer_without_end_is_an_error_before_it_fills_the_memory(
    answer: Callable[[], Answer], about_columns: bool
) -> None:
    def respond(statement: str) -> Answer:
        return columns() if is_about_columns(statement) and not about_columns else answer()

    with hostile_server(respond) as port:
        said = read_in_a_process(database(port))
    assert "answered with more than" in said["error"]
    assert said["megabytes"] < PROCESS_MEGABYTES
