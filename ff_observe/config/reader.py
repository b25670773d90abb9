"""Takes declared keys out of a tree, and gathers every problem on the way instead of stopping at the first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from ff_observe.config import kinds
from ff_observe.config.declaration import Key
from ff_observe.config.nodes import Map, Node, Place, Scalar, child, find, is_true
from ff_observe.config.pem import problem_with_authority
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.config.secret import Secret
from ff_observe.errors import Problem

S = TypeVar("S")
T = TypeVar("T")

_START: Final = Place(1, 1)
LARGEST_SECRET_FILE: Final = 64 * 1024  # bytes; a licence has about 600


class Reader:
    """One configuration file. `etc` is what the paths in it are relative to."""

    def __init__(self, file: Path, tree: Map, etc: Path) -> None:
        self.tree = tree
        self._file = str(file)
        self._etc = etc
        self.problems: list[Problem] = []

    def problem(self, place: Place, key: str, message: str) -> None:
        """Note what is wrong."""
        self.problems.append(self.at(place, key, message))

    def at(self, place: Place, key: str, message: str) -> Problem:
        """A problem of this file."""
        return Problem(self._file, place.line, place.column, key, message)

    def node(self, dotted: str) -> Node | None:
        """What the file says at a dotted key. A variable that is not set and stands there, or in the place of a section
        on the way, is noted as a problem."""
        names = dotted.split(".")
        node: Node | None = self.tree
        for depth, name in enumerate(names, 1):
            node = child(node, name)
            if isinstance(node, Scalar) and node.unset is not None:
                self._problem_of_unset(node, ".".join(names[:depth]))
                return None
        return node

    def place(self, dotted: str) -> Place:
        """Where a dotted key is; the beginning of the file where it is not."""
        node = find(self.tree, dotted)
        return _START if node is None else node.place

    def value(self, key: Key[T]) -> T | None:
        """The value, or None if it is not set or wrong (which is noted)."""
        node = self.node(key.path)
        return None if node is None else self._read(key, node, key.path)

    def secret(self, key: Key[str]) -> Secret | None:
        """The value of a secret key, or of the file that its `_file` sibling names."""
        node, from_file = self._of_two(key)
        if from_file is not None:
            text = self._read_secret_file(from_file, key.file_path)
            node = None if text is None else Scalar(from_file.place, text, text, rendered=True)
        value = None if node is None else self._read(key, node, key.path if from_file is None else key.file_path)
        return None if value is None else Secret(value)

    def headers(self, key: Key[tuple[tuple[str, Secret], ...]]) -> tuple[tuple[str, Secret], ...]:
        """A map of headers, or the file that its `_file` sibling names."""
        node, from_file = self._of_two(key)
        if from_file is None:
            return self._headers_in(key, node) if node is not None else ()
        text = self._read_secret_file(from_file, key.file_path)
        try:
            return () if text is None else kinds.parse_header_lines(text)
        except kinds.WrongValueError as error:
            self.problem(from_file.place, key.file_path, str(error))
            return ()

    def _headers_in(self, key: Key[tuple[tuple[str, Secret], ...]], node: Node) -> tuple[tuple[str, Secret], ...]:
        unset = [
            (name, entry.value)
            for name, entry in (node.entries.items() if isinstance(node, Map) else ())
            if isinstance(entry.value, Scalar) and entry.value.unset is not None
        ]
        for name, value in unset:
            self._problem_of_unset(value, f"{key.path}.{name}")
        return () if unset else self._read(key, node, key.path) or ()

    def file(self, key: Key[str]) -> Path | None:
        """A file that has to be there."""
        name, node = self.value(key), self.node(key.path)
        if name is None or node is None:
            return None
        path = self._etc / name
        try:
            read_text(path)
        except UnreadableFileError as error:
            self.problem(node.place, key.path, f"the file it names cannot be used: {error}")
            return None
        return path

    def authority(self, key: Key[str]) -> Path | None:
        """A file with an authority to trust."""
        path, node = self.file(key), self.node(key.path)
        problem = problem_with_authority(path) if path is not None else None
        if problem is not None and node is not None:
            self.problem(node.place, key.path, problem)
        return path

    def _problem_of_unset(self, node: Scalar, dotted: str) -> None:
        found = self.at(node.place, dotted, f"the environment variable {node.unset} is not set")
        if found not in self.problems:  # a section is on the way to many keys
            self.problems.append(found)

    def _read(self, key: Key[T], node: Node, path: str) -> T | None:
        try:
            return key.kind.read(node)
        except kinds.WrongValueError as error:
            place, dotted = error.place or node.place, f"{path}.{error.below}" if error.below else path
            found = "" if error.place else f"found {kinds.describe(node, key.secret)}; "
            self.problem(place, dotted, f"{found}{error}")
            return None

    def _of_two(self, key: Key[T]) -> tuple[Node | None, Node | None]:
        """The nodes of a key and of its `_file` sibling, of which one at most may be set."""
        node, from_file = self.node(key.path), self.node(key.file_path)
        if from_file is None or not is_true(from_file):
            return node, None
        if node is not None and is_true(node):
            last = key.path.rpartition(".")[2]
            self.problem(from_file.place, key.file_path, f'both "{last}" and "{last}_file" are set: keep one of them')
            return None, None
        return None, from_file

    def _read_secret_file(self, node: Node, dotted: str) -> str | None:
        """The text of a file without the line breaks at its end. Its name is not shown: it may be the secret itself."""
        try:
            name = kinds.FILE_PATH.read(node)
        except kinds.WrongValueError:
            self.problem(node.place, dotted, "write the path of a file, relative to the directory etc of the home")
            return None
        try:
            text = read_text(self._etc / (name or ""), LARGEST_SECRET_FILE).rstrip("\r\n")
        except UnreadableFileError as error:
            self.problem(node.place, dotted, f"the file it names cannot be used: {error}")
            return None
        if not text:
            self.problem(node.place, dotted, "the file it names is empty")
            return None
        return text


def made(of: Callable[..., S], **values: Any) -> S:
    """A settings object whose unset values (None) are the defaults that its class declares."""
    return of(**{name: value for name, value in values.items() if value is not None})


def note(reader: Reader, notes: list[Problem], path: str, message: str) -> None:
    """Add what is worth a thought about a key."""
    notes.append(reader.at(reader.place(path), path, message))
