"""The rules of the election, one by one, on a model of PostgreSQL's locks; `test_election_histories` mixes them."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.outputs.ping import election
from ff_observe.outputs.ping.election import (
    LOOK_SECONDS,
    LOOK_WHILE_OWED_SECONDS,
    MOST_MARK,
    PATIENCE_SECONDS,
    SETTLE_SECONDS,
    VOID_MINUTES,
    WATCH_SECONDS,
    ElectionState,
    LockElection,
    Role,
    _new_mark,
    observe,
)
from ff_observe.platform.sources.locks import (
    FIRST_MARK,
    PRESENT,
    HeldLocks,
    Locks,
    LocksLostError,
    LocksUnsuitableError,
)
from tests.fakes import FakeClock
from tests.unit.ping.lock_server import FakeLocks, LockServer


class Bridges:
    """Elections on one database, in the order in which they joined."""

    def __init__(self, count: int = 3) -> None:
        self.clock = FakeClock()
        self.server = LockServer(self.clock)
        self.locks: dict[LockElection, FakeLocks] = {}
        self.all = [self.join() for _ in range(count)]

    def join(self) -> LockElection:
        def connect() -> FakeLocks:
            self.locks[made] = self.server.open()
            return self.locks[made]

        made = LockElection(connect, self.clock)
        made.look(owed=False)
        return made

    def look(self) -> None:
        for each in self.all:
            each.look(owed=False)

    def send(self, leader: LockElection) -> None:
        """One ping, delivered."""
        self.announce(leader)
        assert leader.look(owed=True).may_send
        leader.delivered()

    def announce(self, leader: LockElection) -> None:
        self.clock.advance(SETTLE_SECONDS)
        assert not leader.look(owed=True).may_send or len(self.all) == 1
        for each in self.all:
            if each is not leader:
                each.look(owed=False)


def test_the_first_leads_and_the_others_follow_until_it_leaves() -> None:
    bridges = Bridges()
    first, second, _ = bridges.all
    assert [each.look(owed=False).role for each in bridges.all] == [Role.LEADER, Role.FOLLOWER, Role.FOLLOWER]
    first.close()
    assert second.look(owed=False).role is Role.LEADER


def test_a_follower_never_sends() -> None:
    bridges = Bridges()
    bridges.clock.advance(SETTLE_SECONDS)
    assert not bridges.all[1].look(owed=True).may_send


def test_a_leader_sends_only_when_all_who_are_present_hold_the_mark() -> None:
    bridges = Bridges()
    leader, second, third = bridges.all
    bridges.clock.advance(SETTLE_SECONDS)
    assert not leader.look(owed=True).may_send
    second.look(owed=False)
    assert not leader.look(owed=True).may_send
    third.look(owed=False)
    assert leader.look(owed=True).may_send


def test_a_new_leader_waits_for_the_others_to_take_again_what_they_held() -> None:
    bridges = Bridges(1)
    (leader,) = bridges.all
    bridges.clock.advance(SETTLE_SECONDS - 0.5)
    assert not leader.look(owed=True).may_send
    bridges.clock.advance(0.5)
    assert leader.look(owed=True).may_send
    assert SETTLE_SECONDS > 2 * LOOK_SECONDS


def test_after_a_restart_of_the_database_the_ping_of_today_is_known_to_whoever_leads() -> None:
    bridges = Bridges()
    bridges.send(bridges.all[0])
    bridges.server.restart()
    bridges.look()  # all notice
    newcomer = bridges.join()
    assert newcomer.look(owed=False).role is Role.LEADER
    bridges.look()
    assert newcomer.look(owed=False).last is not None


def test_who_follows_a_leader_that_died_while_sending_knows_of_the_ping() -> None:
    bridges = Bridges()
    leader, second, third = bridges.all
    bridges.announce(leader)
    assert leader.look(owed=True).may_send
    bridges.locks[leader].close()  # killed
    for each in (second, third):
        assert each.look(owed=False).last is not None


def test_who_joins_later_knows_of_the_ping() -> None:
    bridges = Bridges()
    bridges.send(bridges.all[0])
    for seconds in (0, 3600):
        bridges.clock.advance(seconds)
        last = bridges.join().look(owed=False).last
        assert last is not None
        assert (bridges.clock.now() - last.by(bridges.clock)).total_seconds() == seconds


def test_a_ping_that_failed_is_taken_back_from_all() -> None:
    bridges = Bridges()
    leader, second, _ = bridges.all
    bridges.announce(leader)
    assert leader.look(owed=True).may_send
    assert second.look(owed=False).last is not None
    leader.failed()
    assert second.look(owed=False).last is None  # although the leader did not look again
    bridges.look()
    bridges.locks[leader].close()
    newcomer = bridges.join()
    assert newcomer.look(owed=False).last is None


def test_a_new_ping_is_watched_by_the_others_until_it_cannot_fail_any_more() -> None:
    bridges = Bridges()
    leader, second, _ = bridges.all
    assert second.look(owed=False).look_seconds == LOOK_SECONDS
    bridges.announce(leader)
    assert second.look(owed=False).look_seconds == LOOK_WHILE_OWED_SECONDS
    bridges.clock.advance(WATCH_SECONDS - 1)
    assert second.look(owed=False).look_seconds == LOOK_WHILE_OWED_SECONDS
    bridges.clock.advance(1)
    assert second.look(owed=False).look_seconds == LOOK_SECONDS


def test_a_ping_that_failed_leaves_the_one_before_in_mind() -> None:
    bridges = Bridges()
    leader, second, _ = bridges.all
    bridges.send(leader)
    before = second.look(owed=False).last
    bridges.clock.advance(3600)
    bridges.announce(leader)
    assert leader.look(owed=True).may_send
    leader.failed()
    bridges.look()
    assert second.look(owed=False).last == before


def test_a_ping_that_is_announced_and_no_longer_wanted_is_taken_back() -> None:
    bridges = Bridges()
    leader, second, _ = bridges.all
    bridges.announce(leader)
    assert leader.look(owed=False).last is None
    assert second.look(owed=False).last is None


def test_one_that_hangs_does_not_keep_the_others_from_sending() -> None:
    bridges = Bridges()
    leader, second, _hanging = bridges.all
    bridges.clock.advance(SETTLE_SECONDS)
    leader.look(owed=True)
    second.look(owed=False)
    bridges.clock.advance(PATIENCE_SECONDS - 1)
    assert not leader.look(owed=True).may_send
    bridges.clock.advance(1)
    assert leader.look(owed=True).may_send


def test_a_leader_whose_session_is_gone_sends_nothing_and_loses_its_claim() -> None:
    bridges = Bridges()
    leader, second, _ = bridges.all
    bridges.announce(leader)
    bridges.locks[leader].cut()
    election = leader.look(owed=True)
    assert (election.role, election.may_send) == (Role.UNKNOWN, False)
    bridges.clock.advance(60)  # the server notices
    assert second.look(owed=False).role is Role.LEADER
    assert leader.look(owed=True).role is Role.FOLLOWER


def test_a_bridge_that_cannot_ask_the_others_still_knows_of_their_ping() -> None:
    bridges = Bridges()
    leader, second, _ = bridges.all
    bridges.send(leader)
    known = second.look(owed=False).last
    bridges.locks[second].cut()
    election = second.look(owed=False)
    assert election.role is Role.UNKNOWN
    assert election.last == known is not None


def test_pings_taken_back_are_forgotten_in_time_however_long_the_receiver_fails() -> None:
    bridges = Bridges(1)
    (leader,) = bridges.all
    for _ in range(30 * 10):
        bridges.clock.advance(86_400 / 10)
        leader.look(owed=True)
        if leader.look(owed=True).may_send:
            leader.failed()
    held = bridges.locks[leader].held()
    assert len(held.shared[held.me] - {PRESENT}) <= VOID_MINUTES / 60 / 24 * 10 + 1


def test_a_number_that_is_no_mark_is_left_alone() -> None:
    bridges = Bridges(1)
    stranger = bridges.server.open()
    stranger.share(2**32 - 1)
    (leader,) = bridges.all
    bridges.clock.advance(SETTLE_SECONDS)
    assert leader.look(owed=False).last is None
    bridges.clock.advance(PATIENCE_SECONDS)
    leader.look(owed=True)
    assert leader.look(owed=True).may_send
    assert max(bridges.locks[leader].held().shared[bridges.locks[leader].held().me]) < 2**31


@pytest.mark.parametrize(
    ("number", "is_known"), [(FIRST_MARK, True), (FIRST_MARK + 1, False), (MOST_MARK - 2, True), (MOST_MARK, False)]
)
def test_the_numbers_of_pings_have_a_first_and_a_last(number: int, is_known: bool) -> None:
    bridges = Bridges(1)
    bridges.server.open().share(number)
    assert (bridges.all[0].look(owed=False).last is not None) is is_known


@given(st.integers(1, 2**29 - 1), st.frozensets(st.integers(0, 2**31)))
def test_a_new_ping_has_a_number_that_no_other_has_taken_or_taken_back(minute: int, taken: frozenset[int]) -> None:
    mark = _new_mark(HeldLocks(1, minute, 1, {1: taken, 2: frozenset({2 * minute})}))
    assert mark % 2 == 0
    assert mark == max(2 * minute, *(number // 2 * 2 + 2 for number in {2 * minute, *taken} if number < MOST_MARK))


def test_where_locks_do_not_hold_it_sends_and_says_why() -> None:
    def connect() -> Locks:
        raise LocksUnsuitableError("a pooler")

    alone = LockElection(connect, FakeClock())
    assert alone.look(owed=True) == ElectionState(Role.ALONE, may_send=True, note="a pooler", look_seconds=math.inf)


@pytest.mark.parametrize("stop", [LockElection.abort, LockElection.close])
def test_a_bridge_that_stops_while_it_connects_leaves_no_session_behind(stop: Callable[[LockElection], None]) -> None:
    server = LockServer(FakeClock())

    def connect() -> Locks:
        stop(stopping)
        return server.open()

    stopping = LockElection(connect, FakeClock())
    assert stopping.look(owed=False) == ElectionState(Role.UNKNOWN, note="this bridge stops")
    assert server.sessions() == {}


@pytest.mark.parametrize(
    ("leader", "host", "role"), [(None, "", Role.LEADER), (7, "mine", Role.LEADER), (7, "other", Role.FOLLOWER)]
)
def test_seen_from_outside_the_machine_of_the_leader_decides(leader: int | None, host: str, role: Role) -> None:
    class Looked(FakeLocks):
        def held(self) -> HeldLocks:
            return HeldLocks(1, 2, leader, {}, host, "mine")

    server = LockServer(FakeClock())
    server.open()

    def connect() -> Locks:
        made = server.open()
        return Looked(server, made._session)

    assert observe(connect) == ElectionState(role, leader_host="other" if host == "other" else "")
    assert len(server.sessions()) == 1  # it left
    follower = LockElection(connect, server.clock).look(owed=False)
    assert (follower.role, follower.leader_host) == (Role.FOLLOWER, host)


@pytest.mark.parametrize(
    ("error", "role"), [(LocksLostError("gone"), Role.UNKNOWN), (LocksUnsuitableError("gone"), Role.ALONE)]
)
def test_seen_from_outside_what_keeps_bridges_from_agreeing_is_said(error: Exception, role: Role) -> None:
    def connect() -> Locks:
        raise error

    assert observe(connect) == ElectionState(role, may_send=role is Role.ALONE, note="gone")


@pytest.mark.parametrize(("role", "may_send"), [(Role.ALONE, True), (Role.NEVER, False)])
def test_without_an_election_the_file_decides(role: Role, may_send: bool) -> None:
    fixed = election.Election(role)
    assert fixed.look(owed=True) == ElectionState(role, may_send, look_seconds=math.inf)
    closing: list[Callable[[], None]] = [fixed.failed, fixed.delivered, fixed.abort, fixed.close]
    for call in closing:
        call()
