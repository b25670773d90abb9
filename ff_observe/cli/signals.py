"""Signals for a command that runs until it is stopped, and for the others, which they end."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn


class EndedBySignal(BaseException):
    """SIGTERM or SIGHUP came. No `Exception`, as `KeyboardInterrupt` is none: only `main` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_status = 128 + number  # as shells count


@contextlib.contextmanager
def ending_as_exceptions() -> Iterator[None]:
    """In the block SIGTERM and SIGHUP raise `EndedBySignal`, so that a command records and removes what it must, as
    after Ctrl-C. A second one ends the process at once. One that is ignored (`nohup`) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]

    def restore() -> None:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)

    def end(number: int, _frame: object) -> NoReturn:
        restore()
        raise EndedBySignal(number)

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        restore()


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
