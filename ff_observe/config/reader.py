"""The one reader of configuration files: takes declared keys out of a tree, and collects every problem on the way."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

from ff_observe.config import kinds
from ff_observe.config.key import EffectiveValue, FileKeys, Key
from ff_observe.config.kind import WrongValueError, describe
from ff_observe.config.nodes import Map, Node, Place, Scalar, child, find, is_true
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.secret import MASK, Secret
from ff_observe.config.yaml_core import YAMLError, parse
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.system.trusted_path import check_naming_file

S = TypeVar("S")

LARGEST_SECRET_FILE: Final = 64 * 1024  # bytes; a licence has about 600


def read_tree(file: Path, parser: Callable[[str], Node | None] = parse, if_missing: str = "") -> Map | None:
    """The map in a file, None if it is empty. `if_missing` is the advice if the file is missing. Raises
    `ConfigurationError`."""
    try:
        tree = parser(read_text(file))
    except UnreadableFileError as error:
        raise wrong(file, f"{error}{if_missing if error.missing else ''}", Place(error.line, error.column)) from None
    except YAMLError as error:
        raise wrong(file, str(error), error.place, error.key) from None
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        return None
    if not isinstance(tree, Map):
        raise wrong(file, f"found {describe(tree, secret=True)}; write a map: one 'key: value' per line", tree.place)
    return tree


def wrong(file: Path, message: str, place: Place | None = None, key: str = "") -> ConfigurationError:
    """The error for a file with one problem, at a place or as a whole."""
    line, column = (0, 0) if place is None else (place.line, place.column)
    return ConfigurationError((Problem(str(file), line, column, key, message),))


def read_secret_file(named: Node, directory: Path, named_in: Path | None = None) -> str:
    """The text of a file without the line breaks at its end, which the file `named_in` names. Its name is not shown: it
    may be the secret itself. Raises `WrongValueError`."""
    try:
        check_naming_file(named_in)
    except OSError as error:
        raise WrongValueError(f"as root, ff-observe reads no file that is named here: {not_for_root(error)}") from None
    try:
        name = kinds.PATH.read(named)
    except WrongValueError:
        raise WrongValueError(f"write the path of a file, relative to {directory}") from None
    try:
        text = read_text(directory / (name or ""), LARGEST_SECRET_FILE).rstrip("\r\n")
    except UnreadableFileError as error:
        raise WrongValueError(f"the file it names cannot be used: {error}") from None
    if not text:
        raise WrongValueError("the file it names is empty")
    return text


def not_for_root(error: OSError) -> str:
    """Why root does not do what a file says, from the error of `check_naming_file`, and what to do."""
    return f"{error.filename}: {error.strerror}. Run it as the user of the platform (`sudo -u USER …`)"


class Reader:
    """One configuration file. Relative paths in it are relative to `directory`."""

    def __init__(self, file: Path, tree: Map, keys: FileKeys, directory: Path) -> None:
        self.tree = tree
        self.keys = keys
        self.directory = directory
        self._file = str(file)
        self._values: dict[str, Any] = {}
        self._origins: dict[str, Place] = {}
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []

    def problem(self, dotted: str, message: str, place: Place | None = None) -> None:
        self.problems.append(self.at(place or self.place(dotted), dotted, message))

    def note(self, dotted: str, message: str) -> None:
        """Note advice about a key that is no problem."""
        self.notes.append(self.at(self.place(dotted), dotted, message))

    def at(self, place: Place, dotted: str, message: str) -> Problem:
        """A problem of this file, or of a layer over it."""
        return Problem(place.source or self._file, place.line, place.column, dotted, message)

    def effective(self) -> tuple[EffectiveValue, ...]:
        """Every key that was read, with its value and origin."""
        return tuple(self._effective(key) for key in self.keys.keys if key.path in self._values)

    def named_in(self, dotted: str) -> Path | None:
        """The file that sets this key; None if it is not set, or by a variable or an option."""
        node = find(self.tree, dotted)
        return None if node is None else self._file_of(node)

    def _file_of(self, node: Node) -> Path | None:
        return Path(node.place.source or self._file) if node.place.line else None

    def _effective(self, key: Key[Any]) -> EffectiveValue:
        place = self._origins.get(key.path)
        origin = "" if place is None else self.at(place, "", "").place
        return EffectiveValue(key.path, self._shown(key), origin, place is not None and place.source != "")

    def _shown(self, key: Key[Any]) -> str:
        value = self._values[key.path]
        if key.path not in self._origins or value is None:
            return key.shown_default.strip("`") if not key.otherwise else key.otherwise.replace("`", "")
        return MASK if key.secret else key.kind.show(value)

    def is_wrong(self, key: Key[Any]) -> bool:
        return any(problem.key == key.path for problem in self.problems)

    def finish(self) -> None:
        """Raise `ConfigurationError` with every problem, in the order of the file, if there are any."""
        if self.problems:
            raise ConfigurationError(tuple(sorted(self.problems)))

    def node(self, dotted: str) -> Node | None:
        """The node at a dotted key. If a variable that is not set stands there, or in place of a section on the way,
        that is noted as a problem."""
        names = dotted.split(".")
        node: Node | None = self.tree
        for depth, name in enumerate(names, 1):
            node = child(node, name)
            if isinstance(node, Scalar) and node.unset is not None:
                found = self.at(node.place, ".".join(names[:depth]), kinds.unset_variable(node))
                if found not in self.problems:  # many keys share a section
                    self.problems.append(found)
                return None
        return node

    def section(self, dotted: str) -> bool:
        """Whether the file has a section with content: an empty one counts as absent."""
        node = find(self.tree, dotted)
        return isinstance(node, Map) and bool(node.entries)

    def place(self, dotted: str) -> Place:
        """The place of a dotted key's value; if it is missing, that of the section it belongs to."""
        node: Node = self.tree
        for name in dotted.split("."):
            below = child(node, name)
            if below is None:
                break
            node = below
        return node.place

    def fill(self, of: Callable[..., S], **decided: Any) -> S:
        """A settings object: fields bound to keys are read, the others are `decided` by the caller."""
        bound = {field.name: field.metadata["key"] for field in fields(of) if "key" in field.metadata}  # type: ignore[arg-type]  # a dataclass
        return of(**{name: self.value(key) for name, key in bound.items() if name not in decided}, **decided)

    def value(self, key: Key[Any]) -> Any:
        """The value, wrapped in `Secret` if it is one; the default if it is not set, or wrong (which is noted)."""
        if key.path not in self._values:
            node, found = self._found(key)
            if node is not None and found is not None:
                self._origins[key.path] = node.place
            self._values[key.path] = key.fallback if found is None else found
        return self._values[key.path]

    def _found(self, key: Key[Any]) -> tuple[Node | None, Any]:
        """The deciding node and its value; None if that is the default."""
        node = self.node(key.path)
        from_file = self.node(key.file_path) if key.file else None
        if not is_true(from_file):
            return node, None if node is None else self._read(key, node, key.path, key.kind.read)
        if is_true(node):
            last = key.path.rpartition(".")[2]
            self.problem(key.file_path, f'both "{last}" and "{last}_file" are set: keep one of them')
            return None, None
        try:
            text = read_secret_file(from_file, self.directory, self._file_of(from_file))
        except WrongValueError as error:
            self.problem(key.file_path, str(error))
            return None, None
        read_file = key.kind.read_file
        content = Scalar(from_file.place, text, text, rendered=True)
        read = key.kind.read if read_file is None else lambda _: read_file(text)
        return from_file, self._read(key, content, key.file_path, read)

    def _read(self, key: Key[Any], node: Node, path: str, read: Callable[[Node], Any]) -> Any:
        try:
            value = read(node)
        except WrongValueError as error:
            for one in (error, *error.others):
                found = "" if one.place else f"found {describe(node, key.secret)}; "
                self.problem(f"{path}.{one.below}" if one.below else path, f"{found}{one}", one.place or node.place)
            return None
        if isinstance(value, Path):
            return self._resolved(key, value)
        return Secret(value) if key.secret and isinstance(value, str) else value

    def _resolved(self, key: Key[Any], named: Path) -> Any:
        path = self.directory / named
        problem = key.kind.problem_with(path) if key.kind.problem_with is not None else None
        if problem is not None:
            self.problem(key.path, problem)
        return path
