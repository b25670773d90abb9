"""One bridge's part in the pings of a platform: what agenda, disk and election learn of each other."""

import logging
import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ff_observe.config.settings import Database, Settings, SQLiteDatabase
from ff_observe.outputs.ping.election import Election, ElectionState, FileElection, LockElection, Role
from ff_observe.outputs.ping.memory import PingMemory
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.participation import Participation, elect, observe_election
from ff_observe.outputs.ping.schedule import MAX_ATTEMPTS, Moment
from ff_observe.platform.sources.locks import Locks
from tests.fakes import FakeClock
from tests.unit.outputs.examples import context
from tests.unit.ping.lock_server import LockServer
from tests.unit.ping.samples import INSTALLATION, settings

ID = INSTALLATION.instance_id or ""
HOUR, DAY = 3600.0, 86_400.0
FAILED = Outcome(Result.FAILED, "503")


class Scripted(Election):
    """Answers with `says`, and notes what is called."""

    def __init__(self, *, shares_memory: bool = False) -> None:
        super().__init__(Role.LEADER)
        self.shares_memory = shares_memory
        self.says = ElectionState(Role.LEADER)
        self.calls: list[str] = []

    def look(self, *, owed: bool) -> ElectionState:
        self.calls.append(f"look {owed}")
        return self.says

    def failed(self) -> None:
        self.calls.append("failed")

    def delivered(self) -> None:
        self.calls.append("delivered")

    def abort(self) -> None:
        self.calls.append("abort")

    def close(self) -> None:
        self.calls.append("close")


def with_disk(disk: Path | None, **ping: object) -> Settings:
    told = settings()
    return replace(told, ping=replace(told.ping, state_directory=disk, **ping))  # type: ignore[arg-type]  # by name


def part_in(
    told: Settings,
    clock: FakeClock,
    election: Election | None = None,
    *,
    instance_id: str = ID,
    started: Moment | None = None,
    before: Participation | None = None,
) -> Participation:
    made = election or Scripted()
    return Participation(
        context(told, None, clock),
        told,
        instance_id,
        lambda *_: made,
        random.Random(1),
        started or Moment.present(clock),
        clock.monotonic() + 30,
        before,
    )


def locks_in(server: LockServer, asked: list[str]) -> Callable[[Database], Callable[[str], Locks] | None]:
    def open_locks(instance_id: str) -> Locks:
        asked.append(instance_id)
        return server.open()

    def in_database(database: Database) -> Callable[[str], Locks]:
        assert database == settings().database
        return open_locks

    return in_database


@pytest.mark.parametrize("sender", ["never", "always", "elected"])
def test_bridges_are_elected_in_the_database_or_by_a_file_unless_the_settings_decide(
    sender: str, tmp_path: Path
) -> None:
    clock, asked = FakeClock(), list[str]()
    told = with_disk(tmp_path, sender=sender)
    memory = PingMemory(tmp_path, ID, clock)
    in_database = locks_in(LockServer(clock), asked)
    elections = [elect(told, memory, ID, locks, clock) for locks in (lambda _database: None, in_database)]
    kinds = {"elected": [FileElection, LockElection]}.get(sender, [Election, Election])
    assert [type(each) for each in elections] == kinds
    roles = {"never": Role.NEVER, "always": Role.ALONE, "elected": Role.LEADER}
    assert {each.look(owed=False).role for each in elections} == {roles[sender]}
    assert asked == ([ID] if sender == "elected" else [])
    for each in elections:
        each.close()


@pytest.mark.parametrize("sender", ["never", "always", "elected"])
def test_seen_from_outside_only_bridges_that_are_elected_are_looked_for(sender: str) -> None:
    asked: list[str] = []
    in_database = locks_in(LockServer(FakeClock()), asked)
    told = with_disk(None, sender=sender)
    roles = [observe_election(told, ID, locks).role for locks in (lambda _database: None, in_database)]
    assert (
        roles
        == {
            "never": [Role.NEVER, Role.NEVER],
            "always": [Role.ALONE, Role.ALONE],
            "elected": [Role.ALONE, Role.LEADER],
        }[sender]
    )
    assert asked == ([ID] if sender == "elected" else [])


def test_what_the_disk_knows_is_the_last_ping(tmp_path: Path) -> None:
    clock = FakeClock()
    PingMemory(tmp_path, ID, clock).save(moment := Moment.present(clock, DAY))
    agenda = part_in(with_disk(tmp_path), clock).agenda
    assert (agenda.own, agenda.assumed) == (moment, False)
    assert part_in(with_disk(tmp_path / "new"), clock).agenda.own is None


def test_without_a_disk_the_ping_that_was_due_before_the_start_counts_as_sent() -> None:
    clock = FakeClock()  # noon; the platform's time of day is 18:00
    started = Moment.present(clock)
    clock.advance(7 * HOUR)
    for since, owed in ((started, True), (Moment.present(clock), False)):
        agenda = part_in(with_disk(None), clock, started=since).agenda
        assert agenda.assumed
        assert agenda.owed is owed
    assert agenda.last is not None
    assert agenda.last.by(clock) == clock.now() - timedelta(hours=1)


def test_an_owed_ping_waits_for_the_first_moment(tmp_path: Path) -> None:
    clock = FakeClock()
    agenda = part_in(with_disk(tmp_path), clock).agenda
    assert not agenda.look()
    clock.advance(30)
    assert agenda.look()


def test_other_settings_keep_the_agenda_and_another_platform_does_not() -> None:
    clock = FakeClock()
    before = part_in(with_disk(None), clock)
    assert part_in(with_disk(None), clock, before=before).agenda is before.agenda
    assert part_in(with_disk(None), clock, before=before, instance_id="another").agenda is not before.agenda


def test_it_suits_its_platform_and_all_settings_but_those_of_the_election(tmp_path: Path) -> None:
    told = with_disk(tmp_path)
    part = part_in(told, FakeClock())
    assert part.suits(told, ID)
    assert part.suits(told, None)
    assert part.suits(replace(told, home=tmp_path), ID)
    assert not part.suits(told, "another")
    for changed in (
        replace(told, database=SQLiteDatabase(tmp_path)),
        with_disk(tmp_path, sender="elected"),
        with_disk(None),
        with_disk(tmp_path, ledger_named_in=tmp_path),
    ):
        assert not part.suits(changed, ID)
        assert not part.suits(changed, None)


@pytest.mark.parametrize("shares_memory", [False, True])
def test_pings_of_others_are_learned_and_kept_on_a_disk_of_its_own(shares_memory: bool, tmp_path: Path) -> None:
    clock, election = FakeClock(), Scripted(shares_memory=shares_memory)
    part = part_in(with_disk(tmp_path), clock, election)
    election.says = ElectionState(Role.FOLLOWER, last=(moment := Moment.present(clock, 60)))
    assert part.look(owed=True) == election.says
    assert election.calls == ["look True"]
    assert part.agenda.others == moment
    assert PingMemory(tmp_path, ID, clock).load() == (None if shares_memory else moment)


def test_another_role_has_consent_checked_at_once() -> None:
    clock, election = FakeClock(), Scripted()
    part = part_in(with_disk(None), clock, election)
    clock.advance(30)
    looked = []
    for role in (Role.LEADER, Role.LEADER, Role.UNKNOWN, Role.LEADER, Role.FOLLOWER):
        part.agenda.ask_after()
        election.says = ElectionState(role)
        part.look(owed=False)
        looked.append(part.agenda.look())
    assert looked == [True, False, False, False, True]


def test_what_keeps_bridges_from_agreeing_is_logged_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock, election = FakeClock(), Scripted()
    part = part_in(with_disk(None), clock, election)
    for note in ("", "a pooler", "a pooler"):
        election.says = ElectionState(Role.ALONE, note=note)
        part.look(owed=False)
    successor = part_in(with_disk(None), clock, election, before=part)
    for role in (Role.NEVER, Role.LEADER):
        election.says = ElectionState(role)
        successor.look(owed=False)
        assert len(caplog.messages) == (1 if role is Role.NEVER else 2)
    assert caplog.messages == ["a pooler", "the bridges of this platform can agree again on who sends its ping"]


def test_an_attempt_counts_as_the_ping_of_today_until_it_failed(tmp_path: Path) -> None:
    clock, election = FakeClock(), Scripted()
    clock.advance(7 * HOUR)
    PingMemory(tmp_path, ID, clock).save(before := Moment.present(clock, DAY))
    part = part_in(with_disk(tmp_path), clock, election)
    part.begin()
    assert PingMemory(tmp_path, ID, clock).load() == part.agenda.last == Moment.present(clock)
    assert not part.settle(FAILED)
    assert election.calls == ["failed"]
    assert PingMemory(tmp_path, ID, clock).load() == part.agenda.last == before
    assert (part.agenda.next_ping() - clock.now()).total_seconds() < 60


def test_it_waits_as_long_as_the_receiver_asks() -> None:
    clock = FakeClock()
    part = part_in(with_disk(None), clock)
    clock.advance(7 * HOUR)
    part.begin()
    assert not part.settle(replace(FAILED, retry_after_seconds=HOUR))
    assert (part.agenda.next_ping() - clock.now()).total_seconds() >= HOUR


@pytest.mark.parametrize("result", [Result.DELIVERED, Result.REJECTED, Result.FAILED])
def test_a_ping_that_is_over_is_no_longer_owed(result: Result, tmp_path: Path) -> None:
    clock, election = FakeClock(), Scripted()
    part = part_in(with_disk(tmp_path), clock, election)
    for _ in range(MAX_ATTEMPTS - 1 if result is Result.FAILED else 0):
        part.begin()
        assert not part.settle(FAILED)
    election.calls.clear()
    part.begin()
    assert part.settle(Outcome(result, "over"))
    assert election.calls == ["delivered"]
    assert not part.agenda.owed
    assert PingMemory(tmp_path, ID, clock).load() == Moment.present(clock)


def test_it_takes_part_in_the_election_that_its_settings_say() -> None:
    clock, asked = FakeClock(), list[str]()
    told = with_disk(None, sender="elected")
    parts = context(told, None, clock, locks_in=locks_in(LockServer(clock), asked))
    part = Participation(parts, told, ID, elect, random.Random(1), Moment.present(clock), clock.monotonic())
    assert part.look(owed=False).role is Role.LEADER
    assert asked == [ID]
    part.close()


def test_only_who_takes_over_from_another_asks_the_disk_again() -> None:
    clock, election = FakeClock(), Scripted(shares_memory=True)
    part = part_in(with_disk(None), clock, election)
    clock.advance(7 * HOUR)
    owed = []
    for role in (Role.LEADER, Role.FOLLOWER, Role.LEADER):
        election.says = ElectionState(role)
        part.look(owed=True)
        owed.append(part.agenda.owed)
    assert owed == [True, True, False]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must not write where another user's file says")
def test_root_keeps_nothing_where_a_file_says_that_another_can_change(tmp_path: Path) -> None:
    clock, named_in = FakeClock(), tmp_path / "flowforge.yml"
    named_in.touch()
    os.chown(named_in, 65534, 65534)
    part_in(with_disk(tmp_path / "state", ledger_named_in=named_in), clock).begin()
    assert not (tmp_path / "state").exists()


def test_aborting_and_leaving_reach_the_election() -> None:
    election = Scripted()
    part = part_in(with_disk(None), FakeClock(), election)
    part.abort()
    part.close()
    assert election.calls == ["abort", "close"]
