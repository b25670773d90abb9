"""Layers over FlowFuse's file: an overlay file, environment variables and `--set`, later ones overriding earlier
ones."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from ff_observe.config.declaration import OVERLAY
from ff_observe.config.key import VARIABLES, Key
from ff_observe.config.kind import WrongValueError
from ff_observe.config.known_keys import check_keys, meant
from ff_observe.config.nodes import Entry, Map, Node, Place, Scalar, child, find, placed, shown
from ff_observe.config.reader import Reader, read_secret_file
from ff_observe.config.yaml_core import YAMLError, parse
from ff_observe.errors import Problem

OVERLAY_FILE: Final = "FF_OBSERVE_SETTINGS"
OPTION: Final = "--set"

_KEYS: Final[Mapping[str, Key[Any]]] = {key.path: key for key in OVERLAY.keys}
_NAMES_OF_FILES: Final[Mapping[str, str]] = {key.file_path: key.path for key in OVERLAY.keys if key.file}
_SIBLINGS: Final = {**_NAMES_OF_FILES, **{path: name for name, path in _NAMES_OF_FILES.items()}}
"""For a value the key that names its file, and vice versa."""
_VARIABLES: Final = frozenset(name for key in OVERLAY.keys for name in (key.variable, f"{key.variable}_FILE"))


class Layers:
    """Values by dotted key, and their problems. `unknown` names keys and variables that do not exist."""

    def __init__(self, directory: Path) -> None:
        """Relative paths of files are relative to `directory`."""
        self.problems: list[Problem] = []
        self.unknown: tuple[Problem, ...] = ()
        self._directory = directory
        self._values: dict[str, Node] = {}

    def over(self, tree: Map) -> Map:
        """The tree of FlowFuse's file with these values in it."""
        for path, node in self._values.items():
            if path in _SIBLINGS:
                tree = _put(tree, _SIBLINGS[path].split("."), Scalar(node.place, None, ""))
            tree = _put(tree, path.split("."), node)
        return tree

    def add_file(self, file: Path, tree: Map) -> None:
        """Apply an overlay file. Keys that it does not name keep their value."""
        named = placed(tree, lambda place: replace(place, source=str(file)))
        assert isinstance(named, Map)
        reader = Reader(file, named, OVERLAY, self._directory)
        self.unknown += check_keys(reader)
        self.problems += reader.problems
        for path in (*OVERLAY.sections, *OVERLAY.leaves):
            node = find(named, path)
            is_unset = isinstance(node, Scalar) and node.unset is not None  # replaces a section
            if node is not None and (path in OVERLAY.leaves or is_unset):
                self._set(path, node)

    def add_variables(self, variables: Mapping[str, str]) -> None:
        """Apply `FF_OBSERVE_` variables; an empty one counts as not set."""
        for key in OVERLAY.keys:
            name, name_of_file = key.variable, f"{key.variable}_FILE"
            value, file = variables.get(name), variables.get(name_of_file)
            if value and file:
                self._wrong(name_of_file, key.path, f"both {name} and {name_of_file} are set: keep one of them")
            elif value:
                self._set_text(key, value, name)
            elif file and key.file:
                self._set(key.file_path, Scalar(Place(0, 0, name_of_file), file, file))
            elif file:
                self._set_from_file(key, file, name_of_file)
        self._find_misspelt(variables)

    def add_assignments(self, assignments: Iterable[tuple[str, str]]) -> None:
        """Apply the keys and values of `--set`; an empty value means the default."""
        for path, text in assignments:
            key = _KEYS.get(path)
            if path in _NAMES_OF_FILES:
                self._set(path, Scalar(Place(0, 0, OPTION), text, text))
            elif key is None:
                section, _, name = path.rpartition(".")
                message = OVERLAY.refused.get(path.partition(".")[0]) or meant(OVERLAY, section, name)
                self._wrong(OPTION, ".".join(map(shown, path.split("."))), f"unknown key; {message}")
            elif key.secret and text:
                message = (
                    f"`ps` shows what is on a command line: name a file that holds it in {key.file_path}, or set "
                    f"{key.variable}"
                )
                self._wrong(OPTION, path, message)
            else:
                self._set_text(key, text, OPTION)

    def _set(self, path: str, node: Node) -> None:
        self._values.pop(_SIBLINGS.get(path, ""), None)
        self._values[path] = node

    def _set_text(self, key: Key[Any], text: str, source: str, *, rendered: bool = False) -> None:
        place = Place(0, 0, source)
        node: Node | None
        if not text:
            node = Scalar(place, None, "")
        elif key.kind.text:
            node = Scalar(place, text, text, rendered=rendered)
        else:
            try:
                node = parse(text)
            except YAMLError as error:
                return self._wrong(source, key.path, f"{error} (the value is read as YAML)")
            node = Scalar(place, None, "") if node is None else placed(node, lambda _: place)
        return self._set(key.path, node)

    def _set_from_file(self, key: Key[Any], file: str, source: str) -> None:
        try:
            text = read_secret_file(Scalar(Place(0, 0), file, file), self._directory)
        except WrongValueError as error:
            self._wrong(source, key.path, str(error))
        else:
            self._set_text(key, text, source, rendered=True)

    def _wrong(self, source: str, path: str, message: str) -> None:
        self.problems.append(Problem(source, 0, 0, path, message))

    def _find_misspelt(self, variables: Mapping[str, str]) -> None:
        """Variables that look like a key's. Kubernetes sets others with the same prefix, for a service of our name."""
        for name in sorted(variables):
            if not name.startswith(VARIABLES) or name in _VARIABLES or name == OVERLAY_FILE:
                continue
            section = name.removeprefix(VARIABLES).partition("_")[0]
            if section == "DB" or get_close_matches(section, ["TELEMETRY"], cutoff=0.8):
                close = get_close_matches(name, _VARIABLES, n=1, cutoff=0.85)
                advice = f"did you mean {close[0]}?" if close else "docs/configuration.md names those of every key"
                self.unknown += (Problem(name, 0, 0, "", f"this variable sets nothing; {advice}"),)


def _put(tree: Map, names: list[str], node: Node) -> Map:
    name, *rest = names
    below = child(tree, name)
    if rest:
        section = below if isinstance(below, Map) else Map(node.place)
        node = _put(section, rest, node)
    return Map(tree.place, {**tree.entries, name: Entry(node.place, node)})
