"""Signals for a command that runs until it is stopped."""

import signal


class Signals:
    """SIGTERM, SIGINT and SIGHUP, received by `wait`. Only in the main thread."""

    def __init__(self) -> None:
        import socket

        # The C handler writes the number of a signal into this socket whatever thread it interrupts. A Python handler
        # alone could come too late: for a signal just before the main thread blocks, it runs when that wakes again.
        self._received, self._sent = socket.socketpair()
        self._sent.setblocking(False)
        signal.set_wakeup_fd(self._sent.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def wait(self, seconds: float | None = None) -> int | None:
        """The next signal; None if none came within `seconds`. After SIGTERM or SIGINT another one ends the process at
        once."""
        self._received.settimeout(seconds)
        try:
            number = self._received.recv(1)[0]
        except TimeoutError:
            return None
        if number != signal.SIGHUP:
            for ending in (signal.SIGTERM, signal.SIGINT):
                signal.signal(ending, signal.SIG_DFL)
        return number
