"""Which keys inside `telemetry` nobody reads, with what was probably meant; and sections that are not maps."""

import re
from difflib import get_close_matches
from functools import cache
from typing import Final

from ff_observe.config.declaration import IGNORED_KEYS, TELEMETRY_KEYS
from ff_observe.config.kinds import describe
from ff_observe.config.nodes import Map, Node, Scalar
from ff_observe.config.reader import Reader
from ff_observe.errors import Problem

TELEMETRY: Final = "telemetry"
MOST_UNKNOWN: Final = 100  # more are not looked for: the file is something else


def check_keys(reader: Reader) -> tuple[Problem, ...]:
    """Note sections that are no maps as problems of the reader; return the unknown keys, in the order of the file."""
    unknown: list[Problem] = []
    for name, entry in reader.tree.entries.items():
        if name == TELEMETRY:
            _check_section(reader, TELEMETRY, entry.value, unknown)
        elif abs(len(name) - len(TELEMETRY)) <= 2 and get_close_matches(name.lower(), [TELEMETRY], cutoff=0.85):
            # The rest of the file belongs to FlowFuse, but a misspelt opt-out must not go unnoticed.
            unknown.append(reader.at(entry.place, _shown(name), f'unknown key; did you mean "{TELEMETRY}"?'))
    return tuple(unknown[:MOST_UNKNOWN])


def _check_section(reader: Reader, dotted: str, node: Node, unknown: list[Problem]) -> None:
    if isinstance(node, Scalar) and (node.value is None or node.unset is not None):
        return  # an unset variable is noted by the keys that are looked for below it
    if not isinstance(node, Map):
        wanted = "write a map: the keys below it, indented"
        if isinstance(node, Scalar) and node.value is False:
            wanted = f"to switch it off, {_SWITCH_OFF.get(dotted, 'remove the key')}"
        reader.problem(node.place, dotted, f"found {describe(node, secret=True)}; {wanted}")
        return
    for name, entry in node.entries.items():
        below = f"{dotted}.{name}"
        if below in _leaves() or len(unknown) >= MOST_UNKNOWN:
            continue
        if below in _sections():
            _check_section(reader, below, entry.value, unknown)
        else:
            unknown.append(reader.at(entry.place, f"{dotted}.{_shown(name)}", f"unknown key; {_meant(dotted, name)}"))


_SWITCH_OFF: Final = {
    TELEMETRY: "write 'enabled: false' below it: FlowFuse takes 'telemetry: false' for the default, which is on",
    "telemetry.backend.prometheus": "write 'enabled: false' below it",
    "telemetry.backend.otlp": "write 'enabled: false' below it",
}


@cache
def _leaves() -> frozenset[str]:
    files = (key.file_path for key in TELEMETRY_KEYS if key.file)
    return frozenset((*(key.path for key in TELEMETRY_KEYS), *files, *IGNORED_KEYS))


@cache
def _sections() -> frozenset[str]:
    return frozenset(
        ".".join(parts[:length])
        for parts in (leaf.split(".") for leaf in _leaves())
        for length in range(1, len(parts))
    )  # fmt: skip


def _meant(section: str, name: str) -> str:
    """What was probably meant: a key of this section that is spelt alike, or one of that name in another section."""
    known = sorted(_leaves() | _sections())
    siblings = [path.rpartition(".")[2] for path in known if path.rpartition(".")[0] == section]
    close = get_close_matches(name.lower(), siblings, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    elsewhere = [path for path in known if path.rpartition(".")[2] == name.lower()]
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere)}?"
    return f"known here: {', '.join(siblings)}"


def _shown(name: str) -> str:
    """A key for a message, or a mask: what does not look like a key may be a value in the wrong place."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,39}", name) else "(a key that is not shown)"
