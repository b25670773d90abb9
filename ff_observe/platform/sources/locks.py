"""Locks by which the bridges of one platform meet: what they need of a database, however it is spelt there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

LEADER: Final = 0
PRESENT: Final = 1
FIRST_MARK: Final = 2
"""Numbers of locks; from `FIRST_MARK` on an even one stands for a ping."""


class LocksLostError(Exception):
    """The session is gone, and its locks with it. The text says why."""


class LocksUnsuitableError(Exception):
    """Locks do not hold here, ever. The text says why, and what to write into the file."""


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds which numbers at one moment: the session of the leader, and of each session the numbers it shares.

    `me` is the own session, `minute` the present one by the clock of the database. `leader_host` is the name of the
    leader's machine, as far as it is known, `my_host` that of this one.
    """

    me: int
    minute: int
    leader: int | None
    shared: Mapping[int, frozenset[int]]
    leader_host: str = ""
    my_host: str = ""


class Locks(Protocol):
    """The locks of one platform in one session. Every method but the last two raises `LocksLostError` when the session
    is gone, and `LocksUnsuitableError` where none holds."""

    def held(self) -> Held:
        """How things stand."""

    def lead(self) -> bool:
        """Take `LEADER` if it is free."""

    def share(self, number: int) -> None:
        """Take a number that any session may share. A number is taken once."""

    def release(self, number: int) -> None:
        """Let go of a shared number."""

    def abort(self) -> None:
        """End the session at once, from any thread: who waits for it gets `LocksLostError`."""

    def close(self) -> None:
        """End the session."""
