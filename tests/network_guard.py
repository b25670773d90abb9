"""Nothing the tests run may contact another machine: any connection or name look-up beyond loopback is an error.

Installed in this process by `conftest.py`, and in every Python process the tests start through `sitecustomize` (see
`guarded_environment`).
"""

import ipaddress
import os
import sys
from pathlib import Path

_LOCAL_NAMES = frozenset({"localhost", "", "0.0.0.0", "::"})  # the last two only ever to listen on


_LOOK_UPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})


class OutsideConnectionError(BaseException):
    """Not an `Exception`, so that no code under test can swallow it and go on."""


def is_local(host: object) -> bool:
    """Whether `host` is loopback, or the local end of a socket."""
    if host is None:
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple) and not is_local(address[0]):
            raise OutsideConnectionError(f"{event} to {address[0]!r}: tests stay on loopback")
    elif event in _LOOK_UPS and not is_local(arguments[0]):
        raise OutsideConnectionError(f"{event} of {arguments[0]!r}: tests stay on loopback")


_state = {"installed": False}


def install() -> None:
    """Guard this process for the rest of its life (audit hooks cannot be removed)."""
    if not _state["installed"]:
        _state["installed"] = True
        sys.addaudithook(_audit)


def guarded_environment(**changes: str) -> dict[str, str]:
    """The environment for a Python process under test: guarded, without the caller's telemetry and proxy variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("OTEL_", "SENTRY_", "FF_", "FLOWFORGE_", "DO_NOT_TRACK", "NODE_ENV"))
        and not name.upper().endswith("_PROXY")
    }
    root = Path(__file__).resolve().parent
    kept["PYTHONPATH"] = os.pathsep.join([str(root / "guarded"), str(root.parent)])
    return {**kept, **changes}
