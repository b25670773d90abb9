"""The ledger of what was sent: one JSON line for each attempt to deliver a ping, chained by hashes, bounded in size.

Each line ends in `hash`, the SHA-256 of the line without it, and holds in `previous` the SHA-256 of the whole line
before it, so that `sha256sum` is enough to check it by hand. A file begins with an opening line that continues the
chain of the previous file. The chain cannot reveal missing entries at the very end, or a ledger rewritten as a whole.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from ff_observe.clock import Clock
from ff_observe.outputs.ping.ledger_files import LedgerFiles, new, older, read_files, writable
from ff_observe.outputs.ping.outcome import Outcome

LARGEST_FILE: Final = 4 * 1024 * 1024  # bytes; with the one older file that is kept, years of daily pings
BEGINNING: Final = "0" * 64  # `previous` in the first line of the first file

_FORMAT: Final = "ff-observe pings 1"
_END_BYTES: Final = 256 * 1024  # of a file, certain to contain the start of its last line


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt. `body` is exactly what was sent, and `bytes` and `sha256` describe it; `receiver` is host and port
    only.

    `time` (RFC 3339, UTC) is when the outcome was known. `note` describes a repair made before this entry.
    """

    time: str
    outcome: str
    receiver: str
    status: int | None
    bytes: int
    sha256: str
    body: str
    previous: str
    hash: str
    note: str | None = None

    def document(self) -> dict[str, Any]:
        """The members of the line, without empty ones."""
        return {name: value for name, value in asdict(self).items() if name != "note" or value is not None}


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with a ledger. `line` counts from 1, and is 0 if it concerns the file as a whole."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


class Ledger:
    """Appends to the file `path`; any number of processes may do so at once. Nothing is touched before that."""

    def __init__(self, path: Path, clock: Clock, largest_file: int = LARGEST_FILE) -> None:
        self.path = path
        self._clock = clock
        self._largest_file = largest_file

    def check(self) -> None:
        """Raises `OSError` if other users could redirect the writes; writes nothing."""
        with contextlib.suppress(FileNotFoundError), writable(self.path, make=False) as files:
            files.check(self.path.name)

    def append(self, outcome: Outcome, body: bytes) -> None:
        """Write one entry, synced to disk. Raises `OSError`, and leaves no part of the entry behind."""
        name = self.path.name
        with writable(self.path) as files, files.locked(name, self._clock):
            if not files.exists(name) and files.exists(older(name)) and files.exists(new(name)):
                files.replace(new(name), name)  # completes a `_begin` that a crash interrupted
            end = _read_end(files, name)
            if end is None:
                before = _read_end(files, older(name))
                lost = before is not None or files.exists(name)
                note = f"{name} was missing, or there was no whole line in it" if lost else None
                self._begin(files, before.last if before else b"", outcome, body, note)
            elif end.size + len(body) > self._largest_file:
                self._begin(files, end.last, outcome, body, end.note, keep=True)
            else:
                line = self._line(end.last, outcome, body, end.note)
                files.extend(name, end.whole, (b"\n" if end.unclosed else b"") + line)

    def _begin(
        self, files: LedgerFiles, last: bytes, outcome: Outcome, body: bytes, note: str | None, *, keep: bool = False
    ) -> None:
        """Write a new file, complete before it takes its place; with `keep` the present one replaces the older."""
        name = self.path.name
        opening = _sealed({"ledger": _FORMAT, "time": self._now(), "previous": _digest(last) if last else BEGINNING})
        files.remove(new(name))
        files.extend(new(name), 0, opening + b"\n" + self._line(opening, outcome, body, note))
        if keep:
            files.replace(name, older(name))
        files.replace(new(name), name)

    def _line(self, last: bytes, outcome: Outcome, body: bytes, note: str | None) -> bytes:
        document = {
            "time": self._now(),
            "outcome": outcome.result.value,
            "receiver": outcome.receiver or "",
            "status": outcome.status,
            "bytes": len(body),
            "sha256": _digest(body),
            "body": body.decode("utf-8", "surrogateescape"),
            **({"note": note} if note else {}),
            "previous": _digest(last),
        }
        return _sealed(document) + b"\n"

    def _now(self) -> str:
        return self._clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entries(path: Path) -> Iterator[Entry]:
    """The entries, the oldest first. Lines that are no entries are left to `verify`. Raises `OSError`."""
    for _name, content in read_files(path):
        for line in content.split(b"\n"):
            entry = _parse(line)
            if entry is not None:
                yield entry


def verify(path: Path) -> list[Finding]:
    """Every problem of the ledger; empty if the chain is intact. Raises `OSError`."""
    findings: list[Finding] = []
    files = read_files(path)
    names = [name for name, _ in files]
    if path.name not in names:
        findings.append(Finding(path.name, 0, "the file is missing"))
    last: bytes | None = None
    for name, content in files:
        *lines, rest = content.split(b"\n")
        if rest:
            lines.append(rest)
        if not content:
            findings.append(Finding(name, 0, "the file is empty"))
        for number, line in enumerate(lines, 1):
            what = list(_wrong_with(line, opens=number == 1))
            if number == 1 and last is None:
                may_continue = name != path.name  # the file before the older one was deleted by rotation
                if not may_continue and _previous(line) != BEGINNING:
                    what.append("it continues another file, which is missing")
            elif last is not None and _previous(line) != _digest(last):
                what.append("it does not follow the line before: a line was changed, removed, added or moved")
            findings += [Finding(name, number, each) for each in what]
            last = line
        if rest:
            findings.append(Finding(name, len(lines), "the line has no end: it was cut off, perhaps by a crash"))
    return findings


def _wrong_with(line: bytes, *, opens: bool) -> Iterator[str]:
    document = _document(line)
    if line != _sealed({name: value for name, value in document.items() if name != "hash"}):
        yield "it was changed: its hash is of something else"
    elif opens:
        if document.get("ledger") != _FORMAT:
            yield "it does not open the file: lines before it were removed"
    elif (entry := _parse(line)) is None:
        yield "it is no entry"
    else:
        body = entry.body.encode("utf-8", "surrogateescape")
        if (entry.bytes, entry.sha256) != (len(body), _digest(body)):
            yield "its body has another size or SHA-256 than it says"


def _document(line: bytes) -> dict[str, Any]:
    """The members of a line; empty if it is no JSON object."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _parse(line: bytes) -> Entry | None:
    """The entry, if the line has the form of one."""
    document = _document(line)
    known = {field.name for field in fields(Entry)}
    if not known - {"note"} <= document.keys() <= known:
        return None
    texts = [value for name, value in document.items() if name not in ("status", "bytes")]
    numbers = [document["bytes"], *([] if document["status"] is None else [document["status"]])]
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        return None
    return Entry(**document)


def _previous(line: bytes) -> object:
    return _document(line).get("previous")


def _sealed(document: dict[str, Any]) -> bytes:
    """A line without its end: ASCII, so that nothing else counts as a line end."""
    text = json.dumps(document, separators=(",", ":")).encode()
    return text[:-1] + f',"hash":"{_digest(text)}"}}'.encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a file: its size, how many bytes are whole lines, and the last of these, `unclosed` without its
    end."""

    size: int
    whole: int
    last: bytes
    unclosed: bool
    note: str | None


def _read_end(files: LedgerFiles, name: str) -> _End | None:
    """None if there is no file, or no whole line in it."""
    try:
        size, content = files.read_last(name, _END_BYTES)
    except FileNotFoundError:
        return None
    *lines, rest = content.split(b"\n")
    if rest and _document(rest) and not list(_wrong_with(rest, opens=not lines)):
        return _End(size, size, rest, True, None)
    if not lines:
        return None
    note = f"an unfinished line of {len(rest)} bytes was removed" if rest else None
    return _End(size, size - len(rest), lines[-1], False, note)
