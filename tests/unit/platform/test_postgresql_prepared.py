"""What PostgreSQL is asked at each reading is prepared, where that is possible, and follows every change."""

import contextlib
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest

from ff_observe.platform.sources.counting import TooSlowError
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.postgresql_session import Repeated, Server, Session
from ff_observe.platform.sources.sql import StatementError, moment
from tests.platforms import case_named, cluster_database, postgresql_rows, reported, truth
from tests.real_parts.postgresql import Cluster
from tests.unit.platform.hostile_server import Answer, error, message
from tests.unit.platform.scripted_server import Scripted, answered

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SINCE = "SELECT f(a >= :before_60), f(b >= :before_6), f(c >= :before_60)"
NUMBERED = "SELECT f(a >= $1), f(b >= $2), f(c >= $3)"
NAME = f"ff_observe_{blake2b(SINCE.encode(), digest_size=8).hexdigest()}"
PREPARED = f"PREPARE {NAME} AS {NUMBERED}"


def asked_again(scripted: Scripted, *times: int, sql: str = SINCE, **arguments: Any) -> list[str]:
    """What reaches a server that is asked the same at each of these times, in a session of its own each time."""
    repeated = Repeated()
    server = Server(scripted.database)
    scripted.statements.clear()
    with contextlib.closing(server.connect()) as connection:
        for time in times:
            server.pooled = arguments.get("pooled", False)
            asking = Session(connection, server, repeated)
            assert asking.query(sql, at(time) if ":" in sql else None, arguments.get("limit_seconds")) == [(1,)]
    return scripted.statements


def takes_prepared(asked: str) -> Answer:
    return iter(()) if asked.startswith("PREPARE") else answered()


def at(time: int) -> datetime:
    return AT + timedelta(seconds=time)


def text(time: int) -> str:
    return (
        f"SELECT f(a >= '{moment(at(time - 60))}'), f(b >= '{moment(at(time - 6))}'), f(c >= '{moment(at(time - 60))}')"
    )


def executed(time: int) -> str:
    return f"EXECUTE {NAME} ({moment(at(time - 60))}, {moment(at(time - 6))}, {moment(at(time - 60))})"


def test_what_comes_again_is_prepared_once(scripted: Scripted) -> None:
    scripted.answer_to = takes_prepared
    assert asked_again(scripted, 100) == [text(100)]
    assert asked_again(scripted, 100, 200, 300) == [text(100), PREPARED, executed(200), executed(300)]


@pytest.mark.parametrize(
    ("sql", "arguments"),
    [("SELECT 1", {}), (SINCE, {"limit_seconds": 1.5}), (SINCE, {"pooled": True})],
    ids=["without moments", "with a limit", "behind a pooler"],
)
def test_what_stands_alone_or_behind_settings_is_not_prepared(
    scripted: Scripted, sql: str, arguments: dict[str, Any]
) -> None:
    asked = asked_again(scripted, 1, 2, 3, sql=sql, **arguments)
    assert len(asked) == 3
    assert not [each for each in asked if each.startswith(("PREPARE", "EXECUTE"))]


def test_a_new_statement_replaces_the_prepared_one_when_it_comes_again(scripted: Scripted) -> None:
    commands = ("PREPARE", "DEALLOCATE")
    scripted.answer_to = lambda asked: (
        iter([message(b"C", b"DEALLOCATE\0")] if asked[0] == "D" else ()) if asked.startswith(commands) else answered()
    )
    server, repeated = Server(scripted.database), Repeated()
    with contextlib.closing(server.connect()) as connection:
        for sql in (SINCE, SINCE, "SELECT (:before_6)", SINCE, SINCE, "SELECT (:before_6)", "SELECT (:before_6)"):
            Session(connection, server, repeated=repeated).query(sql, at(1))
    other = f"ff_observe_{blake2b(b'SELECT (:before_6)', digest_size=8).hexdigest()}"
    assert scripted.statements == [
        text(1),
        *(PREPARED, executed(1)),
        f"SELECT ('{moment(at(-5))}')",
        *(text(1), executed(1)),  # the server still holds it
        f"SELECT ('{moment(at(-5))}')",
        *(f"DEALLOCATE {NAME}", f"PREPARE {other} AS SELECT ($1)", f"EXECUTE {other} ({moment(at(-5))})"),
    ]


@pytest.mark.parametrize("refused_as", ["PREPARE", "EXECUTE"])
def test_where_statements_are_answered_only_as_text_none_is_prepared_again(scripted: Scripted, refused_as: str) -> None:
    refusal = error("26000", 'prepared statement "ff_observe" does not exist')
    scripted.answer_to = lambda asked: (
        iter([refusal]) if asked.startswith(refused_as) else iter(()) if asked.startswith("PREPARE") else answered()
    )
    tried = [PREPARED] if refused_as == "PREPARE" else [PREPARED, executed(2)]
    assert asked_again(scripted, 1, 2, 3, 4) == [text(1), *tried, text(2), text(3), text(4)]


def test_what_is_refused_as_text_too_is_an_error_and_stays_prepared(scripted: Scripted) -> None:
    server, repeated = Server(scripted.database), Repeated()
    scripted.answer_to = takes_prepared
    with contextlib.closing(server.connect()) as connection:
        for _ in range(2):
            Session(connection, server, repeated=repeated).query(SINCE, at(1))
        scripted.answer_to = lambda asked: iter([error("55P03", "prepared" if asked[0] == "E" else "as text")])
        with pytest.raises(StatementError, match=r"^as text$"):
            Session(connection, server, repeated=repeated).query(SINCE, at(1))
        scripted.answer_to = takes_prepared
        Session(connection, server, repeated=repeated).query(SINCE, at(1))
    assert scripted.statements == [text(1), PREPARED, *(executed(1),) * 2, text(1), executed(1)]


def test_a_prepared_statement_that_takes_too_long_is_not_asked_again_as_text(scripted: Scripted) -> None:
    scripted.answer_to = lambda asked: (
        iter([error("57014", "canceled")] if asked[0] == "E" else ()) if asked[0] in "EP" else answered()
    )
    with pytest.raises(TooSlowError, match="more than 8 s"):
        asked_again(scripted, 1, 2)
    assert scripted.statements == [text(1), PREPARED, executed(2)]


def prepared(source: PostgreSQLSource) -> list[str]:
    """The statements that its session keeps."""
    return [
        str(text) for (text,) in vars(source)["_connection"].execute("SELECT statement FROM pg_prepared_statements")
    ]


def test_what_each_reading_asks_is_prepared_and_follows_time_values_and_schema(postgres: Cluster) -> None:
    database = cluster_database(postgres, postgres.load("changed", case_named("v2.4.0-postgres-dev").home / "dump.sql"))
    with contextlib.closing(PostgreSQLSource(database)) as source, postgres.connect("changed") as connection:
        for days in range(8):  # after the fifth PostgreSQL may plan it without knowing the moments
            at = AT - timedelta(days=days)
            assert reported(source.read(at).readings) == truth(postgresql_rows(connection), at)
        (first,) = prepared(source)
        connection.execute("UPDATE \"Devices\" SET mode = 'another' WHERE id = 1")
        for _ in range(3):
            assert reported(source.read(AT).readings) == truth(postgresql_rows(connection), AT)
        (second,) = prepared(source)
        assert "another" in second
        assert "another" not in first
        connection.execute('ALTER TABLE "Devices" RENAME COLUMN mode TO kind')
        for _ in range(3):
            readings = source.read(AT).readings
            assert readings["flowfuse_devices"][()] > 0
            assert "flowfuse_devices_by_mode" not in readings
        (third,) = prepared(source)
        assert '"mode"' not in third
