"""Bridges that share a disk: one leads, and a killed one is followed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ff_observe.outputs.ping.component import CorePing
from ff_observe.outputs.ping.election import Election, FileElection, Role
from ff_observe.outputs.ping.memory import PingMemory
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.schedule import Moment
from tests.fakes import FakeClock, full_disk
from tests.unit.outputs.examples import context
from tests.unit.ping.bridge import DAY, SIX_IN_THE_EVENING, Platform
from tests.unit.ping.samples import INSTALLATION, settings, snapshot

assert INSTALLATION.instance_id is not None
INSTANCE_ID = INSTALLATION.instance_id

LEADING = """
import pathlib, sys
from ff_observe.system.clock import SystemClock
from ff_observe.outputs.ping.election import FileElection
from ff_observe.outputs.ping.memory import PingMemory
election = FileElection(PingMemory(pathlib.Path(sys.argv[1]), "one", SystemClock()))
print(election.look(owed=False).role, flush=True)
sys.stdin.read()
"""


def test_one_leads_until_it_leaves_and_all_know_the_last_ping(tmp_path: Path) -> None:
    clock = FakeClock()
    memory = PingMemory(tmp_path, "one", clock)
    first, second = FileElection(memory), FileElection(PingMemory(tmp_path, "one", clock))
    assert (first.look(owed=True).role, second.look(owed=True).role) == (Role.LEADER, Role.FOLLOWER)
    assert not second.look(owed=True).may_send
    memory.save(moment := Moment.present(clock, 60))
    assert second.look(owed=False).last == moment
    first.close()
    assert second.look(owed=True).may_send
    second.close()


def test_a_killed_leader_is_followed(tmp_path: Path) -> None:
    leading = subprocess.Popen(
        [sys.executable, "-c", LEADING, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with leading:
        assert leading.stdout is not None
        assert leading.stdout.readline() == "leader\n"
        follower = FileElection(PingMemory(tmp_path, "one", FakeClock()))
        assert follower.look(owed=True).role is Role.FOLLOWER
        leading.kill()
        leading.wait()
        assert follower.look(owed=True).role is Role.LEADER
        follower.close()


def test_where_no_file_can_be_locked_it_is_alone_and_says_so() -> None:
    election = FileElection(PingMemory(Path("/proc/none"), "one", FakeClock())).look(owed=True)
    assert (election.role, election.may_send) == (Role.ALONE, True)
    assert election.note == (
        "/proc/none/ping-sender.lock cannot be locked: No such file or directory. This bridge sends the ping; another "
        "bridge of this platform on this machine would send one more (telemetry.ping.sender: never stops that)"
    )


class Sent:
    """See `Sender`."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def send(self, body: bytes) -> Outcome:
        self.bodies.append(body)
        return Outcome(Result.DELIVERED, "200")

    def abort(self) -> None:
        pass


def bridge(disk: Path, clock: FakeClock, sender: Sent) -> CorePing:
    told = settings()
    return CorePing(
        context(replace(told, ping=replace(told.ping, state_directory=disk)), Platform(snapshot()), clock),
        sender_for=lambda *_: sender,
        elect=lambda told, memory, *_: Election(Role.NEVER) if told.ping.sender == "never" else FileElection(memory),
    )


@pytest.mark.parametrize("seconds", [0, 3600], ids=["at once", "an hour later"])
def test_on_a_disk_that_became_full_the_follower_of_a_dead_leader_sends_no_second_ping(
    seconds: int, tmp_path: Path
) -> None:
    clock, sender = FakeClock(), Sent()
    PingMemory(tmp_path, INSTANCE_ID, clock).save(Moment.present(clock, DAY))
    leader, follower = bridge(tmp_path, clock, sender), bridge(tmp_path, clock, sender)
    clock.advance(60)
    for each in (leader, follower):
        each.look()
    assert sender.bodies == []
    with full_disk():
        clock.advance(SIX_IN_THE_EVENING - 12 * 3600)
        leader.look()
        assert len(sender.bodies) == 1
        leader.stop(clock.monotonic())
        clock.advance(seconds)
        follower.look()
        assert len(sender.bodies) == 1
    clock.advance(DAY)
    follower.look()
    assert len(sender.bodies) == 2


def test_a_ping_that_a_full_disk_did_not_keep_is_kept_once_there_is_room(tmp_path: Path) -> None:
    clock, sender = FakeClock(), Sent()
    PingMemory(tmp_path, INSTANCE_ID, clock).save(Moment.present(clock, DAY))
    leader = bridge(tmp_path, clock, sender)
    clock.advance(SIX_IN_THE_EVENING - 12 * 3600)
    with full_disk():
        leader.look()
    sent = Moment.present(clock)
    clock.advance(60)
    leader.look()
    assert len(sender.bodies) == 1
    assert PingMemory(tmp_path, INSTANCE_ID, clock).load() == sent


def test_after_a_reload_that_names_another_directory_a_restart_sends_no_second_ping(tmp_path: Path) -> None:
    clock, sender = FakeClock(), Sent()
    before, after = tmp_path / "before", tmp_path / "after"
    first = bridge(before, clock, sender)
    clock.advance(60)
    first.look()
    assert len(sender.bodies) == 1
    told = settings()
    first.reconfigure(replace(told, ping=replace(told.ping, state_directory=after)), Platform(snapshot()))
    first.look()
    first.stop(clock.monotonic())
    again = bridge(after, clock, sender)
    clock.advance(60)
    again.look()
    assert len(sender.bodies) == 1


def test_a_follower_that_is_to_send_no_more_leaves_what_the_disk_remembers(tmp_path: Path) -> None:
    clock, sender = FakeClock(), Sent()
    PingMemory(tmp_path, INSTANCE_ID, clock).save(Moment.present(clock, DAY))
    leader, follower = bridge(tmp_path, clock, sender), bridge(tmp_path, clock, sender)
    clock.advance(60)
    for each in (leader, follower):
        each.look()
    clock.advance(SIX_IN_THE_EVENING - 12 * 3600)
    leader.look()
    sent = Moment.present(clock)
    clock.advance(60)
    follower.look()
    told = settings()
    never = replace(told, ping=replace(told.ping, state_directory=tmp_path, sender="never"))
    follower.reconfigure(never, Platform(snapshot()))
    follower.look()
    assert PingMemory(tmp_path, INSTANCE_ID, clock).load() == sent
    assert len(sender.bodies) == 1
