"""A sender that keeps the ledger: what leaves through it is recorded, and a ledger that fails stops nothing."""

import logging

from ff_observe.clock import Clock
from ff_observe.config.settings import Settings
from ff_observe.log import StateLog
from ff_observe.outputs.ping.delivery import Delivery
from ff_observe.outputs.ping.ledger import Ledger
from ff_observe.outputs.ping.outcome import Outcome
from ff_observe.outputs.ping.sending import Sender

log = logging.getLogger(__name__)


def sender_for(settings: Settings, clock: Clock) -> Sender:
    """Where pings go with these settings, the ledger included unless it is off."""
    delivery = Delivery(settings.ping.url, clock)
    ledger = settings.ping.ledger
    return delivery if ledger is None else RecordingSender(delivery, Ledger(ledger, clock))


class RecordingSender:
    """Records every attempt of another sender. An attempt that could not even begin (no usable URL) is none."""

    def __init__(self, sender: Sender, ledger: Ledger) -> None:
        self._sender = sender
        self._ledger = ledger
        self._state = StateLog(log)

    def send(self, body: bytes) -> Outcome:
        """See `Sender`. The outcome is the same whether it could be recorded or not."""
        outcome = self._sender.send(body)
        if outcome.receiver is not None:
            self._record(outcome, body)
        return outcome

    def abort(self) -> None:
        """See `Sender`."""
        self._sender.abort()

    def _record(self, outcome: Outcome, body: bytes) -> None:
        try:
            self._ledger.append(outcome, body)
        except OSError as error:
            self._state.failing(
                f"the ledger of pings {self._ledger.path} cannot be written: {error.strerror or error}. Pings are sent "
                "without being recorded. Make it writable, or name another file in telemetry.ledger (`off` for none)"
            )
        else:
            self._state.working(f"the ledger of pings {self._ledger.path} is written again")
