"""A database of locks with the faults of a real one, on the test's own clock: sessions that are killed, networks that
are cut without a word, restarts. `tests/unit/platform/test_postgresql_locks.py` asks it and PostgreSQL the same."""

from dataclasses import dataclass, field

from ff_observe.platform.sources.locks import LEADER, HeldLocks, LocksLostError
from tests.fakes import FakeClock

KEEPALIVE_SECONDS = 50.0


@dataclass(eq=False)
class Session:
    """One session: its number, what it shares, and when the server will notice that its client is gone."""

    number: int
    shared: set[int] = field(default_factory=set)
    gone_at: float = float("inf")


class LockServer:
    """Hands out sessions. `clock` is the database's."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.up = True
        self._sessions: dict[int, Session] = {}
        self._leader: int | None = None
        self._next = 100

    def open(self) -> "FakeLocks":
        """A new session. Raises `LocksLostError` while the server is down."""
        if not self.up:
            raise LocksLostError("the server is down")
        self._next += 1
        self._sessions[self._next] = Session(self._next)
        return FakeLocks(self, self._sessions[self._next])

    def restart(self) -> None:
        """All sessions end at once."""
        self._sessions.clear()
        self._leader = None

    def sessions(self) -> dict[int, Session]:
        """Those that live, now that the server has dropped whoever has been silent for too long."""
        for session in [each for each in self._sessions.values() if each.gone_at <= self.clock.monotonic()]:
            self.drop(session)
        return self._sessions

    def drop(self, session: Session) -> None:
        """The session ends, and its locks with it."""
        self._sessions.pop(session.number, None)
        if self._leader == session.number:
            self._leader = None

    def lead(self, session: Session) -> bool:
        """Whether `LEADER` is the session's now."""
        self.sessions()
        if self._leader is None:
            self._leader = session.number
        return self._leader == session.number

    def held(self, session: Session) -> HeldLocks:
        """As `Locks.held`."""
        shared = {number: frozenset(each.shared) for number, each in self.sessions().items() if each.shared}
        return HeldLocks(session.number, int(self.clock.now().timestamp() // 60), self._leader, shared)


class FakeLocks:
    """See `Locks`."""

    def __init__(self, server: LockServer, session: Session) -> None:
        self._server = server
        self._session = session
        self._is_cut = False

    def cut(self) -> None:
        """The network between client and server is gone, without a word to either."""
        self._is_cut = True
        self._session.gone_at = self._server.clock.monotonic() + KEEPALIVE_SECONDS

    def held(self) -> HeldLocks:
        return self._server.held(self._alive())

    def lead(self) -> bool:
        return self._server.lead(self._alive())

    def share(self, number: int) -> None:
        assert number != LEADER
        self._alive().shared.add(number)

    def release(self, number: int) -> None:
        self._alive().shared.remove(number)

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._is_cut:
            self._server.drop(self._session)

    def _alive(self) -> Session:
        if self._is_cut or self._session.number not in self._server.sessions():
            raise LocksLostError("the session is gone")
        return self._session
