"""A ledger with receipts, and what an attacker with all of its files and keys but the collector's can make of it."""

import base64
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ff_observe.outputs.ping.ledger import Ledger
from ff_observe.outputs.ping.ledger_files import CHECKPOINT, KEY, OLDER, RECEIPTS
from ff_observe.outputs.ping.ledger_lines import body_members, opening, written
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.transparency.checkpoints import Checkpoint
from ff_observe.transparency.merkle import Tree
from ff_observe.transparency.notes import COSIGNATURE, Note, SigningKey
from tests.fakes import FakeClock

NAME = "pings.jsonl"
COLLECTOR = SigningKey("collector.example/receipts", COSIGNATURE, b"c" * 32)
FILES = (NAME, NAME + OLDER, NAME + CHECKPOINT, NAME + KEY, NAME + RECEIPTS)
LARGEST_FILE = 3000
KINDS = ("rewrite", "drop", "reorder", "insert", "roll back", "fork", "truncate", "drop a file", "put aside early")

Documents = list[dict[str, Any]]


def cosigned(checkpoint: bytes, timestamp: int) -> str:
    """What the collector makes of a checkpoint."""
    return checkpoint.decode() + COLLECTOR.cosign(Note.parse(checkpoint).text, timestamp)


def make(directory: Path, chance: random.Random, entries: int) -> dict[str, bytes]:
    """A ledger of so many entries, with receipts from the first on, now and then. Returns its files by their names."""
    clock = FakeClock()
    ledger = Ledger(directory / NAME, clock, LARGEST_FILE)
    for number in range(entries):
        if number and (number == 1 or chance.random() < 0.6):
            checkpoint = ledger.checkpoint()
            assert checkpoint is not None
            ledger.keep_receipt(cosigned(checkpoint, int(clock.now().timestamp())))
        clock.advance(86_400)
        ledger.append(Outcome(Result.DELIVERED, "fine", 200, "ping.example.com:443"), b'{"ping":%d}' % number)
    return read(directory)


def read(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in FILES if (directory / name).exists()}


def write(directory: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory / NAME


def receipted(files: dict[str, bytes]) -> list[int]:
    """How many lines each receipt covers."""
    lines = files[NAME + RECEIPTS].splitlines()
    return [int(json.loads(line)["receipt"].split("\n")[1]) for line in lines]


@dataclass(frozen=True)
class Forgery:
    """`touched` is the first entry that is not what or where it was."""

    files: dict[str, bytes]
    touched: int


class Forger:
    """Knows the key of the installation, and signs whatever fits."""

    def __init__(self, files: dict[str, bytes], chance: random.Random) -> None:
        self._files = files
        self._chance = chance
        self._key = SigningKey.parse(files[NAME + KEY].decode())
        self._older = [json.loads(line) for line in files.get(NAME + OLDER, b"").splitlines()]
        self._present = [json.loads(line) for line in files[NAME].splitlines()]
        self._first = (self._older or self._present)[0]["index"]

    def forge(self, kind: str) -> Forgery:
        """One tampering of a kind, at a place of chance."""
        documents, chance = [*self._older, *self._present], self._chance
        split = len(self._older)
        # An opening line stays where it is: its index would be wrong in another place.
        places = [at for at, document in enumerate(documents) if "ledger" not in document]
        at = chance.choice(places)
        if kind == "rewrite":
            documents[at] = {**documents[at], **chance.choice([_REJECTED, _ANOTHER_BODY, _ANOTHER_TIME])}
        elif kind in ("drop", "insert"):
            split = split if at >= split else split + (1 if kind == "insert" else -1)
            documents[at : at + 1] = [] if kind == "drop" else [{**documents[at], **_ANOTHER_BODY}, documents[at]]
        elif kind == "reorder":
            other = chance.choice([place for place in places if place != at])
            documents[at], documents[other] = documents[other], documents[at]
            at = min(at, other)
        elif kind in ("truncate", "roll back", "fork"):
            more = chance.randint(1, len(documents)) if kind == "fork" else 0
            documents = documents[:at] + [{**documents[at], **_ANOTHER_BODY} for _ in range(more)]
            split = split if at > split else 0  # what is left, and what is new, is in one file
        elif kind == "drop a file":
            kept = {name: content for name, content in self._files.items() if name != NAME + OLDER}
            return Forgery(kept, self._first)
        else:  # what is older is lost by a rotation that was not due
            return self._put_aside()
        return Forgery(self._sealed(documents, split), self._first + at)

    def _put_aside(self) -> Forgery:
        tree = _tree_before(self._present[0])
        for line in self._files[NAME].splitlines():
            tree.add(line)
        line = opening(tree, "2026-11-24T00:00:00.000Z", str(self._key.verifier))
        tree.add(line)
        content = line + b"\n"
        line = written(tree, {**self._present[-1], **_ANOTHER_BODY})
        tree.add(line)
        files = {**self._files, NAME + OLDER: self._files[NAME], NAME: content + line + b"\n"}
        return Forgery({**files, NAME + CHECKPOINT: self._checkpoint(tree)}, self._first)

    def _sealed(self, documents: Documents, split: int) -> dict[str, bytes]:
        """The files with these entries, as if they had been written so."""
        tree = _tree_before(documents[0])
        contents = [b"", b""]
        for number, document in enumerate(documents):
            if "ledger" in document:
                line = opening(tree, document["time"], document["key"])
            else:
                line = written(tree, {name: value for name, value in document.items() if name != "root"})
            tree.add(line)
            contents[number >= split] += line + b"\n"
        files = {name: content for name, content in self._files.items() if name not in (NAME, NAME + OLDER)}
        files |= {NAME: contents[1], NAME + CHECKPOINT: self._checkpoint(tree)}
        return files | ({NAME + OLDER: contents[0]} if contents[0] else {})

    def _checkpoint(self, tree: Tree) -> bytes:
        return self._key.sign(str(Checkpoint(self._key.verifier.name, tree.size, tree.root()))).encode()


def _tree_before(opened: dict[str, Any]) -> Tree:
    """The tree that an opening line continues."""
    return Tree(opened["index"], [base64.b64decode(peak) for peak in opened["peaks"]])


_REJECTED = {"outcome": "rejected", "status": 404}
_ANOTHER_TIME = {"time": "2026-01-01T00:00:00.000Z"}
_ANOTHER_BODY = body_members(b'{"ping":"another"}')
