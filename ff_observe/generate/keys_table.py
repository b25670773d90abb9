"""The table of the keys of one configuration file, from their declaration."""

from collections.abc import Iterable
from typing import Any

from ff_observe.config.key import Key
from ff_observe.generate.markdown import table

_HEADS = ("Key", "Value", "Default", "Meaning", "Since")


def render(keys: Iterable[Key[Any]]) -> str:
    """One line for each key: the value it takes, its default, its meaning, and the first version that reads it."""
    return table(_HEADS, map(_row, keys))


def render_with_variables(keys: Iterable[Key[Any]]) -> str:
    """The same with the environment variable that sets the key."""
    return table((*_HEADS, "Variable"), ((*_row(key), f"`{key.variable}`") for key in keys))


def _row(key: Key[Any]) -> tuple[str, ...]:
    names = f"`{key.path}`" + (" or `…_file`" if key.file else "")
    return names, key.kind.name, key.shown_default, key.help + (" Secret." if key.secret else ""), key.since
