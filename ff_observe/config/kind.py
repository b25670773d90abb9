"""A kind of value: reads a node as a typed value or says what to write, and shows a value as it is written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ff_observe.config.nodes import Map, Node, Place, Scalar, Sequence

T = TypeVar("T")
Item = TypeVar("Item")
Value = TypeVar("Value")


class WrongValueError(Exception):
    """The value is not of its kind. `str()` says what to write; it never holds a secret value.

    `place` is set if the mistake is below the key itself, with `below` naming the inner key. `others` are further
    mistakes in the same value.
    """

    def __init__(
        self,
        what_to_write: str,
        place: Place | None = None,
        below: str = "",
        others: "tuple[WrongValueError, ...]" = (),
    ) -> None:
        super().__init__(what_to_write)
        self.place = place
        self.below = below
        self.others = others


def refuse(mistakes: list[WrongValueError]) -> None:
    """Raise the first of several mistakes with the others attached; do nothing if there are none."""
    if mistakes:
        first, *others = mistakes
        raise WrongValueError(str(first), first.place, first.below, tuple(others))


def read_each(read: Callable[[Item], Value], items: Iterable[Item]) -> list[Value]:
    """Every item read. Raises `WrongValueError` with the mistakes of all of them."""
    values: list[Value] = []
    mistakes: list[WrongValueError] = []
    for item in items:
        try:
            values.append(read(item))
        except WrongValueError as error:
            mistakes += (error, *error.others)
    refuse(mistakes)
    return values


def _show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`name` is for the reference documentation; `read` raises `WrongValueError`, or returns None for "not set".

    `show` is the inverse of `read`. `read_file` parses the content of a `_file` sibling where that differs from the
    value itself. `problem_with` checks the file that a path names, where that file must be usable. In a variable or an
    option a `text` is taken literally, and any other kind of value as YAML.
    """

    name: str
    read: Callable[[Node], T | None]
    show: Callable[[T], str] = _show
    read_file: Callable[[str], T] | None = None
    problem_with: Callable[[Path], str | None] | None = None
    text: bool = False


def describe(node: Node, secret: bool) -> str:
    """The value for a message, shown only if it is short, and neither secret nor rendered."""
    match node:
        case Map():
            return "a map"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "nothing"
    kind = {bool: "the boolean", str: "the string"}.get(type(node.value), "the number")
    secret = secret or node.rendered or "@" in node.text  # a URL in the wrong place may hold a password
    if secret or len(node.text) > 40 or not node.text.isprintable():
        return kind.replace("the", "a", 1) + (" (not shown)" if secret else "")
    return f'{kind} "{node.text}"' if isinstance(node.value, str) else f"{kind} {node.text}"
