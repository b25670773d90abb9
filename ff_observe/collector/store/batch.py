"""A batch of pings as one JSON text, which both databases unpack themselves: one parameter for any number of rows.

Each row is `[digest, received at, duplicate until, sender, *values]`, digest and sender in hexadecimal, timestamps in
ISO 8601 (UTC). Microseconds are omitted where they are 0; the texts still sort chronologically, since `+` comes before
`.`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import orjson

from ff_observe.collector.store.model import Ping

OWN_COLUMNS = 4
"""How many elements of a row stand before the values."""


def moment(at: datetime) -> str:
    """A timestamp as text, in the format of the rows."""
    return at.astimezone(UTC).isoformat()


def distinct(pings: Sequence[Ping]) -> dict[str, Ping]:
    """The pings by digest; the first of any duplicates."""
    return {ping.digest: ping for ping in reversed(pings)}


def encode(pings: Iterable[Ping], window: timedelta) -> str:
    """The JSON text."""
    return f"[{b','.join([_row(ping, window) for ping in pings]).decode('utf-8')}]"


def _row(ping: Ping, window: timedelta) -> bytes:
    at, sender = ping.received_at, ping.sender
    own = orjson.dumps((ping.digest, at, at + window, None if sender is None else sender.hex()))
    return own[:-1] + b"," + ping.encoded[1:]


def outcomes(pings: Sequence[Ping], batch: Mapping[str, Ping], fresh: Iterable[str]) -> list[bool]:
    """For each ping, whether it is one of those that were stored."""
    stored = {id(batch[digest]) for digest in fresh}
    return [id(ping) in stored for ping in pings]
