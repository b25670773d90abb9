"""The bytes of one connection, encrypted or not: reading and writing, TLS, and closing."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from typing import cast

from ff_observe.http.peers import Peer, peer_of
from ff_observe.http.shared import Shared
from ff_observe.http.tls import MOST_HANDSHAKE_BYTES, TlsSession

_MOST_DISCARDED = 4 * 2**20  # bytes from a client that has its last answer
_SMALL = 2048  # bytes of a body up to which copying it behind its head is cheaper than a second write


class Channel(asyncio.BufferedProtocol, ABC):
    """One connection. All connections read into one buffer of their server's, in turn."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.transport: asyncio.Transport
        self.peer: Peer = ""
        self.client: tuple[str, int] | None = None
        self._tls: TlsSession | None = None
        self._reading_paused = False
        self.is_held = False
        self._read_while_held = b""
        self.is_ended = False
        """Whether everything has been sent, and what still comes is discarded."""
        self._discarded_bytes = 0

    @abstractmethod
    def take(self, data: memoryview) -> None:
        """Handle the decrypted data from the client."""

    @property
    def is_closing(self) -> bool:
        """Whether nothing more is sent or handled."""
        return self.is_ended or self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)  # an answer is not begun before the previous one has left
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.client = (str(peer[0]), int(peer[1]))
            self.peer = peer_of(self.client[0])

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.shared.buffer[:1] if self.is_held else self.shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self.shared.buffer[:nbytes]
        if self.is_held:
            self._read_while_held = bytes(data)
            self.transport.pause_reading()
        else:
            self._received(data)

    def hold(self) -> None:
        """Take nothing from the client until `release`. uvloop begins to read new connections even so: one byte."""
        self.is_held = True
        self.pause_reading()

    def release(self) -> None:
        """Take what the client has sent, and sends."""
        self.is_held = False
        self.resume_reading()
        if self._read_while_held:
            self._received(memoryview(self._read_while_held))

    def _received(self, data: memoryview) -> None:
        if self.is_ended:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _MOST_DISCARDED:
                self.transport.abort()
            return
        if self.shared.tls is None:
            self.take(data)
            return
        context = self.shared.tls_context()
        if context is None:
            self.transport.abort()
            return
        if self._tls is None:
            self._tls = TlsSession(context)
        elif not self._tls.satisfies(context):
            self.close()
            return
        self._tls.received(data)
        if self._tls.established:
            self._take_encrypted(self._tls)
        else:
            if self._tls.received_bytes > MOST_HANDSHAKE_BYTES:
                self.pause_reading()  # it may be the end of the handshake, and requests behind it
            self.shared.handshakes.goes_on(self)

    def eof_received(self) -> None:
        """The other end accepts no more data: the transport closes."""

    def advance_handshake(self) -> None:
        """Continue the handshake with the data that has arrived."""
        tls = self._tls
        if tls is None or tls.established or self.transport.is_closing():
            return
        try:
            established = tls.advance_handshake()
        except ssl.SSLError:
            self.transport.write(tls.outgoing())  # the alert
            self.shared.handshakes.ends(self)
            self.transport.close()
            return
        self.transport.write(tls.outgoing())
        if established:
            self.shared.handshakes.ends(self)
            self.resume_reading()
            self._take_encrypted(tls)
        elif tls.received_bytes > MOST_HANDSHAKE_BYTES:
            self.transport.abort()

    def _take_encrypted(self, tls: TlsSession) -> None:
        try:
            for part in tls.plain():
                if not part:
                    self.close()
                    return
                self.take(memoryview(part))
                if self.is_closing:  # nothing can be decrypted any more
                    return
            if sent := tls.outgoing():  # keys are updated
                self.transport.write(sent)
        except ssl.SSLError:
            self.transport.abort()

    def write(self, head: bytes, body: bytes = b"") -> None:
        """Send bytes, encrypted if the connection is."""
        if self.is_closing:
            return
        if self._tls is not None:
            try:
                self.transport.write(self._tls.encrypted(head, body))
            except ssl.SSLError:
                self.transport.abort()
        elif len(body) > _SMALL:
            self.transport.writelines((head, body))  # shared answers are in memory only once
        else:
            self.transport.write(head + body)

    def close(self) -> None:
        """Close once everything written has left."""
        if not self.is_closing:
            self._announce_end()
            self.transport.close()

    def end(self) -> None:
        """Send nothing more, and discard what still comes, until the client closes.

        To close while the client is sending would reset the connection, and an answer on its way could be lost
        (RFC 9112, 9.6).
        """
        if not self.is_closing:
            self._announce_end()
            self.transport.write_eof()
            self.resume_reading()
            self.is_ended = True

    def _announce_end(self) -> None:
        if self._tls is not None and self._tls.established:
            self.transport.write(self._tls.closing())

    def pause_reading(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()
