"""Undoes the escapes that other programs put into a text, and locates in it what is found in the undone text. Pure.

Python, JSON, C, URLs, HTML and XML escape, in any order and inside each other: nothing in a text says in which. So each
level undoes the outermost escapes of all kinds, until none is left.
"""

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

MOST_LEVELS: Final = 8
"""Backslashes double with each level of JSON in JSON: this is enough for 255 in a row."""

_LATER_BYTE: Final = "[89ABab][0-9A-Fa-f]"


def _utf8(escape: str) -> str:
    """A pattern of a character that is several bytes in UTF-8, each written as `escape` and hexadecimal digits."""
    later = f"{escape}{_LATER_BYTE}"
    return f"{escape}(?:[CDcd][0-9A-Fa-f]{later}|[Ee][0-9A-Fa-f](?:{later}){{2}}|[Ff][0-7](?:{later}){{3}})"


_BYTES: Final = "|".join(map(_utf8, (r"\\x", "%")))
_ESCAPE: Final = re.compile(
    rf"""(?=[\\%&])(?:  # spares trying each branch at each character
      (?P<backslashes>(?:\\\\)+)
    | (?P<bytes>{_BYTES})
    | \\(?P<octal_bytes>3[0-3][0-7]\\2[0-7]{{2}} | 3[45][0-7](?:\\2[0-7]{{2}}){{2}} | 36[0-7](?:\\2[0-7]{{2}}){{3}})
    | \\u(?P<surrogates>[Dd][89ABab][0-9A-Fa-f]{{2}}\\u[Dd][C-Fc-f][0-9A-Fa-f]{{2}})
    | \\(?:x(?P<x>[0-9A-Fa-f]{{2}}) | u(?P<u>[0-9A-Fa-f]{{4}}) | u\{{(?P<brace>[0-9A-Fa-f]{{1,6}})\}}
        | U(?P<U>[0-9A-Fa-f]{{8}}) | (?P<octal>[0-3][0-7]{{2}}) | (?P<letter>.?))
    | %(?P<percent>[0-9A-Fa-f]{{2}})
    | &(?:\#[xX](?P<reference>[0-9A-Fa-f]{{1,6}}) | \#(?P<decimal>[0-9]{{1,7}}) | (?P<entity>amp|lt|gt|quot|apos));
    )""",
    re.VERBOSE | re.DOTALL,
)
_BREAK_IN_BASE64: Final = re.compile(r"(?<=[A-Za-z0-9+/_-])\r?\n[ \t]*(?=[A-Za-z0-9+/_-])")
_BASES: Final = {"octal": 8, "decimal": 10}  # of the numbers of characters; the others are hexadecimal
_ENTITIES: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_LETTERS: Final = dict(zip("abefnrtv0", "\a\b\x1b\f\n\r\t\v\0", strict=True))


@dataclass(frozen=True, slots=True)
class Level:
    """A text, and where it comes from: the text of the level `below`, or None for a text as it was given.

    Of each escape that was undone, `starts` and `ends` are the place of its meaning in this text, and `origins` its own
    place in the text below.
    """

    text: str
    below: "Level | None" = None
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    origins: tuple[tuple[int, int], ...] = ()

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where the stretch from `start` to `end` is in the text as it was given, with whole escapes."""
        if self.below is None:
            return start, end
        return self.below.place(self._origin(start)[0], self._origin(end - 1)[1])

    def _origin(self, position: int) -> tuple[int, int]:
        """The stretch of the text below that the character at `position` stands for."""
        number = bisect_right(self.starts, position) - 1
        if number < 0:
            return position, position + 1
        if position < self.ends[number]:
            return self.origins[number]
        start = self.origins[number][1] + position - self.ends[number]
        return start, start + 1


def levels(text: str) -> Iterator[Level]:
    """The text as it is, then without its outermost escapes, and so on, at most `MOST_LEVELS` times."""
    level: Level | None = Level(text)
    for _ in range(MOST_LEVELS + 1):
        if level is None:
            return
        yield level
        level = _replaced(level, _ESCAPE, _meaning)


def unbroken(level: Level) -> Level | None:
    """The text with base64 in one line, which MIME and PEM break into several; None if no line may be such a part."""
    return _replaced(level, _BREAK_IN_BASE64, lambda _: "")


def _replaced(below: Level, pattern: re.Pattern[str], meaning_of: Callable[[re.Match[str]], str]) -> Level | None:
    """The level above, None if nothing matches the pattern."""
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    origins: list[tuple[int, int]] = []
    length = after = 0
    for found in pattern.finditer(below.text):
        meaning = meaning_of(found)
        start = length + found.start() - after
        pieces += (below.text[after : found.start()], meaning)
        length, after = start + len(meaning), found.end()
        starts.append(start)
        ends.append(length)
        origins.append(found.span())
    if not pieces:
        return None
    text = "".join([*pieces, below.text[after:]])
    return Level(text, below, tuple(starts), tuple(ends), tuple(origins))


def _meaning(found: re.Match[str]) -> str:
    kind = found.lastgroup
    assert kind is not None  # each branch has a group
    written = found[kind]
    match kind:
        case "backslashes":
            return written[: len(written) // 2]
        case "letter":
            return _LETTERS.get(written, written)
        case "entity":
            return _ENTITIES[written]
        case "bytes":
            return _decoded(bytes.fromhex(re.sub(r"\\x|%", "", written)))
        case "octal_bytes":
            return _decoded(bytes(int(number, 8) for number in written.split("\\")))
        case "surrogates":
            return bytes.fromhex(written.replace(r"\u", "")).decode("utf-16-be")
        case _:
            number = int(written, _BASES.get(kind, 16))
            return chr(number) if number <= sys.maxunicode else "\ufffd"


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:  # longer than needed, or a surrogate
        return content.decode("latin-1")
