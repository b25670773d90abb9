"""The service's state for systemd (sd_notify(3), `WatchdogSec=`); silent where no service manager asked."""

import os
import socket
from collections.abc import Callable, Mapping
from typing import Final, Protocol

SHORTEST_WATCHDOG_SECONDS: Final = 1.0


class Signals(Protocol):
    """See `cli.signals`."""

    def wait(self, seconds: float | None = None) -> int | None:
        """The next signal; None if none came within `seconds`."""


def notify(state: str) -> None:
    """Send `READY=1`, `RELOADING=1`, `STOPPING=1` or `WATCHDOG=1` to the socket in `$NOTIFY_SOCKET`.

    A service manager that is not listening is not an error of ours.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        try:
            client.sendto(state.encode(), address.replace("@", "\0", 1))
        except OSError:
            return


def watchdog_seconds(variables: Mapping[str, str]) -> float | None:
    """How often systemd expects `WATCHDOG=1` of this process; None where it does not (sd_watchdog_enabled(3))."""
    if variables.get("WATCHDOG_PID") not in (None, "", str(os.getpid())):
        return None
    try:
        seconds = int(variables.get("WATCHDOG_USEC", "")) / 1e6
    except ValueError:
        return None
    return max(seconds, SHORTEST_WATCHDOG_SECONDS) if seconds > 0 else None


def next_signal(signals: Signals, responds: Callable[[float], bool]) -> int:
    """Wait for a signal. Until it comes, systemd's watchdog hears of the service as long as it `responds` within the
    seconds given: asked three times in the watchdog's interval, so that one slow answer does not end the service."""
    watchdog = watchdog_seconds(os.environ)
    pause = None if watchdog is None else watchdog / 3
    while (number := signals.wait(pause)) is None:
        if pause is not None and responds(pause / 2):
            notify("WATCHDOG=1")
    return number
