"""What is said of a ClickHouse that refuses a statement: the name of the error, and nothing that it quotes."""

import pytest

from ff_observe.collector.clickhouse.server import _kind

OLD = (
    b"Code: 62, e.displayText() = DB::Exception: Syntax error: failed at position 33: CODEC(ZSTD)) ENGINE=MergeTree. "
    b"Expected one of: COMMENT, DEFAULT, ClosingRoundBracket, Comma, token, e.what() = DB::Exception\n"
)
"""As ClickHouse 18.16.1 of Debian 12 answered."""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"Code: 60. DB::Exception: Unknown table ping. (UNKNOWN_TABLE)", "UNKNOWN_TABLE"),
        (
            b"Code: 60. DB::Exception: No (SECRET) table. (UNKNOWN_TABLE) (version 26.9.1.1 (official build))\n",
            "UNKNOWN_TABLE",
        ),
        (b"Code: 62. DB::Exception: Syntax error: CODEC(ZSTD)", "status 400 Bad Request"),
        (b"<html>(SECRET) at a proxy</html>", "status 400 Bad Request"),
        (b"", "status 400 Bad Request"),
        (OLD, "it is too old: ClickHouse 26.9 was tried"),
    ],
)
def test_an_error_is_named(answer: bytes, said: str) -> None:
    assert _kind(400, answer) == said
