"""The connection of one delivery, such that it can be cut off from another thread in whatever state it is.

Timeouts of sockets are per read: a receiver that sends a byte a second never meets one. The line is cut at the total
deadline, and when the bridge stops.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator


class CutError(OSError):
    """The line was cut: at the deadline, or because the bridge stops."""


class Line:
    """At most one open socket. Once cut it stays cut, and refuses to connect."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._cut = threading.Event()

    @property
    def is_cut(self) -> bool:
        return self._cut.is_set()

    def connect(self, host: str, port: int, timeout_seconds: float) -> socket.socket:
        """A connected TCP socket to the first address of `host` that accepts, within the timeout for all of them."""
        give_up = time.monotonic() + timeout_seconds
        last: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            candidate = socket.socket(family, kind, protocol)
            try:
                self._hold(candidate)
                candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                candidate.settimeout(max(0.001, give_up - time.monotonic()))
                candidate.connect(address)
            except OSError as error:
                candidate.close()
                last = error
            except BaseException:
                candidate.close()
                raise
            else:
                candidate.settimeout(timeout_seconds)  # of what follows: the TLS handshake
                return candidate
        raise last

    def cut(self) -> None:
        """Cut it off, from any thread. Whoever waits for the connection gets an error at once."""
        with self._lock:
            self._cut.set()
            if self._handle is not None:
                with contextlib.suppress(OSError):  # not connected yet, or already gone
                    self._handle.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Cut the line if the block takes longer."""
        watchdog = threading.Timer(seconds, self.cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()
            watchdog.join()
            self._release()

    def _hold(self, candidate: socket.socket) -> None:
        """Keep a second handle on the connection: TLS takes the socket itself over and hides it."""
        with self._lock:
            if self._cut.is_set():
                raise CutError("the line was cut")
            if self._handle is not None:
                self._handle.close()
            self._handle = candidate.dup()

    def _release(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None
