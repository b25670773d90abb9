"""Checkpoints of a log (C2SP tlog-checkpoint), and proofs that a line is in it (C2SP tlog-proof)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from ff_observe.transparency.merkle import leaf_hash, root_by_inclusion
from ff_observe.transparency.notes import Note, NoteError, decoded, encoded

_TEXT: Final = re.compile(r"([!-~]{1,200})\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n", re.ASCII)
_PROOF: Final = "c2sp.org/tlog-proof@v1"
_EXTRA: Final = "extra "
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log `origin` had `size` lines, whose tree has this root."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """The text of a checkpoint, without extension lines, which ours do not have. Raises `NoteError`."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise NoteError("it is no checkpoint of a log: an origin, a size and a root hash")
        return cls(found[1], int(found[2]), decoded(found[3]))

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{encoded(self.root)}\n"


def read_checkpoint(content: bytes) -> tuple[Checkpoint, Note]:
    """A signed checkpoint, whose signatures are not verified yet. Raises `NoteError`."""
    note = Note.parse(content)
    return Checkpoint.parse(note.text), note


@dataclass(frozen=True, slots=True)
class Proof:
    """That the line `extra` is in a log at `index`: the audit path to the root in the checkpoint."""

    index: int
    path: Sequence[bytes]
    note: Note
    extra: bytes

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raises `NoteError`."""
        head, _, rest = content.partition(b"\n\n")
        first, extra, index, *path = [*head.decode("utf-8", "replace").split("\n"), "", ""][:70]
        numbered = _INDEX.fullmatch(index)
        hashes = [decoded(line) for line in path if line]
        if (
            first != _PROOF
            or not extra.startswith(_EXTRA)
            or numbered is None
            or any(len(each) != 32 for each in hashes)
        ):
            raise NoteError(f"it is no proof: {_PROOF}, extra data, an index, hashes, an empty line, and a checkpoint")
        return cls(int(numbered[1]), hashes, Note.parse(rest), decoded(extra.removeprefix(_EXTRA)))

    def __str__(self) -> str:
        lines = (encoded(each) for each in self.path)
        extra = _EXTRA + encoded(self.extra)
        return "\n".join([_PROOF, extra, f"index {self.index}", *lines, "", str(self.note)])

    @property
    def holds(self) -> bool:
        """Whether the checkpoint is of a log with that line at that index. Raises `NoteError` if it is none."""
        checkpoint = Checkpoint.parse(self.note.text)
        return root_by_inclusion(self.index, checkpoint.size, leaf_hash(self.extra), self.path) == checkpoint.root
