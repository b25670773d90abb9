"""The first moments of a TLS connection: they are counted, bounded in time, and can be broken off.

An event loop that is given a context for its listening socket does the handshake by itself and tells nobody: one that
never ends would then be there still when the server stops, and each would have the context of the start.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Final, cast

from ff_observe.errors import FFObserveError

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS: Final = 10.0
MOST_HANDSHAKES: Final = 1024  # beyond it a connection is closed at once


class Handshake(asyncio.Protocol):
    """A connection until it is encrypted; then `follow` makes the protocol that goes on. `context` is of this moment.

    What arrives together with the last step of the handshake is kept, and given to the protocol that follows.
    """

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        follow: Callable[[], asyncio.Protocol],
        under_way: "set[Handshake]",
    ) -> None:
        self._context = context
        self._follow = follow
        self._under_way = under_way
        self._early: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._under_way) >= MOST_HANDSHAKES:
            self._transport.abort()
            return
        self._transport.pause_reading()  # its first bytes are for TLS
        self._under_way.add(self)
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(self._transport))

    def data_received(self, data: bytes) -> None:
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    def break_off(self) -> None:
        """Close the connection. To be called on the event loop."""
        if self._task is not None and self._transport is not None:
            self._task.cancel()
            self._transport.abort()

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        encrypted = None
        try:
            with contextlib.suppress(OSError):  # wrong certificate, no TLS at all, too slow: the client was told
                encrypted = await asyncio.get_running_loop().start_tls(
                    transport, self, self._context(), server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
                )
        except FFObserveError as error:
            log.warning("%s", error)
        finally:
            self._under_way.discard(self)
        if encrypted is None or self._lost:
            transport.abort()
            return
        protocol = self._follow()
        encrypted.set_protocol(protocol)
        protocol.connection_made(encrypted)
        if self._early:
            protocol.data_received(b"".join(self._early))
