"""A known secret is masked however other programs write it into a text, and nothing beside it is."""

import base64
import html
import json
import re
from collections.abc import Callable
from functools import reduce
from urllib.parse import quote, quote_plus
from xml.sax import saxutils

import pytest
from google.protobuf import text_encoding
from hypothesis import example, given
from hypothesis import strategies as st

from ff_observe.config.secret import MASK, Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.telemetry.redaction import Redactor, known_secrets
from tests.pace import costing_at_most

WRITERS: dict[str, Callable[[str], str]] = {
    "Python": repr,
    "Python in ASCII": ascii,
    "bytes in Python": lambda text: repr(text.encode()),
    "unicode_escape": lambda text: text.encode("unicode_escape").decode(),
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "C, as protobuf writes bytes": lambda text: text_encoding.CEscape(text.encode(), False),
    "a URL": lambda text: quote(text, safe=""),
    "a URL, / as it is": quote,
    "a URL in lower case": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "a form": quote_plus,
    "HTML": html.escape,
    "XML": lambda text: saxutils.escape(text, {'"': "&quot;", "'": "&apos;", "\n": "&#10;"}),
    "HTML in ASCII": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
}
_STAND_IN = "QZQZQZQZ"  # no writer changes it
_BEFORE, _AFTER = 'it\'s "x" ', ' end of "it"'  # both quotes: so repr() always chooses the same

_PIECES = (*"\\%&;\"'+ /#\n\t\r\0nxuU01a4\x7f\x9bÃ¤äé€😀", "&quot;", "%41", "\\x41")
_plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_odd = st.lists(st.sampled_from(_PIECES), max_size=8).map("".join)
_secrets = st.builds("{}Xk9q7Z{}".format, _plain | _odd, _plain | _odd).filter(lambda secret: not secret.endswith("\\"))


@given(
    secret=_secrets,
    writers=st.lists(st.sampled_from(sorted(WRITERS)), max_size=3),
)
@example(secret="it's4Secret-Z9", writers=["Python"])
@example(secret="pässwörd9-Zq", writers=["bytes in Python"])
@example(secret="pässwörd9-Zq", writers=["Python in ASCII"])
@example(secret="p😀ss9-Zq!wert", writers=["JSON", "JSON"])
@example(secret="p😀ss9-Zq!wert", writers=["Python in ASCII", "JSON"])
@example(secret="a/b+c=d9Q", writers=["a URL, / as it is"])
@example(secret="a/b+c=d9Q", writers=["a URL in lower case"])
@example(secret="correct horse/9", writers=["a form", "Python"])
@example(secret='back\\slash"9Q!x', writers=["JSON", "JSON", "JSON"])
@example(secret='p%41ss9"Zq!', writers=["JSON", "Python"])
@example(secret="line1Zq9\nline2\\x", writers=["Python", "a URL"])
@example(secret='C:\\new\\x41-9"', writers=["Python"])
@example(secret="&quot;9Secret'Zz", writers=["XML", "JSON"])
def test_a_secret_is_masked_in_every_spelling_and_nothing_beside_it(secret: str, writers: list[str]) -> None:
    def written(text: str) -> str:
        return reduce(lambda inner, writer: WRITERS[writer](inner), writers, text)

    expected = written(_BEFORE + _STAND_IN + _AFTER).replace(_STAND_IN, MASK)
    assert Redactor([secret], personal=False).known(written(_BEFORE + secret + _AFTER)) == expected


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("a/b+c=d9Q", r"\u0061\x2fb\u{2b}c\U0000003dd9\121", MASK),  # also what no writer needs to escape
        ("p😀ss9-Zq", r"p\u{1f600}ss9-Zq", MASK),
        ("pässwörd9-Zq", "p\xc3\xa4ssw\xc3\xb6rd9-Zq", MASK),  # a header: UTF-8, read as Latin-1
        ("pässwörd9-Zq", "p%E4ssw%F6rd9-Zq", MASK),  # Latin-1 in a URL
        ("it's4Secret-Z9", f"it{chr(92) * 255}'s4Secret-Z9", MASK),
        ("abcdef9%", "abcdef9%2541", f"{MASK}41"),  # before what makes another escape of its end
        ("<abcdef9\\", "&lt;abcdef9\\ ", f"{MASK}\\ "),
        (r"\U00110000-9Zq", r'"\\U00110000-9Zq"', f'"{MASK}"'),  # beyond Unicode
        ("a\ud800b-9Zq'", r"a\ud800b-9Zq\'", MASK),
    ],
)
def test_a_secret_in_a_rare_spelling_is_masked(secret: str, text: str, expected: str) -> None:
    assert Redactor([secret], personal=False).known(text) == expected


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("postgres", r"into%20postgresql\npostgres%2Fmy-postgres", rf"into%20postgresql\n{MASK}%2Fmy-postgres"),
        ("red", r"{\"a\": \"red, \\\"red\\\" in%20red\"}", rf"{{\"a\": \"red, \\\"{MASK}\\\" in%20red\"}}"),
        ("nagios", r"C:\nagios C:\\nagios", rf"C:\{MASK} C:\\{MASK}"),
    ],
)
def test_innocent_words_stay_among_escapes_too(secret: str, text: str, expected: str) -> None:
    assert Redactor([secret], personal=False).known(text) == expected


def test_secrets_that_share_a_part_of_a_text_leave_nothing_of_each_other() -> None:
    assert Redactor(["abcdefgh1", "fgh1zzzz9"]).known("=abcdefgh1zzzz9=") == f"={MASK}="


@given(
    before=st.binary(max_size=99),
    secret=_secrets,
    after=st.binary(max_size=99),
    url_safe=st.booleans(),
    width=st.sampled_from([1000, 76, 64]),
    line_end=st.sampled_from(["\n", "\r\n", "\n  "]),
)
@example(before=b"x" * 50, secret="Xk9q7ZXk9q7Z", after=b"", url_safe=False, width=76, line_end="\n")
def test_a_secret_is_masked_in_base64_inside_of_anything(
    before: bytes, secret: str, after: bytes, url_safe: bool, width: int, line_end: str
) -> None:
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    digits = encode(before + secret.encode() + after).decode()
    written = line_end.join(digits[start : start + width] for start in range(0, len(digits), width))
    left, mask, right = Redactor([secret], personal=False).known(written).partition(MASK)
    assert mask
    assert written.startswith(left)
    assert written.endswith(right)
    left, right = ("".join(part.split()) for part in (left, right))
    assert len(left) * 6 <= len(before) * 8  # a digit is 6 bits
    assert len(right.rstrip("=")) * 6 - right.count("=") * 2 <= len(after) * 8  # the last one less


@pytest.mark.parametrize("written", [repr, json.dumps, str])
def test_a_long_password_is_masked_with_its_user_in_base64_of_several_lines(written: Callable[[str], str]) -> None:
    password = "Xk29dfkWq81z" * 6
    sent = base64.encodebytes(f"flowforge:{password}".encode()).decode().strip()
    database = PostgreSQLDatabase(user="flowforge", password=Secret(password))
    expected = written("QQQ").replace("QQQ", MASK)
    assert Redactor(known_secrets(database), personal=False).known(written(sent)) == expected


@pytest.mark.parametrize("password", ["Xk29dfkWq81z", "pw1"])
def test_the_password_of_the_database_is_masked_with_its_user_in_base64(password: str) -> None:
    sent = base64.b64encode(f"flowforge:{password}".encode()).decode()
    database = PostgreSQLDatabase(user="flowforge", password=Secret(password))
    url = Secret(f"postgresql://flowforge:{password}@127.0.0.1/flowforge")
    for settings in (database, url):
        assert Redactor(known_secrets(settings), personal=False).known(f"header {sent}") == f"header {MASK}"


@pytest.mark.parametrize(
    "unit", ["\\", "%", "\\%", '\\"', "%25", "%%34", "&amp;", r"\x5c", r"\u005c", r"\xc3\xa4", r"\303", r"\ud83d"]
)
def test_escapes_without_end_are_undone_in_reasonable_time(unit: str) -> None:
    redactor = Redactor([f"Xk9q7Z{number}" + "-secret" * 5 for number in range(10)])
    with costing_at_most(100):
        redactor.known(unit * (1_000_000 // len(unit)))
