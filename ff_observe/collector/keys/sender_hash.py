"""Turns a sender's address into a keyed hash, and replaces the key on schedule.

A plain hash of an address is reversed in minutes by hashing all four billion of them. Without the key, which is not
stored with the data, that is impossible, and once the key is destroyed it is impossible for anyone.
"""

import hmac
import json
import secrets
import threading
from datetime import datetime, timedelta
from typing import Self

from ff_observe.collector.keys.keeping import FileKeeping, KeyKeeping
from ff_observe.collector.keys.shared import keeping
from ff_observe.collector.sender_address import Address
from ff_observe.collector.settings import KEY_FILE, CollectorSettings
from ff_observe.collector.store import Store
from ff_observe.collector.store.present import SKEW

KEY_BYTES = 32


def material(address: Address) -> bytes:
    """The part of an address that is hashed: all of an IPv4 address; of IPv6 the /64, which one site is given."""
    return b"4" + address if len(address) == 4 else b"6" + address[:8]


class SenderHash:
    """HMAC-SHA-256 (RFC 2104) of addresses, with a key that `keeping` keeps.

    Processes that share the key share the hashes: an address has the same hash in all of them until the key is
    replaced. Thread-safe.
    """

    def __init__(self, keeping: KeyKeeping, lifetime: timedelta) -> None:
        self._keeping = keeping
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._keyed = hmac.new(b"", digestmod="sha256")
        self.created_at: datetime | None = None

    @classmethod
    def of_settings(cls, settings: CollectorSettings, store: Store) -> Self:
        """The hash of a collector with these settings. Raises `ConfigurationError`."""
        in_file = FileKeeping(settings.sender_key_file, is_key, KEY_FILE.path, settings.named_in)
        return cls(keeping(settings, store, "sender", in_file, destroys_file=True), settings.key_lifetime)

    @property
    def is_open(self) -> bool:
        """Whether there is a key: without one no address may be hashed."""
        return self.created_at is not None

    @property
    def seconds_between_looks(self) -> float:
        """How often to `replace_if_due` at least, to notice a key that another process made."""
        return self._keeping.seconds_between_looks

    def of(self, address: Address | None) -> bytes | None:
        """The hash of an address, 32 bytes; None where there is none."""
        if address is None:
            return None
        keyed = self._keyed.copy()  # the key schedule is computed once, not for each address
        keyed.update(material(address))
        return keyed.digest()

    def replace_if_due(self, now: datetime) -> float:
        """Make the first key; replace one that is older than its lifetime, destroying it; and use the one that another
        process made. Returns the seconds until it is due.

        The clock alone decides: a wrong one replaces a key too early, at the cost of not recognising a sender again,
        and never too late, as could happen if other witnesses had to agree. A key from the future, but for how far the
        clocks of collectors may be apart, is replaced, too: it would be due that much later. Raises what `KeyKeeping`
        does; the present key then stays in use.
        """

        def decide(kept: bytes | None) -> bytes:
            made_at = None if kept is None else self._parsed(kept)[0]
            is_good = made_at is not None and -SKEW <= now - made_at < self._lifetime
            return kept if kept is not None and is_good else _encoded(now, secrets.token_bytes(KEY_BYTES))

        with self._lock:
            created_at, key = self._parsed(self._keeping.exchange(decide))
            self._keyed = hmac.new(key, digestmod="sha256")
            self.created_at = created_at
        return max(0.0, (self._lifetime - (now - created_at)).total_seconds())

    def _parsed(self, content: bytes) -> tuple[datetime, bytes]:
        parsed = _parsed(content)
        if parsed is None:
            raise self._keeping.wrong("holds no key of ours; remove it, and a new one is made")
        return parsed


def is_key(content: bytes) -> bool:
    """Whether the content is a key in our format."""
    return _parsed(content) is not None


def _encoded(created_at: datetime, key: bytes) -> bytes:
    return json.dumps({"created_at": created_at.isoformat(), "key": key.hex()}).encode("ascii")


def _parsed(content: bytes) -> tuple[datetime, bytes] | None:
    """The moment a key was made, and the key; None if the content is not in our format."""
    try:
        kept = json.loads(content)
        created_at = datetime.fromisoformat(kept["created_at"])
        key = bytes.fromhex(kept["key"])
    except (ValueError, TypeError, KeyError):
        return None
    return (created_at, key) if len(key) == KEY_BYTES and created_at.tzinfo is not None else None
