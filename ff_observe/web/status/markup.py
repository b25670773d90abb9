"""HTML that escapes by itself: text becomes markup only as `Markup`, which `element` alone makes."""

import re
from html import escape
from typing import Final

_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, which HTML does not allow, those that turn the direction of the text around them, and halves of
surrogate pairs, as Python reads a file name that is no UTF-8: they cannot be encoded."""

_VOID: Final = frozenset(("img", "link", "meta", "wbr"))
_INLINE: Final = frozenset(("a", "code", "del", "em", "ins", "span", "strong", "time", "wbr"))
"""Every other element is on a line of its own, for those who read the page with curl."""


_LONG_KEY_OR_DATE: Final = re.compile(r"(?P<key>\w+(?:\.\w+){2,})|\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b")
_QUOTED: Final = re.compile(r"`([^`]+)`")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | None
"""A child of an element: `Markup` as it is, other text escaped, None left out."""


def element(tag: str, *children: Content, **attributes: str | int | bool | None) -> Markup:
    """`<tag attribute="…">children</tag>`. An attribute that is None or False is left out, True has no value. Of names
    that Python keeps for itself, the underscore at the end is dropped (`class_`); others stand for hyphens."""
    shown = "".join(_attribute(name, value) for name, value in attributes.items())
    end = "" if tag in _VOID else f"{join(*children)}</{tag}>"
    return Markup(f"<{tag}{shown}>{end}" if tag in _INLINE else f"<{tag}{shown}>{end}\n")


def join(*children: Content) -> Markup:
    """Children without an element around them."""
    return Markup("".join(child if isinstance(child, Markup) else _escaped(child) for child in children if child))


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


def _escaped(text: str) -> str:
    return escape(_UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text))


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = name.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{_escaped(str(value))}"'
