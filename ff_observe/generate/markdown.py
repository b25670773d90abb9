"""The Markdown forms that the reference documents use."""

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Made by `make generate` from {source}. Edits are lost. -->"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a `|` within a cell is escaped (GitHub Flavored Markdown, tables)."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def document(source: str, *blocks: str) -> str:
    """A whole document of blocks, with its origin as a comment on top."""
    return "\n\n".join([GENERATED.format(source=source), *blocks]) + "\n"
