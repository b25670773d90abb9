"""Advisory locks in a platform's PostgreSQL database (PostgreSQL, "Advisory Locks"): a read-only role may take them,
and they end with the session.

Locks of one platform have one number in common (`key`), 32 bits of a hash.
"""

import contextlib
import hashlib
import re
import socket
from typing import Final

from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.platform.sources.locks import LEADER, HeldLocks, LocksLostError, LocksUnsuitableError
from ff_observe.platform.sources.postgresql_session import Server, Session, cut
from ff_observe.platform.sources.sql import Row, StatementError

KEEPALIVE: Final = {"tcp_keepalives_idle": 20, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
"""For the server: it drops the session of a vanished bridge, and its locks, after 50 s."""

_STAY: Final = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
"""From PostgreSQL 14 on a server can end sessions that are idle, and their locks with them."""

_TRIES: Final = 3
_APPLICATION: Final = "ff-observe ping "

_HELD: Final = (
    "SELECT pg_backend_pid(), floor(extract(epoch FROM clock_timestamp()) / 60)::int,"
    " NULL::int, NULL::bigint, NULL, NULL"
    " UNION ALL SELECT NULL, NULL, pid, objid::bigint, mode, CASE WHEN objid = 0 THEN"
    " (SELECT application_name FROM pg_stat_activity a WHERE a.pid = l.pid) END FROM pg_locks l"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid::bigint = {key}"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def platform_key(instance_id: str) -> int:
    """The number of a platform's locks, in the range of PostgreSQL's `integer`."""
    digest = hashlib.sha256(b"ff-observe sender of the ping\0" + instance_id.encode()).digest()
    return int.from_bytes(digest[:4], "big", signed=True)


class AdvisoryLocks:
    """The `Locks` of PostgreSQL. The session is opened like those of `PostgreSQLSource`, in addition to them."""

    def __init__(self, database: PostgreSQLDatabase, instance_id: str) -> None:
        self._key = platform_key(instance_id)
        self._host = re.sub(r"[^!-~]", "?", socket.gethostname())[: 63 - len(_APPLICATION)]
        self._server = Server(database, _APPLICATION + self._host)
        self._session = _Session(self._server)
        try:
            ((self._me,),) = self._session.ask("SELECT pg_backend_pid()")
            if self._session.announced != self._me:  # a pooler in between answers for itself
                self._require_a_session_of_its_own()
            # Over a Unix socket there is no keepalive, and PostgreSQL leaves these at 0.
            settings = "; ".join(f"SET {name} = {value}" for name, value in KEEPALIVE.items())
            self._session.ask(f"{settings}; {_STAY}")
        except BaseException:
            self.close()
            raise

    def held(self) -> HeldLocks:
        first, *rows = self._session.ask(_HELD.format(key=self._key & 0xFFFFFFFF))
        me, minute = (int(str(number)) for number in first[:2])
        if me != self._me:
            raise LocksUnsuitableError(_POOLED)
        leader, leader_host = None, ""
        shared: dict[int, frozenset[int]] = {}
        for *_, session, number, mode, application in rows:
            pid = int(str(session))
            if mode == "ShareLock":
                shared[pid] = shared.get(pid, frozenset()) | {int(str(number))}
            elif number == LEADER and mode == "ExclusiveLock":
                leader, name = pid, str(application)
                leader_host = name.removeprefix(_APPLICATION) if name.startswith(_APPLICATION) else ""
        return HeldLocks(me, minute, leader, shared, leader_host, self._host)

    def lead(self) -> bool:
        ((taken,),) = self._session.ask(f"SELECT pg_try_advisory_lock({self._key}, {LEADER})::int")
        return bool(taken)

    def share(self, number: int) -> None:
        self._session.ask(f"SELECT pg_try_advisory_lock_shared({self._key}, {number})::int")

    def release(self, number: int) -> None:
        self._session.ask(f"SELECT pg_advisory_unlock_shared({self._key}, {number})::int")

    def abort(self) -> None:
        self._session.abort()

    def close(self) -> None:
        self._session.close()

    def _require_a_session_of_its_own(self) -> None:
        """Detects a pooler that hands its sessions from client to client: while this client is idle, it gives a
        second client the session of the first, or gives this one another while the second holds it."""
        with contextlib.closing(_Session(self._server)) as other:
            # Where it pools statements, it ends the session of a client that begins a transaction.
            if other.ask("SELECT pg_backend_pid()") == [(self._me,)]:
                raise LocksUnsuitableError(_POOLED)
            for _ in range(_TRIES):
                other.ask("BEGIN; SELECT 1")
                theirs = other.ask("SELECT pg_backend_pid()")
                shared = theirs == [(self._me,)] or self._session.ask("SELECT pg_backend_pid()") != [(self._me,)]
                other.ask("ROLLBACK; SELECT 1")
                if shared:
                    raise LocksUnsuitableError(_POOLED)


class _Session:
    """One session, whose failures are those of `Locks`."""

    def __init__(self, server: Server) -> None:
        try:
            self._connection = server.connect()
        except SourceError as error:
            raise LocksLostError(str(error)) from None
        self._server = server
        self.announced = self._connection.info.backend_pid
        """The session's number, from the server's or pooler's own greeting."""

    def ask(self, statements: str) -> list[Row]:
        """The rows of the statements; the last of them is a SELECT."""
        try:
            return Session(self._connection, self._server).query(statements)
        except (SourceError, StatementError) as error:
            raise LocksLostError(str(error)) from None

    def abort(self) -> None:
        cut(self._connection)

    def close(self) -> None:
        self._connection.close()


_POOLED: Final = (
    "a pooler between ff-observe and PostgreSQL gives its sessions to one client after the other, so that no bridge "
    "can be elected there. This one sends the ping. Where several bridges serve this platform, set "
    "telemetry.ping.sender: always for one of them and never for the others, or let them connect to PostgreSQL "
    "itself, or to a pooler in session mode"
)
