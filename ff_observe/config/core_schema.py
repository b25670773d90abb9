"""The core schema of YAML 1.2: which plain (unquoted) text is null, a boolean or a number; all other text is a string.

Source: YAML 1.2.2, section 10.3.2, and the `yaml` package for Node that FlowFuse reads its file with. PyYAML's own
resolver is not used, because it follows YAML 1.1 (`no` is false there, `010` is eight, `22:22` is 1342).
"""

import re

from ff_observe.config.nodes import Value

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NOT_A_NUMBER = frozenset((".nan", ".NaN", ".NAN"))
_LONGEST_INTEGER = 20  # longer text is beyond 2**53 (or has leading zeros): a float, like every number in JavaScript


def resolve(text: str) -> Value:
    """The value of plain text. Integers that JavaScript cannot represent exactly become floats, as they do there."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _exact_or_float(int(text)) if len(text) <= _LONGEST_INTEGER else float(text)
    if _OCTAL.fullmatch(text):
        return _exact_or_float(int(text[2:], 8))
    if _HEXADECIMAL.fullmatch(text):
        return _exact_or_float(int(text[2:], 16))
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float("-inf" if text.startswith("-") else "inf")
    if text in _NOT_A_NUMBER:
        return float("nan")
    return text


def _exact_or_float(number: int) -> int | float:
    if number.bit_length() <= 53:
        return number
    return float(number) if number.bit_length() <= 1023 else float("inf")
