"""Parses YAML text as FlowFuse does (YAML 1.2 core schema) into nodes with their places, in bounded time and memory.

Only the events of PyYAML's parser are used. Which text is which value, what an alias means, which keys are equal and
how deep a file may be are decided here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Final

import yaml

from ff_observe.config.nodes import Entry, Map, Node, Place, Scalar, Sequence, Value, shown

# libyaml is about ten times faster than PyYAML's own parser and, following YAML 1.2, lets a tab stand between key and
# value, which the other (used where PyYAML was built without libyaml) reports as an error. Otherwise they agree.
PARSER: Final[type] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

DEEPEST: Final = 64
# aliases included, each with everything it stands for; a real flowforge.yml has some hundreds
MOST_NODES: Final = 20_000

# All but the printable characters of YAML 1.2.2 section 5.1; and characters that end a line for PyYAML but not for
# FlowFuse's parser: U+0085, U+2028, U+2029 and a carriage return alone.
_UNREADABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|\r(?!\n)"
)

# YAML 1.2.2, section 10.3.2, and the `yaml` package for Node that FlowFuse reads its file with. PyYAML's own resolver
# follows YAML 1.1: `no` is false there, `010` is eight, `22:22` is 1342.
_WORDS: Final[Mapping[str, Value]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONGEST_INTEGER = 20  # longer text is beyond 2**53 (or has leading zeros): a float, like every number in JavaScript

_PREFIX: Final = "tag:yaml.org,2002:"
_TYPES: Final = {
    _PREFIX + name: of for name, of in {"int": int, "float": float, "bool": bool, "null": NoneType}.items()
}
_MAP_TAG: Final = _PREFIX + "map"
_SEQUENCE_TAG: Final = _PREFIX + "seq"


class YAMLError(Exception):
    """FlowFuse would not read the text as YAML.

    `str()` says why and never holds a value from the text. `key` is the dotted path of the key concerned, empty if
    there is none.
    """

    def __init__(self, place: Place, message: str, key: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.key = key


@dataclass(slots=True)
class _Open:
    """A map or list that is still open."""

    place: Place
    is_map: bool
    anchor: str | None
    entries: dict[str, Entry] = field(default_factory=dict)
    typed_keys: dict[tuple[str, Value], Place] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    key: Scalar | None = None
    size: int = 1


def parse(text: str) -> Node | None:
    """The document in `text`; None if there is none (an empty file, or only comments).

    Raises `YAMLError` for invalid YAML, several documents, equal keys in a map, aliases to nothing or to themselves,
    more than `DEEPEST` levels, or more than `MOST_NODES` nodes.
    """
    _refuse_unreadable(text)
    composer = _Composer()
    try:
        return composer.compose(text)
    except yaml.YAMLError as error:
        raise _explained(error, text, composer.innermost) from None


def _place(mark: Any) -> Place:
    """PyYAML's two parsers have different types of mark."""
    return Place(mark.line + 1, mark.column + 1)


class _Composer:
    """Builds the tree from the parser's events with a stack of its own: no recursion, so no depth can exhaust it."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}  # None while the node is still open
        self._root: Node | None = None
        self._documents = 0

    @property
    def innermost(self) -> Place:
        """Where the map or list begins that was being read last."""
        return self._open[-1].place if self._open else Place(1, 1)

    def compose(self, text: str) -> Node | None:
        # A last line without line feed counts as a line: libyaml drops the line feed that a block scalar keeps there.
        for event in yaml.parse(text if text.endswith("\n") else text + "\n", Loader=PARSER):
            if isinstance(event, yaml.NodeEvent) and event.anchor:
                _refuse_cut_off(event.anchor, event, text)
            match event:
                case yaml.DocumentStartEvent():
                    self._begin_document(event)
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.ScalarEvent():
                    node = _scalar(event)
                    self._remember(event.anchor, node, 1)
                    self._add(node, 1)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._begin_collection(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._end_collection()
        return self._root

    def _begin_document(self, event: yaml.DocumentStartEvent) -> None:
        place = _place(event.start_mark)
        self._documents += 1
        if self._documents > 1:
            raise YAMLError(place, "a second document begins here; FlowFuse reads a single one: remove the '---'")
        if event.version is not None and event.version < (1, 2):
            raise YAMLError(place, "the %YAML directive asks for YAML 1.1; remove it, the file is read as YAML 1.2")

    def _alias(self, event: yaml.AliasEvent) -> None:
        place = _place(event.start_mark)
        if event.anchor not in self._anchors:
            raise YAMLError(place, "this alias refers to an anchor (&name) that is not set before it")
        target = self._anchors[event.anchor]
        if target is None:
            raise YAMLError(place, "this alias refers to a map or list that contains the alias itself")
        self._add(target[0], target[1], place)

    def _begin_collection(self, event: yaml.CollectionStartEvent) -> None:
        place = _place(event.start_mark)
        is_map = isinstance(event, yaml.MappingStartEvent)
        if len(self._open) >= DEEPEST:
            raise YAMLError(place, f"maps and lists are nested more than {DEEPEST} levels deep")
        if event.tag not in (None, "!", _MAP_TAG if is_map else _SEQUENCE_TAG):
            raise YAMLError(place, "a tag (!...) on a map or list has no meaning here: remove it")
        if self._open and self._open[-1].is_map and self._open[-1].key is None:
            raise YAMLError(place, "a map or list cannot be a key here; write a word, then a colon, then the value")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(place, is_map, event.anchor))

    def _end_collection(self) -> None:
        done = self._open.pop()
        node: Node = Map(done.place, done.entries) if done.is_map else Sequence(done.place, tuple(done.items))
        self._remember(done.anchor, node, done.size)
        self._add(node, done.size)

    def _remember(self, anchor: str | None, node: Node, size: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)

    def _add(self, node: Node, size: int, place: Place | None = None) -> None:
        """Attach a finished node (or what an alias at `place` stands for) to its parent."""
        place = place or node.place
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.size += size
        if parent.size > MOST_NODES:
            raise YAMLError(place, f"the file holds more than {MOST_NODES} values, counting what its aliases stand for")
        if not parent.is_map:
            parent.items.append(node)
        elif parent.key is None:
            if not isinstance(node, Scalar):
                raise YAMLError(place, "a map or list cannot be a key here")
            parent.key = Scalar(place, node.value, node.text)
        else:
            self._add_entry(parent, parent.key, node)
            parent.key = None

    def _add_entry(self, parent: _Open, key: Scalar, node: Node) -> None:
        """Keys are equal as in FlowFuse's parser, by type and value: `1` and `"1"` differ, and the later one wins."""
        typed = (_javascript_type(key.value), key.value)
        first = parent.typed_keys.setdefault(typed, key.place)
        if first is not key.place:
            dotted = ".".join(shown(_as_object_key(each.key)) for each in self._open if each.key is not None)
            message = f"this key is there twice in the same map, first in line {first.line}: keep one of them"
            raise YAMLError(key.place, message, dotted)
        parent.entries[_as_object_key(key)] = Entry(key.place, node)


def _javascript_type(value: Value) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _as_object_key(key: Scalar) -> str:
    """A key as JavaScript converts it: null is the empty string, a boolean its lower-case name."""
    if key.value is None:
        return ""
    if isinstance(key.value, bool):
        return str(key.value).lower()
    return key.value if isinstance(key.value, str) else str(key.value)


def resolve(text: str) -> Value:
    """The value of plain (unquoted) text. Integers that JavaScript cannot represent exactly become floats, as there."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _exact_or_float(int(text)) if len(text) <= _LONGEST_INTEGER else float(text)
    if _OTHER_BASE.fullmatch(text):
        return _exact_or_float(int(text, 0))
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _NO_NUMBER.fullmatch(text) else text


def _exact_or_float(number: int) -> int | float:
    if number.bit_length() <= 53:
        return number
    return float(number) if number.bit_length() <= 1023 else float("inf")


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    place, text = _place(event.start_mark), event.value
    if event.tag is None:
        implicit = bool(event.implicit[0])
        return Scalar(place, resolve(text) if implicit else text, text, implicit)
    if event.tag in ("!", _PREFIX + "str"):
        return Scalar(place, text, text)
    if event.tag not in _TYPES:
        raise YAMLError(place, "this tag (!...) has no meaning here: write the value without it")
    value = resolve(text)  # of another type than that of the tag, FlowFuse's parser keeps the text
    return Scalar(place, value if type(value) is _TYPES[event.tag] else text, text)


def _refuse_cut_off(name: str, event: yaml.NodeEvent, text: str) -> None:
    """In YAML 1.2 a colon, and almost anything, may be part of the name of an anchor or alias; libyaml ends the name
    there."""
    mark: Any = event.start_mark
    written = f"*{name}" if isinstance(event, yaml.AliasEvent) else f"&{name}"
    end = text.find(written, mark.index) + len(written)
    if text[end : end + 1] not in ("", *" \t\r\n,]}"):
        raise YAMLError(_place(mark), "the name of an anchor or alias (&name, *name) must end with a space")


def _refuse_unreadable(text: str) -> None:
    """Refuse characters that YAML forbids, and line breaks on which FlowFuse's parser and PyYAML disagree."""
    found = _UNREADABLE.search(text)
    if found is None:
        return
    place = place_of(text, found.start())
    character = found.group()
    if character == "\0":
        raise YAMLError(place, "this is a binary file: it holds a NUL byte")
    if character == "\r":
        raise YAMLError(place, "a line ends with a carriage return alone; end lines with a line feed")
    raise YAMLError(place, f"the character U+{ord(character):04X} must not stand here: remove it")


def place_of(text: str, index: int) -> Place:
    return Place(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _explained(error: yaml.YAMLError, text: str, innermost: Place) -> YAMLError:
    """PyYAML's error as helpful text. Its `problem` names the syntax, never the surrounding text."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return YAMLError(Place(1, 1), "this is not YAML")
    context = f"{error.context}: " if error.context else ""
    place = _place(error.problem_mark)
    if error.problem_mark.index >= len(text):
        # Something that began earlier never ends: report where it begins.
        begun = error.context_mark
        place = innermost if begun is None or begun.index >= len(text) else _place(begun)
    if _is_indented_by_tab(text, place):
        return YAMLError(place, "a tab is used as indentation; YAML allows spaces only")
    return YAMLError(place, f"this is not YAML: {context}{error.problem}")


def _is_indented_by_tab(text: str, place: Place) -> bool:
    lines = text.split("\n", place.line)
    if place.line > len(lines):
        return False
    line = lines[place.line - 1]
    return "\t" in line[: len(line) - len(line.lstrip(" \t"))]
