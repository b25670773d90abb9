"""Receipts: cosignatures of the checkpoints that senders of pings show, and the key that makes them.

Nothing is kept of a checkpoint. A receipt says that the collector saw it at a moment, and not that it continues an
earlier one: who holds two receipts of one ledger compares them.
"""

import base64
import binascii
import contextlib
import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from ff_observe.collector.settings import CollectorSettings
from ff_observe.errors import ConfigurationError, Problem
from ff_observe.transparency.checkpoints import Checkpoint
from ff_observe.transparency.notes import COSIGNATURE, SIGNATURE, NoteError, SigningKey

ASKED_IN = b"ff-observe-checkpoint"
ANSWERED_IN = b"ff-observe-cosignature"
_LONGEST = 512  # characters of the header; a checkpoint of ours has half of them
_PRIVATE = 0o600


class Receipts:
    """Signs with the key in `key_file`, which is made once. `named_in` is the file that errors refer to."""

    def __init__(self, key_file: Path, named_in: str = "collector") -> None:
        self.file = key_file
        self._named_in = named_in
        self._key: SigningKey | None = None

    @classmethod
    def of(cls, settings: CollectorSettings) -> Self:
        """The receipts of a collector with these settings."""
        return cls(settings.receipts_key_file or settings.data_dir / "key" / "receipts.key", settings.named_in)

    def open(self, *, make: bool = True) -> None:
        """Read the key; if there is none, make one, unless `make` is false. Raises `ConfigurationError` if there is
        none, other users can read the file, or the process cannot."""
        try:
            if make:
                self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with contextlib.suppress(FileExistsError):
                    self._make()
            with self.file.open("rb") as opened:
                if os.fstat(opened.fileno()).st_mode & 0o077:
                    raise self._wrong(f"may be read by others; run: chmod 600 {self.file}")
                self._key = SigningKey.parse(opened.read(4096).decode("ascii", "replace"))
        except FileNotFoundError:
            raise self._wrong(
                "does not exist; name the collector's directory with --settings or --data-dir, "
                "or, before its first start, add --make"
            ) from None
        except OSError as error:
            raise self._wrong(f"cannot be used: {error.strerror}") from None
        except NoteError:
            raise self._wrong(
                "holds no key of ours; receipts of the lost key stay valid if a new one is made"
            ) from None

    @property
    def public_key(self) -> str:
        """What `telemetry.ping.receipts` is set to by those who believe these receipts. Opens the key if need be."""
        return str(self._opened().verifier)

    @property
    def releases_key(self) -> SigningKey:
        """The key that signs public releases. It is derived from that of receipts, so that there is one secret to keep
        and to share between collectors. It is another key, because a receipt signs whatever checkpoint a sender shows,
        also that of a forged release. Opens the key if need be."""
        return self._opened().derived("ff-observe/releases", SIGNATURE)

    def _opened(self) -> SigningKey:
        if self._key is None:
            self.open()
        assert self._key is not None
        return self._key

    def answer(self, headers: Sequence[tuple[bytes, bytes]], now: datetime) -> bytes | None:
        """The cosignature of the checkpoint in a request's headers; None if there is none."""
        asked = [value for name, value in headers if name == ASKED_IN]
        if len(asked) != 1 or len(asked[0]) > _LONGEST or self._key is None:
            return None
        try:
            text = base64.b64decode(asked[0], validate=True).decode("ascii")
            Checkpoint.parse(text)
        except (binascii.Error, UnicodeDecodeError, NoteError):
            return None
        line = self._key.cosign(text, int(now.timestamp()))
        return line.removeprefix("\u2014 ").rstrip("\n").encode("ascii")

    def _make(self) -> None:
        """Write a new key, unless there is one. Raises `FileExistsError`, and leaves no part of a key."""
        if self.file.exists():
            raise FileExistsError
        key = SigningKey.named_after_itself("ff-observe/collector", COSIGNATURE, secrets.token_bytes(32))
        fresh = self.file.with_name(f"{self.file.name}.{secrets.token_hex(8)}")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as opened:  # noqa: PTH123 - of a descriptor
                opened.write(key.encoded() + "\n")
                opened.flush()
                os.fsync(opened.fileno())
            os.link(fresh, self.file)  # the first of several processes wins
        finally:
            fresh.unlink(missing_ok=True)

    def _wrong(self, message: str) -> ConfigurationError:
        return ConfigurationError((Problem(self._named_in, 0, 0, "receipts.key_file", f"{self.file} {message}"),))
