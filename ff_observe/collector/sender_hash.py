"""Turns a sender's address into a keyed hash, and manages the key: stored apart from the data, private, replaced on
schedule.

A plain hash of an address is reversed in minutes by hashing all four billion of them. Without the key, which is not
stored with the data, that is impossible, and once the key is destroyed it is impossible for anyone.
"""

import contextlib
import fcntl
import hmac
import json
import os
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ff_observe.collector.sender_address import Address
from ff_observe.errors import ConfigurationError, Problem

KEY_BYTES = 32
_PRIVATE = 0o600


def material(address: Address) -> bytes:
    """The part of an address that is hashed: all of an IPv4 address; of IPv6 the /64, which one site is given."""
    return b"4" + address if len(address) == 4 else b"6" + address[:8]


class SenderHash:
    """HMAC-SHA-256 (RFC 2104) of addresses, with a key in a file of mode 0600.

    Processes that share the file share the key: an address has the same hash in all of them until the key is replaced.
    `named_in` is the file that errors refer to. Thread-safe.
    """

    def __init__(self, key_file: Path, lifetime: timedelta, named_in: str = "collector") -> None:
        self._file = key_file
        self._fresh = key_file.with_name(key_file.name + ".new")
        self._lifetime = lifetime
        self._named_in = named_in
        self._lock = threading.Lock()
        self._keyed = hmac.new(b"", digestmod="sha256")
        self.created_at = datetime.fromtimestamp(0, UTC)

    def open(self, now: datetime) -> None:
        """Read the key, or make one. Raises `ConfigurationError` if other users can read the file, or the process
        cannot."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.replace_if_due(now)
        except OSError as error:
            raise self._wrong(f"cannot be used: {error.strerror}") from None

    def of(self, address: Address | None) -> bytes | None:
        """The hash of an address, 32 bytes; None where there is none."""
        if address is None:
            return None
        keyed = self._keyed.copy()  # the key schedule is computed once, not for each address
        keyed.update(material(address))
        return keyed.digest()

    def replace_if_due(self, now: datetime) -> float:
        """Replace the key if it is older than its lifetime, destroying the old one. Returns the seconds until then.

        The clock alone decides: a wrong one replaces a key too early, at the cost of not recognising a sender again,
        and never too late, as could happen if other witnesses had to agree. Raises `OSError` if the file cannot be
        written; the present key stays in use.
        """
        with self._lock, self._other_processes_wait():
            self._finish_what_was_cut_short()
            kept = self._read()
            if kept is None or not -self._lifetime <= now - kept[0] < self._lifetime:
                kept = (now, secrets.token_bytes(KEY_BYTES))
                self._write(*kept)
                self._put_in_place()
            self.created_at, key = kept
            self._keyed = hmac.new(key, digestmod="sha256")
        return max(0.0, (self._lifetime - (now - self.created_at)).total_seconds())

    @contextlib.contextmanager
    def _other_processes_wait(self) -> Iterator[None]:
        descriptor = os.open(self._file.with_name(self._file.name + ".lock"), os.O_RDWR | os.O_CREAT, _PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> tuple[datetime, bytes] | None:
        try:
            with self._file.open("rb") as opened:
                if os.fstat(opened.fileno()).st_mode & 0o077:
                    raise self._wrong(f"may be read by others; run: chmod 600 {self._file}")
                content = opened.read(4096)
        except FileNotFoundError:
            return None
        kept = _parsed(content)
        if kept is None:
            raise self._wrong("holds no key of ours; remove it, and a new one is made")
        return kept

    def _write(self, created_at: datetime, key: bytes) -> None:
        """Write a new key, complete and synced to disk, beside the old one."""
        content = json.dumps({"created_at": created_at.isoformat(), "key": key.hex()}).encode()
        with open(os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as opened:  # noqa: PTH123 - of a descriptor
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        self._sync_directory()

    def _put_in_place(self) -> None:
        """Overwrite the old key in place on the disk, then replace the file."""
        with contextlib.suppress(FileNotFoundError), self._file.open("r+b") as old:
            size = os.fstat(old.fileno()).st_size
            old.write(secrets.token_bytes(size))
            old.flush()
            os.fsync(old.fileno())
        self._fresh.replace(self._file)
        self._sync_directory()

    def _finish_what_was_cut_short(self) -> None:
        """A process that was killed while replacing the key may have left a key half overwritten, but never without its
        complete successor beside it."""
        try:
            complete = _parsed(self._fresh.read_bytes()) is not None
        except FileNotFoundError:
            return
        if complete:
            self._put_in_place()
        else:
            self._fresh.unlink()

    def _sync_directory(self) -> None:
        directory = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _wrong(self, message: str) -> ConfigurationError:
        return ConfigurationError((Problem(self._named_in, 0, 0, "address.key_file", f"{self._file} {message}"),))


def _parsed(content: bytes) -> tuple[datetime, bytes] | None:
    """The moment a key was made, and the key; None if the content is not in our format."""
    try:
        kept = json.loads(content)
        created_at = datetime.fromisoformat(kept["created_at"])
        key = bytes.fromhex(kept["key"])
    except (ValueError, TypeError, KeyError):
        return None
    return (created_at, key) if len(key) == KEY_BYTES and created_at.tzinfo is not None else None
