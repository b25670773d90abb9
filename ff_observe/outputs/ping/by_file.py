"""A ping that travels by file: exported on a machine without a network, delivered by another, receipted on the first.

The exported file holds the line of the ledger with the body, and the proof that it is in the ledger, so that nothing of
it can be changed without the ledger's key.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from ff_observe.config.settings import Settings
from ff_observe.errors import DeliveryError, LedgerError
from ff_observe.outputs.ping.consent import WITHHELD_BY, decide
from ff_observe.outputs.ping.delivery import Delivery
from ff_observe.outputs.ping.ledger import Ledger, read_ledger
from ff_observe.outputs.ping.ledger_lines import Event, Line, body_bytes
from ff_observe.outputs.ping.ledger_proof import prove
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.sending import preview
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import OperatingSystem
from ff_observe.system.json_object import json_object
from ff_observe.transparency.checkpoints import Checkpoint, Proof
from ff_observe.transparency.notes import Note, NoteError, VerifierKey

LARGEST: Final = 1024 * 1024  # bytes, of either file
_EXPORT: Final = "ff-observe ping export 1"
_RECEIPT: Final = "ff-observe ping receipt 1"
_RECEIVER: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,300}")
_SHA256: Final = re.compile("[0-9a-f]{64}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_BY_FILE: Final = "delivered by file at "


@dataclass(frozen=True, slots=True)
class Export:
    """A ping in a file. `collector` is the key of the collector that is asked for a receipt, if any."""

    proof: Proof
    key: VerifierKey
    collector: VerifierKey | None
    body: bytes

    @classmethod
    def parse(cls, content: bytes, expected: VerifierKey | None = None) -> Self:
        """The content of a file, signed with the key that is `expected`, if it is known. Raises `DeliveryError`."""
        document = _document(content, _EXPORT)
        try:
            proof = Proof.parse(str(document.get("proof")).encode())
            key = VerifierKey.parse(str(document.get("key")))
            named = document.get("collector")
            collector = None if named is None else VerifierKey.parse(str(named))
            is_proved = proof.holds and proof.note.is_signed_by(key)
        except NoteError as error:
            raise DeliveryError(f"it was changed, or damaged on its way: {error}") from None
        entry = Line("", 0, proof.extra, proof.index, json_object(proof.extra) or {}).entry()
        if not is_proved or entry is None or entry.outcome != Event.EXPORTED:
            raise DeliveryError("it was changed, or damaged on its way: it is not what the ledger says was exported")
        if expected not in (None, key):
            raise DeliveryError(f"it is of another ledger: signed by {key}, and not by {expected}")
        return cls(proof, key, collector, body_bytes(entry.body))

    @property
    def digest(self) -> str:
        """Identifies it: the body alone is that of the day before, where nothing has changed."""
        return _digest(self.proof.extra)

    def written(self) -> bytes:
        document = {"proof": str(self.proof), "key": str(self.key)}
        collector = None if self.collector is None else str(self.collector)
        return _written(_EXPORT, {**document, "collector": collector})


@dataclass(frozen=True, slots=True)
class Receipt:
    """That the ping exported in the line of the ledger with this SHA-256 was delivered. `note` is the cosigned
    checkpoint, where one was asked for."""

    line: str
    time: str
    receiver: str
    status: int
    note: Note | None

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raises `DeliveryError`."""
        document = _document(content, _RECEIPT)
        line, time, receiver, status, note = (
            document.get(name) for name in ("line", "time", "receiver", "status", "note")
        )
        grammar = ((_SHA256, line), (_TIME, time), (_RECEIVER, receiver))
        if not all(form.fullmatch(str(text)) for form, text in grammar) or type(status) is not int:
            raise DeliveryError("it is no receipt of ours, or was damaged on its way")
        try:
            found = None if note is None else Note.parse(str(note).encode())
        except NoteError as error:
            raise DeliveryError(f"it was damaged on its way: {error}") from None
        return cls(str(line), str(time), str(receiver), status, found)

    def is_of(self, exported: Export) -> bool:
        """Whether it is for that ping."""
        return self.line == exported.digest

    def written(self) -> bytes:
        described = {"line": self.line, "time": self.time, "receiver": self.receiver, "status": self.status}
        return _written(_RECEIPT, {**described, "note": None if self.note is None else str(self.note)})


def export(snapshot: Snapshot, settings: Settings, operating_system: OperatingSystem, ledger: Ledger) -> Export:
    """Export a ping under the rules of one that is sent, and record that. Raises `DeliveryError` if it may not leave,
    and `LedgerError` or `OSError` if it cannot be recorded."""
    decision = decide(snapshot, settings)
    if not decision.allowed:
        if decision.rule in WITHHELD_BY:
            ledger.withhold(decision.rule)
        raise DeliveryError(f"not exported: {decision.explanation}")
    body = preview(snapshot, settings, operating_system)
    proof = prove(ledger.path, ledger.export(body))
    key = read_ledger(ledger.path).key
    if key is None:
        raise LedgerError(f"{ledger.path} names no key: begin a new ledger")
    return Export(proof, key, settings.ping.receipts, body)


def deliver(exported: Export, delivery: Delivery, now: Callable[[], str]) -> Receipt:
    """Send an exported ping. Raises `DeliveryError` if it was not delivered."""
    checkpoint = exported.proof.note
    outcome = delivery.send(exported.body, None if exported.collector is None else checkpoint.text)
    if outcome.result is not Result.DELIVERED:
        raise DeliveryError(f"{outcome.result}: {outcome.explanation}")
    note = None
    if exported.collector is not None:
        note = checkpoint.with_line(outcome.cosignature or "")
        note = note if note is not None and note.cosigned_at(exported.collector) is not None else None
    return Receipt(exported.digest, now(), outcome.receiver or "", outcome.status or 0, note)


def take_receipt(receipt: Receipt, ledger: Ledger, collector: VerifierKey | None) -> bool:
    """Record that an exported ping was delivered, and keep the cosigned checkpoint. Returns whether that is new. Raises
    `LedgerError` for a receipt of another ledger, or one that is none."""
    lines = read_ledger(ledger.path)
    line = next((line for line in lines.lines if _digest(line.content) == receipt.line), None)
    exported = None if line is None else line.entry()
    if exported is None or exported.outcome != Event.EXPORTED:
        raise LedgerError(f"{ledger.path} knows no exported ping whose line has the SHA-256 {receipt.line}")
    if collector is not None:
        if receipt.note is None or receipt.note.cosigned_at(collector) is None:
            raise LedgerError("the key in telemetry.ping.receipts did not sign this receipt, or it was changed")
        try:
            checkpoint = Checkpoint.parse(receipt.note.text)
        except NoteError as error:
            raise LedgerError(str(error)) from None
        size, tree = checkpoint.size, lines.tree
        if not tree.first <= size <= tree.size or tree.root(size) != checkpoint.root:
            raise LedgerError(f"this receipt is of another ledger than {ledger.path}, or this one was changed since")
        ledger.keep_receipt(str(receipt.note))
    delivered = Outcome(Result.DELIVERED, "", receipt.status, receipt.receiver)
    with ledger.recording_deliveries():
        by_file = _BY_FILE + receipt.time
        held = read_ledger(ledger.path).entries
        if any(entry.sha256 == exported.sha256 and by_file in (entry.note or "") for entry in held):
            return False
        ledger.append(delivered, body_bytes(exported.body), by_file)
    return True


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _document(content: bytes, form: str) -> dict[str, Any]:
    document = json_object(content[: LARGEST + 1])
    if document is None or document.get("format") != form:
        raise DeliveryError(f"it is no file with the format {form!r}, or was damaged on its way")
    return document


def _written(form: str, document: dict[str, Any]) -> bytes:
    return json.dumps({"format": form, **document}, indent=1).encode("ascii") + b"\n"
