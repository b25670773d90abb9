"""Places: of the open connections only so many are read, shared between the addresses they come from."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ff_observe.http.peers import FairQueue, FairSlots, Peer

_LOOKS_PER_TENURE = 20


class Candidate(Protocol):
    """A connection. `placed_at` is the time of the event loop at which it got its place."""

    peer: Peer
    placed_at: float

    def hold(self) -> None:
        """Take nothing from the client until `release`."""

    def release(self) -> None:
        """Take what the client has sent, and sends."""

    def displace(self) -> None:
        """Close to make room for another."""


C = TypeVar("C", bound=Candidate)


class Places(Generic[C]):
    """`most` places, and as many connections that wait for one. For one event loop.

    A connection for which there is no place displaces one of an address that has more, at once. Where no address has
    more than its own with it, it waits until the one to go has had its place for `tenure_seconds`. Clients that are
    displaced come back, and faster than another could say what it wants; the tenure is its time for that.
    """

    def __init__(self, most: int, tenure_seconds: float, is_behind: Callable[[], bool]) -> None:
        """`is_behind` tells whether those with a place wait for the processor: then none has to make room."""
        self._placed: FairSlots[C] = FairSlots(most)
        self._queue: FairQueue[C] = FairQueue(most)
        self._tenure_seconds = tenure_seconds
        self._is_behind = is_behind
        self._looking: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._placed) + len(self._queue)

    def limit(self, most: int, waiting: int) -> None:
        """From now on, `most` places, and room for `waiting` connections."""
        self._placed.most, self._queue.most = most, waiting

    def members(self) -> list[C]:
        """All connections, with a place and without, at this moment."""
        return [*self._placed.items(), *self._queue.items()]

    def enter(self, connection: C) -> None:
        """Give a new connection a place, or let it wait for one; another, or itself, may be displaced."""
        if not self._queue.count(connection.peer) and self._has_place_for(connection.peer):
            self._place(connection)
            return
        connection.hold()
        turned_away = self._queue.add(connection.peer, connection)
        if turned_away is not None:
            turned_away.displace()
        if self._looking is None:
            self._look_later()

    def leave(self, connection: C) -> None:
        self._queue.discard(connection.peer, connection)
        self._placed.discard(connection.peer, connection)
        if len(self._placed) < self._placed.most:
            self._place_next()

    def waits(self, connection: C) -> None:
        """A connection begins to wait for its client."""
        self._placed.waits(connection.peer, connection)

    def is_busy(self, connection: C) -> None:
        """Its client begins to wait for us."""
        self._placed.is_busy(connection.peer, connection)

    def _has_place_for(self, peer: Peer) -> bool:
        displaced = self._placed.displaced_by(peer)
        if displaced is None:
            return True
        heaviest, connection = displaced
        has_fewer = self._placed.count(peer) + 1 < self._placed.count(heaviest)
        return has_fewer or _now() - connection.placed_at >= self._tenure_seconds

    def _place(self, connection: C) -> None:
        displaced = self._placed.add(connection.peer, connection)
        if displaced is not None:
            displaced.displace()
        connection.placed_at = _now()

    def _place_next(self) -> bool:
        peer = self._queue.next_peer
        if peer is None or not self._has_place_for(peer):
            return False
        connection = self._queue.next()
        assert connection is not None
        self._place(connection)
        connection.release()
        return True

    def _look_later(self) -> None:
        seconds = self._tenure_seconds / _LOOKS_PER_TENURE
        self._looking = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Evenly, or all that came at once would go at once: no client has time for anything while they come back."""
        self._looking = None
        if not self._is_behind():
            for _ in range(-(-self._placed.most // _LOOKS_PER_TENURE)):
                if not self._place_next():
                    break
        if len(self._queue):
            self._look_later()


def _now() -> float:
    return asyncio.get_running_loop().time()
