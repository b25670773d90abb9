"""The data that goes into a store and comes out of it, and the interface of what writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import orjson

from ff_observe.catalogue.ping_contract import Value, Values, document
from ff_observe.errors import FFObserveError

DAYS_PRUNED_AT_ONCE = 2
"""One prune deletes pings of at most this many days, so that a mistake is noticed before it costs much."""


class StoreError(FFObserveError):
    """A store operation failed. The message never holds a value of a ping, nor a password."""


class Ping(NamedTuple):
    """One accepted ping as it is stored; `Ping.of` makes them.

    `sender` is the keyed hash of the address, None where there was none to hash. `received_at` is in UTC. `encoded` is
    the canonical JSON array of `values`, and `digest` 32 hexadecimal digits that two pings share only if they are the
    same payload of the same instance.
    """

    received_at: datetime
    sender: bytes | None
    values: Values
    encoded: bytes
    digest: str

    @classmethod
    def of(cls, received_at: datetime, sender: bytes | None, values: Values) -> "Ping":
        encoded = canonical(values)
        return cls(received_at, sender, values, encoded, blake2b(encoded, digest_size=16).hexdigest())

    @property
    def instance_id(self) -> str:
        return str(self.values[0])

    def document(self) -> dict[str, object]:
        """The ping as it was sent, without fields outside the contract."""
        return document(self.values)


def canonical(values: Values) -> bytes:
    """The same JSON array for the same ping, however its keys were ordered, without unknown fields."""
    return orjson.dumps(values)


@dataclass(frozen=True, slots=True)
class Seen:
    """How many platforms pinged: in the last day, week and 30 days, and how many have been silent since
    `silent_since`."""

    by_window: dict[str, int]
    silent: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many pings were deleted, whether more days are due, whether only the clock says that more is due (neither the
    server's clock nor the newest pings agree that it is that late), and whether pings of a day are left that this prune
    began with. `awaited` is the first day that has to be rolled up before more is deleted; of the days that are `lost`,
    whose pings had waited for too long, nothing is kept."""

    pings: int = 0
    more: bool = False
    doubtful: bool = False
    unfinished: bool = False
    awaited: date | None = None
    lost: tuple[date, ...] = ()


Columns = Sequence[Sequence[Any]]
"""A portion of pings by column: when each was received, the hash of its sender, when its platform was first seen, and
each field of the contract."""
READ_AT_ONCE = 10_000
"""So many pings are in a portion at most."""

Distribution = Sequence[tuple[Value | None, int]]
"""The values of one field over platforms, each with how many platforms have it; None for those that left it out."""


@dataclass(frozen=True, slots=True)
class Count:
    """Every platform of the 30 days before `taken_at`: how many there were, and their latest values by the index of the
    field, in ascending order. `took_seconds` passed from then until the count ended."""

    taken_at: datetime
    seen: Seen
    distributions: Mapping[int, Distribution]
    took_seconds: float = field(default=0.0, compare=False)


class Rollup(NamedTuple):
    """How many platforms had a value on a day (UTC), by each platform's last ping of that day. `total` is the sum of a
    count over them. Fields that are not the ping's are described in `rollups.py`."""

    day: date
    field: str
    value: str
    platforms: int
    total: int = 0


@dataclass(frozen=True, slots=True)
class Folded:
    """How many days were rolled up; those that are still `due`, in ascending order; and why some of them failed, when
    they were last tried."""

    days: int
    due: Sequence[date]
    failed: Mapping[date, str]

    @property
    def oldest_due(self) -> date | None:
        return min(self.due, default=None)

    @property
    def more(self) -> bool:
        """Whether days are due that have not failed."""
        return any(day not in self.failed for day in self.due)

    def is_complete_before(self, day: date) -> bool:
        """Whether every day before is rolled up."""
        return self.oldest_due is None or self.oldest_due >= day


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of a day in a directory or a database (`target`). `stale` if the day has changed since, or the copy was
    never confirmed; `kept` if the store still has the day, and can make the copy anew."""

    target: str
    day: date
    stale: bool
    kept: bool


class Released(NamedTuple):
    """A public release: its number in the log of releases, from 0 on, and its proof (see `release_log.py`)."""

    number: int
    day: date
    document: str
    proof: str


class Writer(Protocol):
    """The one connection that stores pings. It belongs to one event loop, and writes one batch at a time."""

    @property
    def survives_failover(self) -> bool | None:
        """Whether a fail-over of the database would keep all that `write` has stored, by the last probe; None before
        the first."""

    async def write(self, pings: Sequence[Ping]) -> Sequence[bool]:
        """Store the pings in one durable transaction: once this returns they survive a power failure.

        For each ping, whether it was stored (True) or is a duplicate of one already stored (False). An empty sequence
        is a probe, which writes and commits too. Raises `StoreError`; then nothing of the batch counts as stored, and
        the next call uses a new connection.
        """

    def abort(self) -> None:
        """Make a hanging `write` fail soon."""

    async def close(self) -> None:
        """Close the connection."""

    def leave(self) -> None:
        """Close the connection without waiting for a `write` that hangs: it is closed once that ends."""
