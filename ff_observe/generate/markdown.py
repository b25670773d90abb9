"""The Markdown forms that the reference documents use."""

from collections.abc import Iterable, Sequence
from typing import Any

from ff_observe.catalogue.model import Metric
from ff_observe.config.key import Key

GENERATED = "<!-- Made by `make generate` from {source}. Edits are lost. -->"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a `|` within a cell is escaped (GitHub Flavored Markdown, tables)."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def document(source: str, *blocks: str) -> str:
    """A whole document of blocks, with its origin as a comment on top."""
    return "\n\n".join([GENERATED.format(source=source), *blocks]) + "\n"


def keys(listed: Iterable[Key[Any]], *, variables: bool = False) -> str:
    """One line for each key of a file: the value it takes, its default, its meaning, the first version that reads it,
    and with `variables` the environment variable that sets it."""
    more = ("Variable",) if variables else ()
    rows = ((*_of_key(key), *(f"`{key.variable}`" for _ in more)) for key in listed)
    return table(("Key", "Value", "Default", "Meaning", "Since", *more), rows)


def _of_key(key: Key[Any]) -> tuple[str, ...]:
    names = f"`{key.path}`" + (" or `…_file`" if key.file else "")
    return names, key.kind.name, key.shown_default, key.help + (" Secret." if key.secret else ""), key.since


def name_and_labels(metric: Metric) -> str:
    return f"`{metric.name}{'{' + ', '.join(metric.labels) + '}' if metric.labels else ''}`"
