"""Bridges that share a disk: one leads, and a killed one is followed."""

import subprocess
import sys
from pathlib import Path

from ff_observe.outputs.ping.election import FileElection, Role
from ff_observe.outputs.ping.memory import PingMemory
from ff_observe.outputs.ping.schedule import Moment
from tests.fakes import FakeClock

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
    assert "/proc/none/ping-sender.lock cannot be locked" in election.note
    assert "telemetry.ping.sender" in election.note
