"""Reports the service's state to systemd (sd_notify(3), `WatchdogSec=`); without a service manager it does nothing."""

import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import Final

from ff_observe.errors import FFObserveError

SHORTEST_WATCHDOG_SECONDS: Final = 1.0
_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START


def notify(state: str) -> None:
    """Send `READY=1`, `RELOADING=1`, `STOPPING=1` or `WATCHDOG=1` to the socket in `$NOTIFY_SOCKET`.

    A service manager that is not listening is not an error of ours.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        try:
            client.sendto(state.encode(), re.sub("^@", "\0", address))
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


def next_signal(wait: Callable[[float | None], int | None], responds: Callable[[float], bool]) -> int:
    """The next signal that `wait` receives. Until then, notify systemd's watchdog as long as the service `responds`
    within the seconds given. It is asked three times per watchdog interval, so that one slow answer does not end it."""
    watchdog = watchdog_seconds(os.environ)
    pause = None if watchdog is None else watchdog / 3
    while (number := wait(pause)) is None:
        if pause is not None and responds(pause / 2):
            notify("WATCHDOG=1")
    return number


def listening_socket(variables: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The socket that the service manager listens on for this process (sd_listen_fds(3)); None without one.

    Raises `FFObserveError` for several, or one that is not of TCP.
    """
    count = variables.get("LISTEN_FDS", "")
    if variables.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or count == "0":
        return None
    if count != "1":
        raise FFObserveError(f"the service manager hands over {count} sockets: one ListenStream= is served")
    given = socket.socket(fileno=_FIRST_DESCRIPTOR)
    if given.family not in (socket.AF_INET, socket.AF_INET6) or given.type != socket.SOCK_STREAM:
        given.detach()
        raise FFObserveError("the service manager hands over a socket that is not of TCP: write ListenStream=HOST:PORT")
    given.set_inheritable(False)
    given.setblocking(False)
    return given
