"""The lines of a ledger: how they are written, and what they say when they are read.

Every line is a leaf of the ledger's Merkle tree, and holds in `root` the root of all lines before it. A file begins
with an opening line, which holds the peaks of the tree before it instead, so that the ledger outlives its older files.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ff_observe.outputs.ping.ledger_files import OLDER
from ff_observe.system.json_object import json_object
from ff_observe.telemetry.log import escaped
from ff_observe.transparency.merkle import Tree
from ff_observe.transparency.notes import NoteError, VerifierKey, decoded, encoded

FORMAT: Final = "ff-observe pings 2"

Document = Mapping[str, Any]

_ATTEMPT: Final = frozenset(("time", "outcome", "receiver", "status", "bytes", "sha256", "body"))
_WITHHELD: Final = frozenset(("time", "outcome", "rule"))
_OPTIONAL: Final = frozenset(("note", "broken", "key"))
_NUMBERS: Final = ("status", "bytes")


class Event(StrEnum):
    """What is recorded besides the outcomes of attempts. `begun`: about to be sent, where the ledger is required."""

    WITHHELD = "withheld"
    BEGUN = "begun"
    EXPORTED = "exported"


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt, or another event. `body` is exactly what was sent, and `bytes` and `sha256` describe it; `receiver`
    is host and port only. Of a ping that was withheld, `rule` decided, and the other members are empty.

    `index` is that of its leaf. `time` (RFC 3339, UTC) is when the outcome was known.
    `note` describes a repair made before this entry, and `broken` what the ledger had lost by then.
    """

    index: int
    time: str
    outcome: str
    receiver: str = ""
    status: int | None = None
    bytes: int = 0
    sha256: str = ""
    body: str = ""
    rule: str | None = None
    note: str | None = None
    broken: str | None = None

    def document(self) -> dict[str, Any]:
        """The members, without those that say nothing."""
        empty = {"rule": None, "note": None, "broken": None} | (
            {"receiver": "", "status": None, "bytes": 0, "sha256": "", "body": ""} if self.rule is not None else {}
        )
        return {name: value for name, value in asdict(self).items() if name not in empty or value != empty[name]}


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with a ledger. `file` is a path; `line` counts from 1, and is 0 if it concerns the file as a whole."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        """In one line that cannot control a terminal: `what` may quote a ledger that was tampered with."""
        return escaped(f"{self.file}, line {self.line}: {self.what}" if self.line else f"{self.file}: {self.what}")


@dataclass(frozen=True, slots=True)
class Line:
    """A line where it is. `index` is that of its leaf."""

    file: str
    number: int
    content: bytes
    index: int
    document: Document

    def entry(self) -> Entry | None:
        """The entry, if the line has the form of one."""
        members = {name: value for name, value in self.document.items() if name != "root"}
        required = _WITHHELD if members.get("outcome") == Event.WITHHELD else _ATTEMPT
        if not required <= members.keys() <= required | _OPTIONAL:
            return None
        texts = [value for name, value in members.items() if name not in _NUMBERS]
        numbers = [members[name] for name in _NUMBERS if members.get(name) is not None]
        if "bytes" in members and members["bytes"] is None:
            return None
        if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
            return None
        return Entry(self.index, **{name: value for name, value in members.items() if name != "key"})


def opening(tree: Tree, time: str, key: str) -> bytes:
    """The line that opens a file, after the lines of `tree`. `key` verifies the checkpoints from here on."""
    peaks = [encoded(peak) for peak in tree.peaks]
    return _written({"ledger": FORMAT, "time": time, "key": key, "index": tree.size, "peaks": peaks})


def written(tree: Tree, document: Document) -> bytes:
    """The line of an entry, after the lines of `tree`."""
    return _written({**document, "root": encoded(tree.root())})


@dataclass(slots=True)
class Lines:
    """What is in the files of a ledger: its lines, their tree, the key that verifies its checkpoints, and what is wrong
    with the lines by themselves."""

    lines: list[Line] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)
    key: VerifierKey | None = None
    findings: list[Finding] = field(default_factory=list)
    is_begun: bool = True  # there is any of its files

    @property
    def entries(self) -> Iterator[Entry]:
        """The entries, the oldest first. Other lines are left out."""
        for line in self.lines:
            entry = line.entry()
            if entry is not None:
                yield entry


def read_lines(files: Mapping[str, bytes], path: Path) -> Lines:
    """Read the lines of a ledger's files. What is wrong is among the findings."""
    named = [(name, files[name]) for name in (path.name + OLDER, path.name) if name in files]
    reader = _Reader(path)
    reader.found.is_begun = bool(files)
    if path.name not in files:
        reader.found.findings.append(Finding(str(path), 0, "the file is missing"))
    for name, content in named:
        reader.read(name, content)
    return reader.found


class _Reader:
    """Reads file after file."""

    def __init__(self, path: Path) -> None:
        self.found = Lines()
        self._path = path
        self._present = path.name
        self._is_astray = False  # lines do not follow those before, which is said once for each file

    def read(self, name: str, content: bytes) -> None:
        found, place = self.found, str(self._path.with_name(name))
        *lines, rest = content.split(b"\n")
        if rest:
            lines.append(rest)
        if not content:
            found.findings.append(Finding(place, 0, "the file is empty"))
        for number, line in enumerate(lines, 1):
            document = json_object(line) or {}
            what = list(self._open(name, document) if number == 1 else self._follow(line, document))
            found.findings += [Finding(place, number, each) for each in what]
            found.lines.append(Line(name, number, line, found.tree.size, document))
            found.tree.add(line)
            self._note_key(document)
        if rest:
            what_of_rest = "the line has no end: it was cut off, perhaps by a crash"
            found.findings.append(Finding(place, len(lines), what_of_rest))

    def _open(self, name: str, document: Document) -> Iterator[str]:
        """What is wrong with the first line of a file."""
        self._is_astray = False
        try:
            stated = Tree(_number(document.get("index")), [decoded(str(peak)) for peak in document.get("peaks", ())])
        except (ValueError, TypeError):
            stated = None
        if document.get("ledger") != FORMAT or stated is None:
            yield "it does not open the file: lines before it were removed, or it was changed"
            return
        if not self.found.lines:
            self.found.tree = stated  # the file before the older one was dropped
            if name == self._present and stated.size:
                yield "it continues another file, which is missing"
        elif (stated.size, stated.peaks) != (self.found.tree.size, self.found.tree.peaks):
            yield "it does not follow the file before: a line was changed, removed, added or moved"
            self.found.tree = stated

    def _follow(self, line: bytes, document: Document) -> Iterator[str]:
        """What is wrong with a line after the first."""
        entry = Line("", 0, line, self.found.tree.size, document).entry()
        if "root" in document:
            if document["root"] != encoded(self.found.tree.root()) and not self._is_astray:
                self._is_astray = True
                yield "it does not follow the lines before: one was changed, removed, added or moved"
        elif entry is not None:
            yield "it has no root: it was changed, or added"
        if entry is None:
            yield "it is no entry"
        elif entry.rule is None and (entry.bytes, entry.sha256) != _described(entry.body):
            yield "its body has another size or SHA-256 than it says"
        if entry is not None and entry.broken is not None:
            yield f"when it was written, {entry.broken}"

    def _note_key(self, document: Document) -> None:
        if isinstance(document.get("key"), str):
            try:
                self.found.key = VerifierKey.parse(document["key"])
            except NoteError:
                self.found.key = None


def body_bytes(text: str) -> bytes:
    """The body that an entry holds as text. What no body could have given, half of a pair of surrogates, is encoded all
    the same: its size and SHA-256 do not match."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def body_members(body: bytes) -> dict[str, Any]:
    """The members of an entry that hold and describe a body."""
    text = body.decode("utf-8", "surrogateescape")
    return dict(zip(("bytes", "sha256", "body"), (*_described(text), text), strict=True))


def is_whole(line: bytes) -> bool:
    """Whether a line without its end lacks nothing else: no part of a JSON object is one."""
    return bool(json_object(line))


def _described(body: str) -> tuple[int, str]:
    content = body_bytes(body)
    return len(content), hashlib.sha256(content).hexdigest()


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a number")
    return value


def _written(document: Document) -> bytes:
    """A line without its end: ASCII, so that nothing else counts as a line end."""
    return json.dumps(document, separators=(",", ":")).encode("ascii")
