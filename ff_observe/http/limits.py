"""How many of the server's resources one client may hold, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """A request has `request_seconds` to arrive completely, however slowly; idle connections live `idle_seconds`.

    The client must read some of an answer every `request_seconds`. Beyond `connections`, each new one displaces the one
    that has waited longest, or waits unread until that has been there for `tenure_seconds`. At most `pipelined`
    requests of a connection wait for the answers to earlier ones.
    """

    request_seconds: float = 10.0
    idle_seconds: float = 10.0
    head_bytes: int = 32 * 1024
    headers: int = 100
    request_bytes: int = 512 * 1024  # on the wire: the collector's largest body in chunks of one byte each fits
    pipelined: int = 16
    connections: int = 15_000
    tenure_seconds: float = 0.5
