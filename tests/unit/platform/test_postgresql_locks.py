"""Advisory locks in a real PostgreSQL: of a role that only reads, through poolers, and when a session dies.

What any session sees of the others is asked of the model too that the election's histories are simulated with.
"""

import contextlib
import hashlib
import re
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.platform.sources import postgresql_session
from ff_observe.platform.sources.locks import FIRST_MARK, LEADER, PRESENT, Locks, LocksLostError, LocksUnsuitableError
from ff_observe.platform.sources.postgresql_locks import AdvisoryLocks, platform_key
from tests.fakes import FakeClock
from tests.platforms import cluster_database
from tests.real_parts import pgbouncer
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.real_parts.processes import free_port, wait_until
from tests.unit.ping.lock_server import LockServer
from tests.unit.platform.hostile_server import INT4, Answer, hostile_server, rows

Opened = Callable[..., AdvisoryLocks]
MARK = FIRST_MARK + 29_000_000


@pytest.fixture(scope="module")
def database(postgres: Cluster) -> PostgreSQLDatabase:
    return cluster_database(postgres, postgres.create("locks"))


@pytest.fixture
def opened(database: PostgreSQLDatabase) -> Iterator[Opened]:
    """Opens locks on the test database; all are closed in the end."""
    with contextlib.ExitStack() as stack:

        def open_locks(instance: str = "one", **changed: object) -> AdvisoryLocks:
            locks = AdvisoryLocks(replace(database, **changed), instance)  # type: ignore[arg-type]  # tests name fields
            stack.callback(locks.close)
            return locks

        yield open_locks


@pytest.fixture(params=["PostgreSQL", "the model"])
def any_opened(request: pytest.FixtureRequest) -> Callable[[], Locks]:
    """Opens sessions of the real locks, and of their model."""
    if request.param == "PostgreSQL":
        real: Opened = request.getfixturevalue("opened")
        return real
    return LockServer(FakeClock()).open


def test_one_session_leads_and_all_see_which(any_opened: Callable[[], Locks]) -> None:
    first, second = any_opened(), any_opened()
    assert first.lead()
    assert not second.lead()
    seen = second.held()
    assert seen.leader == first.held().me != seen.me
    first.close()
    wait_until(second.lead, "the server to notice that the first session ended")


def test_numbers_are_shared_and_seen_by_all_until_they_are_released(any_opened: Callable[[], Locks]) -> None:
    first, second = any_opened(), any_opened()
    for locks in (first, second):
        locks.share(PRESENT)
        locks.share(MARK)
    me = first.held().me
    assert set(second.held().shared.values()) == {frozenset({PRESENT, MARK})}
    first.release(MARK)
    assert second.held().shared[me] == {PRESENT}


def test_a_session_that_is_aborted_is_lost_to_its_user_and_to_the_others(any_opened: Callable[[], Locks]) -> None:
    first, second = any_opened(), any_opened()
    assert first.lead()
    first.abort()
    with pytest.raises(LocksLostError):
        first.held()
    wait_until(second.lead, "the server to notice that the first session ended")


def test_platforms_in_one_database_do_not_meet(opened: Opened) -> None:
    first, other = opened("one"), opened("two")
    assert platform_key("one") != platform_key("two")
    assert first.lead()
    assert other.held().leader is None
    assert other.lead()


def test_the_machine_of_the_leader_is_known(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "bridge-7 ü")
    first = opened()
    assert first.lead()
    monkeypatch.setattr("socket.gethostname", lambda: "x" * 100)
    seen = opened().held()
    assert (seen.leader_host, seen.my_host) == ("bridge-7??", "x" * 47)


def test_a_lock_of_the_largest_number_breaks_nothing(opened: Opened, postgres: Cluster) -> None:
    locks = opened()
    with postgres.connect(locks._server.where.rpartition("/")[2]) as stranger:
        stranger.execute("SELECT pg_advisory_lock_shared(%s, -1)", [platform_key("one")])
        assert frozenset({2**32 - 1}) in locks.held().shared.values()


def test_a_role_that_may_nothing_but_read_suffices(opened: Opened, postgres: Cluster) -> None:
    with postgres.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE looker LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))
        connection.execute("ALTER ROLE looker SET default_transaction_read_only = on")
    leader = opened(user="postgres")
    assert leader.lead()
    locks = opened(user="looker")
    locks.share(PRESENT)
    assert locks.held().leader_host == locks.held().my_host
    leader.close()
    wait_until(locks.lead, "the server to notice that the first session ended")


def test_the_server_drops_a_session_that_is_gone_without_a_word_within_a_minute(opened: Opened) -> None:
    locks = opened()
    idle, interval, count = (
        int(str(locks._session.ask(f"SHOW tcp_keepalives_{name}")[0][0]).rstrip("s"))
        for name in ("idle", "interval", "count")
    )
    assert 0 < idle + interval * count < 60


def test_the_server_does_not_end_a_session_that_is_idle_between_two_looks(opened: Opened, postgres: Cluster) -> None:
    with postgres.connect() as connection:
        with contextlib.suppress(psycopg.errors.UndefinedObject):  # before PostgreSQL 14
            connection.execute("ALTER DATABASE locks SET idle_session_timeout = '5s'")
        locks = opened()
        connection.execute("ALTER DATABASE locks RESET ALL")
    set_to = locks._session.ask("SELECT setting FROM pg_settings WHERE name = 'idle_session_timeout'")
    assert set_to == [("0",)] * len(set_to)


def test_a_session_that_was_ended_has_lost_its_locks_and_says_so(opened: Opened, postgres: Cluster) -> None:
    first, second = opened(), opened()
    assert first.lead()
    postgres.end_sessions("pid = %s", first.held().me)
    with pytest.raises(LocksLostError, match="PostgreSQL database"):
        first.held()
    assert second.held().leader is None


def test_a_server_that_does_not_answer_is_given_up(
    opened: Opened, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = opened()
    monkeypatch.setattr(postgresql_session, "READ_LIMIT_SECONDS", 0.2)
    with postgres.connect(locks._server.where.rpartition("/")[2]) as stranger:
        stranger.execute("SELECT pg_advisory_lock(7)")
        with pytest.raises(LocksLostError, match="did not answer"):
            locks._session.ask("SELECT pg_advisory_lock(7)")


def test_a_session_that_waits_can_be_aborted_by_another_thread(opened: Opened, postgres: Cluster) -> None:
    locks = opened()
    failed = threading.Event()

    def wait() -> None:
        with pytest.raises(LocksLostError):
            locks._session.ask("SELECT pg_advisory_lock(8)")
        failed.set()

    with postgres.connect(locks._server.where.rpartition("/")[2]) as stranger:
        stranger.execute("SELECT pg_advisory_lock(8)")
        waiting = threading.Thread(target=wait)
        waiting.start()
        locks.abort()
        assert failed.wait(8)  # less than what it gives up after by itself
        waiting.join()


def test_the_minute_is_the_databases(opened: Opened, postgres: Cluster) -> None:
    def minute() -> int:
        with postgres.connect() as connection:
            row = connection.execute("SELECT floor(extract(epoch FROM now()) / 60)::int").fetchone()
        assert row is not None
        return int(str(row[0]))

    earliest = minute()
    assert earliest <= opened().held().minute <= minute()


def test_bridges_of_all_versions_compute_the_same_number_of_a_platform() -> None:
    names = ("one", "two", "three", "four")
    hashes = (hashlib.sha256(f"ff-observe sender of the ping\0{name}".encode()).digest() for name in names)
    numbers = [struct.unpack(">i", digest[:4])[0] for digest in hashes]
    assert min(numbers) < 0 < max(numbers)
    assert [platform_key(name) for name in names] == numbers


def test_a_stranger_may_lead_and_other_locks_of_strangers_are_no_leaders(opened: Opened, postgres: Cluster) -> None:
    locks, key = opened(), platform_key("one")
    with postgres.connect(locks._server.where.rpartition("/")[2]) as stranger:
        stranger.execute("SET application_name = 'a stranger'")
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", [key, MARK])
        stranger.execute("SELECT pg_advisory_lock_shared(%s, %s)", [key, LEADER])
        seen = locks.held()
        assert (seen.leader, seen.leader_host) == (None, "")
        assert seen.shared == {stranger.info.backend_pid: frozenset({LEADER})}
        stranger.execute("SELECT pg_advisory_unlock_shared(%s, %s)", [key, LEADER])
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", [key, LEADER])
        seen = locks.held()
        assert (seen.leader, seen.leader_host) == (stranger.info.backend_pid, "")


def test_a_server_that_cannot_be_reached_is_an_error_of_the_locks(opened: Opened) -> None:
    with pytest.raises(LocksLostError, match=r"^cannot connect to PostgreSQL database 127"):
        opened(port=free_port())


POOLED = re.escape("for one of them and never for the others, or let them connect to PostgreSQL itself, or to a pooler")


@pytest.mark.parametrize(
    ("numbers", "is_refused"),
    [
        ((0,), False),  # as the server has announced: it is not tried
        ((7, 8, *(8, 7) * 3), False),
        ((7, 7), True),
        ((7, 8, 7), True),
        ((7, 8, 8, 8), True),
        ((7, 8, 8, 7, 7), True),
        ((7, 8, *(8, 7) * 2, 7), True),
        ((7, 8, *(8, 7) * 2, 8, 9), True),
    ],
)
def test_a_pooler_is_known_by_any_try_that_meets_another_session(numbers: tuple[int, ...], is_refused: bool) -> None:
    left, statements = list(numbers), list[str]()

    def respond(statement: str) -> Answer:
        statements.append(statement)
        is_asked = statement == "SELECT pg_backend_pid()"
        return rows((INT4,), (str(left.pop(0) if is_asked else 1).encode(),))

    with hostile_server(respond) as port:
        database = PostgreSQLDatabase("127.0.0.1", port, "forge", Secret("secret-word"))
        with pytest.raises(LocksUnsuitableError, match=POOLED) if is_refused else contextlib.nullcontext():
            AdvisoryLocks(database, "one").close()
    assert left == []
    tries = ["BEGIN; SELECT 1", "ROLLBACK; SELECT 1"] * ((len(numbers) - 1) // 2)
    assert [statement for statement in statements if statement.endswith("; SELECT 1")] == tries


def test_a_session_that_is_another_one_later_is_a_poolers(opened: Opened) -> None:
    locks = opened()
    locks._me = 0
    with pytest.raises(LocksUnsuitableError, match=POOLED):
        locks.held()


@pytest.mark.parametrize("sessions", [1, 5])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_noticed(opened: Opened, postgres: Cluster, mode: str, sessions: int) -> None:
    pooler = pgbouncer.pooler(postgres, ignores="extra_float_digits", mode=mode, sessions=sessions)
    with pooler as port, pytest.raises(LocksUnsuitableError, match=r"telemetry\.ping\.sender"):
        opened(port=port)


def test_a_pooler_of_sessions_keeps_locks(opened: Opened, postgres: Cluster) -> None:
    with pgbouncer.pooler(postgres, ignores="extra_float_digits", mode="session", sessions=5) as port:
        first, second = opened(port=port), opened(port=port)
        first.share(PRESENT)
        assert first.lead()
        assert not second.lead()
        assert second.held().leader == first.held().me
        first.close()
        second.close()
