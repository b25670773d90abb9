"""TLS handshakes in progress. Each costs a millisecond of processor time: they advance one step at a time, taking turns
by peer."""

import asyncio
from typing import Protocol

from ff_observe.http.peers import FairQueue, Peer


class Handshake(Protocol):
    """A connection whose handshake is not complete."""

    peer: Peer

    def advance_handshake(self) -> None:
        """Advance with the data that has arrived."""


class Handshakes:
    """Those whose clients have sent something. At most `most`, the connections that are read. For one event loop."""

    def __init__(self, most: int) -> None:
        self._turns: FairQueue[Handshake] = FairQueue(most)
        self._is_running = False

    @property
    def are_waiting(self) -> bool:
        """Whether one waits for its turn."""
        return len(self._turns) > 0

    def goes_on(self, connection: Handshake) -> None:
        """Data arrived for it."""
        self._turns.discard(connection.peer, connection)
        self._turns.add(connection.peer, connection)
        if not self._is_running:
            self._is_running = True
            self._next()

    def ends(self, connection: Handshake) -> None:
        """The handshake is complete, or the connection is gone."""
        self._turns.discard(connection.peer, connection)

    def _next(self) -> None:
        connection = self._turns.next()
        if connection is None:
            self._is_running = False
            return
        asyncio.get_running_loop().call_soon(self._next)
        connection.advance_handshake()
