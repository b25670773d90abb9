"""Verifies a ledger against itself, its checkpoint and a collector's receipts, and proves that an entry is in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ff_observe.errors import LedgerError
from ff_observe.outputs.ping.ledger import LARGEST_FILE
from ff_observe.outputs.ping.ledger_files import CHECKPOINT, OLDER, RECEIPTS, read_files
from ff_observe.outputs.ping.ledger_lines import Finding, Lines, read_lines
from ff_observe.system.json_object import json_object
from ff_observe.transparency.checkpoints import Checkpoint, Proof, read_checkpoint
from ff_observe.transparency.notes import Note, NoteError, VerifierKey


@dataclass(frozen=True, slots=True)
class Witness:
    """A statement of how the ledger once was, from `file`, line `number` (0: the whole file). `cosigned_at` is when a
    collector testified it, in seconds since 1970; None if that is not verified."""

    file: str
    number: int
    checkpoint: Checkpoint
    note: Note
    cosigned_at: int | None

    def __str__(self) -> str:
        if self.cosigned_at is None:
            return f"the checkpoint of {self.checkpoint.size} lines"
        return f"the receipt of {_moment(self.cosigned_at)} for {self.checkpoint.size} lines"


@dataclass(frozen=True, slots=True)
class Verified:
    """A ledger, what is wrong with it, and its witnesses, those of the fewest lines first."""

    lines: Lines
    findings: Sequence[Finding]
    witnesses: Sequence[Witness]

    @property
    def last_receipt(self) -> Witness | None:
        """The receipt that covers the most lines."""
        return next((each for each in reversed(self.witnesses) if each.cosigned_at is not None), None)


def verify(path: Path, collector: VerifierKey | None = None, *, largest_file: int = LARGEST_FILE) -> list[Finding]:
    """Every problem of the ledger; see `examine`. Raises `OSError`."""
    return list(examine(path, collector, largest_file=largest_file).findings)


def examine(
    path: Path,
    collector: VerifierKey | None = None,
    against: Sequence[Path] = (),
    largest_file: int = LARGEST_FILE,
) -> Verified:
    """Verify the lines, and that they continue the checkpoint beside them and those in the files `against`; with the
    key of the collector also every receipt. Raises `OSError`."""
    files = read_files(path)
    lines = read_lines(files, path)
    findings = list(lines.findings)
    findings += _dropped_early(path, files, lines, largest_file)
    witnesses: list[Witness] = []
    own = path.with_name(path.name + CHECKPOINT)
    if own.name in files:
        findings += _read_witness(own, 0, files[own.name], None, witnesses)
        if witnesses and lines.key is not None and not witnesses[0].note.is_signed_by(lines.key):
            findings.append(Finding(str(own), 0, "it is not signed with the key that the ledger names"))
    elif lines.lines:
        findings.append(Finding(str(own), 0, "the file is missing: the last lines may have been changed or removed"))
    for file in against:
        findings += _read_witness(file, 0, file.read_bytes(), collector, witnesses)
    if collector is not None:
        kept = path.with_name(path.name + RECEIPTS)
        for number, line in enumerate(files.get(kept.name, b"").splitlines(), 1):
            findings += _read_witness(kept, number, _receipt(line), collector, witnesses, receipt=True)
    witnesses.sort(key=lambda witness: witness.checkpoint.size)
    findings += _contradicted(lines, witnesses)
    return Verified(lines, findings, witnesses)


def _dropped_early(path: Path, files: Mapping[str, bytes], lines: Lines, largest_file: int) -> Iterator[Finding]:
    """Lines are dropped with a whole file, when the one after it is full: not so that they may be lost unnoticed."""
    before = files.get(path.name + OLDER)
    if before is not None and path.name in files and lines.tree.first:
        first = next((line.document for line in lines.lines if (line.file, line.number) == (path.name, 2)), {})
        size = first.get("bytes")
        if len(before) + (size if type(size) is int else 0) <= largest_file:
            what = "it was put aside before it was full: lines before it are missing"
            yield Finding(str(path.with_name(path.name + OLDER)), 0, what)


def _read_witness(
    file: Path,
    number: int,
    content: bytes,
    collector: VerifierKey | None,
    found: list[Witness],
    *,
    receipt: bool = False,
) -> Iterator[Finding]:
    """Add what the content testifies to `found`, unless something is wrong with it."""
    try:
        checkpoint, note = read_checkpoint(content)
    except NoteError as error:
        yield Finding(str(file), number, str(error))
        return
    cosigned_at = None if collector is None else note.cosigned_at(collector)
    if receipt and cosigned_at is None:
        yield Finding(str(file), number, "it is no receipt: the collector's key did not sign it, or it was changed")
    else:
        found.append(Witness(str(file), number, checkpoint, note, cosigned_at))


def _contradicted(lines: Lines, witnesses: Sequence[Witness]) -> Iterator[Finding]:
    """What the witnesses say against the ledger. `agreed`: so many lines are as a receipt testifies."""
    tree, agreed = lines.tree, lines.tree.first
    for witness in witnesses:
        size, root = witness.checkpoint.size, witness.checkpoint.root
        if size < tree.first or (size <= tree.size and tree.root(size) == root):
            if witness.cosigned_at is not None:  # the owner can sign what he likes
                agreed = max(agreed, size)
            continue
        how = "removed" if agreed == tree.size else "changed, removed, added or moved"
        yield Finding(witness.file, witness.number, f"{witness} is contradicted: {_of(agreed, size)} {how}")


def _of(start: int, end: int) -> str:
    return f"entry {start} was" if end - start == 1 else f"of the entries {start} to {end - 1}, some were"


def prove(path: Path, index: int, collector: VerifierKey | None = None, *, largest_file: int = LARGEST_FILE) -> Proof:
    """The proof that an entry's line, its extra data, is in the ledger: by the oldest receipt that covers it, or else
    by the ledger's own checkpoint. Raises `OSError`, or `LedgerError` where nothing is proved."""
    verified = examine(path, collector, largest_file=largest_file)
    tree = verified.lines.tree
    line = next((line for line in verified.lines.lines if line.index == index), None)
    if line is None:
        raise LedgerError(f"{path} has no entry {index}: ff-observe ping log lists their numbers")
    if verified.findings:
        raise LedgerError(f"the ledger proves nothing: {verified.findings[0]}")
    covering = [witness for witness in verified.witnesses if index < witness.checkpoint.size]
    receipts = [witness for witness in covering if witness.cosigned_at is not None]
    if not covering:
        raise LedgerError(f"no checkpoint covers entry {index}: it was written in this moment")
    witness = (receipts or covering[-1:])[0]
    return Proof(index, tree.inclusion(index, witness.checkpoint.size), witness.note, line.content)


def _receipt(line: bytes) -> bytes:
    """The note in a line of the receipts; empty if there is none."""
    note = (json_object(line) or {}).get("receipt")
    return note.encode("utf-8", "replace") if isinstance(note, str) else b""


def _moment(timestamp: int) -> str:
    try:
        return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"second {timestamp}"
