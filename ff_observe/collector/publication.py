"""The public page and `fleet.json`: one signed release a day, kept in the store with all before, so that they are the
same from every collector and after each restart."""

import json
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from importlib.util import find_spec
from typing import Any, Final

from ff_observe.collector.fleet.figures import QUESTIONS, RESOURCES, Fleet, NotRolledUpError, as_json, take_release
from ff_observe.collector.fleet.history import History
from ff_observe.collector.fleet.noise import Noise, fits
from ff_observe.collector.fleet.quality import USUAL_DAYS, of_release
from ff_observe.collector.pages.public import render
from ff_observe.collector.release_log import ReleaseLog
from ff_observe.collector.settings import EPSILON, CollectorSettings
from ff_observe.collector.store import Released, Store
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.telemetry.log import StateLog
from ff_observe.transparency.notes import SigningKey

log = logging.getLogger(__name__)

INDEX_PATH: Final = "/releases.json"
HISTORY_PATH: Final = "/history.json"


class Archive:
    """All releases and their proofs by path, compressed. One thread adds, others read."""

    def __init__(self) -> None:
        self.days: list[date] = []
        self._compressed: dict[str, bytes] = {}

    def add(self, released: Released) -> None:
        self.days.append(released.day)
        self._compressed[f"/releases/{released.day}.json"] = zlib.compress(released.document.encode())
        self._compressed[f"/releases/{released.day}.proof"] = zlib.compress(released.proof.encode())

    def last(self, number: int) -> list[bytes]:
        """The last releases, the newest last."""
        return [zlib.decompress(self._compressed[f"/releases/{day}.json"]) for day in self.days[-number:]]

    def find(self, path: str) -> bytes | None:
        """What a path names; None if it names no release."""
        compressed = self._compressed.get(path)
        return None if compressed is None else zlib.decompress(compressed)


@dataclass(frozen=True, slots=True)
class Release:
    """What is published, rendered: page, data, the list of all releases with the key that signs them, and what they say
    over time."""

    page: bytes
    data: bytes
    index: bytes
    history: bytes
    archive: Archive


class Publication:
    """Releases the fleet at the beginning of each day (UTC). With `fleet.public_k` 1, which protects nothing, at each
    count, and nothing is kept.

    With `fleet.epsilon` the figures have noise, drawn when they are released, and releases end with their budget.
    Raises `ConfigurationError` where what draws the noise is not installed.

    No release is dated before another. A clock that is ahead by days releases nothing: the stored pings contradict it.
    """

    def __init__(
        self,
        store: Store,
        settings: CollectorSettings,
        releases_key: Callable[[], SigningKey],
        receipts_key: Callable[[], str],
    ) -> None:
        if settings.epsilon is not None and find_spec("opendp") is None:
            message = "noise needs the package opendp: pip install 'ff-observe[dp]'"
            raise ConfigurationError((Problem(settings.named_in, 0, 0, EPSILON.path, message),))
        self._store = store
        self._releases_key = releases_key
        self._receipts_key = receipts_key
        self._settings = settings
        self._k = max(settings.k, settings.public_k)
        self._log = ReleaseLog()
        self._archive = Archive()
        self._history = History()
        self.spent = 0.0
        """The sum of the ε of all releases with noise."""
        self._spending = StateLog(log)
        self._released = ""
        self._published = ""

    def refresh(self, fleet: Fleet, now: datetime) -> Release | None:
        """The release to publish from now on; None if it is the one published last. Rendering happens here, so call it
        in the thread that counts. Raises `StoreError`."""
        if self._k == 1:
            document = json.dumps(as_json(fleet, 1, days=0))
        else:
            self._release_if_due(now)
            document = self._released
        if document == self._published:
            return None
        self._published = document
        key = str(self._releases_key().verifier)
        index = {"key": key, "days": [str(day) for day in self._archive.days]}
        history = self._history.as_json()
        page = render(json.loads(document), self._receipts_key(), key, None if self._k == 1 else history)
        columns = json.dumps(history, separators=(",", ":"))
        return Release(page, document.encode(), json.dumps(index).encode(), columns.encode(), self._archive)

    def _release_if_due(self, now: datetime) -> None:
        self._read()
        today, last = now.astimezone(UTC).date(), self._log.last_day
        if last is not None and (today - last).days < self._settings.release_days:
            return
        if self._store.contradicts(datetime.combine(today, time(), UTC)):
            return
        if self._settings.epsilon is not None and not self._can_spend(self._settings.epsilon):
            return
        try:
            document = json.dumps(self._taken(now))
        except NotRolledUpError:
            if last is None:
                raise
            return
        if not self._store.release(self._log.next(today, document, self._releases_key())):
            # Another collector was first, or the database was restored from a backup.
            self._log, self._archive, self._history, self.spent = ReleaseLog(), Archive(), History(), 0.0
        self._read()

    def _taken(self, now: datetime) -> dict[str, Any]:
        epsilon, days, silent = self._settings.epsilon, self._settings.public_days, self._settings.silent_after_days
        noise = None
        if epsilon is not None:
            noise = Noise(epsilon, self._k, silent, shares=QUESTIONS, resources=len(RESOURCES))
        fleet = take_release(self._store, now, self._k, days, silent, noise)
        document = as_json(fleet, self._k, days)
        document["findings"] = of_release(document, [json.loads(each) for each in self._archive.last(USUAL_DAYS)])
        if noise is None:
            return document
        spent = round(self.spent + noise.epsilon, 9)
        return document | {"privacy": {**noise.described(), "spent": spent, "budget": self._settings.epsilon_budget}}

    def _can_spend(self, epsilon: float) -> bool:
        budget = self._settings.epsilon_budget
        if fits(self.spent, epsilon, budget):
            self._spending.working("the fleet is released again")
            return True
        self._spending.failing(
            f"the fleet is not released any more: releases spent {self.spent:g} of the {budget:g} of "
            f"fleet.epsilon_budget, and fleet.epsilon is {epsilon:g}"
        )
        return False

    def _read(self) -> None:
        for released in self._store.releases(len(self._log)):
            self._log.add(released)
            self._archive.add(released)
            self._released = released.document
            document = json.loads(released.document)
            self._history.add(document)
            privacy = document.get("privacy")
            self.spent = round(self.spent + (privacy["epsilon"] if privacy else 0.0), 9)
