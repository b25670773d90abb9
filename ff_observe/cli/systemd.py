"""Telling systemd how the service is doing (sd_notify(3)); says nothing where no service manager asked."""

import os
import socket


def notify(state: str) -> None:
    """Send `READY=1`, `RELOADING=1` or `STOPPING=1` to the socket in `$NOTIFY_SOCKET`.

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
