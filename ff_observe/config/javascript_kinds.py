"""The kinds of value in FlowFuse's part of `flowforge.yml`: interpreted as JavaScript does."""

import re

from ff_observe.config.kind import Kind, WrongValueError
from ff_observe.config.kinds import without_nul
from ff_observe.config.nodes import Node, Scalar, is_true


def _written(node: Node) -> str | None:
    """Any single value as written: a password of digits is a number in YAML and still a password."""
    if not is_true(node):
        return None
    if isinstance(node, Scalar):
        return without_nul(node.value) if isinstance(node.value, str) else node.text
    raise WrongValueError("write a string")


def _port_of_any_type(node: Node) -> int | None:
    if not is_true(node):
        return None
    text = node.text if isinstance(node, Scalar) else ""
    if not re.fullmatch("[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise WrongValueError("write a whole number from 1 to 65535")
    return int(text)


def one_of(*allowed: str) -> Kind[str]:
    """One of a few words; a value that is falsy in JavaScript is not set."""

    def read(node: Node) -> str | None:
        word = _written(node)
        if word is not None and word not in allowed:
            raise WrongValueError(f"write {' or '.join(allowed)}")
        return word

    return Kind(" or ".join(f"`{word}`" for word in allowed), read, text=True)


TRUTH = Kind("anything that is true in JavaScript", is_true)
# forge/housekeeper/index.js asks `=== false`: a string or 0 does not count.
NOT_FALSE = Kind("boolean", lambda node: not (isinstance(node, Scalar) and node.value is False))
WRITTEN = Kind("string", _written, text=True)
LOOSE_PORT = Kind("port", _port_of_any_type)
