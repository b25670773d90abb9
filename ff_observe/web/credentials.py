"""Does an `Authorization` header open the door? Passwords by bcrypt, a token in constant time, off the event loop."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from enum import Enum
from typing import Final

from ff_observe.config.secret import Secret

MOST_WAITING: Final = 16
"""Passwords waiting to be checked. Each takes a tenth of a second of computing; who floods the door is sent away."""

_BCRYPT_BYTES: Final = 72  # bcrypt takes no more of a password, and tools that make hashes leave out the rest


class Verdict(Enum):
    """What to do with a request."""

    WELCOME = "welcome"
    REFUSED = "refused"
    BUSY = "busy"


class Door:
    """Users with their bcrypt hashes, and a token; each alone opens. For one event loop at a time.

    Knows by heart which passwords were right, as keyed hashes, so that a scrape costs microseconds. A user that does
    not exist takes as long as one that does: its password is checked against the hash of another.
    """

    def __init__(self, users: Mapping[str, Secret], token: Secret | None) -> None:
        self._hashes = {name.encode(): hashed.reveal().encode("ascii") for name, hashed in users.items()}
        self._key = os.urandom(32)
        self._token = None if token is None else self._keyed(token.reveal().encode())
        self._known: set[bytes] = set()
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked of anybody."""
        return self._token is None and not self._hashes

    def challenges(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of a 401 (RFC 7617, RFC 6750)."""
        basic = ((b"www-authenticate", b'Basic realm="ff-observe", charset="UTF-8"'),) if self._hashes else ()
        bearer = ((b"www-authenticate", b'Bearer realm="ff-observe"'),) if self._token is not None else ()
        return basic + bearer

    async def judge(self, authorization: bytes) -> Verdict:
        """The verdict on the value of an `Authorization` header (empty where there is none)."""
        scheme, _, rest = authorization.strip().partition(b" ")
        match scheme.lower():
            case b"bearer" if self._token is not None:
                return _verdict(hmac.compare_digest(self._keyed(rest.strip()), self._token))
            case b"basic" if self._hashes:
                credentials = parse_basic(rest)
                return Verdict.REFUSED if credentials is None else await self._judge_password(*credentials)
        return Verdict.REFUSED

    async def _judge_password(self, user: bytes, password: bytes) -> Verdict:
        remembered = self._keyed(len(user).to_bytes(4, "big") + user + password)
        if remembered in self._known:
            return Verdict.WELCOME
        if self._waiting >= MOST_WAITING:
            return Verdict.BUSY
        self._waiting += 1
        try:
            async with self._turn:  # one at a time: wrong passwords shall not take every core
                if remembered in self._known:
                    return Verdict.WELCOME
                hashed = self._hashes.get(user) or self._of_somebody(user)
                right = await asyncio.to_thread(_matches, password, hashed) and user in self._hashes
        finally:
            self._waiting -= 1
        if right:
            self._known.add(remembered)
        return _verdict(right)

    def _of_somebody(self, user: bytes) -> bytes:
        """The hash of a user, always the same for the same unknown name: costs may differ between users."""
        chosen = int.from_bytes(self._keyed(user)[:8], "big") % len(self._hashes)
        return list(self._hashes.values())[chosen]

    def _keyed(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, hashlib.sha256)


def parse_basic(credentials: bytes) -> tuple[bytes, bytes] | None:
    """User and password of Basic credentials (RFC 7617), at most as long as bcrypt takes them; None for nonsense."""
    try:
        user, colon, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password[:_BCRYPT_BYTES]) if colon else None


def _matches(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # an extra: needed only where there are users

    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:  # a NUL byte in a password, for some versions
        return False


def _verdict(right: bool) -> Verdict:
    return Verdict.WELCOME if right else Verdict.REFUSED
