"""Finds unknown keys, with what was probably meant, and sections that are not maps."""

import re
from difflib import get_close_matches
from typing import Final

from ff_observe.config.key import FileKeys
from ff_observe.config.kind import describe
from ff_observe.config.nodes import Map, Node, Scalar, shown
from ff_observe.config.reader import Reader
from ff_observe.errors import Problem

MOST_UNKNOWN: Final = 100  # no more are looked for: this must be some other file


def check_keys(reader: Reader) -> tuple[Problem, ...]:
    """Note sections that are not maps as problems of the reader; return the unknown keys, in the order of the file."""
    section = reader.keys.section
    unknown: list[Problem] = []
    if not section:
        _check_section(reader, "", reader.tree, unknown)
        return tuple(unknown)
    for name, entry in reader.tree.entries.items():
        # The rest of the file belongs to another program, but a misspelt opt-out must not go unnoticed.
        if name == section:
            _check_section(reader, section, entry.value, unknown)
        elif re.match(rf"{section}[^a-z0-9]", name, re.IGNORECASE):
            message = f'unknown key; write "{section}:" and the keys below it, indented: nothing else leads into it'
            named = name if name in reader.keys.leaves | reader.keys.sections else shown(name)
            unknown.append(reader.at(entry.place, named, message))
        elif abs(len(name) - len(section)) <= 2 and get_close_matches(name.lower(), [section], cutoff=0.85):
            unknown.append(reader.at(entry.place, shown(name), f'unknown key; did you mean "{section}"?'))
    return tuple(unknown[:MOST_UNKNOWN])


def _check_section(reader: Reader, dotted: str, node: Node, unknown: list[Problem]) -> None:
    if isinstance(node, Scalar) and (node.value is None or node.unset is not None):
        return  # an unset variable is reported by the keys below it
    if not isinstance(node, Map):
        wanted = "write a map: the keys below it, indented"
        if isinstance(node, Scalar) and node.value is False:
            wanted = f"to switch it off, {reader.keys.switched_off.get(dotted, 'remove the key')}"
        reader.problem(dotted, f"found {describe(node, secret=True)}; {wanted}")
        return
    for name, entry in node.entries.items():
        below = f"{dotted}.{name}" if dotted else name
        nested = "." not in name
        if (nested and below in reader.keys.leaves) or len(unknown) >= MOST_UNKNOWN:
            continue
        if nested and below in reader.keys.sections:
            _check_section(reader, below, entry.value, unknown)
        else:
            message = reader.keys.refused.get(below) or f"unknown key; {meant(reader.keys, dotted, name)}"
            unknown.append(reader.at(entry.place, f"{dotted}.{shown(name)}" if dotted else shown(name), message))


def meant(keys: FileKeys, section: str, name: str) -> str:
    """A suggestion: a key of this section with similar spelling, or one of that name in another section."""
    known = sorted(keys.leaves | keys.sections)
    if "." in name and (f"{section}.{name}" if section else name) in known:
        return "a dot does not lead into a section: write the keys below each other, indented"
    siblings = {path.rpartition(".")[2].lower(): path for path in known if path.rpartition(".")[0] == section}
    close = get_close_matches(name.lower(), siblings, n=1)
    if close:
        return f'did you mean "{siblings[close[0]].rpartition(".")[2]}"?'
    elsewhere = [path for path in known if path.rpartition(".")[2].lower() == name.lower()]
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere)}?"
    return f"known here: {', '.join(path.rpartition('.')[2] for path in siblings.values())}"
