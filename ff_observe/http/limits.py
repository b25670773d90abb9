"""How much one client may hold of the server, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """A request has `request_seconds` to arrive in full, however it trickles; idle connections live `idle_seconds`.
    Of an answer, something must be taken every `request_seconds`.

    Beyond `connections` the longest waiting one is closed for each that comes; beyond `handshakes`, so is the oldest
    TLS handshake. At most `pipelined` requests of a connection wait for the answers to earlier ones.
    """

    request_seconds: float = 10.0
    idle_seconds: float = 10.0
    head_bytes: int = 32 * 1024
    headers: int = 100
    request_bytes: int = 512 * 1024  # on the wire: the collector's largest body in chunks of one byte each fits
    pipelined: int = 16
    connections: int = 15_000
    handshakes: int = 128
