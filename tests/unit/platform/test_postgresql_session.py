"""Sessions with what speaks PostgreSQL's protocol: what a server is asked for, and what becomes of any answer to it."""

import contextlib
import functools
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from ff_observe.config.secret import MASK, Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.platform.sources import postgresql_session
from ff_observe.platform.sources.counting import TooSlowError
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.postgresql_session import ConnectionLostError, Server, Session, cut
from ff_observe.platform.sources.sql import Row, StatementError, StatementTooSlowError
from tests.fakes import FakeClock
from tests.real_parts.processes import free_port
from tests.unit.platform.hostile_server import (
    GREETING,
    INT8,
    TEXT,
    Answer,
    description,
    error,
    greeting,
    message,
    row,
)
from tests.unit.platform.scripted_server import DONE, Scripted, answered, gone


@contextlib.contextmanager
def session(scripted: Scripted) -> Iterator[Session]:
    server = Server(scripted.database)
    with contextlib.closing(server.connect()) as connection:
        yield Session(connection, server)


def ask(scripted: Scripted, *answer: bytes, **arguments: Any) -> list[Row]:
    """What `answer` is to a session that asks something."""
    scripted.answer = lambda: iter(answer)
    with session(scripted) as opened:
        return opened.query("SELECT 1", **arguments)


def test_a_session_begins_read_only_whatever_the_environment_says(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=off")
    server = Server(scripted.database)
    server.connect().close()
    Server(replace(scripted.database, password=None, user="other"), "ff-observe ping").connect().close()
    first, second = scripted.beginnings
    assert "-c default_transaction_read_only=on" in first.pop("options")
    assert first == {
        "user": "reader",
        "database": "forge",
        "application_name": "ff-observe",
        "client_encoding": "UTF8",
    }
    assert (second["user"], second["application_name"]) == ("other", "ff-observe ping")
    assert not server.pooled


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_server_is_the_one_that_the_file_names_whatever_the_environment_says(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")  # nothing listens there
    Server(replace(scripted.database, host=host)).connect().close()
    assert len(scripted.beginnings) == 1


def test_a_connection_holds_no_transaction_and_notices_a_server_that_vanished(scripted: Scripted) -> None:
    with contextlib.closing(Server(scripted.database).connect()) as connection:
        assert (connection.autocommit, connection.prepare_threshold) == (True, None)
        said = {option.keyword: option.val for option in connection.pgconn.info}
    keepalive = {name: int(said[name.encode()] or 0) for name in ("keepalives_idle", "keepalives_interval")}
    assert keepalive == {"keepalives_idle": 30, "keepalives_interval": 5}
    assert (said[b"keepalives_count"], said[b"tcp_user_timeout"]) == (b"3", b"10000")
    assert said[b"connect_timeout"] == str(postgresql_session.CONNECT_SECONDS).encode()


def test_a_pooler_that_refuses_options_is_asked_without_and_not_again_with_them(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c jit=on")
    scripted.greet = lambda wanted: (
        error("08P01", "unsupported Startup Parameter: options") if "options" in wanted else greeting(GREETING)
    )
    server = Server(scripted.database)
    for _ in range(2):
        server.connect().close()
        assert server.pooled
    assert ["options" in wanted for wanted in scripted.beginnings] == [True, False, False]


@pytest.mark.parametrize("says", [{}, {"default_transaction_read_only": "off"}])
def test_a_pooler_that_ignores_options_is_known_by_what_it_says(scripted: Scripted, says: dict[str, str]) -> None:
    scripted.greet = lambda _: greeting({"server_version": "17.0", **says})
    server = Server(scripted.database)
    server.connect().close()
    assert server.pooled


def test_a_server_before_14_which_does_not_say_whether_a_session_only_reads_is_no_pooler(scripted: Scripted) -> None:
    scripted.greet = lambda _: greeting({"server_version": "13.23"})
    server = Server(scripted.database)
    server.connect().close()
    assert not server.pooled


def test_what_refuses_the_session_itself_is_asked_once(scripted: Scripted) -> None:
    scripted.greet = lambda _: error("28000", 'role "reader" with secret-word\n  is not permitted')
    server = Server(scripted.database)
    with pytest.raises(ConnectionLostError) as caught:
        server.connect()
    said = str(caught.value)
    assert said.startswith(f"cannot connect to {scripted.where}: connection failed: ")
    assert said.endswith(f'ERROR: role "reader" with {MASK} is not permitted; check `db` in flowforge.yml')
    assert len(scripted.beginnings) == 1
    assert not server.pooled
    assert not caught.value.given_up


def test_a_name_that_is_none_of_a_host_is_an_error_like_any_other() -> None:
    with pytest.raises(ConnectionLostError, match=r"cannot connect to PostgreSQL database a\.\.b:5432/"):
        Server(PostgreSQLDatabase("a..b", 5432, "reader", None, "forge")).connect()


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        ("SSL error: certificate verify failed", "SSL error: certificate verify failed"),  # nothing listens any more
        (
            'certificate for "a" does not match host name "b"',
            'certificate for "a" does not match host name "b": use a name it holds, or have it issued for this one',
        ),
        (
            "server requested a cleartext password",  # which holds the word that is the password here
            (
                "the server asks for the password in clear text, and does not get it without proving itself: name its "
                "authority in telemetry.database.ca_file instead of accept_any_certificate"
            ),
        ),
        ("timeout  expired\n", "timeout expired"),
    ],
)
def test_a_refusal_is_told_with_what_to_do(refusal: str, says: str) -> None:
    server = Server(PostgreSQLDatabase("127.0.0.1", free_port(), "reader", Secret("word"), "forge", ssl=True))
    assert server._why(psycopg.OperationalError(refusal)) == says


def test_a_server_that_is_silent_when_it_is_asked_why_has_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_session, "CONNECT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = Server(PostgreSQLDatabase("127.0.0.1", silent.getsockname()[1], "reader", None, "forge", ssl=True))
        assert server._why(psycopg.OperationalError("certificate verify failed")) == "certificate verify failed"


@pytest.mark.parametrize(
    ("password", "says"),
    [(Secret("word"), f"a {MASK} b"), (Secret(""), "a word b"), (Secret("a  word\r\n b"), MASK), (None,) * 2],
)
def test_a_message_is_one_line_without_the_password(password: Secret | None, says: str | None) -> None:
    server = Server(PostgreSQLDatabase("127.0.0.1", 1, "reader", password, "forge"))
    assert server.one_line(ValueError("a  word\r\n b")) == says or (says is None and password is None)


def test_a_statement_goes_with_its_moments_its_limit_and_what_stands_before_it(scripted: Scripted) -> None:
    with session(scripted) as opened:
        assert opened.query(
            "SELECT f(:before_60), f(:before_6), f(:other)", datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        ) == [(1,)]
        opened.query("SELECT 1", limit_seconds=1.5)
    assert scripted.statements == [
        "SELECT f('2026-11-23 11:59:00.000 +00:00'), f('2026-11-23 11:59:54.000 +00:00'), f(:other)",
        "SET LOCAL statement_timeout = 1500; SELECT 1",
    ]


@pytest.mark.parametrize("pooled", [False, True])
def test_behind_a_pooler_the_settings_go_with_each_statement(scripted: Scripted, pooled: bool) -> None:
    server = Server(scripted.database)
    with contextlib.closing(server.connect()) as connection:
        server.pooled = pooled
        Session(connection, server).query("SELECT 1")
        Session(connection, server).query("SELECT 2", limit_seconds=1.5)
    settings = f"{postgresql_session.POOLED_PREFIX}{postgresql_session._SEARCH_OWN}" if pooled else ""
    assert scripted.statements == [
        f"{settings}SELECT 1",
        f"{settings}SET LOCAL statement_timeout = 1500; SELECT 2",
    ]


def test_a_statement_longer_than_the_buffers_reaches_a_server_that_is_silent_until_it_has_it(
    scripted: Scripted,
) -> None:
    long = f"SELECT '{'x' * 2**21}'"
    with session(scripted) as opened:
        with socket.socket(fileno=os.dup(opened._libpq.socket)) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        assert opened.query(long) == [(1,)]
    assert scripted.statements == [long]


def test_values_are_what_their_types_say_and_text_where_they_are_not(scripted: Scripted) -> None:
    types = (INT8, 21, 23, TEXT, TEXT, INT8, INT8, INT8, INT8, TEXT)
    values = (b"-12", b"0", b"9" * 19, b"12", b"\xff\xc3\xa9", b"many", b"9" * 20, b"1 ", None, None)
    assert (
        ask(scripted, description(types), row(values), row(values), DONE)
        == [(-12, 0, 10**19 - 1, "12", "\ufffdé", "many", "9" * 20, "1 ", None, None)] * 2
    )


def test_more_rows_than_any_answer_has_are_given_up(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_session, "MAX_ROWS", 2)
    two = (description([INT8]), row([b"1"]), row([b"1"]))
    assert len(ask(scripted, *two, DONE)) == 2
    with pytest.raises(ConnectionLostError) as caught:
        ask(scripted, *two, row([b"1"]), DONE)
    assert str(caught.value) == f"{scripted.where} answered with more than 2 rows; is it a database of FlowFuse's?"
    assert caught.value.given_up


def test_more_text_than_any_answer_has_is_given_up(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_session, "MAX_ANSWER_BYTES", 3 * 2**20)
    begin, half = description([TEXT, INT8]), b"x" * (3 * 2**19)
    halves = (row([half, b"1"]), row([half, None]))
    assert len(ask(scripted, begin, *halves, DONE)) == 2
    with pytest.raises(ConnectionLostError) as caught:
        ask(scripted, begin, *halves, row([b"x", None]), DONE)
    assert str(caught.value) == f"{scripted.where} answered with more than 3 MiB; is it a database of FlowFuse's?"
    assert caught.value.given_up


def test_a_refused_statement_is_told_by_its_first_error_and_leaves_the_session(scripted: Scripted) -> None:
    refusals = (error("42P01", "no  such\ntable"), error("42P02", "another"))
    with session(scripted) as opened:
        for answer in (refusals, (description([INT8]), row([b"1"]), *refusals)):
            scripted.answer = functools.partial(iter, answer)
            with pytest.raises(StatementError) as caught:
                opened.query("SELECT 1")
            assert str(caught.value) == "no such table"
        scripted.answer = answered
        assert opened.query("SELECT 1") == [(1,)]


@pytest.mark.parametrize("code", ["08006", "57P01", "57014"])
def test_an_error_of_the_session_ends_it(scripted: Scripted, code: str) -> None:
    with pytest.raises(SourceError) as caught:
        ask(scripted, error(code, "the secret-word"))
    if code == "57014":
        assert isinstance(caught.value, TooSlowError)
        assert str(caught.value) == f"{scripted.where} needed more than 8 s; is it overloaded?"
    else:
        assert isinstance(caught.value, ConnectionLostError)
        assert not caught.value.given_up
        assert str(caught.value) == f"{scripted.where}: the {MASK}"


def test_a_statement_with_a_limit_of_its_own_that_was_ended_says_so(scripted: Scripted) -> None:
    with pytest.raises(StatementTooSlowError, match=str(StatementTooSlowError(0.5))):
        ask(scripted, error("57014", "canceled"), limit_seconds=0.5)
    scripted.answer = lambda: iter([error("57014", "canceled")])
    with (
        contextlib.closing(PostgreSQLSource(scripted.database)) as source,
        pytest.raises(TooSlowError, match=r"needed more than 1 s;"),
    ):
        source.select("SELECT 1")


def test_no_answer_at_all_is_an_error_of_the_session(scripted: Scripted) -> None:
    for answer in ((), (message(b"C", b"SET\0"),), (message(b"I", b""),)):
        with pytest.raises(ConnectionLostError) as caught:
            ask(scripted, *answer)
        assert str(caught.value) == f"{scripted.where}: no answer"


@pytest.mark.parametrize("before", [(), (error("42P01", "no such table"),)])
def test_a_server_that_goes_while_it_answers_is_an_error_of_the_session(
    scripted: Scripted, before: tuple[bytes, ...]
) -> None:
    scripted.answer = lambda: itertools.chain(before, gone())
    with session(scripted) as opened, pytest.raises(ConnectionLostError, match=f"^{scripted.where}: "):
        opened.query("SELECT 1")


def test_a_session_that_was_closed_is_lost(scripted: Scripted) -> None:
    with session(scripted) as opened:
        opened._libpq.finish()
        with pytest.raises(ConnectionLostError, match=f"^{scripted.where}: .*closed"):
            opened.query("SELECT 1")


def test_all_statements_of_a_session_share_one_limit(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(postgresql_session, "time", clock)
    waited: list[float] = []

    class Poll:
        def poll(self, milliseconds: float) -> bool:
            waited.append(milliseconds)
            return len(waited) < 3

    poll: Any = Poll()
    with session(scripted) as opened:
        for seconds in (0, 4, 5.5):
            clock.advance(seconds)
            with contextlib.suppress(ConnectionLostError):
                opened._wait(poll)
        clock.advance(0.5)
        with pytest.raises(ConnectionLostError) as caught:
            opened._wait(poll)
    assert waited == [10_000, 6_000, 500]
    says = "did not answer within 10 s; is it overloaded or unreachable?"
    assert str(caught.value) == f"{scripted.where} {says}"
    assert caught.value.given_up


def test_a_server_that_does_not_answer_is_given_up(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_session, "READ_LIMIT_SECONDS", 0.05)
    silent = threading.Event()

    def wait() -> Answer:
        silent.wait()
        yield DONE

    scripted.answer = wait
    try:
        with session(scripted) as opened, pytest.raises(ConnectionLostError, match="did not answer within") as caught:
            opened.query("SELECT 1")
    finally:
        silent.set()
    assert caught.value.given_up


def test_a_session_that_is_cut_ends_at_once_even_while_it_waits(scripted: Scripted) -> None:
    def answer_too_late() -> Answer:
        cut(connection)
        return answered()

    scripted.answer = answer_too_late
    server = Server(scripted.database)
    with contextlib.closing(server.connect()) as connection, pytest.raises(ConnectionLostError) as caught:
        Session(connection, server).query("SELECT 1")
    assert not caught.value.given_up
    cut(connection)  # closed by now: no error
    connection.fileno = lambda: -1  # type: ignore[method-assign]  # closed by another thread in this moment
    cut(connection)
