"""A listening TCP socket."""

import os
import socket

BACKLOG = 4096


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address of this machine; `host` empty means all. Raises `OSError`."""
    family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)


def reason(error: OSError) -> str:
    """The system's reason why the address cannot be listened on."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
