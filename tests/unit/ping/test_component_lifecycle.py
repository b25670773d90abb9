"""The ping thread as a component: it starts, ends in time whatever hangs, and sends once by hand."""

import threading
from dataclasses import replace

import pytest

from ff_observe.config.settings import Settings
from ff_observe.outputs.ping.component import CorePing
from ff_observe.outputs.ping.delivery import Delivery
from ff_observe.outputs.ping.election import LOOK_SECONDS, Election, ElectionState, Role
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.sending import send_once
from ff_observe.platform.snapshot import Snapshot
from tests.unit.outputs.examples import context
from tests.unit.ping.bridge import Bridge, Platform
from tests.unit.ping.receivers import silent, tcp_server
from tests.unit.ping.samples import OPERATING_SYSTEM, settings, snapshot


def test_the_thread_has_its_name_and_ends(bridge: Bridge) -> None:
    bridge.start()
    assert [thread.name for thread in threading.enumerate() if thread.name == "core ping"] == ["core ping"]
    bridge.stop()
    assert "core ping" not in [thread.name for thread in threading.enumerate()]


def test_stopping_is_legal_before_the_start_and_twice(bridge: Bridge) -> None:
    ping = CorePing(context(settings(), bridge.platform, bridge.clock))
    ping.stop(bridge.clock.monotonic() + 5)
    ping.stop(bridge.clock.monotonic() + 5)


def test_a_hanging_delivery_does_not_keep_the_bridge_from_stopping(bridge: Bridge) -> None:
    with tcp_server(silent) as (port, connected):
        ping = bridge.start(told=settings(f"http://127.0.0.1:{port}/ping"))
        advancing = threading.Thread(target=bridge.clock.advance, args=(30,))
        advancing.start()
        assert connected.wait(60)
        ping.stop(bridge.clock.monotonic() + 60)
        assert "core ping" not in [thread.name for thread in threading.enumerate()]  # and the receiver is still silent
        advancing.join(60)
    assert bridge.sample("ff_observe_pings_total") == {("delivered",): 0.0, ("failed",): 0.0, ("rejected",): 0.0}


class Hanging(Platform):
    """A database that does not answer until it is given up."""

    def __init__(self) -> None:
        super().__init__(snapshot())
        self.begun, self.released, self.ended = threading.Event(), threading.Event(), threading.Event()

    def current(self) -> Snapshot:
        self.begun.set()
        self.released.wait(600)
        self.ended.set()
        return super().current()


def test_a_hanging_database_leaves_the_other_parts_time_to_stop(bridge: Bridge) -> None:
    platform = bridge.platform = Hanging()
    ping = bridge.start()
    advancing = threading.Thread(target=bridge.clock.advance, args=(30,))
    advancing.start()
    assert platform.begun.wait(60)
    ping.stop(bridge.clock.monotonic() + 5)  # stopping the snapshots ends the wait: no failure of the ping
    assert not platform.ended.is_set()
    platform.released.set()
    advancing.join(60)
    bridge.stop()
    assert bridge.arrived == []


def test_sending_once_obeys_the_same_rules(bridge: Bridge) -> None:
    told = settings(bridge.server.url())
    sender = Delivery(told.ping.url, bridge.clock)
    refused = send_once(snapshot(telemetry_allowed=False), told, OPERATING_SYSTEM, sender)
    assert (refused.body, refused.outcome) == (None, None)
    assert bridge.arrived == []
    sent = send_once(snapshot(), told, OPERATING_SYSTEM, sender)
    assert isinstance(sent.outcome, Outcome)
    assert sent.outcome.result is Result.DELIVERED
    assert [request.body for request in bridge.server.requests] == [sent.body]


class Elections:
    """Hands out elections with chosen standings, and counts which were closed and aborted."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.made: list[Election] = []
        self.ended: list[str] = []

    def __call__(self, settings: Settings, *_: object) -> Election:
        made = Chosen(Role.NEVER if settings.ping.sender == "never" else self.role)
        made.ended = self.ended
        self.made.append(made)
        return made


class Chosen(Election):
    ended: list[str]

    def abort(self) -> None:
        self.ended.append("aborted")

    def close(self) -> None:
        self.ended.append("closed")


def with_election(bridge: Bridge, role: Role) -> tuple[CorePing, Elections]:
    elections = Elections(role)
    ping = CorePing(context(bridge.settings(), bridge.platform, bridge.clock, bridge.metrics), elect=elections)
    bridge.pings.append(ping)
    ping.start()
    bridge.clock.await_waiters(1)
    bridge.clock.advance(60)
    return ping, elections


@pytest.mark.parametrize(
    ("role", "leads", "rule"),
    [
        (Role.ALONE, 1.0, ("no_objection",)),
        (Role.FOLLOWER, 0.0, ("another_bridge",)),
        (Role.UNKNOWN, 0.0, ("election_unknown",)),
        (Role.NEVER, 0.0, ("sender_never",)),
    ],
)
def test_only_a_bridge_that_leads_sends_and_each_says_why(
    bridge: Bridge, role: Role, leads: float, rule: tuple[str]
) -> None:
    with_election(bridge, role)
    assert len(bridge.arrived) == leads
    assert bridge.sample("ff_observe_ping_leader") == {(): leads}
    assert bridge.sample("ff_observe_ping_enabled") == {rule: leads}
    assert (bridge.sample("ff_observe_ping_next_timestamp_seconds") is not None) == bool(leads)


def test_a_bridge_whose_role_changes_says_so_although_no_ping_is_owed(bridge: Bridge) -> None:
    _, elections = with_election(bridge, Role.ALONE)
    [election] = elections.made
    election._standing = ElectionState(Role.ALONE)
    bridge.clock.advance(1000)
    follower, leader = "another_bridge", "no_objection"
    for role, rule in ((Role.FOLLOWER, follower), (Role.UNKNOWN, follower), (Role.LEADER, leader)):
        election._standing = ElectionState(role)
        bridge.clock.advance(LOOK_SECONDS + 1)
        assert bridge.sample("ff_observe_ping_enabled") == {(rule,): float(role is Role.LEADER)}
    asked = bridge.platform.asked
    bridge.clock.advance(5 * LOOK_SECONDS)
    assert bridge.platform.asked == asked
    assert len(bridge.arrived) == 1


def test_stopping_leaves_the_election(bridge: Bridge) -> None:
    _, elections = with_election(bridge, Role.FOLLOWER)
    bridge.stop()
    assert elections.ended == ["aborted", "closed"]


def test_settings_that_concern_the_election_hold_another_and_others_do_not(bridge: Bridge) -> None:
    ping, elections = with_election(bridge, Role.ALONE)
    ping.reconfigure(bridge.settings(settings(enabled=True)), bridge.platform)
    bridge.clock.advance(3600)
    assert len(elections.made) == 1
    never = bridge.settings()
    ping.reconfigure(replace(never, ping=replace(never.ping, sender="never")), bridge.platform)
    bridge.clock.advance(3600)
    assert elections.ended == ["closed"]
    assert len(elections.made) == 2
    assert bridge.sample("ff_observe_ping_leader") == {(): 0.0}
    ping.reconfigure(bridge.settings(), bridge.platform)
    bridge.clock.advance(3600)
    assert len(elections.made) == 3
    assert len(bridge.arrived) == 1  # the ping of today is still known


def test_another_platform_behind_the_same_settings_has_an_election_and_a_first_ping_of_its_own(bridge: Bridge) -> None:
    _, elections = with_election(bridge, Role.ALONE)
    bridge.platform.says = snapshot(instance_id="8c1a3e55-0d0e-4f0f-9f55-0d5f5ad9c3b1")
    bridge.clock.advance(3600)
    assert elections.ended == ["closed"]
    assert len(bridge.arrived) == 2


def test_a_day_ends_once_its_ping_is_delivered_or_given_up(bridge: Bridge) -> None:
    answers = {1: 500, 2: 200, 3: 404}
    bridge.status = lambda number: (answers.get(number, 500), {})
    bridge.start(*[0.75] * 9)
    bridge.clock.advance(31)
    assert (len(bridge.arrived), bridge.ends) == (1, [])  # it will be tried again
    days = iter(range(4 * 48))
    for ends in ([True], [True, False], [True, False, False]):
        while len(bridge.ends) < len(ends):
            next(days)
            bridge.clock.advance(1800)
        assert bridge.ends == ends
    assert bridge.arrived[2].date() < bridge.arrived[3].date() == bridge.arrived[-1].date()
    assert len(bridge.arrived) > 4  # the third day was given up after several attempts
