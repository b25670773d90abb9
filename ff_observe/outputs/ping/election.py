"""Elects the bridge of a platform that sends its ping, and shares the knowledge of the last one.

Bridges need not share a disk. On PostgreSQL they coordinate in the platform's own database, by advisory locks of their
sessions (`AdvisoryLocks`), which a read-only role may take and which end with the session:

- `PRESENT`, shared, is held by every bridge that takes part;
- `LEADER`, exclusive, by the one that sends;
- a *mark*, shared, stands for a ping: twice the minute in which it left, by the database's clock;
- a *void*, shared, is the number after a mark: that ping was taken back.

Every bridge holds the marks it knows of, and learns those that others hold. A ping begins with a new mark; it is sent
only when all present bridges hold that mark too. So the successor of a leader that died knows that the ping of today
has left, or was in progress: a ping is lost if its sender dies while it sends, but none is sent twice. A leader that
does not deliver holds the void, upon which the others release the mark: within a second, if it lives so long. When the
database restarts, all locks are gone: every bridge takes again what it held, and a new leader waits `SETTLE_SECONDS`
before it sends, so that the others can do so. When all bridges die at once, their disks remember (`PingMemory`);
without disks the ping of that day is not sent again.
"""

import contextlib
import fcntl
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ff_observe.outputs.ping.memory import PingMemory, UnknownPastError
from ff_observe.outputs.ping.schedule import Moment
from ff_observe.platform.sources.locks import (
    FIRST_MARK,
    PRESENT,
    HeldLocks,
    Locks,
    LocksLostError,
    LocksUnsuitableError,
)
from ff_observe.system.clock import Clock

LOOK_SECONDS: Final = 10.0
"""The interval at which a bridge looks at the locks."""

LOOK_WHILE_OWED_SECONDS: Final = 1.0
"""The interval while a ping is owed: all bridges of a platform compute the same time of day, and soon hold a new
mark."""

WATCH_SECONDS: Final = 120.0
"""How long the others look as often after a new mark, which may be taken back: longer than an attempt takes."""

SETTLE_SECONDS: Final = 30.0
"""How long a leader waits before its first ping: longer than two looks of the others, and a connection."""

PATIENCE_SECONDS: Final = 30.0
"""How long a ping waits for others to hold its mark: one of them may hang until the server drops it."""

MARKS: Final = 2
"""How many pings are remembered: the last, and the one before it, should the last be taken back."""

VOID_MINUTES: Final = 2 * 24 * 60
"""How long a ping that was taken back is remembered: longer than it could count as the ping of today."""

MOST_MARK: Final = 2**30
"""In the year 2990: a larger number is no bridge's mark."""


class Role(StrEnum):
    """A bridge's role in sending the ping."""

    LEADER = "leader"  # it sends
    FOLLOWER = "follower"  # another bridge sends
    ALONE = "alone"  # it sends: there is no election, by configuration or because none is possible
    UNKNOWN = "unknown"  # the others cannot be asked now: nothing is sent
    NEVER = "never"  # it does not send, by configuration


@dataclass(frozen=True, slots=True)
class ElectionState:
    """`may_send` says that a ping begins now: `failed` or `delivered` must follow. `last` is the last ping that any
    bridge is known to have sent. `note` is a message for the operator, `leader_host` the machine of another bridge
    that leads. Infinite `look_seconds` mean that nothing changes by itself."""

    role: Role
    may_send: bool = False
    last: Moment | None = None
    note: str = ""
    leader_host: str = ""
    look_seconds: float = LOOK_SECONDS


class Election:
    """How the bridges of a platform agree on who sends. This one does not: by its configuration it always sends, or
    never. Used by the ping thread alone, except for `abort`."""

    shares_memory = False
    """Whether all bridges of the platform share what the disk remembers."""

    def __init__(self, role: Role) -> None:
        self._standing = ElectionState(role, may_send=role is Role.ALONE, look_seconds=math.inf)

    def look(self, *, owed: bool) -> ElectionState:
        """Take part, and report the state. `owed`: this bridge sends a ping now, if it may. Never raises."""
        return self._standing

    def failed(self) -> None:
        """The ping in progress was not delivered, and is still owed."""

    def delivered(self) -> None:
        """The ping in progress needs no other."""

    def abort(self) -> None:
        """Abort whatever `look` waits for, from any thread."""

    def close(self) -> None:
        """Leave. Another bridge may lead at once."""


class LockElection(Election):
    """The election described above. `open_locks` raises `LocksLostError` or `LocksUnsuitableError`."""

    def __init__(self, open_locks: Callable[[], Locks], clock: Clock) -> None:
        self._open_locks = open_locks
        self._clock = clock
        self._locks: Locks | None = None
        self._closed = False
        self._unsuitable = ""
        self._held: frozenset[int] = frozenset()  # marks and voids that this session holds
        self._pings: dict[int, Moment] = {}  # the pings this bridge knows of, by their marks
        self._void: frozenset[int] = frozenset()  # marks of pings that this bridge began and did not deliver
        self._leading_since = 0.0
        self._learned_at = -math.inf  # when the last new ping was learned from another bridge
        self._begun: int | None = None
        self._begun_at = 0.0
        self._sending = False

    def look(self, *, owed: bool) -> ElectionState:
        if self._unsuitable:
            return ElectionState(Role.ALONE, may_send=True, note=self._unsuitable, look_seconds=math.inf)
        try:
            return self._look(owed)
        except LocksLostError as error:
            self._drop()
            return ElectionState(Role.UNKNOWN, last=self._last(), note=str(error))
        except LocksUnsuitableError as error:
            self._drop()
            self._unsuitable = str(error)
            return self.look(owed=owed)

    def failed(self) -> None:
        self._sending = False
        self._take_back()
        if self._locks is not None:
            try:
                self._hold(self._locks)
            except (LocksLostError, LocksUnsuitableError):
                self._drop()

    def delivered(self) -> None:
        self._begun, self._sending = None, False

    def abort(self) -> None:
        self._closed = True
        if (locks := self._locks) is not None:
            locks.abort()

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _look(self, owed: bool) -> ElectionState:
        if self._locks is None:
            self._locks = self._open_locks()
            if self._closed:  # in the meantime
                raise LocksLostError("this bridge stops")
            self._locks.share(PRESENT)
        locks = self._locks
        held = locks.held()
        if held.leader is None and locks.lead():
            self._leading_since = self._clock.monotonic()
            held = locks.held()
        is_leader = held.leader == held.me
        if not (is_leader and owed):
            self._take_back()
        self._learn(held)
        self._hold(locks)
        self._sending = is_leader and owed and self._announced(locks, held)
        if not is_leader:
            is_new = self._clock.monotonic() < self._learned_at + WATCH_SECONDS
            look_seconds = LOOK_WHILE_OWED_SECONDS if is_new else LOOK_SECONDS
            return ElectionState(
                Role.FOLLOWER, last=self._last(), leader_host=held.leader_host, look_seconds=look_seconds
            )
        return ElectionState(Role.LEADER, self._sending, self._last())

    def _learn(self, held: HeldLocks) -> None:
        """Learn every ping that any bridge knows of, except those that their sender took back."""
        numbers = _marks_and_voids(held) - self._void  # this session may hold such a mark until `_hold`
        for number in numbers:
            if not _is_void(number) and number not in self._pings:
                self._see(number, held.minute)
                self._learned_at = self._clock.monotonic()
        for number in numbers:
            if _is_void(number):
                self._pings.pop(number - 1, None)
        self._pings = {mark: self._pings[mark] for mark in sorted(self._pings)[-MARKS:]}
        self._void = frozenset(mark for mark in self._void if mark // 2 > held.minute - VOID_MINUTES)

    def _hold(self, locks: Locks) -> None:
        """Take and release locks to match what this bridge knows."""
        wanted = frozenset(self._pings) | {mark + 1 for mark in self._void}
        for number in wanted - self._held:
            locks.share(number)
        for number in self._held - wanted:
            locks.release(number)
        self._held = wanted

    def _announced(self, locks: Locks, held: HeldLocks) -> bool:
        """Whether all present bridges know of the ping that is to begin; the first call makes its mark."""
        now = self._clock.monotonic()
        if now < self._leading_since + SETTLE_SECONDS:
            return False
        if self._begun is None:
            self._begun = _new_mark(held)
            self._begun_at = now
            self._see(self._begun, held.minute)
            self._hold(locks)
            held = locks.held()  # bridges that join from here on see the mark
        know = {session for session, numbers in held.shared.items() if self._begun in numbers}
        present = {session for session, numbers in held.shared.items() if PRESENT in numbers}
        return held.leader == held.me and (present <= know or now >= self._begun_at + PATIENCE_SECONDS)

    def _take_back(self) -> None:
        """The ping was not sent, or not delivered: `_hold` tells the others."""
        if self._begun is not None and not self._sending:
            self._pings.pop(self._begun, None)
            self._void |= {self._begun}
            self._begun = None

    def _see(self, mark: int, minute: int) -> None:
        self._pings[mark] = Moment.present(self._clock, max(0, minute - mark // 2) * 60.0)

    def _last(self) -> Moment | None:
        """The last known ping, except for the one this bridge is about to begin."""
        return self._pings[max(known)] if (known := self._pings.keys() - {self._begun}) else None

    def _drop(self) -> None:
        """Forget the session, but not the pings."""
        locks, self._locks = self._locks, None
        self._held = frozenset()
        self._take_back()
        if locks is not None:
            locks.close()


def _new_mark(held: HeldLocks) -> int:
    """A number that stands for no ping yet, whether taken back or not."""
    latest = max(_marks_and_voids(held), default=0)
    return max(2 * held.minute, latest - latest % 2 + 2)


def _marks_and_voids(held: HeldLocks) -> frozenset[int]:
    numbers: frozenset[int] = frozenset().union(*held.shared.values())
    return frozenset(number for number in numbers if FIRST_MARK <= number < MOST_MARK)


def _is_void(number: int) -> bool:
    return number % 2 == 1


def observe(open_locks: Callable[[], Locks]) -> ElectionState:
    """The state for the bridge of this machine, without taking part in the election."""
    try:
        locks = open_locks()
        try:
            held = locks.held()
        finally:
            locks.close()
    except LocksLostError as error:
        return ElectionState(Role.UNKNOWN, note=str(error))
    except LocksUnsuitableError as error:
        return ElectionState(Role.ALONE, may_send=True, note=str(error))
    if held.leader is None or held.leader_host == held.my_host:
        return ElectionState(Role.LEADER)
    return ElectionState(Role.FOLLOWER, leader_host=held.leader_host)


class FileElection(Election):
    """Of bridges that share a disk, the holder of a file's lock leads, and all read the same memory. If no file can be
    locked, the bridge is alone."""

    shares_memory = True

    def __init__(self, memory: PingMemory) -> None:
        self._memory = memory
        self._descriptor: int | None = None

    def look(self, *, owed: bool) -> ElectionState:
        try:
            role = Role.LEADER if self._lead() else Role.FOLLOWER
        except OSError as error:
            return ElectionState(Role.ALONE, may_send=True, note=self._no_lock(error))
        try:
            last = self._memory.load()
        except UnknownPastError:
            last = None
        return ElectionState(role, may_send=role is Role.LEADER, last=last)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # of a disk on which nothing can be locked
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process that was forked meanwhile has it open too
            os.close(descriptor)

    def _lead(self) -> bool:
        if self._descriptor is None:
            self._descriptor = self._memory.open_lock()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _no_lock(self, error: OSError) -> str:
        return (
            f"{self._memory.lock} cannot be locked: {error.strerror or error}. This bridge sends the ping; another "
            "bridge of this platform on this machine would send one more (telemetry.ping.sender: never stops that)"
        )
