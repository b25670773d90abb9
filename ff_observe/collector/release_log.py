"""The log of public releases: a Merkle tree with a leaf for each release, in order. Each release has a proof (C2SP
tlog-proof) under a checkpoint of the log that ends with it.

In such a proof the audit path is the state of the log before the release: so any number of releases in a row can be
verified without the earlier ones.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Self

from ff_observe.collector.store import Released
from ff_observe.errors import FFObserveError
from ff_observe.system.json_object import json_object
from ff_observe.transparency.checkpoints import Checkpoint, Proof
from ff_observe.transparency.merkle import Tree
from ff_observe.transparency.notes import Note, NoteError, SigningKey, VerifierKey

_LEAF = re.compile(rb"ff-observe release ([0-9]{4}-[0-9]{2}-[0-9]{2}) sha256:([0-9a-f]{64})")


def _leaf(day: date, document: bytes) -> bytes:
    return f"ff-observe release {day} sha256:{hashlib.sha256(document).hexdigest()}".encode()


class ReleaseLog:
    """The releases so far: their number, and the day of the last."""

    def __init__(self) -> None:
        self._tree = Tree()
        self.last_day: date | None = None

    def __len__(self) -> int:
        return self._tree.size

    def add(self, released: Released) -> None:
        """Take in the next release of the store."""
        self._tree.add(_leaf(released.day, released.document.encode()))
        self.last_day = released.day

    def next(self, day: date, document: str, key: SigningKey) -> Released:
        """The release that would follow, signed."""
        leaf = _leaf(day, document.encode())
        grown = Tree(self._tree.size, self._tree.peaks)
        grown.add(leaf)
        note = Note.parse(key.sign(str(Checkpoint(key.verifier.name, grown.size, grown.root()))).encode())
        proof = Proof(self._tree.size, self._tree.peaks[::-1], note, leaf)
        return Released(self._tree.size, day, document, str(proof))


@dataclass(frozen=True, slots=True)
class _Verified:
    name: str
    day: date
    proof: Proof

    @classmethod
    def of(cls, file: Path, keys: Sequence[VerifierKey]) -> Self:
        """Raises `NoteError`, or `FFObserveError` for what cannot be read."""
        try:
            document, proof = file.read_bytes(), Proof.parse((file.parent / f"{file.stem}.proof").read_bytes())
        except OSError as error:
            raise FFObserveError(f"cannot read {error.filename}: {error.strerror}") from None
        if not any(proof.note.is_signed_by(key) for key in keys):
            raise NoteError("its proof is not signed by the key")
        found = _LEAF.fullmatch(proof.extra)
        if found is None or not proof.holds or proof.index + 1 != Checkpoint.parse(proof.note.text).size:
            raise NoteError("its proof was changed: it does not lead to the signed checkpoint")
        released_on = found[1].decode()
        if hashlib.sha256(document).hexdigest().encode() != found[2]:
            raise NoteError(f"it is not what was released on {released_on}")
        if (json_object(document) or {}).get("day") != released_on:
            raise NoteError(f"it has another day than {released_on}, on which it was released")
        named = re.search("[0-9]{4}-[0-9]{2}-[0-9]{2}", file.name)
        if named is not None and named[0] != released_on:
            raise NoteError(f"it was released on {released_on}")
        return cls(str(file), date.fromisoformat(released_on), proof)


def verify(files: Iterable[Path], keys: Sequence[VerifierKey]) -> list[str]:
    """What is wrong with downloaded releases, each with its proof beside it, file by file: changed, signed by none of
    the keys, missing between others, not in the order of their days, or not of one log. Raises `FFObserveError` for a
    file that cannot be read."""
    findings: list[str] = []
    verified: list[_Verified] = []
    for file in files:
        try:
            verified.append(_Verified.of(file, keys))
        except ValueError as error:  # a NoteError, or a day that the calendar lacks
            findings.append(f"{file}: {error}")
    return findings + list(_broken(sorted(verified, key=lambda each: each.proof.index)))


def _broken(chain: Sequence[_Verified]) -> Iterator[str]:
    for before, after in pairwise(chain):
        gap = after.proof.index - before.proof.index
        if gap > 1:
            missing = "one release is" if gap == 2 else f"{gap - 1} releases are"
            yield f"{after.name}: {missing} missing between {before.day} and {after.day}"
        elif gap == 0 and after.proof.extra != before.proof.extra:
            yield f"{after.name}: two releases, of {before.day} and {after.day}, have one number: the log was rewritten"
        elif gap == 1 and after.day <= before.day:
            yield f"{after.name}: it comes after the release of {before.day}, and is dated {after.day}"
        elif gap == 1:
            log = Tree(before.proof.index, before.proof.path[::-1])
            log.add(before.proof.extra)
            if log.peaks[::-1] != tuple(after.proof.path):
                yield f"{after.name}: it does not continue the log that ended with {before.day}: the log was rewritten"
