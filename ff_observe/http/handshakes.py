"""TLS handshakes under way. Each costs a millisecond of computing: one step at a time, the peers in turn."""

import asyncio
from typing import Protocol

from ff_observe.http.peers import Crowd, Peer, Turns


class Shaking(Protocol):
    """A connection whose handshake is not through."""

    peer: Peer

    def shake_hands(self) -> None:
        """Go on by what has arrived."""

    def displace(self) -> None:
        """Make room for another."""


class Handshakes:
    """At most `most` handshakes are under way. For one event loop."""

    def __init__(self, most: int) -> None:
        self._under_way: Crowd[Shaking] = Crowd(most)
        self._turns: Turns[Shaking] = Turns(2 * most)
        self._is_running = False

    def begins(self, connection: Shaking) -> None:
        """The oldest of the peer with the most may have to go."""
        displaced = self._under_way.add(connection.peer, connection)
        if displaced is not None:
            displaced.displace()

    def goes_on(self, connection: Shaking) -> None:
        """Something arrived for it."""
        self._turns.discard(connection.peer, connection)
        turned_away = self._turns.add(connection.peer, connection)
        if turned_away is not None:
            turned_away.displace()
        if not self._is_running:
            self._is_running = True
            self._next()

    def ends(self, connection: Shaking) -> None:
        """It is through, or the connection is gone."""
        self._under_way.remove(connection.peer, connection)
        self._turns.discard(connection.peer, connection)

    def _next(self) -> None:
        connection = self._turns.next()
        if connection is None:
            self._is_running = False
            return
        asyncio.get_running_loop().call_soon(self._next)
        connection.shake_hands()
