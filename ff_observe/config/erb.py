"""`<%= ENV['NAME'] %>`: the one form of ERB that FlowFuse's Helm chart uses in its `flowforge.yml`.

The chart renders the file as text and FlowFuse parses the result, so a value may change the meaning of the file: a
password with ` #` in it loses its end, one with a line break adds keys. Here the file is parsed twice: with each tag
replaced by a placeholder of the same length, which preserves lines and columns and gives the structure that the author
wrote; and as the chart renders it. The values are used only where both agree; otherwise the tag is an error.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ff_observe.config.nodes import Entry, Map, Node, Place, Scalar, Sequence
from ff_observe.config.yaml_core import YAMLError, parse, place_of, resolve

MOST_TAGS: Final = 200
MOST_BLAMED: Final = 5  # tags whose values change the file; finding each means parsing the whole file several times

_TAG: Final = re.compile(r"<%=[ \t]*ENV[ \t]*\[[ \t]*(?:'([A-Za-z_]\w*)'|\"([A-Za-z_]\w*)\")[ \t]*\][ \t]*%>", re.ASCII)
_ANY_TAG: Final = re.compile(r"<%")
# Placeholders consist of private-use characters, which no configuration file contains.
_BEGIN, _FILL, _DIGIT_ZERO = "\ue000", "\ue001", 0xE010
_PRIVATE: Final = re.compile("[\ue000-\ue01f]")
_STAND_IN: Final = re.compile(f"{_BEGIN}([\ue010-\ue019]+){_FILL}*")


@dataclass(frozen=True, slots=True)
class Tag:
    """One `<%= ENV['NAME'] %>` and its place."""

    name: str
    place: Place
    start: int
    end: int


class ERBError(Exception):
    """Every wrong tag with its place. Never holds the value of a variable."""

    def __init__(self, problems: tuple[tuple[Place, str], ...]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def holds_tags(text: str) -> bool:
    """Whether the text takes anything from the environment."""
    return "<%" in text


def parse_template(text: str, variables: Mapping[str, str]) -> Node | None:
    """`yaml_core.parse` for text that may hold ERB tags. Raises `ERBError` and `YAMLError`."""
    if not holds_tags(text):
        return parse(text)
    tags = _find_tags(text)
    for tag in tags:
        if _PRIVATE.search(variables.get(tag.name, "")):
            raise ERBError(((tag.place, f"the value of {tag.name} holds a character for private use (U+E000 ff.)"),))
    written = parse(_replace(text, tags, _stand_in))
    substitution = _Substitution(tags, variables)
    tree = substitution.apply(written)
    if substitution.problems:
        raise ERBError(tuple(substitution.problems))

    def reads_as_written(*rendered: Tag) -> bool:
        def replacement(number: int, tag: Tag) -> str:
            # A tag whose variable is not set is empty for the chart. The placeholder's value is never used, but the
            # rest of the file must parse the same.
            return variables.get(tag.name, "") if tag in rendered else _stand_in(number, tag)

        try:
            return _alike(tree, _Substitution(tags, variables).apply(parse(_replace(text, tags, replacement))))
        except YAMLError:
            return False

    failing = _failing_tags(tags, reads_as_written)
    if failing:
        raise ERBError(tuple((tag.place, _changes_the_file(tag, tag.name in variables)) for tag in failing))
    return tree


def _failing_tags(tags: list[Tag], reads_as_written: Callable[..., bool]) -> list[Tag]:
    """The first tags whose values change how the file parses, each found by bisection."""
    failing: list[Tag] = []
    while len(failing) < MOST_BLAMED and not reads_as_written(*tags):
        harmless, changed = 0, len(tags)  # the number of leading tags
        while changed - harmless > 1:
            half = (harmless + changed) // 2
            if reads_as_written(*tags[:half]):
                harmless = half
            else:
                changed = half
        failing.append(tags[harmless])
        tags = tags[changed:]
    return failing


def _find_tags(text: str) -> list[Tag]:
    """All tags; raises for any other ERB tag, in comments too, since ERB would run it."""
    tags: list[Tag] = []
    problems: list[tuple[Place, str]] = []
    end = 0
    for begin in _ANY_TAG.finditer(text):
        if begin.start() < end:
            continue
        place = place_of(text, begin.start())
        found = _TAG.match(text, begin.start())
        if found is None:
            problems.append((place, "of ERB only <%= ENV['NAME'] %> is understood: write the value, or that form"))
        else:
            end = found.end()
            tags.append(Tag(found.group(1) or found.group(2), place, found.start(), end))
        if len(tags) + len(problems) > MOST_TAGS:
            raise ERBError(((place, f"more than {MOST_TAGS} ERB tags in one file"),))
    private = _PRIVATE.search(text)
    if private is not None:
        problems.append((place_of(text, private.start()), "a character for private use: remove it"))
    if problems:
        raise ERBError(tuple(problems))
    return tags


def _replace(text: str, tags: list[Tag], replacement: Callable[[int, Tag], str]) -> str:
    parts: list[str] = []
    end = 0
    for number, tag in enumerate(tags):
        parts += (text[end : tag.start], replacement(number, tag))
        end = tag.end
    return "".join((*parts, text[end:]))


def _stand_in(number: int, tag: Tag) -> str:
    digits = "".join(chr(_DIGIT_ZERO + int(digit)) for digit in str(number))
    return (_BEGIN + digits).ljust(tag.end - tag.start, _FILL)


class _Substitution:
    """A tree with its placeholders replaced by the values of the variables."""

    def __init__(self, tags: list[Tag], variables: Mapping[str, str]) -> None:
        self._tags = tags
        self._variables = variables
        self.problems: dict[tuple[Place, str], None] = {}  # in order, each once

    def apply(self, node: Node | None) -> Node | None:
        return None if node is None else self._node(node)

    def _node(self, node: Node) -> Node:
        match node:
            case Scalar():
                return self._scalar(node)
            case Sequence():
                return Sequence(node.place, tuple(map(self._node, node.items)))
            case Map():
                return Map(node.place, {key: self._entry(key, entry) for key, entry in node.entries.items()})

    def _entry(self, key: str, entry: Entry) -> Entry:
        for found in _STAND_IN.finditer(key):
            message = "a variable may be a value, not a key: write the key itself"
            self.problems[self._tag(found).place, message] = None
        return Entry(entry.place, self._node(entry.value))

    def _scalar(self, scalar: Scalar) -> Scalar:
        if _BEGIN not in scalar.text:
            return scalar
        names = [self._tag(found).name for found in _STAND_IN.finditer(scalar.text)]
        unset = next((name for name in names if name not in self._variables), None)
        text = _STAND_IN.sub(lambda found: self._variables.get(self._tag(found).name, ""), scalar.text)
        if scalar.implicit:
            text = text.strip(" \t\r\n")  # as YAML does around plain text: a trailing line feed is harmless
        value = resolve(text) if scalar.implicit else text
        return replace(scalar, value=value, text=text, rendered=True, unset=unset)

    def _tag(self, found: re.Match[str]) -> Tag:
        return self._tags[int("".join(str(ord(digit) - _DIGIT_ZERO) for digit in found.group(1)))]


def _alike(one: Node | None, other: Node | None) -> bool:
    """Whether two trees hold the same keys and values, ignoring places and unset values."""
    match one, other:
        case Scalar(unset=str()), Scalar():
            return True
        case Scalar(), Scalar():
            return type(one.value) is type(other.value) and repr(one.value) == repr(other.value)
        case Sequence(), Sequence():
            items = one.items
            if len(items) != len(other.items):  # [a, <%= ENV['N'] %>] is rendered as [a, ]
                items = tuple(item for item in items if not (isinstance(item, Scalar) and item.unset))
            return len(items) == len(other.items) and all(map(_alike, items, other.items))
        case Map(), Map():
            return list(one.entries) == list(other.entries) and all(
                _alike(one.entries[key].value, other.entries[key].value) for key in one.entries
            )
        case _:
            return one is other


def _changes_the_file(tag: Tag, is_set: bool) -> str:
    if not is_set:
        return f"the environment variable {tag.name} is not set, and the file reads differently without its value"
    return (
        f"the value of {tag.name} holds characters that mean something in YAML at this place, so that FlowFuse reads"
        " something else than the value; quote the tag ('<%= ... %>') or choose another value"
    )
