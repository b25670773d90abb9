"""One bridge's part in the pings of one platform: its agenda, its memory on disk, and the election of a sender."""

import logging
import random
from collections.abc import Callable

from ff_observe.config.settings import Database, Settings
from ff_observe.outputs.model import Context
from ff_observe.outputs.ping.election import Election, ElectionState, FileElection, LockElection, Role, observe
from ff_observe.outputs.ping.memory import PingMemory, UnknownPastError
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.schedule import Agenda, DailySchedule, Moment
from ff_observe.platform.sources.locks import Locks
from ff_observe.system.clock import Clock
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

LocksIn = Callable[[Database], Callable[[str], Locks] | None]
"""See `Context.locks_in`."""

Elect = Callable[[Settings, PingMemory, str, LocksIn, Clock], Election]
"""See `elect`."""


def elect(settings: Settings, memory: PingMemory, instance_id: str, locks_in: LocksIn, clock: Clock) -> Election:
    """How the bridges of a platform agree on a sender. If the database has no locks they use the disk."""
    if settings.ping.sender == "never":
        return Election(Role.NEVER)
    if settings.ping.sender == "always":
        return Election(Role.ALONE)
    open_locks = locks_in(settings.database)
    if open_locks is None:
        return FileElection(memory)
    return LockElection(lambda: open_locks(instance_id), clock)


def observe_election(settings: Settings, instance_id: str, locks_in: LocksIn) -> ElectionState:
    """The role of this machine's bridge as seen from outside: for a command, which takes no part in the election.

    Bridges that share a disk are all on this machine: one of them sends.
    """
    if settings.ping.sender == "never":
        return ElectionState(Role.NEVER)
    open_locks = locks_in(settings.database) if settings.ping.sender == "elected" else None
    return ElectionState(Role.ALONE) if open_locks is None else observe(lambda: open_locks(instance_id))


class Participation:
    """Exists from the moment the platform's id is known, until other settings or another platform.

    `started` is when the bridge was started: if the disk remembers nothing, a ping that was due before that counts as
    sent, since a missing ping is better than one at each start.
    """

    def __init__(
        self,
        context: Context,
        settings: Settings,
        instance_id: str,
        elect: Elect,
        chance: random.Random,
        started: Moment,
        not_before: float,
        before: "Participation | None" = None,
    ) -> None:
        """`before` is the part that this bridge had with its previous settings."""
        self._clock = clock = context.clock
        self.instance_id = instance_id
        self._schedule = DailySchedule.of_platform(instance_id)
        self._settings = settings
        self._memory = PingMemory(settings.ping.state_directory, instance_id, clock, settings.ping.ledger_named_in)
        if before is not None and before.instance_id == instance_id:
            self.agenda: Agenda = before.agenda
            if self.agenda.others is not None:  # this election may know no others
                self.agenda.own, self.agenda.assumed = self.agenda.last, False
            self._is_remembered = self.agenda.last is None  # in this directory, which may be another one
        else:
            self.agenda = self._new_agenda(clock, chance, started, not_before)
            self._is_remembered = True
        self._election = elect(settings, self._memory, instance_id, context.locks_in, clock)
        self._state: StateLog = before._state if before is not None else StateLog(log)
        self._role: Role | None = None  # while the others could be asked

    def _new_agenda(self, clock: Clock, chance: random.Random, started: Moment, not_before: float) -> Agenda:
        own, assumed = self._past(started)
        return Agenda(self._schedule, own, clock, chance, assumed=assumed, not_before=not_before)

    def _past(self, until: Moment) -> tuple[Moment | None, bool]:
        """The last ping, and whether that is only assumed: if the disk does not know it, the one that was due before
        `until`."""
        try:
            return self._memory.load(), False
        except UnknownPastError:
            due = self._schedule.last_before(until.by(self._clock))
            return Moment.present(self._clock, (self._clock.now() - due).total_seconds()), True

    def suits(self, settings: Settings, instance_id: str | None) -> bool:
        """Whether it matches these settings, on this platform (None: the platform's id is unknown now)."""
        return instance_id in (None, self.instance_id) and _choices(settings) == _choices(self._settings)

    def look(self, *, owed: bool) -> ElectionState:
        """Take part in the election, and learn about the pings of others."""
        election = self._election.look(owed=owed)
        if election.last != self.agenda.others:
            self.agenda.others = election.last
            self._is_remembered = self._is_remembered and self._election.shares_memory
        if election.role not in (self._role, Role.UNKNOWN):
            if self._role is Role.FOLLOWER and self._election.shares_memory:
                # The leader before may have sent the ping that was due, and found no room to remember it.
                self.agenda.own, self.agenda.assumed = self._past(Moment.present(self._clock))
            self._role = election.role
            self.agenda.review()
        reads_alone = self._election.shares_memory and election.role is Role.FOLLOWER
        if not self._is_remembered and not reads_alone and election.role is not Role.NEVER:
            self._remember()  # again and again, if the disk is full or read-only
        if election.note:
            self._state.failing(election.note)
        elif election.role is not Role.NEVER:
            self._state.working("the bridges of this platform can agree again on who sends its ping")
        return election

    def begin(self) -> None:
        """Begin an attempt: on disk, too, it counts as the ping of today until `settle` says otherwise."""
        self.agenda.begin()
        self._remember()

    def settle(self, outcome: Outcome) -> bool:
        """Record whether the ping of today is still owed: here, on disk, and for the other bridges. Returns whether
        it is not."""
        if outcome.result is Result.FAILED and self.agenda.retry(outcome.retry_after_seconds):
            self._election.failed()
            self._remember()
            return False
        self._election.delivered()
        return True

    def abort(self) -> None:
        self._election.abort()

    def close(self) -> None:
        self._election.close()

    def _remember(self) -> None:
        self._is_remembered = self._memory.save(self.agenda.last)


def _choices(settings: Settings) -> tuple[object, ...]:
    return settings.database, settings.ping.sender, settings.ping.state_directory, settings.ping.ledger_named_in
