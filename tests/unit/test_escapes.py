"""What escapes mean, one level after the other, and where in the text as it was given something was found."""

import pytest

from ff_observe.telemetry.escapes import MOST_LEVELS, levels


@pytest.mark.parametrize(
    ("text", "undone"),
    [
        (r"\U0010ffff", "\U0010ffff"),
        (r"\U00110000", "\ufffd"),  # beyond the last character
        ("&#x110000;", "\ufffd"),
        (r"\xc3\xa4", "ä"),
        (r"\xc0\x80", "\xc0\x80"),  # longer than needed: no UTF-8
        ("%C0%80", "\xc0\x80"),
        (r"\355\240\200", "\xed\xa0\x80"),  # a surrogate
        (r"\ud83d\ude00", "😀"),
    ],
)
def test_an_escape_means_a_character(text: str, undone: str) -> None:
    assert [level.text for level in levels(text)] == [text, undone]


def test_levels_have_an_end() -> None:
    assert len([*levels("\\" * 2 ** (MOST_LEVELS + 4))]) == MOST_LEVELS + 1


@pytest.mark.parametrize(
    ("found", "place"), [("ab", "ab"), ("b&", "b%26amp;"), ("&", "%26amp;"), ("&c", "%26amp;c"), ("cd", "cd")]
)
def test_what_is_found_has_its_place_in_the_text_as_it_was_given(found: str, place: str) -> None:
    text = "ab%26amp;cd"
    last = [*levels(text)][-1]
    assert last.text == "ab&cd"
    start = last.text.index(found)
    first, end = last.place(start, start + len(found))
    assert text[first:end] == place
