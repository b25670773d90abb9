"""The TCP connection of one delivery. Another thread can abort it in any state.

Timeouts of sockets are per read: a receiver that sends a byte a second never exceeds one. So the connection is aborted
at the total deadline, and when the bridge stops.
"""

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import Any


class AbortedError(OSError):
    """The connection was aborted: at the deadline, or because the bridge stops."""


class AbortableConnection:
    """At most one open socket. Once aborted it refuses to connect again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._aborted = threading.Event()
        self._look_up: Future[list[Any]] | None = None

    @property
    def is_aborted(self) -> bool:
        return self._aborted.is_set()

    def connect(self, host: str, port: int, timeout_seconds: float) -> socket.socket:
        """A connected TCP socket to the first address of `host` that accepts, within the timeout for all of them. Each
        has an equal share of the time that is left: one that drops packets does not use up that of the others."""
        give_up = time.monotonic() + timeout_seconds
        last: OSError = OSError(f"{host} has no address")
        addresses = self._addresses(host, port, timeout_seconds)
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            share = (give_up - time.monotonic()) / (len(addresses) - tried)
            try:
                candidate = socket.socket(family, kind, protocol)  # fails for IPv6 on a machine without it
                self._connect(candidate, address, max(0.001, share))
            except OSError as error:
                last = error
            else:
                candidate.settimeout(timeout_seconds)  # for the TLS handshake that follows
                return candidate
        raise last

    def _connect(self, candidate: socket.socket, address: Any, timeout_seconds: float) -> None:
        try:
            self._hold(candidate)
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            candidate.settimeout(timeout_seconds)
            candidate.connect(address)
        except BaseException:
            candidate.close()
            raise

    def _addresses(self, host: str, port: int, timeout_seconds: float) -> list[Any]:
        """Looked up in a separate thread, since a look-up whose name server does not answer cannot be interrupted."""
        if _is_address(host):
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answer: Future[list[Any]] = Future()
        with self._lock:
            self._refuse_if_aborted()
            self._look_up = answer
        threading.Thread(target=_look_up, args=(host, port, answer), name="name look-up", daemon=True).start()
        try:
            return answer.result(timeout_seconds)
        except CancelledError:
            raise AbortedError("the connection was aborted") from None

    def abort(self) -> None:
        """End it, from any thread. A call that waits for the connection raises at once."""
        with self._lock:
            self._aborted.set()
            if self._look_up is not None:
                self._look_up.cancel()
            if self._handle is not None:
                with contextlib.suppress(OSError):  # not connected yet, or already gone
                    self._handle.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Abort the connection if the block takes longer."""
        watchdog = threading.Timer(seconds, self.abort)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()
            watchdog.join()
            self._release()

    def _refuse_if_aborted(self) -> None:
        if self._aborted.is_set():
            raise AbortedError("the connection was aborted")

    def _hold(self, candidate: socket.socket) -> None:
        """Keep a second handle on the connection: TLS takes the socket itself over and hides it."""
        with self._lock:
            self._refuse_if_aborted()
            if self._handle is not None:
                self._handle.close()
            self._handle = candidate.dup()

    def _release(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None


class Connections:
    """The connections of one sender, one after the other. `abort` ends the present one, and all that follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.current = AbortableConnection()
        self.are_aborted = False

    def new(self) -> AbortableConnection:
        with self._lock:
            self.current = AbortableConnection()
            if self.are_aborted:
                self.current.abort()
            return self.current

    def abort(self) -> None:
        """Callable from any thread."""
        with self._lock:
            self.are_aborted = True
            self.current.abort()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(host: str, port: int, answer: "Future[list[Any]]") -> None:
    with contextlib.suppress(InvalidStateError):  # cancelled: the caller no longer waits
        try:
            answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            answer.set_exception(error)
