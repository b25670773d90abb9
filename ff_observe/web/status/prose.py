"""Sentences of the status document → markup."""

import re
from typing import Final

from ff_observe.web.status.markup import Content, Markup, element, join

_LONG_KEY: Final = re.compile(r"\w+(?:\.\w+){2,}")
_QUOTED: Final = re.compile(r"`([^`]+)`")


def prose(words: str) -> Markup:
    """What stands in backquotes is code, and a long dotted key may break after a dot."""
    pieces = _QUOTED.split(words)
    return join(
        *(element("code", breakable(piece)) if odd % 2 else breakable(piece) for odd, piece in enumerate(pieces))
    )


def breakable(words: str) -> Markup:
    """A long dotted key may break after a dot."""
    children: list[Content] = []
    end = 0
    for key in _LONG_KEY.finditer(words):
        children.append(words[end : key.start()])
        for part in key[0].split(".")[:-1]:
            children += [f"{part}.", element("wbr")]
        children.append(key[0].rpartition(".")[2])
        end = key.end()
    return join(*children, words[end:])
