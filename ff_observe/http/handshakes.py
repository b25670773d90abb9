"""TLS handshakes in progress. Each costs a millisecond of processor time: they advance one step at a time, taking turns
by peer."""

import asyncio
from typing import Protocol

from ff_observe.http.peers import FairQueue, FairSlots, Peer


class Handshake(Protocol):
    """A connection whose handshake is not complete."""

    peer: Peer

    def advance_handshake(self) -> None:
        """Advance with the data that has arrived."""

    def displace(self) -> None:
        """Close to make room for another."""


class Handshakes:
    """At most `most` handshakes are in progress. For one event loop."""

    def __init__(self, most: int) -> None:
        self._under_way: FairSlots[Handshake] = FairSlots(most)
        self._turns: FairQueue[Handshake] = FairQueue(2 * most)
        self._is_running = False

    def begins(self, connection: Handshake) -> None:
        """Add a handshake; the oldest of the peer with the most may be displaced."""
        displaced = self._under_way.add(connection.peer, connection)
        if displaced is not None:
            displaced.displace()

    def goes_on(self, connection: Handshake) -> None:
        """Data arrived for it."""
        self._turns.discard(connection.peer, connection)
        turned_away = self._turns.add(connection.peer, connection)
        if turned_away is not None:
            turned_away.displace()
        if not self._is_running:
            self._is_running = True
            self._next()

    def ends(self, connection: Handshake) -> None:
        """The handshake is complete, or the connection is gone."""
        self._under_way.remove(connection.peer, connection)
        self._turns.discard(connection.peer, connection)

    def _next(self) -> None:
        connection = self._turns.next()
        if connection is None:
            self._is_running = False
            return
        asyncio.get_running_loop().call_soon(self._next)
        connection.advance_handshake()
