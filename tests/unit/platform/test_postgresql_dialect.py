"""PostgreSQL's own expressions, asked of a real server: what is taken out of JSON, and who may write to a table."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sql import StatementError
from tests.platforms import cluster_database
from tests.real_parts.postgresql import Cluster


@pytest.fixture
def empty(postgres: Cluster) -> Iterator[PostgreSQLSource]:
    """One of a database without tables."""
    with contextlib.closing(PostgreSQLSource(cluster_database(postgres, "postgres"))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("content", "text", "integer"),
    [
        ('{"a": {"b": "it"}}', "it", None),
        ('{"a": {"b": -12}}', "-12", -12),
        ('{"a": {"b": 123456789012345678}}', "123456789012345678", 123456789012345678),
        ('{"a": {"b": 1234567890123456789}}', "1234567890123456789", None),
        ('{"a": {"b": "1.5"}}', "1.5", None),
        ('{"a": {}}', None, None),
        (r'{"c": "\u0000", "a": {"b": "it\u0000"}}', "it?", None),
        (r'{"c": "\ud800", "a": {"b": "\uDFFF\uD83D"}}', "??", None),
        (r'{"c": "\\u0000", "a": {"b": "\u003d\\ud800"}}', r"=\u003f", None),
        ("", None, None),
    ],
)
def test_a_value_in_json_is_found_by_its_path(
    empty: PostgreSQLSource, content: str, text: str | None, integer: int | None
) -> None:
    column, path = f"'{content}'::varchar", ("a", "b")
    asked = f"SELECT {empty.dialect.json_text(column, path)}, {empty.dialect.json_integer(column, path)}"
    assert empty.select(asked) == [(text, integer)]


def test_why_json_is_refused_is_said_without_what_it_holds(empty: PostgreSQLSource) -> None:
    column = """'{"npmrc": "_authToken=planted", "a": }'::text"""
    with pytest.raises(StatementError) as caught:
        empty.select(f"SELECT {empty.dialect.json_text(column, ('a', 'b'))}")
    assert str(caught.value) == "invalid input syntax for type json"


@pytest.mark.parametrize("content", ['{"a": {"b": 1}', '{"a": {"b": 1},}', "{a: 1}", '{"a": {"b": "\t"}}', "NaN", " "])
def test_text_that_is_no_json_holds_nothing_where_the_server_can_tell(empty: PostgreSQLSource, content: str) -> None:
    ((version,),) = empty.select("SELECT current_setting('server_version_num')::int")
    column, path, dialect = f"'{content}'::text", ("a", "b"), empty.dialect
    asked = f"SELECT {dialect.json_text(column, path)}, {dialect.json_integer(column, path)}"
    tables = (dialect.json_elements(column, path), dialect.json_keys(column, path))
    if int(str(version)) >= 160000:
        assert empty.select(asked) == [(None, None)]
        assert [empty.select(f"SELECT * FROM {table}") for table in tables] == [[], []]
    else:
        for sql in (asked, *(f"SELECT * FROM {table}" for table in tables)):
            with pytest.raises(StatementError, match=r"^invalid input syntax for type json$"):
                empty.select(sql)


def test_json_as_deep_as_flowfuse_can_write_it_is_read(empty: PostgreSQLSource) -> None:
    """Node.js writes up to some 4,500 levels."""
    deep = f"""'{'{"a": ' * 6_000}1{"}" * 6_000}'::text"""
    empty.select("SELECT 1")
    assert empty.select(f"SELECT {empty.dialect.json_text(deep, ('b',))}") == [(None,)]


def test_elements_and_keys_of_json_are_rows_where_it_has_any(empty: PostgreSQLSource) -> None:
    def found(make: Callable[[str, tuple[str, ...]], str], content: str) -> int | str | None:
        table = make(f"'{content}'::text", ("a", "b"))
        ((number,),) = empty.select(f"SELECT count(*) FROM {table}")
        return number

    array, keys = '{"a": {"b": [1, 2]}}', '{"a": {"b": {"c": 1, "d": 2, "e": 3}}}'
    assert [found(empty.dialect.json_elements, content) for content in (array, keys, "{}", "")] == [2, 0, 0, 0]
    assert [found(empty.dialect.json_keys, content) for content in (array, keys, "{}", "")] == [0, 3, 0, 0]


def test_the_sizes_are_those_of_the_schema_that_holds_the_platforms_tables(postgres: Cluster) -> None:
    name = postgres.create("schemas")
    with postgres.connect(name) as connection:
        connection.execute('CREATE SCHEMA forge; CREATE TABLE forge."Users" (); CREATE TABLE forge."Others" ()')
        connection.execute('CREATE TABLE strange (); ALTER DATABASE schemas SET search_path = "$user", public, forge')
    with contextlib.closing(PostgreSQLSource(cluster_database(postgres, name))) as source:
        assert {table for table, _ in source.select(source.dialect.table_sizes)} == {"Users", "Others"}


def test_what_is_missing_is_seen_as_soon_as_it_is_there(postgres: Cluster) -> None:
    missing = [("Teams", None), ("Devices", "mode")]
    name = postgres.create("missing")
    with (
        postgres.connect(name) as connection,
        contextlib.closing(PostgreSQLSource(cluster_database(postgres, name))) as source,
    ):
        stamps = []
        for statement in (
            'CREATE TABLE "Devices" ()',
            'CREATE TABLE "Teams" ()',
            'ALTER TABLE "Devices" ADD COLUMN mode text',
        ):
            connection.execute(statement.encode())
            stamps += source.select(f"SELECT {source.dialect.schema_stamp(missing)}")
        assert stamps == [("",), ('public."Teams"',), ('public."Teams" mode',)]
        assert source.select(f"SELECT {source.dialect.schema_stamp([])}") == [("",)]


def test_who_may_be_writing_to_a_table_is_seen(postgres: Cluster) -> None:
    def writers(table: str) -> int | str | None:
        ((found,),) = source.select(f"SELECT {source.dialect.writers(table)}")
        return found

    name = postgres.create("written")
    with postgres.connect(name) as connection:
        connection.execute('CREATE TABLE "Invitations" (); CREATE TABLE "Teams" ()')
    with (
        contextlib.closing(PostgreSQLSource(cluster_database(postgres, name))) as source,
        postgres.connect(postgres.create("copied", name)) as other,  # where the table has the same number
        postgres.connect(name) as connection,
    ):
        other.execute('BEGIN; DELETE FROM "Invitations"')
        assert writers("Invitations") == ""
        seen = []
        for statement in (
            'LOCK TABLE "Invitations" IN ROW EXCLUSIVE MODE',
            'LOCK TABLE "Invitations" IN SHARE ROW EXCLUSIVE MODE',
            'LOCK TABLE "Invitations" IN EXCLUSIVE MODE',
            'LOCK TABLE "Invitations" IN ACCESS EXCLUSIVE MODE',
            'SELECT 1 FROM "Invitations"',
        ):
            connection.execute(f"BEGIN; {statement}".encode())
            seen.append(bool(writers("Invitations")))
            assert writers("Teams") == ""
            connection.execute("ROLLBACK")
    assert seen == [True, True, True, True, False]
