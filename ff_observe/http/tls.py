"""TLS of one connection over memory buffers: bytes in, bytes out, without a transport of its own.

asyncio's TLS allocates 256 KiB for each connection at once. This allocates nothing until a client sends data.
"""

import contextlib
import ssl
from collections.abc import Iterator

_READ_BYTES = 64 * 1024
MOST_HANDSHAKE_BYTES = 64 * 1024  # a client's certificates, including intermediates


class TlsSession:
    """The server's side. Its methods raise `ssl.SSLError` if the other end violates the protocol."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._context = context
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.received_bytes = 0

    def satisfies(self, context: ssl.SSLContext) -> bool:
        """Whether it need not be opened anew under `context`: it is its own, or one that demands no certificate."""
        return context is self._context or context.verify_mode is not ssl.CERT_REQUIRED

    def received(self, data: memoryview) -> None:
        """Buffer received data for `advance_handshake` or `plain`."""
        self.received_bytes += len(data)
        self._incoming.write(data)

    def advance_handshake(self) -> bool:
        """Continue the handshake as far as the received data allows; returns whether it is complete."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True

    def plain(self) -> Iterator[bytes]:
        """The decrypted data in parts; none is empty but the last, if the client will send no more."""
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
        for part in parts:
            if part:
                self._object.write(part)
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Pending bytes to send: of a handshake, or an alert."""
        return self._outgoing.read()

    def closing(self) -> bytes:
        """The bytes that announce to the client that nothing follows."""
        with contextlib.suppress(ssl.SSLError):  # it has not answered ours yet, and need not
            self._object.unwrap()
        return self.outgoing()
