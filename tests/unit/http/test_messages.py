"""The head of an answer on the wire, as another parser reads it."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.http.messages import render_head

DATE = b"Sat, 01 Jan 2000 00:00:00 GMT"
NAMES = st.from_regex(rb"x-[a-z]{1,8}", fullmatch=True)
VALUES = st.from_regex(rb"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)


class Read:
    """What httptools reads of an answer's head."""

    def __init__(self, head: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.phrase = b""
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(head)

    def on_status(self, phrase: bytes) -> None:
        self.phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.keeps_alive = self._parser.should_keep_alive()


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.booleans())
def test_the_head_holds_the_date_and_all_headers_in_order(headers: list[tuple[bytes, bytes]], keep_alive: bool) -> None:
    read = Read(render_head(200, ((b"content-length", b"0"), *headers), DATE, keep_alive))
    closing = [] if keep_alive else [(b"connection", b"close")]
    assert (read.status, read.phrase, read.keeps_alive) == (200, b"OK", keep_alive)
    assert read.headers == [(b"date", DATE), (b"content-length", b"0"), *headers, *closing]


def test_the_phrase_is_that_of_the_status() -> None:
    assert render_head(421, (), DATE, keep_alive=True).startswith(b"HTTP/1.1 421 Misdirected Request\r\n")  # RFC 9110


def test_the_server_alone_decides_whether_the_connection_stays_open() -> None:
    assert b"connection" not in render_head(200, ((b"connection", b"close"),), DATE, keep_alive=True)


@pytest.mark.parametrize("ending", [b"\r", b"\n", b"\r\n", b"\n\r"])
@pytest.mark.parametrize("header", [(b"x%b-y", b"a"), (b"x", b"a%bset-cookie: b")])
def test_a_header_that_would_begin_another_is_never_sent(header: tuple[bytes, bytes], ending: bytes) -> None:
    name, value = header
    with pytest.raises(AssertionError, match="would begin another"):
        render_head(200, ((name.replace(b"%b", ending), value.replace(b"%b", ending)),), DATE, keep_alive=True)
