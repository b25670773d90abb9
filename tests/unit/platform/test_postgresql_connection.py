"""The connection of a source of PostgreSQL: when it is kept, and what is asked once more on another."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.postgresql_session import ConnectionLostError
from ff_observe.platform.sources.sql import StatementError
from tests.unit.platform.hostile_server import Answer
from tests.unit.platform.scripted_server import Scripted, answered, endless, gone, refused


@pytest.fixture
def source(scripted: Scripted) -> Iterator[PostgreSQLSource]:
    with contextlib.closing(PostgreSQLSource(scripted.database)) as opened:
        yield opened


def test_a_source_keeps_its_connection_until_it_is_closed(scripted: Scripted, source: PostgreSQLSource) -> None:
    for connections in (1, 2):
        for _ in range(2):
            assert source.select("SELECT 7") == [(1,)]
        assert len(scripted.beginnings) == connections
        source.close()
    assert scripted.statements == ["SET LOCAL statement_timeout = 1000; SELECT 7"] * 4


def test_a_refused_statement_keeps_the_connection(scripted: Scripted, source: PostgreSQLSource) -> None:
    scripted.answer = refused
    for _ in range(2):
        with pytest.raises(StatementError):
            source.select("SELECT 7")
    assert len(scripted.beginnings) == 1


@pytest.mark.parametrize(
    ("answers", "raised", "connections"),
    [
        ([gone, answered], None, 2),
        ([gone, gone], ConnectionLostError, 2),
        ([gone, refused], StatementError, 2),
        ([endless], ConnectionLostError, 1),
    ],
    ids=lambda value: " then ".join(each.__name__ for each in value) if isinstance(value, list) else None,
)
def test_only_what_was_lost_while_idle_is_asked_once_more(
    scripted: Scripted,
    source: PostgreSQLSource,
    answers: list[Callable[[], Answer]],
    raised: type[Exception] | None,
    connections: int,
) -> None:
    source.select("SELECT 1")
    script = iter(answers)

    def next_answer() -> Answer:
        return next(script)()

    scripted.answer = next_answer
    with pytest.raises(raised) if raised else contextlib.nullcontext():
        source.select("SELECT 1")
    assert len(scripted.beginnings) == connections
    assert next(script, None) is None
    scripted.answer = answered
    assert source.select("SELECT 1") == [(1,)]
    assert len(scripted.beginnings) == connections + (raised is ConnectionLostError)


def test_a_new_connection_that_is_lost_is_an_error_at_once(scripted: Scripted, source: PostgreSQLSource) -> None:
    scripted.answer = gone
    with pytest.raises(ConnectionLostError):
        source.select("SELECT 1")
    assert len(scripted.beginnings) == 1


def test_a_source_that_is_closed_while_it_asks_does_not_ask_again(scripted: Scripted, source: PostgreSQLSource) -> None:
    source.select("SELECT 1")

    def close() -> Answer:
        source.close()
        yield from ()

    scripted.answer = close
    with pytest.raises(ConnectionLostError):
        source.select("SELECT 1")
    scripted.answer = answered
    assert source.select("SELECT 1") == [(1,)]
    assert len(scripted.beginnings) == 2
