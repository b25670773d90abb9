"""Finds the places in HTML that matter for the snippets, tokenizing as a browser does; changes nothing.

Follows https://html.spec.whatwg.org/multipage/parsing.html#tokenization, so that a `</head>` in a comment, in the
string of a script or in an attribute is not mistaken for the real one. Foreign content (SVG, MathML), where CDATA
sections and the contents of `<style>` and `<title>` are tokenized differently, is not supported.
"""

import enum
import html
import re
from dataclasses import dataclass
from typing import Final

from ff_observe.frontend.scripts import MARKER

PLACEHOLDER: Final = "/*inject-ff-scripts*/"  # FlowFuse, frontend/src/index.html

_SPACE: Final = " \t\n\f\r"
_NAME: Final = re.compile(rf"[^{_SPACE}/>]+")
_BETWEEN: Final = re.compile(rf"[{_SPACE}/]*")
_ATTRIBUTE_NAME: Final = re.compile(rf"=?[^{_SPACE}/>=]*")
_EQUALS: Final = re.compile(rf"[{_SPACE}]*=[{_SPACE}]*")
_UNQUOTED: Final = re.compile(rf"[^{_SPACE}>]*")
_COMMENT_END: Final = re.compile(r"--!?>")
_IN_SCRIPT: Final = re.compile(rf"<!--|-->|<(?P<close>/?)script(?=[{_SPACE}/>])", re.IGNORECASE)
_LONGEST_END: Final = 16  # longer than any of these matches, including what must follow it
# Elements that contain only text up to their end tag; noscript is one wherever scripts run. Other tags do not matter
# here.
_RAW: Final = frozenset({"style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "noscript"})


class Kind(enum.Enum):
    """The kind of a place."""

    PLACEHOLDER = "FlowFuse's placeholder, the whole element"
    OURS = "a script of an earlier rendering, the whole element"
    META_POLICY = "the value of a CSP <meta> element's content attribute, its quotes included"
    HEAD_END = "the end tag of <head>"
    BODY = "the start tag of <body>"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: `start` and `end` are offsets into the text. `text` is the value of a META_POLICY, or the
    script of OURS."""

    kind: Kind
    start: int
    end: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Attribute:
    value: str
    start: int
    end: int


class Scanner:
    """Takes text piece by piece; `places` grows as they are found. With `head_only` the rest is not tokenized."""

    def __init__(self, *, head_only: bool = False) -> None:
        self.text = ""
        self.places: list[Place] = []
        self.head_is_over = False  # no later place can be better than those found
        self._head_only = head_only
        self._position = 0  # everything before this is tokenized
        self._unfinished = False  # the token at the position
        self._templates = 0  # open <template> elements: their content is not part of the page
        # Where a search or the reading of a script's text stopped, so that it need not restart with each piece.
        self._searched = (-1, -1)
        self._in_script = (-1, -1, False, False)

    def feed(self, piece: str) -> None:
        """Tokenize up to the last complete token."""
        self.text += piece
        if self._unfinished and ">" not in piece:
            return  # it continues, whatever it is
        try:
            while self._position < len(self.text) and not (self._head_only and self.head_is_over):
                self._position = self._token(self._position)
            self._unfinished = False
        except _Incomplete:
            self._unfinished = True  # tokenized again when there is more text

    def _token(self, position: int) -> int:
        """Tokenize what begins at `position`; returns where the next token begins."""
        start = self.text.find("<", position)
        if start < 0:
            return len(self.text)
        if self.text.startswith("<!--", start):
            return self._comment_end(start + len("<!--"))
        if len(self.text) < start + 4 and "<!--".startswith(self.text[start:]):
            raise _Incomplete
        closing = self.text.startswith("</", start)
        name_start = start + 1 + closing
        if name_start >= len(self.text):
            raise _Incomplete
        first = self.text[name_start]
        if not (first.isascii() and first.isalpha()):
            return self._find(">", start) + 1 if closing or first in "!?" else start + 1
        name = self._match(_NAME, name_start).group().lower()
        attributes, end = self._attributes(name_start + len(name))
        return self._end_tag(name, start, end) if closing else self._start_tag(name, attributes, start, end)

    def _comment_end(self, position: int) -> int:
        for abrupt in (">", "->"):
            if self.text.startswith(abrupt, position):
                return position + len(abrupt)
        return self._match(_COMMENT_END, position).end()

    def _start_tag(self, name: str, attributes: dict[str, _Attribute], start: int, end: int) -> int:
        if name == "script":
            close = self._script_end(end)
            _, element_end = self._attributes(close + len("</script"))
            if self._templates:
                return element_end
            if MARKER in attributes:
                self.places.append(Place(Kind.OURS, start, element_end, self.text[end:close]))
            elif self.text[end:close].strip() == PLACEHOLDER:
                self.places.append(Place(Kind.PLACEHOLDER, start, element_end))
            return element_end
        if name in _RAW:
            close = self._match(re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE), end).end()
            return self._attributes(close)[1]
        if name == "plaintext":
            raise _Incomplete  # it never ends
        if name == "template":
            self._templates += 1
        elif name == "body" and not self._templates:
            self.places.append(Place(Kind.BODY, start, end))
            self.head_is_over = True
        elif name == "meta" and "content" in attributes and not self._templates:
            equivalent = attributes.get("http-equiv")
            if equivalent is not None and equivalent.value.strip().lower() == "content-security-policy":
                content = attributes["content"]
                self.places.append(Place(Kind.META_POLICY, content.start, content.end, content.value))
        return end

    def _end_tag(self, name: str, start: int, end: int) -> int:
        if name == "template":
            self._templates = max(0, self._templates - 1)
        elif name == "head" and not self._templates:
            self.places.append(Place(Kind.HEAD_END, start, end))
            self.head_is_over = True
        return end

    def _attributes(self, position: int) -> tuple[dict[str, _Attribute], int]:
        """The attributes from `position` on, the first of each name, and where the tag ends."""
        found: dict[str, _Attribute] = {}
        while True:
            position = self._match(_BETWEEN, position).end()
            if self._at(position) == ">":
                return found, position + 1
            name = self._match(_ATTRIBUTE_NAME, position)
            position = name.end()
            value = _Attribute("", position, position)
            equals = _EQUALS.match(self.text, position)
            if equals is not None:
                value = self._value(equals.end())
                position = value.end
            found.setdefault(name.group().lower(), value)

    def _value(self, start: int) -> _Attribute:
        quote = self._at(start)
        if quote in "\"'":
            end = self._find(quote, start + 1)
            return _Attribute(html.unescape(self.text[start + 1 : end]), start, end + 1)
        match = self._match(_UNQUOTED, start)
        return _Attribute(html.unescape(match.group()), start, match.end())

    def _script_end(self, position: int) -> int:
        """The `</script` that ends a script's text; one within `<!-- <script>` does not (script data double escaped
        state)."""
        start, escaped, double = position, False, False
        if self._in_script[0] == start:
            _, position, escaped, double = self._in_script
        while True:
            self._in_script = (start, position, escaped, double)
            match = self._match(_IN_SCRIPT, position)
            position = match.end()
            if match.group() == "<!--":
                if not escaped:
                    escaped, position = True, match.start() + 2  # `<!-->` opens and closes
            elif match.group() == "-->":
                escaped = double = False
            elif match["close"]:
                if not double:
                    return match.start()
                double = False
            else:
                double = escaped

    def _at(self, position: int) -> str:
        if position >= len(self.text):
            raise _Incomplete
        return self.text[position]

    def _find(self, wanted: str, position: int) -> int:
        return self._match(re.compile(re.escape(wanted)), position).start()

    def _match(self, pattern: re.Pattern[str], position: int) -> re.Match[str]:
        """The next match, skipping what was searched in vain when there was less text."""
        came_from, came_to = self._searched
        match = pattern.search(self.text, max(position, came_to - _LONGEST_END) if came_from == position else position)
        if match is None:
            self._searched = (position, len(self.text))
            raise _Incomplete
        return match


class _Incomplete(Exception):  # noqa: N818 - a signal, not an error
    """The text ends within a token."""
