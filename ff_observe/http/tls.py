"""TLS of one connection over memory buffers: bytes in, bytes out, without a transport of its own.

asyncio's TLS keeps 256 KiB for each connection from its first moment. This costs nothing until a client speaks.
"""

import contextlib
import ssl
from collections.abc import Iterator

_READ_BYTES = 64 * 1024
MOST_HANDSHAKE_BYTES = 64 * 1024  # the certificates of a client, with what leads to its authority


class TlsSession:
    """The server's side. Its methods raise `ssl.SSLError` where the other end does not keep to the protocol."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.received_bytes = 0

    def received(self, data: memoryview) -> None:
        """Keep what arrived until `shake_hands` or `plain` looks at it."""
        self.received_bytes += len(data)
        self._incoming.write(data)

    def shake_hands(self) -> bool:
        """Go on with the handshake as far as what was received allows; whether it is through."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True

    def plain(self) -> Iterator[bytes]:
        """What the client said, in parts; none of it is empty but the last, if the client will say no more."""
        while True:
            try:
                part = self._object.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                part = b""
            yield part
            if not part:
                return

    def encrypted(self, *parts: bytes) -> bytes:
        """What to send so that the client reads `parts`."""
        for part in parts:
            if part:
                self._object.write(part)
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What is to be sent by now: of a handshake, an alert."""
        return self._outgoing.read()

    def closing(self) -> bytes:
        """What tells the client that nothing follows."""
        with contextlib.suppress(ssl.SSLError):  # it has not answered ours yet, and need not
            self._object.unwrap()
        return self.outgoing()
