"""Sentences of the status document → markup."""

import re
from typing import Final

from ff_observe.web.status.markup import Content, Markup, element, join

_LONG_KEY_OR_DATE: Final = re.compile(r"(?P<key>\w+(?:\.\w+){2,})|\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b")
_QUOTED: Final = re.compile(r"`([^`]+)`")


def prose(words: str) -> Markup:
    """What stands in backquotes is code; see `breakable`."""
    pieces = _QUOTED.split(words)
    return join(
        *(element("code", breakable(piece)) if odd % 2 else breakable(piece) for odd, piece in enumerate(pieces))
    )


def breakable(words: str) -> Markup:
    """A long dotted key may break after a dot, and a date not at all."""
    children: list[Content] = []
    end = 0
    for found in _LONG_KEY_OR_DATE.finditer(words):
        children.append(words[end : found.start()])
        *parts, last = found[0].split(".")
        for part in parts:
            children += [f"{part}.", element("wbr")]
        children.append(last if found["key"] else element("span", last, class_="whole"))
        end = found.end()
    return join(*children, words[end:])
