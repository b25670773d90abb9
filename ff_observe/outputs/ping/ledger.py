"""The ledger of what was sent: one JSON line for each attempt to deliver a ping, in a Merkle tree, bounded in size.

Beside it are the newest checkpoint of the tree, signed with a key of this installation, and the checkpoints that a
collector cosigned. Its owner can rewrite all of it but the cosignatures.
"""

import contextlib
import errno
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from ff_observe.outputs.ping.ledger_files import (
    CHECKPOINT,
    KEY,
    NEW,
    OLDER,
    RECEIPTS,
    LedgerFiles,
    read_files,
    writable,
)
from ff_observe.outputs.ping.ledger_lines import (
    Entry,
    Event,
    Lines,
    body_members,
    is_whole,
    opening,
    read_lines,
    written,
)
from ff_observe.outputs.ping.outcome import Outcome
from ff_observe.system.clock import Clock
from ff_observe.transparency.checkpoints import Checkpoint, read_checkpoint
from ff_observe.transparency.merkle import Tree
from ff_observe.transparency.notes import SIGNATURE, NoteError, SigningKey

LARGEST_FILE: Final = 4 * 1024 * 1024  # bytes; with the one older file that is kept, years of daily pings
MOST_RECEIPTS: Final = 10_000


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

    def append(self, outcome: Outcome, body: bytes, note: str | None = None) -> None:
        """Write the entry of an attempt, synced to disk. Raises `OSError`, and leaves no part of the entry behind."""
        self._append(outcome.result.value, outcome.receiver or "", outcome.status, body, note)

    def begin(self, receiver: str, body: bytes) -> None:
        """Write that an attempt is about to be made. Raises `OSError`."""
        self._append(Event.BEGUN, receiver, None, body)

    def export(self, body: bytes) -> int:
        """Write that a ping leaves in a file. Returns the number of the entry. Raises `OSError`."""
        return self._append(Event.EXPORTED, "", None, body)

    def withhold(self, rule: str) -> None:
        """Write that a rule withholds the ping, unless the last entry says so already. Raises `OSError`."""
        self._write({"time": self._now(), "outcome": Event.WITHHELD, "rule": rule})

    def checkpoint(self) -> bytes | None:
        """The newest checkpoint, a signed note; None before there is one. Raises `OSError`."""
        return read_files(self.path, self._clock).get(self.path.name + CHECKPOINT)

    def keep_receipt(self, note: str) -> None:
        """Keep a cosigned checkpoint. Raises `OSError`."""
        name = self.path.name + RECEIPTS
        with writable(self.path) as files, files.locked(self.path.name, self._clock):
            lines = (files.read(name) or b"").splitlines(keepends=True)[1 - MOST_RECEIPTS :]
            line = json.dumps({"receipt": note}).encode() + b"\n"
            if line not in lines:
                files.write(name, b"".join([*lines, line]))

    @contextlib.contextmanager
    def recording_deliveries(self) -> Iterator[None]:
        """No other process records what was delivered by file until the block ends. Raises `OSError`."""
        with writable(self.path) as files, files.locked(f"{self.path.name}.deliveries", self._clock):
            yield

    def _append(self, outcome: str, receiver: str, status: int | None, body: bytes, note: str | None = None) -> int:
        document = {"time": self._now(), "outcome": outcome, "receiver": receiver, "status": status}
        return self._write({**document, **body_members(body), **({} if note is None else {"note": note})})

    def _write(self, document: dict[str, Any]) -> int:
        """Returns the index of the leaf."""
        name = self.path.name
        with writable(self.path) as files, files.locked(name, self._clock):
            if not files.exists(name) and files.exists(name + OLDER) and files.exists(name + NEW):
                files.replace(name + NEW, name)  # completes a `_begin` that a crash interrupted
            self._check_file(files)
            key, is_new = self._key(files)
            present = _read(files, name)
            before = present or _read(files, name + OLDER)
            tree = before.tree if before else Tree()
            if before and before.last_rule is not None and before.last_rule == document.get("rule"):
                return tree.size - 1
            notes = [document["note"]] if "note" in document else []
            if present is not None and present.unfinished:
                notes.append(f"an unfinished line of {present.unfinished} bytes was removed")
            if present is None and (before is not None or files.exists(name)):
                notes.append(f"{name} was missing, or there was no whole line in it")
            document = document | ({"note": "; ".join(notes)} if notes else {})
            if (broken := _broken(files, name, tree)) is not None:
                document["broken"] = broken
            if present is None:
                self._begin(files, tree, key, document)
            elif present.whole + document.get("bytes", 0) > self._largest_file:
                files.extend(name, present.whole, present.end)  # what a crash left is no line
                self._begin(files, tree, key, document, keep=True)
            else:
                if is_new:
                    document["key"] = str(key.verifier)
                line = written(tree, document)
                files.extend(name, present.whole, present.end + line + b"\n")
                tree.add(line)
            checkpoint = Checkpoint(key.verifier.name, tree.size, tree.root())
            files.write(name + CHECKPOINT, key.sign(str(checkpoint)).encode())
            return tree.size - 1

    def _begin(
        self, files: LedgerFiles, tree: Tree, key: SigningKey, document: dict[str, Any], *, keep: bool = False
    ) -> None:
        """Write a new file, complete before it takes its place; with `keep` the present one replaces the older."""
        name = self.path.name
        content = b""
        for number in range(2):
            line = opening(tree, self._now(), str(key.verifier)) if number == 0 else written(tree, document)
            tree.add(line)
            content += line + b"\n"
        files.remove(name + NEW)
        files.extend(name + NEW, 0, content)
        if keep:
            files.replace(name, name + OLDER)
        files.replace(name + NEW, name)

    def _check_file(self, files: LedgerFiles) -> None:
        """Another program's file, to which the ledger would be added, and whose last line would be cut, is refused."""
        name = self.path.name
        content = None if files.exists(name + KEY) else files.read(name)
        if content and not content.startswith(b"{"):
            raise OSError(errno.EEXIST, "it holds something else than a ledger: name another file", str(self.path))

    def _key(self, files: LedgerFiles) -> tuple[SigningKey, bool]:
        """The key of this installation, and whether it was made just now."""
        name = self.path.name + KEY
        content = files.read(name, private=True)
        if content is not None:
            try:
                return SigningKey.parse(content.decode("ascii", "replace")), False
            except NoteError as error:
                message = f"{error}; remove it, and a new one is made"
                raise OSError(errno.EINVAL, message, str(self.path.with_name(name))) from None
        # The name says nothing of the platform: a collector that sees it learns no more than from the ping.
        key = SigningKey.named_after_itself("ff-observe/ledger", SIGNATURE, secrets.token_bytes(32))
        files.write(name, key.encoded().encode() + b"\n")
        return key, True

    def _now(self) -> str:
        return self._clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entries(path: Path) -> Iterator[Entry]:
    """The entries, the oldest first. Lines that are no entries are left to `verify`. Raises `OSError`."""
    return read_ledger(path).entries


def read_ledger(path: Path) -> Lines:
    """The lines of a ledger. Raises `OSError`."""
    return read_lines(read_files(path), path)


@dataclass(frozen=True, slots=True)
class _FileState:
    """What a file holds: the tree up to its last whole line, the rule of its last entry, if one withheld that ping, how
    many bytes these lines are, how many an unfinished line has, and the end that the last whole line lacks, if it
    does."""

    tree: Tree
    last_rule: str | None
    whole: int
    unfinished: int
    end: bytes


def _read(files: LedgerFiles, name: str) -> _FileState | None:
    """None if there is no file, or no whole line in it."""
    content = files.read(name)
    if content is None:
        return None
    rest = content.rpartition(b"\n")[2]
    is_unclosed = bool(rest) and is_whole(rest)
    unfinished = 0 if is_unclosed else len(rest)
    whole = len(content) - unfinished
    if whole == 0:
        return None
    lines = read_lines({name: content[:whole]}, Path(name))
    last = next((entry for line in reversed(lines.lines) if (entry := line.entry()) is not None), None)
    rule = None if last is None else last.rule
    return _FileState(lines.tree, rule, whole, unfinished, b"\n" if is_unclosed else b"")


def _broken(files: LedgerFiles, name: str, tree: Tree) -> str | None:
    """What the ledger lost, in words, if it does not continue its checkpoint."""
    content = files.read(name + CHECKPOINT)
    if content is None:
        return None
    try:
        checkpoint, _ = read_checkpoint(content)
    except NoteError:
        return "its checkpoint could not be read"
    if checkpoint.size > tree.size:
        return f"lines were missing: there had been {checkpoint.size}, and {tree.size} were left"
    if checkpoint.size >= tree.first and tree.root(checkpoint.size) != checkpoint.root:
        return f"the {checkpoint.size} lines of the checkpoint before it were not the same any more"
    return None
