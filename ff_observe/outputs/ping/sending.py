"""The gate of the ping: the thread and `ping send` both send through `send_once`, and nothing else sends.

Every attempt is recorded in the ledger, and a ledger that fails stops nothing, unless it must.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ff_observe.config.settings import PingSettings, Settings
from ff_observe.errors import LedgerError
from ff_observe.outputs.ping.consent import WITHHELD_BY, Decision, decide
from ff_observe.outputs.ping.delivery import Delivery
from ff_observe.outputs.ping.ledger import Ledger
from ff_observe.outputs.ping.ledger_files import failure
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.payload import build_payload, encode
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import OperatingSystem
from ff_observe.system.clock import Clock
from ff_observe.system.trusted_path import check_naming_file
from ff_observe.telemetry.log import StateLog
from ff_observe.transparency.checkpoints import read_checkpoint
from ff_observe.transparency.notes import Note, NoteError

log = logging.getLogger(__name__)

INTERRUPTED: Final = "its delivery was interrupted, it may have arrived"


class Sender(Protocol):
    """Delivers a body: `Delivery`, except in tests."""

    def send(self, body: bytes) -> Outcome:
        """Try once. Does not raise."""

    def abort(self) -> None:
        """Abort a delivery in progress, from any thread, and send nothing more."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of `send_once`. Without consent it has neither body nor outcome."""

    decision: Decision
    body: bytes | None = None
    outcome: Outcome | None = None


def preview(snapshot: Snapshot, settings: Settings, operating_system: OperatingSystem) -> bytes:
    """The exact bytes that `send_once` would send, whether allowed or not. Raises `DeliveryError` if there are none."""
    return encode(build_payload(snapshot, settings.platform, operating_system))


def send_once(snapshot: Snapshot, settings: Settings, operating_system: OperatingSystem, sender: Sender) -> Sent:
    """Send one ping if that is allowed. Raises `DeliveryError` if the platform has no instance id."""
    decision = decide(snapshot, settings)
    if not decision.allowed:
        return Sent(decision)
    body = preview(snapshot, settings, operating_system)
    return Sent(decision, body, sender.send(body))


def sender_for(settings: Settings, clock: Clock) -> Sender:
    """The sender for these settings, with the ledger unless it is off."""
    delivery = Delivery(settings.ping.url, clock)
    ledger = settings.ping.ledger
    return delivery if ledger is None else RecordingSender(delivery, Ledger(ledger, clock), settings.ping)


def ledger_of(settings: Settings, clock: Clock) -> Ledger:
    """The ledger, which can be written to. Raises `LedgerError`, if only because none is kept."""
    if settings.ping.ledger is None:
        raise LedgerError("no ledger is kept: telemetry.ledger is off")
    check_ledger(settings, clock)
    return Ledger(settings.ping.ledger, clock)


def record_decision(sender: Sender, decision: Decision) -> None:
    """Record that the ping is withheld, if it is and the sender keeps a ledger."""
    if decision.rule in WITHHELD_BY and isinstance(sender, RecordingSender):
        sender.withhold(decision.rule)


def check_ledger(settings: Settings, clock: Clock) -> None:
    """Raises `LedgerError` if another user could redirect writes to the ledger to another file."""
    sender = sender_for(settings, clock)
    if isinstance(sender, RecordingSender):
        sender.check()


class RecordingSender:
    """Records every attempt of another sender. An attempt that could not even begin (no usable URL) is none.

    Root writes only to a ledger that is named in a file that root alone can change. Where the ledger is required,
    nothing is sent that was not written down before. A collector whose receipts are wanted is asked to cosign the
    ledger's checkpoint.
    """

    def __init__(self, sender: Delivery, ledger: Ledger, settings: PingSettings) -> None:
        self._sender = sender
        self._ledger = ledger
        self._named_in = settings.ledger_named_in
        self._required_at = sender.receiver if settings.ledger_required else None  # host and port
        self._collector = settings.receipts
        self._receipts = StateLog(log)
        self._state = StateLog(log)

    def check(self) -> None:
        """Raises `LedgerError` if an entry would not be written in order to protect other files."""
        try:
            check_naming_file(self._named_in)
            self._ledger.check()
        except OSError as error:
            raise LedgerError(
                f"{_not_written(self._ledger.path, error)}. Run this as the user of the platform (`sudo -u USER …`), "
                "or let telemetry.ledger name a file in a directory that only this user can write to (`off` for none)"
            ) from None

    def send(self, body: bytes) -> Outcome:
        """See `Sender`. Unless the ledger is required, the outcome is the same whether it could be recorded or not."""
        required_at = self._required_at
        if required_at is not None and not self._record(lambda: self._ledger.begin(required_at, body)):
            place = f"the ledger {self._ledger.path} cannot be written"
            return Outcome(Result.FAILED, f"held back, as telemetry.ledger_required says: {place}; the log says why")
        checkpoint = self._checkpoint()
        try:
            outcome = self._sender.send(body, None if checkpoint is None else checkpoint.text)
        except BaseException:  # Ctrl-C or SIGTERM, while the receiver may have all of the body
            self._record_attempt(
                Outcome(Result.FAILED, INTERRUPTED, receiver=self._sender.receiver, interrupted=True), body
            )
            raise
        try:
            self._record_attempt(outcome, body)
            if checkpoint is not None and outcome.result is Result.DELIVERED:
                self._keep_receipt(checkpoint, outcome.cosignature)
        except Exception:  # the ping has left: no fault of what follows may have it sent again
            log.exception("what became of the ping could not be recorded")
        return outcome

    def withhold(self, rule: str) -> None:
        self._record(lambda: self._ledger.withhold(rule))

    def abort(self) -> None:
        self._sender.abort()

    def _checkpoint(self) -> Note | None:
        """The checkpoint to be cosigned; None if no receipts are wanted, or there is none."""
        if self._collector is None:
            return None
        try:
            content = self._ledger.checkpoint()
            return None if content is None else read_checkpoint(content)[1]
        except (OSError, NoteError):  # the entry that follows says so
            return None

    def _keep_receipt(self, checkpoint: Note, cosignature: str | None) -> None:
        assert self._collector is not None
        receipt = checkpoint.with_line(cosignature or "")
        if receipt is not None and receipt.cosigned_at(self._collector) is not None:
            self._receipts.working("the receiver of the ping gives receipts again")
            self._record(lambda: self._ledger.keep_receipt(str(receipt)))
        else:
            self._receipts.failing(
                "the receiver of the ping gave no receipt that the key in telemetry.ping.receipts signed: compare it "
                "with what `ff-observe collector key` prints there"
            )

    def _record_attempt(self, outcome: Outcome, body: bytes) -> None:
        if outcome.receiver is not None:
            note = INTERRUPTED if outcome.interrupted else None
            self._record(lambda: self._ledger.append(outcome, body, note))

    def _record(self, write: Callable[[], None]) -> bool:
        """Whether it was written."""
        try:
            check_naming_file(self._named_in)
            write()
        except OSError as error:
            consequence = (
                "No ping is sent" if self._required_at is not None else "Pings are sent without being recorded"
            )
            self._state.failing(
                f"{_not_written(self._ledger.path, error)}. {consequence}. Make it writable "
                "for the user of ff-observe alone, or name another file in telemetry.ledger (`off` for none)"
            )
            return False
        self._state.working(f"the ledger of pings {self._ledger.path} is written again")
        return True


def _not_written(ledger: Path, error: OSError) -> str:
    return f"the ledger of pings {ledger} cannot be written: {failure(ledger, error)}"
