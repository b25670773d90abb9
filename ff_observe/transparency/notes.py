"""Signed notes (C2SP signed-note) with Ed25519 keys, and the timestamped cosignatures of checkpoints (C2SP
tlog-cosignature, v1).

`cryptography` is imported only where something is signed or verified.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

SIGNATURE: Final = 1  # the kinds of keys, as signed-note assigns them
COSIGNATURE: Final = 4
LARGEST_NOTE: Final = 16 * 1024  # bytes

_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64
_PRIVATE: Final = "PRIVATE+KEY+"
_NAME: Final = re.compile(r"[!-*,-~]{1,100}")  # ASCII without spaces and plus
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_LINE: Final = re.compile(r"\u2014 (\S+) ([A-Za-z0-9+/]+=*)")


class NoteError(ValueError):
    """A text is no note, no key or no checkpoint. The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key: who signs (`name`), and what (`kind`)."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """A key in its usual form, `name+id+base64`. Raises `NoteError`."""
        name, key_id, kind, public = _parts(text, "it is no public key of the form NAME+ID+BASE64, of Ed25519")
        key = cls(name, kind, public)
        if key.id.hex() != key_id:
            raise NoteError("it is no public key: its id is another key's, so that some of it is missing or wrong")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encoded(bytes([self.kind]) + self.public)}"

    @property
    def id(self) -> bytes:
        """What the signatures of this key begin with."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:_ID_BYTES]

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether it made the signature."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A private key. `name` and `kind` are those of its public half."""

    def __init__(self, name: str, kind: int, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, kind, self._private.public_key().public_bytes_raw())

    @classmethod
    def named_after_itself(cls, prefix: str, kind: int, seed: bytes) -> Self:
        """A key whose name is a prefix and the beginning of the hash of its public half."""
        public = cls("new", kind, seed).verifier.public
        return cls(f"{prefix}/{hashlib.sha256(public).hexdigest()[:16]}", kind, seed)

    def derived(self, prefix: str, kind: int) -> "SigningKey":
        """Another key of the same secret, for what `prefix` names: neither signs in the place of the other."""
        return SigningKey.named_after_itself(prefix, kind, hmac.digest(self._seed, prefix.encode(), "sha256"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """A key as `encoded` writes it. Raises `NoteError`, which does not quote it."""
        wrong = "it holds no private key of ours"
        name, key_id, kind, seed = _parts(text.removeprefix(_PRIVATE), wrong)
        key = cls(name, kind, seed)
        if key.verifier.id.hex() != key_id or not text.startswith(_PRIVATE):
            raise NoteError(wrong)
        return key

    def encoded(self) -> str:
        """The key with its secret, in the form of Go's `sumdb/note`."""
        verifier = self.verifier
        return f"{_PRIVATE}{verifier.name}+{verifier.id.hex()}+{encoded(bytes([verifier.kind]) + self._seed)}"

    def sign(self, text: str) -> str:
        """The note: the text, which ends in a line break, and this key's signature."""
        return f"{text}\n{self._line(self._private.sign(text.encode()))}"

    def cosign(self, text: str, timestamp: int) -> str:
        """The line that, below a checkpoint with this text, is a cosignature."""
        signature = self._private.sign(_cosigned(text, timestamp))
        return self._line(timestamp.to_bytes(_TIME_BYTES) + signature)

    def _line(self, signature: bytes) -> str:
        return f"\u2014 {self.verifier.name} {encoded(self.verifier.id + signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the lines that sign it, none of them verified yet."""

    text: str
    lines: tuple[str, ...]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raises `NoteError`."""
        try:
            whole = content.decode()
        except UnicodeDecodeError:
            raise NoteError("it is no signed note: not in UTF-8") from None
        text, separator, rest = whole.rpartition("\n\n")
        lines = rest.removesuffix("\n").split("\n")
        if len(content) > LARGEST_NOTE or not separator or not rest.endswith("\n") or _CONTROL.search(whole):
            raise NoteError("it is no signed note: a text, an empty line, and signatures")
        if not all(_LINE.fullmatch(line) for line in lines):
            raise NoteError("it is no signed note: a line below the text is no signature")
        return cls(text + "\n", tuple(lines))

    def __str__(self) -> str:
        return "\n".join([self.text, *self.lines, ""])

    def with_line(self, line: str) -> "Note | None":
        """The note with another signature, as it is written without the dash; None if the line is none."""
        try:
            return Note.parse(f"{self}\u2014 {line}\n".encode())
        except (NoteError, UnicodeEncodeError):
            return None

    def is_signed_by(self, key: VerifierKey) -> bool:
        """Whether there are signatures of the key, all of them right."""
        found = list(self._signatures(key))
        return bool(found) and all(key.verifies(signature, self.text.encode()) for signature in found)

    def cosigned_at(self, key: VerifierKey) -> int | None:
        """When the key cosigned it, in seconds since 1970, the latest; None if it did not, or a signature is wrong."""
        times = []
        for content in self._signatures(key):
            timestamp = int.from_bytes(content[:_TIME_BYTES])
            if len(content) != _TIME_BYTES + _SIGNATURE_BYTES or timestamp >= 1 << 63:
                return None
            if not key.verifies(content[_TIME_BYTES:], _cosigned(self.text, timestamp)):
                return None
            times.append(timestamp)
        return max(times, default=None)

    def _signatures(self, key: VerifierKey) -> Iterator[bytes]:
        for line in self.lines:
            _, name, encoded = line.split(" ")
            content = decoded(encoded)
            if (name, content[:_ID_BYTES]) == (key.name, key.id):
                yield content[_ID_BYTES:]


def _cosigned(text: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def _parts(key: str, wrong: str) -> tuple[str, str, int, bytes]:
    """Name, id, kind and either half of a key. Raises `NoteError`, which says what is `wrong`."""
    name, key_id, content = [*key.strip().split("+", 2), "", ""][:3]
    half = decoded(content)
    if not _NAME.fullmatch(name) or len(half) != 1 + _KEY_BYTES or half[0] not in (SIGNATURE, COSIGNATURE):
        raise NoteError(wrong)
    return name, key_id, half[0], half[1:]


def encoded(content: bytes) -> str:
    """The bytes in base64."""
    return base64.b64encode(content).decode("ascii")


def decoded(text: str) -> bytes:
    """The bytes of a text in base64; empty if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
