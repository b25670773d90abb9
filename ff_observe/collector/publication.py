"""The public page and `fleet.json`: one release a day, kept in the store, so that it is the same from every collector
and after each restart."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ff_observe.collector.fleet import Fleet, as_json, take_release
from ff_observe.collector.page import render
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Store


@dataclass(frozen=True, slots=True)
class Release:
    """What is published, rendered."""

    page: bytes
    data: bytes

    @classmethod
    def of(cls, document: str, receipts_key: str) -> "Release":
        return cls(render(json.loads(document), receipts_key), document.encode())


class Publication:
    """Releases the fleet at the beginning of each day (UTC). With `fleet.public_k` 1, which protects nothing, at each
    count."""

    def __init__(self, store: Store, settings: CollectorSettings, receipts_key: Callable[[], str]) -> None:
        self._store = store
        self._receipts_key = receipts_key
        self._k = max(settings.k, settings.public_k)
        self._days = settings.public_days
        self._silent_after_days = settings.silent_after_days
        self._document = ""

    def refresh(self, fleet: Fleet, now: datetime) -> Release | None:
        """The release to publish from now on; None if it is the one published last. Rendering happens here, so call it
        in the thread that counts. Raises `StoreError`."""
        document = json.dumps(as_json(fleet, 1, days=0)) if self._k == 1 else self._released(now)
        if document == self._document:
            return None
        self._document = document
        return Release.of(document, self._receipts_key())

    def _released(self, now: datetime) -> str:
        today = now.astimezone(UTC).date()
        if (released := self._store.released(today)) is not None:
            return released
        fleet = take_release(self._store, now, self._k, self._days, self._silent_after_days)
        return self._store.release(today, json.dumps(as_json(fleet, self._k, days=self._days)))
