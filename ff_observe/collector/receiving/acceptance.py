"""Parses and validates pings: the bytes of a body in, the contract's values or a refusal out. Pure.

Fields outside the contract are never kept; their names alone are returned, for counting.
"""

import math
import re
from collections.abc import Callable, Container, Mapping
from typing import NamedTuple, TypeAlias

import orjson

from ff_observe.catalogue.ping_contract import FIELDS, MAX_BODY_BYTES, MAX_COUNT, MAX_DEPTH, Field, Value, Values
from ff_observe.collector.receiving.answers import Reason, Refusal

MAX_UNKNOWN_NAMES = 16
"""How many unknown fields of one ping are returned; the rest are ignored."""


_TYPE_NAMES = {str: "a string", int: "a whole number", bool: "true or false"}


class Accepted(NamedTuple):
    """A valid ping, and the dotted names of the fields it had beyond the contract."""

    values: Values
    unknown: tuple[str, ...] = ()


class _Refused(Exception):  # noqa: N818 - no error: it carries the refusal out of the recursion
    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        self.refusal = Refusal(reason, field, detail)


_Tree: TypeAlias = dict[str, "tuple[int, type[Value], Container[object], Field] | _Tree"]
"""The contract as JSON nests it: each field with its index, its type and values of that type known to be valid."""
_VALID: Mapping[type, Container[object]] = {int: range(MAX_COUNT + 1), bool: (False, True)}
MAX_KNOWN = 256
"""Most texts recur; up to this many valid ones per field are remembered and not matched again."""
_BRACKETS_AND_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def accept(body: bytes) -> Accepted | Refusal:
    """Parse a request body as a ping.

    Memory and time are bounded by the size of the body, which is refused when larger than `MAX_BODY_BYTES`. JSON is
    read as RFC 8259 specifies it: UTF-8 without a byte order mark; of duplicate keys the last counts; no number that a
    double cannot hold (section 6), no half of a surrogate pair (8.2).
    """
    if len(body) > MAX_BODY_BYTES:
        return Refusal(Reason.TOO_LARGE)
    found = _read(body)
    nests = isinstance(found, Refusal) or found.unknown  # the contract's own fields do not nest deeply
    return Refusal(Reason.TOO_DEEP) if nests and _depth(body) > MAX_DEPTH else found


def _read(body: bytes) -> Accepted | Refusal:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Refusal(Reason.NOT_JSON if _is_utf8(body) else Reason.NOT_UTF8)
    if not isinstance(parsed, dict):
        return Refusal(Reason.NOT_AN_OBJECT)
    values: list[Value | None] = [None] * len(FIELDS)
    unknown: list[str] = []
    try:
        _take(_CONTRACT, parsed, values, unknown, "")
    except _Refused as refused:
        return refused.refusal
    for index in _REQUIRED:
        if values[index] is None:
            return Refusal(Reason.MISSING_FIELD, FIELDS[index].dotted, "is missing")
    return Accepted(tuple(values), tuple(unknown))


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _depth(body: bytes) -> int:
    """How deeply brackets nest outside of strings; for bodies that are not JSON, any number."""
    depth = deepest = 0
    for match in _BRACKETS_AND_STRINGS.finditer(body):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
        elif token in (b"}", b"]"):
            depth -= 1
    return deepest


def _take(
    tree: _Tree, found: Mapping[str, object], values: list[Value | None], unknown: list[str], prefix: str
) -> None:
    for key, value in found.items():
        node = tree.get(key)
        if type(node) is tuple:
            index, kind, known, field = node
            if type(value) is kind and value in known:  # nearly always; calling a function for each would take longer
                values[index] = value
            else:
                values[index] = checked = _CHECKS[kind](field, value)
                if isinstance(known, set) and not field.required and len(known) < MAX_KNOWN:
                    known.add(checked)
        elif type(node) is dict:
            if type(value) is not dict:
                raise _Refused(Reason.WRONG_TYPE, prefix + key, "must be an object")
            _take(node, value, values, unknown, f"{prefix}{key}.")
        elif len(unknown) < MAX_UNKNOWN_NAMES:
            unknown.append(prefix + key)


def _wrong_type(field: Field) -> _Refused:
    return _Refused(Reason.WRONG_TYPE, field.dotted, f"must be {_TYPE_NAMES[field.type]}")


def _text(field: Field, value: object) -> str:
    grammar = field.grammar
    if not isinstance(value, str) or grammar is None:
        raise _wrong_type(field)
    if len(value) > grammar.maximum:
        raise _Refused(Reason.TOO_LONG, field.dotted, f"must not be longer than {grammar.maximum} characters")
    if field.required and not value:
        raise _Refused(Reason.MISSING_FIELD, field.dotted, "must not be empty")
    if not grammar.fits(value):
        raise _Refused(Reason.WRONG_FORM, field.dotted, f"must be {grammar.description}")
    return value


def _number(field: Field, value: object) -> int:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)  # JSON has one kind of number: 5.0 is an integer
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(field)
    if not 0 <= value <= MAX_COUNT:
        raise _Refused(Reason.OUT_OF_RANGE, field.dotted, f"must be from 0 to {MAX_COUNT}")
    return value


def _flag(field: Field, _: object) -> bool:
    raise _wrong_type(field)  # all that are right are known to be valid


_CHECKS: Mapping[type, Callable[[Field, object], Value]] = {str: _text, int: _number, bool: _flag}


def _tree() -> _Tree:
    root: _Tree = {}
    for index, field in enumerate(FIELDS):
        place = root
        for key in field.path[:-1]:
            below = place.setdefault(key, {})
            assert isinstance(below, dict), "a field of the contract lies below another"
            place = below
        place[field.path[-1]] = (index, field.type, _VALID.get(field.type, set()), field)
    return root


_CONTRACT = _tree()
_REQUIRED = tuple(index for index, field in enumerate(FIELDS) if field.required)
