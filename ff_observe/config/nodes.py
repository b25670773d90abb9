"""The nodes of a YAML document, each with its place. Used only inside `config`."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeGuard

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something begins in the file; line and column count from 1. `source` is empty for the main file; it names
    the other file, the variable or the option that overrides it; line and column are 0 if that is no file."""

    line: int
    column: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value. `text` is its source text, without quotes. `implicit` text had neither quotes nor a tag: the
    schema decides what it is.

    `rendered` says that the value, or a part of it, came from an environment variable: it must not be shown. `unset`
    names such a variable that is not set: the value must not be used then.
    """

    place: Place
    value: Value
    text: str
    implicit: bool = False
    rendered: bool = False
    unset: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a map with its value."""

    place: Place
    value: "Node"


@dataclass(frozen=True, slots=True)
class Map:
    """Keys, as JavaScript object keys (strings), in the order of the file."""

    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple["Node", ...] = ()


Node = Scalar | Map | Sequence


def is_true(node: Node | None) -> TypeGuard[Node]:
    """Whether the value is truthy in JavaScript: all but false, 0, NaN, the empty string, null and undefined."""
    if not isinstance(node, Scalar):
        return node is not None
    if isinstance(node.value, float) and math.isnan(node.value):
        return False
    return bool(node.value)


def child(node: Node | None, name: str) -> Node | None:
    """The value of a key; None if there is no such key, or no map to hold it (JavaScript's `?.`)."""
    if isinstance(node, Map) and name in node.entries:
        return node.entries[name].value
    return None


def find(root: Node | None, dotted: str) -> Node | None:
    """The value at a dotted key, e.g. `telemetry.backend.sentry`."""
    for name in dotted.split("."):
        root = child(root, name)
    return root


def placed(node: Node, at: Callable[[Place], Place]) -> Node:
    """The same node with `at` of its places."""
    match node:
        case Map():
            entries = {name: Entry(at(entry.place), placed(entry.value, at)) for name, entry in node.entries.items()}
            return Map(at(node.place), entries)
        case Sequence():
            return Sequence(at(node.place), tuple(placed(item, at) for item in node.items))
    return replace(node, place=at(node.place))


def shown(name: str) -> str:
    """A key for a message, or a mask: text that does not look like a key may be a value in the wrong place."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,39}", name) else "(a key that is not shown)"
