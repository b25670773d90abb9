"""The locks by which the bridges of one platform coordinate: the interface that a database has to provide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

LEADER: Final = 0
PRESENT: Final = 1
FIRST_MARK: Final = 2
"""Numbers of locks; from `FIRST_MARK` on, an even one stands for a ping."""


class LocksLostError(Exception):
    """The session is gone, and its locks with it. The text says why."""


class LocksUnsuitableError(Exception):
    """Locks can never work here. The text says why, and what to configure."""


@dataclass(frozen=True, slots=True)
class HeldLocks:
    """Who holds which numbers at one moment: the session of the leader, and of each session the numbers it shares.

    `me` is the own session, `minute` the present one by the clock of the database. `leader_host` is the name of the
    leader's machine, if known, `my_host` that of this one.
    """

    me: int
    minute: int
    leader: int | None
    shared: Mapping[int, frozenset[int]]
    leader_host: str = ""
    my_host: str = ""


class Locks(Protocol):
    """The locks of one platform in one session.

    Every method but the last two raises `LocksLostError` if the session is gone, and `LocksUnsuitableError` if locks
    cannot work.
    """

    def held(self) -> HeldLocks:
        """The present holders."""

    def lead(self) -> bool:
        """Take `LEADER` if it is free."""

    def share(self, number: int) -> None:
        """Take a number that any session may share. A number is taken only once."""

    def release(self, number: int) -> None:
        """Release a shared number."""

    def abort(self) -> None:
        """End the session at once, from any thread: a waiting call raises `LocksLostError`."""

    def close(self) -> None:
        """End the session."""
