"""The thread `core ping`: when a ping is due, asks for a snapshot, and sends if that is allowed at that moment."""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from ff_observe.catalogue import bridge
from ff_observe.config.secret import Secret
from ff_observe.config.settings import Settings
from ff_observe.errors import DeliveryError
from ff_observe.lifecycle.periodic import Periodic
from ff_observe.outputs.model import Context, CurrentSnapshot
from ff_observe.outputs.ping import NAME
from ff_observe.outputs.ping.consent import Decision, Rule, decide, with_election
from ff_observe.outputs.ping.election import LOOK_WHILE_OWED_SECONDS, ElectionState, Role
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.participation import Elect, Participation
from ff_observe.outputs.ping.participation import elect as usual_election
from ff_observe.outputs.ping.schedule import NOT_READY_SECONDS, Agenda, Moment
from ff_observe.outputs.ping.sending import Sender, record_decision, send_once
from ff_observe.outputs.ping.sending import sender_for as usual_sender_for
from ff_observe.platform.snapshot import Snapshot
from ff_observe.system.clock import Clock
from ff_observe.telemetry import tracing
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

STOP_SECONDS = 1.0
"""An aborted delivery ends at once. Only the database can hold the thread longer, and it is stopped later."""


class CorePing:
    """A component. A platform's first ping is due 30 s after the start, then one on each day at the platform's time.

    A due ping that may not be sent stays due until it may: completing the set-up, or allowing telemetry, takes effect.
    Consent is checked again before every attempt. Of several bridges of a platform only the one that `elect` chooses
    sends; where they coordinate in the database, this bridge takes part from the start on.
    """

    name = "core ping"

    def __init__(
        self,
        context: Context,
        *,
        sender_for: Callable[[Settings, Clock], Sender] = usual_sender_for,
        elect: Elect = usual_election,
    ) -> None:
        self._context = context
        self._settings = settings = context.settings
        self._snapshots: CurrentSnapshot = context.snapshots
        self._metrics = context.self_metrics
        self._clock = clock = context.clock
        self._chance = context.chance or random.SystemRandom()
        self._sender_for = sender_for
        self._sender: Sender | None = None
        self._sender_settings: Settings | None = None
        self._elect = elect
        self._participation: Participation | None = None
        self._started = Moment.present(clock)
        self._not_before = clock.monotonic() + context.first_ping_seconds
        self._decision: Decision | None = None
        self._last: Result | None = None
        self._stopping = False
        self._nameless = StateLog(log)
        self._asking = False  # the database is being read
        has_locks = settings.ping.sender == "elected" and context.locks_in(settings.database) is not None
        self._thread = Periodic(
            self.name,
            self.look,
            clock,
            first_after=0.0 if has_locks else context.first_ping_seconds,
            on_error=context.on_error,
            on_stop=self._interrupt,
            schedule=context.schedule,
        )

    def start(self) -> None:
        self._started = Moment.present(self._clock)
        self._not_before = self._clock.monotonic() + self._context.first_ping_seconds
        first = self._clock.now() + timedelta(seconds=self._context.first_ping_seconds)
        self._metrics.set(bridge.PING_NEXT, first.timestamp())
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Aborts a delivery in progress. Raises `TimeoutError` if the thread hangs elsewhere.

        A thread that waits for the database is left alone: stopping the snapshots, which happens later, releases it.
        """
        try:
            self._thread.stop(min(deadline, self._clock.monotonic() + STOP_SECONDS))
        except TimeoutError:
            if not self._asking:
                raise
        finally:
            if self._participation is not None:
                self._participation.close()

    def reconfigure(self, settings: Settings, snapshots: CurrentSnapshot) -> None:
        """Switch to other settings and another platform, keeping the schedule: a reload causes no additional ping."""
        self._snapshots = snapshots
        self._settings = settings

    def _interrupt(self) -> None:
        self._stopping = True
        if self._sender is not None:
            self._sender.abort()
        if self._participation is not None:
            self._participation.abort()

    def look(self) -> float:
        """Do what is due now, in the thread. Returns the seconds until the next look."""
        settings = self._settings
        participation = self._participation
        snapshot = None
        if participation is None or not participation.suits(settings, None) or participation.agenda.look():
            snapshot = self._read()
            participation = self._take_part(settings, snapshot)
        if self._stopping:
            return LOOK_WHILE_OWED_SECONDS
        if participation is None:
            assert snapshot is not None
            self._take_note(decision := decide(snapshot, settings), settings)
            self._metrics.replace(bridge.PING_NEXT, {})
            if decision.allowed:
                self._nameless.failing("the ping cannot be sent: the database does not hold the platform's instanceId")
            return NOT_READY_SECONDS
        agenda = participation.agenda
        if snapshot is not None and agenda.look():
            decision = decide(snapshot, settings)
            election = self._look(participation, owed=agenda.owed and decision.allowed)
            self._take_note(with_election(decision, election), settings)
            self._act(participation, decision, election, snapshot, settings)
        else:
            election = self._look(participation, owed=False)
        self._publish_next(agenda.next_ping())
        meets_others = election.role in (Role.LEADER, Role.FOLLOWER)
        look_seconds = LOOK_WHILE_OWED_SECONDS if meets_others and agenda.owed else election.look_seconds
        return min(agenda.wait(), look_seconds)

    def _read(self) -> Snapshot:
        self._asking = True
        try:
            return self._snapshots.current()
        finally:
            self._asking = False

    def _take_part(self, settings: Settings, snapshot: Snapshot) -> Participation | None:
        """This bridge's part in the platform's pings; None while the platform's id is unknown."""
        instance_id, before = snapshot.installation.instance_id, self._participation
        if before is not None and before.suits(settings, instance_id):
            return before
        if instance_id is None:
            return before
        if before is not None:
            before.close()
        self._participation = Participation(
            self._context, settings, instance_id, self._elect, self._chance, self._started, self._not_before, before
        )
        return self._participation

    def _look(self, participation: Participation, *, owed: bool) -> ElectionState:
        self._asking = True
        try:
            election = participation.look(owed=owed)
        finally:
            self._asking = False
        self._metrics.set(bridge.PING_LEADER, float(election.role in (Role.LEADER, Role.ALONE)))
        return election

    def _act(
        self,
        participation: Participation,
        decision: Decision,
        election: ElectionState,
        snapshot: Snapshot,
        settings: Settings,
    ) -> None:
        agenda = participation.agenda
        if not agenda.owed:
            agenda.ask_after()
        elif not decision.allowed:
            agenda.refused(ready=decision.rule not in (Rule.DATABASE_UNKNOWN, Rule.NOT_INITIALISED))
        elif election.may_send:
            self._send(participation, snapshot, settings)
        elif election.role is Role.LEADER:
            agenda.ask_after(LOOK_WHILE_OWED_SECONDS)  # the others have to know first
        else:
            agenda.refused(ready=election.role is Role.NEVER)

    def _send(self, participation: Participation, snapshot: Snapshot, settings: Settings) -> None:
        participation.begin()
        body, outcome = None, Outcome(Result.FAILED, "the ping could not be made")
        try:
            with tracing.span("ping", "client") as span:
                try:
                    sent = send_once(snapshot, settings, self._context.operating_system, self._sender_with(settings))
                    assert sent.outcome is not None, "the same snapshot and settings were allowed a moment before"
                    body, outcome = sent.body, sent.outcome
                except DeliveryError as error:
                    outcome = Outcome(Result.FAILED, str(error))
                span.set_attribute("ff_observe.outcome", outcome.result)
                if outcome.result is not Result.DELIVERED:
                    span.fail(outcome.result)
        finally:
            if participation.settle(outcome):
                self._context.on_ping(outcome.result is Result.DELIVERED)
        if not self._stopping:
            self._publish(outcome, len(body or b""), participation.agenda, settings.ping.url)

    def _publish(self, outcome: Outcome, size: int, agenda: Agenda, url: Secret) -> None:
        delivered = outcome.result is Result.DELIVERED
        self._metrics.add(bridge.PINGS, outcome.result)
        if url == self._settings.ping.url:  # else a reload has sent the pings elsewhere meanwhile
            self._metrics.delivery(NAME, None if delivered else outcome.explanation, to=url)
        if delivered:
            self._metrics.add(bridge.PING_BYTES, amount=size)
            self._metrics.set(bridge.PING_LAST_SUCCESS, self._clock.now().timestamp())
        self._log(outcome, agenda.next_ping())

    def _sender_with(self, settings: Settings) -> Sender:
        if self._sender is None or self._sender_settings is not settings:
            self._sender, self._sender_settings = self._sender_for(settings, self._clock), settings
            if self._stopping:  # asked to stop before there was anything to abort
                self._sender.abort()
        return self._sender

    def _take_note(self, decision: Decision, settings: Settings) -> None:
        if decision == self._decision:
            return
        self._decision = decision
        record_decision(self._sender_with(settings), decision)
        self._metrics.replace(bridge.PING_ENABLED, {(decision.rule,): float(decision.allowed)})
        self._metrics.set(bridge.PING_OPT_OUT_IGNORED, float(decision.opt_out_ignored))
        level = logging.WARNING if decision.opt_out_ignored else logging.INFO
        log.log(level, "the core ping is %s: %s", "on" if decision.allowed else "off", decision.explanation)

    def _publish_next(self, moment: datetime) -> None:
        if self._decision is not None:
            allowed = self._decision.allowed
            self._metrics.replace(bridge.PING_NEXT, {(): moment.timestamp()} if allowed else {})

    def _log(self, outcome: Outcome, next_ping: datetime) -> None:
        """Log the first failure as a warning and the recovery as an info; repetitions as debug lines."""
        changed, self._last = outcome.result is not self._last, outcome.result
        level = logging.INFO if outcome.result is Result.DELIVERED else logging.WARNING
        log.log(
            level if changed else logging.DEBUG,
            "core ping %s: %s; the next is due at %s",
            outcome.result,
            outcome.explanation,
            next_ping.isoformat(timespec="seconds"),
        )
