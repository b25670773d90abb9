"""The election on a real PostgreSQL, directly and through a real PgBouncer, on a clock of its own."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ff_observe.config.settings import PingSettings, PostgreSQLDatabase
from ff_observe.outputs.ping.election import SETTLE_SECONDS, Election, Role
from ff_observe.outputs.ping.memory import PingMemory
from ff_observe.outputs.ping.participation import elect
from ff_observe.running.wiring import locks_in
from tests.fakes import FakeClock
from tests.platforms import cluster_database
from tests.real_parts import pgbouncer
from tests.real_parts.postgresql import Cluster
from tests.real_parts.processes import wait_until
from tests.unit.ping.samples import settings

Joined = Callable[[int], Election]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def joined(postgres: Cluster, clock: FakeClock) -> Iterator[Joined]:
    """Elections as the file would ask for them, at a port of the database."""
    database = cluster_database(postgres, postgres.create("election"))
    with contextlib.ExitStack() as stack:

        def join(port: int) -> Election:
            told = replace(settings(), database=_at(database, port), ping=PingSettings())
            made = elect(told, PingMemory(None, "one", clock), "one", locks_in, clock)
            stack.callback(made.close)
            return made

        yield join


def _at(database: PostgreSQLDatabase, port: int) -> PostgreSQLDatabase:
    return replace(database, port=port)


def one_of_three_sends_and_its_follower_knows(join: Callable[[], Election], clock: FakeClock) -> None:
    leader, second, third = join(), join(), join()
    roles = [each.look(owed=True).role for each in (leader, second, third)]
    assert roles == [Role.LEADER, Role.FOLLOWER, Role.FOLLOWER]
    clock.advance(SETTLE_SECONDS)
    assert not leader.look(owed=True).may_send
    for each in (second, third):
        assert not each.look(owed=True).may_send
    assert leader.look(owed=True).may_send
    leader.close()  # while it sends
    wait_until(lambda: second.look(owed=False).role is Role.LEADER, "a leader")
    assert second.look(owed=False).last is not None
    assert third.look(owed=False).last is not None


def test_one_of_three_sends_and_its_follower_knows(joined: Joined, postgres: Cluster, clock: FakeClock) -> None:
    one_of_three_sends_and_its_follower_knows(lambda: joined(postgres.port), clock)


def test_through_a_pooler_of_sessions_it_is_the_same(joined: Joined, postgres: Cluster, clock: FakeClock) -> None:
    with pgbouncer.pooler(postgres, ignores="extra_float_digits", mode="session", sessions=9) as port:
        one_of_three_sends_and_its_follower_knows(lambda: joined(port), clock)


def test_through_a_pooler_of_transactions_it_says_so_and_sends(joined: Joined, postgres: Cluster) -> None:
    with pgbouncer.pooler(postgres, ignores="extra_float_digits", sessions=5) as port:
        election = joined(port).look(owed=True)
    assert (election.role, election.may_send) == (Role.ALONE, True)
    assert "telemetry.ping.sender: always" in election.note


def test_a_server_that_restarts_brings_no_second_ping(joined: Joined, postgres: Cluster, clock: FakeClock) -> None:
    leader, second = joined(postgres.port), joined(postgres.port)
    for each in (leader, second):
        each.look(owed=True)
    clock.advance(SETTLE_SECONDS)
    leader.look(owed=True)
    second.look(owed=False)
    assert leader.look(owed=True).may_send
    leader.delivered()
    postgres.end_sessions("application_name LIKE %s", "ff-observe ping%")
    assert second.look(owed=False).role is Role.UNKNOWN
    assert second.look(owed=False).role is Role.LEADER
    assert second.look(owed=False).last is not None


def test_a_database_that_does_not_answer_keeps_bridges_from_sending_and_is_named(joined: Joined) -> None:
    election = joined(1).look(owed=True)
    assert (election.role, election.may_send) == (Role.UNKNOWN, False)
    assert "cannot connect to PostgreSQL database 127.0.0.1:1/election" in election.note
