"""A collector's two keys: opened when it starts or once they can be had, and looked after from then on."""

import logging

from ff_observe.collector.keys.receipts import Receipts
from ff_observe.collector.keys.sender_hash import SenderHash
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Store, StoreError
from ff_observe.errors import FFObserveError
from ff_observe.system.clock import Clock
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0


class Keys:
    """The key that hashes senders' addresses, and the one that signs receipts. No ping can be taken before both are
    open."""

    def __init__(self, settings: CollectorSettings, store: Store, clock: Clock) -> None:
        self.sender = SenderHash.of_settings(settings, store)
        self.receipts = Receipts.of(settings, store)
        self._clock = clock
        self._state = StateLog(log)

    def open(self) -> None:
        """Open both. If the database or a command fails for now, `look_after` tries again. Raises `ConfigurationError`
        for what has to be changed."""
        try:
            self._bring_up_to_date()
        except StoreError as error:
            self._state.failing(f"pings are refused until the keys can be read: {error}")

    def look_after(self) -> float:
        """Open what is not open, replace the key that hashes addresses when it is due, and use the one that another
        collector made. Returns the seconds until the next time, which are few enough for wall time to jump."""
        try:
            until_due = self._bring_up_to_date()
        except FFObserveError as error:
            consequence = "it stays in use" if self.sender.is_open else "pings are refused"
            self._state.failing(f"the key that hashes addresses cannot be looked after, {consequence}: {error}")
            return RETRY_SECONDS
        self._state.working("the keys can be looked after again")
        return min(self.sender.seconds_between_looks, 1.0 + until_due)

    def _bring_up_to_date(self) -> float:
        if not self.sender.is_open:
            self.receipts.open()
        return self.sender.replace_if_due(self._clock.now())
