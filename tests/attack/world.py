"""A fleet that honest platforms and an attacker ping, day by day, and what both audiences see of it."""

import hashlib
import itertools
import json
import operator
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ff_observe.collector.fleet.figures import as_json, take_fleet
from ff_observe.collector.publication import Publication
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Ping, Store
from ff_observe.collector.store.sqlite import open_sqlite
from ff_observe.transparency.notes import SIGNATURE, SigningKey
from tests.contract.conftest import postgresql_store
from tests.real_parts import postgresql
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import later, ping

SETTINGS = CollectorSettings(public=True)
DAYS = range(5)
"""On each of these everybody pings unless said otherwise; the release is that of the day after."""
RELEASE_DAY = DAYS.stop
HONEST = 40
AT_ONCE = 500
KEY = SigningKey("releases", SIGNATURE, bytes(32))


def sender(address: str, key: int = 0) -> bytes:
    """The keyed hash of an address."""
    return hashlib.blake2b(address.encode(), key=key.to_bytes(8), digest_size=32).digest()


@dataclass(frozen=True)
class World:
    """The stage of one attack: an empty store at first. Pings reach it in the order of their moments, as in reality."""

    kept: Store
    _sent: list[Ping] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """The store, with all pings sent so far."""
        with BlockingWriter(self.kept) as writer:
            at = operator.attrgetter("received_at")
            for _, of_a_moment in itertools.groupby(sorted(self._sent, key=at), at):
                pings = list(of_a_moment)
                for start in range(0, len(pings), AT_ONCE):
                    writer.write(pings[start : start + AT_ONCE])
            self._sent.clear()
        return self.kept

    def ping(
        self, names: Iterable[str], *, days: Iterable[int] = DAYS, at: str = "", key: int = 0, **says: Any
    ) -> None:
        """Platforms ping on some days, from the one address `at` or each from its own."""
        named = list(names)
        for day in days:
            self._sent.extend(self._ping(name, later(days=day), sender(at or name, key), says) for name in named)

    def honest(self, number: int = HONEST, *, users: int = 9) -> None:
        """Platforms of many owners."""
        self.ping((f"honest-{index}" for index in range(number)), platform__counts__users=users)

    def public(self, day: int = RELEASE_DAY, hours: int = 0) -> dict[str, Any]:
        """What everybody sees on a day."""
        released: dict[str, Any] = json.loads(self.published(day, hours))
        return released

    def published(self, day: int = RELEASE_DAY, hours: int = 0, *, fold: bool = True) -> bytes:
        """The bytes of `fleet.json`, as a collector that starts now serves them."""
        now = later(days=day, hours=hours)
        publication = Publication(self.rolled_up(now) if fold else self.store, SETTINGS, lambda: KEY, lambda: "key")
        release = publication.refresh(take_fleet(self.store, now, SETTINGS.k, SETTINGS.silent_after_days), now)
        assert release is not None
        return release.data

    def rolled_up(self, now: datetime) -> Store:
        """The store, with its days rolled up."""
        while self.store.fold(now, 30).oldest_due is not None:
            pass
        return self.kept

    def private(self, day: int = DAYS[-1]) -> dict[str, Any]:
        """What the collector's own `/metrics` is made of."""
        fleet = take_fleet(self.store, later(days=day, hours=1), SETTINGS.k, SETTINGS.silent_after_days)
        return as_json(fleet, SETTINGS.k, days=0)

    def counted(self) -> int:
        """How many platforms the release is made of, before they are rounded."""
        midnight = later(days=RELEASE_DAY, hours=-12)
        sample = self.rolled_up(midnight).sample(midnight, SETTINGS.public_days, SETTINGS.silent_after_days)
        assert sample is not None
        return sample.seen.by_window["30d"]

    @staticmethod
    def _ping(name: str, at: datetime, hashed: bytes, says: dict[str, Any]) -> Ping:
        return ping(name, at, sender=hashed, **says)


def sqlite_worlds(directory: Path) -> Callable[[], World]:
    """Worlds with a SQLite file each."""
    numbers = itertools.count()
    window = SETTINGS.duplicate_window
    return lambda: World(open_sqlite(directory / f"pings-{next(numbers)}.sqlite3", window, "collector"))


def postgresql_worlds(cluster: postgresql.Cluster) -> Callable[[], World]:
    """Worlds with a database each."""
    return lambda: World(postgresql_store(cluster.url(cluster.create(f"attack_{uuid.uuid4().hex}"))))
