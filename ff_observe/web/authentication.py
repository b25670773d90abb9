"""Authenticates requests: bcrypt users off the event loop, a bearer token in constant time."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import threading
from collections.abc import Mapping
from enum import Enum
from typing import Final

from ff_observe.config.secret import Secret
from ff_observe.http.exchange import settle, settle_from_thread
from ff_observe.http.peers import FairQueue, peer_of

MOST_WAITING: Final = 512
"""Passwords waiting to be checked, each for a tenth of a second of processor time. One too many is refused, from the
address that has sent the most."""

_BCRYPT_BYTES: Final = 72  # bcrypt uses no more of a password, and tools that make hashes truncate it too


class Verdict(Enum):
    ALLOWED = "allowed"
    DENIED = "denied"
    BUSY = "busy"


class Authenticator:
    """Users with their bcrypt hashes, and a token; either is enough. For one event loop at a time.

    Remembers correct passwords, as keyed hashes, so that a scrape costs microseconds; `previous` hands on those of
    users whose hash is the same. An unknown user takes as long as a known one: the password is checked against the hash
    of another.
    """

    def __init__(
        self, users: Mapping[str, Secret], token: Secret | None, previous: "Authenticator | None" = None
    ) -> None:
        self._hashes = {name.encode(): hashed.reveal().encode("ascii") for name, hashed in users.items()}
        self._key: bytes = os.urandom(32) if previous is None else previous._key
        self._token = None if token is None else self._keyed(token.reveal().encode())
        old = {} if previous is None else previous._remembered
        self._remembered: dict[bytes, tuple[bytes, bytes]] = {
            digest: pair for digest, pair in old.items() if self._hashes.get(pair[0]) == pair[1]
        }
        self._turns: FairQueue[asyncio.Future[bool]] = FairQueue(MOST_WAITING)
        self._denied: set[tuple[str, int]] = set()
        """Connections that have recently sent a wrong password: others go first."""
        self._is_checking = False

    @property
    def is_open(self) -> bool:
        """Whether every request is allowed."""
        return self._token is None and not self._hashes

    def challenges(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of a 401 (RFC 7617, RFC 6750)."""
        basic = ((b"www-authenticate", b'Basic realm="ff-observe", charset="UTF-8"'),) if self._hashes else ()
        bearer = ((b"www-authenticate", b'Bearer realm="ff-observe"'),) if self._token is not None else ()
        return basic + bearer

    def check_now(self, authorization: bytes) -> Verdict | None:
        """The verdict on the value of an `Authorization` header (empty if absent); None if a password hash has to be
        computed."""
        scheme, _, rest = authorization.strip().partition(b" ")
        match scheme.lower():
            case b"bearer" if self._token is not None:
                right = hmac.compare_digest(self._keyed(rest.strip()), self._token)
                return Verdict.ALLOWED if right else Verdict.DENIED
            case b"basic" if self._hashes:
                credentials = parse_basic(rest)
                if credentials is None:
                    return Verdict.DENIED
                return Verdict.ALLOWED if self._digest(*credentials) in self._remembered else None
        return Verdict.DENIED

    async def check(self, authorization: bytes, client: tuple[str, int] | None = None) -> Verdict:
        """The verdict for a request from `client`, the address and port of its connection."""
        verdict = self.check_now(authorization)
        if verdict is not None:
            return verdict
        credentials = parse_basic(authorization.strip().partition(b" ")[2])
        assert credentials is not None
        return await self._check_password(client or ("", 0), *credentials)

    async def _check_password(self, client: tuple[str, int], user: bytes, password: bytes) -> Verdict:
        if not await self._turn(client):
            return Verdict.BUSY
        digest = self._digest(user, password)
        if digest in self._remembered:
            self._pass_on()
            return Verdict.ALLOWED
        hashed = self._hashes.get(user) or self._of_another(user)

        def computed(matches: "asyncio.Future[bool]") -> None:
            if matches.result() and user in self._hashes:
                self._remembered[digest] = (user, hashed)
            self._pass_on()

        # The turn lasts as long as the computation, also if the client disconnects before its end.
        try:
            matches = _computed(password, hashed)
        except RuntimeError:  # no thread can be started now
            self._pass_on()
            raise
        matches.add_done_callback(computed)
        await asyncio.shield(matches)
        if digest in self._remembered:
            return Verdict.ALLOWED
        if len(self._denied) >= MOST_WAITING:
            self._denied.clear()
        self._denied.add(client)
        return Verdict.DENIED

    async def _turn(self, client: tuple[str, int]) -> bool:
        """Wait until no other hash is computed: wrong passwords must not use every core. False if refused."""
        if not self._is_checking:
            self._is_checking = True
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        peer = peer_of(client[0])
        turned_away = self._turns.add(peer, turn, again=client in self._denied)
        if turned_away is not None:
            settle(turned_away, False)  # unless its client has left just now
        try:
            return await turn
        except asyncio.CancelledError:
            self._turns.discard(peer, turn)
            if turn.done() and not turn.cancelled() and turn.result():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while (turn := self._turns.next()) is not None:
            if not turn.done():
                turn.set_result(True)
                return
        self._is_checking = False

    def _of_another(self, user: bytes) -> bytes:
        """The hash of a user, always the same for the same unknown name: costs may differ between users."""
        chosen = int.from_bytes(self._keyed(user)[:8], "big") % len(self._hashes)
        return list(self._hashes.values())[chosen]

    def _digest(self, user: bytes, password: bytes) -> bytes:
        return self._keyed(len(user).to_bytes(4, "big") + user + password)

    def _keyed(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, hashlib.sha256)


def parse_basic(credentials: bytes) -> tuple[bytes, bytes] | None:
    """User and password of Basic credentials (RFC 7617), truncated to bcrypt's maximum; None if malformed."""
    try:
        user, colon, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password[:_BCRYPT_BYTES]) if colon else None


def _computed(password: bytes, hashed: bytes) -> "asyncio.Future[bool]":
    """Whether they match, computed in a thread. The thread is a daemon: a hash that takes seconds must not delay the
    stop."""
    outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def compute() -> None:
        settle_from_thread(outcome, _matches(password, hashed))

    threading.Thread(target=compute, name="password check", daemon=True).start()
    return outcome


def _matches(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # an extra: needed only if there are users

    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:  # a NUL byte in a password, in some versions
        return False
