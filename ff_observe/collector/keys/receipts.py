"""Receipts: cosignatures of the checkpoints that senders of pings show, and the key that makes them.

Nothing is kept of a checkpoint. A receipt says that the collector saw it at a moment, and not that it continues an
earlier one: who holds two receipts of one ledger compares them.
"""

import base64
import binascii
import secrets
from collections.abc import Sequence
from typing import Self

from ff_observe.collector.keys.keeping import FileKeeping, KeyKeeping
from ff_observe.collector.keys.shared import keeping
from ff_observe.collector.settings import RECEIPTS_KEY_FILE, CollectorSettings
from ff_observe.collector.store import Store
from ff_observe.system.clock import Clock
from ff_observe.transparency.checkpoints import Checkpoint
from ff_observe.transparency.notes import COSIGNATURE, SIGNATURE, NoteError, SigningKey

ASKED_IN = b"ff-observe-checkpoint"
ANSWERED_IN = b"ff-observe-cosignature"
_LONGEST = 512  # characters of the header; a checkpoint of ours has half of them


class Receipts:
    """Signs with a key that is made once, and kept by `keeping`."""

    def __init__(self, keeping: KeyKeeping) -> None:
        self._keeping = keeping
        self._key: SigningKey | None = None

    @classmethod
    def of(cls, settings: CollectorSettings, store: Store | None = None) -> Self:
        """The receipts of a collector with these settings, and with this store if it is open already. Raises
        `ConfigurationError`."""
        file = settings.receipts_key_file or settings.data_dir / "key" / "receipts.key"
        in_file = FileKeeping(file, _is_key, RECEIPTS_KEY_FILE.path, settings.named_in)
        return cls(keeping(settings, store, "receipts", in_file, destroys_file=False))

    def open(self, *, make: bool = True) -> None:
        """Read the key; if there is none, make one, unless `make` is false. Raises `ConfigurationError` if there is
        none or other users can read it, `FFObserveError` if the process cannot read or make it, and `StoreError` if it
        cannot be had now."""
        kept = self._keeping.exchange(_once) if make else self._keeping.read()
        if kept is None:
            raise self._keeping.wrong(
                "does not exist; name the collector's directory with --settings or --data-dir, "
                "or, before its first start, add --make"
            )
        try:
            self._key = SigningKey.parse(kept.decode("ascii", "replace"))
        except NoteError:
            raise self._keeping.wrong(
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

    def answer(self, headers: Sequence[tuple[bytes, bytes]], clock: Clock) -> bytes | None:
        """The cosignature of the checkpoint in a request's headers; None if there is none."""
        asked = [value for name, value in headers if name == ASKED_IN]
        if len(asked) != 1 or len(asked[0]) > _LONGEST or self._key is None:
            return None
        try:
            text = base64.b64decode(asked[0], validate=True).decode("ascii")
            Checkpoint.parse(text)
        except (binascii.Error, UnicodeDecodeError, NoteError):
            return None
        line = self._key.cosign(text, int(clock.now().timestamp()))
        return line.removeprefix("\u2014 ").rstrip("\n").encode("ascii")


def _once(kept: bytes | None) -> bytes:
    """The present key, else a new one."""
    if kept is not None:
        return kept
    key = SigningKey.named_after_itself("ff-observe/collector", COSIGNATURE, secrets.token_bytes(32))
    return f"{key.encoded()}\n".encode("ascii")


def _is_key(content: bytes) -> bool:
    try:
        SigningKey.parse(content.decode("ascii", "replace"))
    except NoteError:
        return False
    return True
