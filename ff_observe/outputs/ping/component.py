"""The thread `core ping`: when a ping is due, asks for a snapshot, and sends if that is allowed at that moment."""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from ff_observe import tracing
from ff_observe.catalogue import bridge
from ff_observe.clock import Clock
from ff_observe.config.settings import Settings
from ff_observe.errors import DeliveryError
from ff_observe.outputs.ping.agenda import Agenda
from ff_observe.outputs.ping.consent import Decision, Rule, decide
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.outputs.ping.output import NAME
from ff_observe.outputs.ping.recording import sender_for as usual_sender_for
from ff_observe.outputs.ping.schedule import FIRST_AFTER_SECONDS
from ff_observe.outputs.ping.sending import Sender, send_once
from ff_observe.periodic import ErrorSink, Periodic
from ff_observe.self_metrics import SelfMetrics
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import OperatingSystem

log = logging.getLogger(__name__)

STOP_SECONDS = 1.0
"""A delivery ends at once when cut off. Only the database can keep the thread longer, and its own stop comes later."""


class SnapshotProvider(Protocol):
    """What the ping needs of `Snapshots`."""

    def current(self) -> Snapshot:
        """A fresh snapshot; one that is not `up` where the database does not answer."""


class CorePing:
    """A component. The first ping is due 30 s after the start, then one at the same time of every day.

    A due ping that may not be sent stays due until it may: so a platform that completes its set-up, or an administrator
    who allows telemetry, is noticed. Consent is asked for again before every attempt.
    """

    name = "core ping"

    def __init__(
        self,
        settings: Settings,
        snapshots: SnapshotProvider,
        operating_system: OperatingSystem,
        self_metrics: SelfMetrics,
        clock: Clock,
        *,
        chance: random.Random | None = None,
        on_error: ErrorSink | None = None,
        sender_for: Callable[[Settings], Sender] | None = None,
        first_after_seconds: float = FIRST_AFTER_SECONDS,
    ) -> None:
        self._settings = settings
        self._snapshots = snapshots
        self._operating_system = operating_system
        self._metrics = self_metrics
        self._clock = clock
        self._first_after_seconds = first_after_seconds
        self._chance = chance or random.SystemRandom()
        self._sender_for = sender_for or (lambda current: usual_sender_for(current, clock))
        self._sender: Sender | None = None
        self._sender_settings: Settings | None = None
        self._agenda: Agenda | None = None
        self._decision: Decision | None = None
        self._last: Result | None = None
        self._stopping = False
        self._reading = False  # the database is asked
        self._thread = Periodic(
            self.name,
            self._look,
            clock,
            first_after=first_after_seconds,
            on_error=on_error,
            on_stop=self._interrupt,
        )

    def start(self) -> None:
        first = self._clock.now() + timedelta(seconds=self._first_after_seconds)
        self._metrics.set(bridge.PING_NEXT, first.timestamp())
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Cuts off a delivery that is under way. Raises `TimeoutError` if the thread hangs elsewhere.

        A thread that waits for the database is left to it: stopping the snapshots, which is later, ends the wait.
        """
        try:
            self._thread.stop(min(deadline, self._clock.monotonic() + STOP_SECONDS))
        except TimeoutError:
            if not self._reading:
                raise

    def reconfigure(self, settings: Settings, snapshots: SnapshotProvider) -> None:
        """Use other settings and another platform from now on, and keep the schedule: a re-read file is no reason for
        one more ping."""
        self._snapshots = snapshots
        self._settings = settings

    def _interrupt(self) -> None:
        self._stopping = True
        if self._sender is not None:
            self._sender.abort()

    def _look(self) -> float:
        if self._agenda is None:
            self._agenda = Agenda(self._clock.now(), self._chance)
        agenda = self._agenda
        if agenda.look(self._clock.now(), self._clock.monotonic()):
            self._ask(agenda)
        now, monotonic = self._clock.now(), self._clock.monotonic()
        self._publish_next(agenda.next_ping(now, monotonic))
        return agenda.wait(now, monotonic)

    def _ask(self, agenda: Agenda) -> None:
        """Decide anew, and send the ping that is owed."""
        settings = self._settings
        self._reading = True
        try:
            snapshot = self._snapshots.current()
        finally:
            self._reading = False
        decision = decide(snapshot, settings)
        self._take_note(decision)
        if not agenda.owed:
            agenda.settled(self._clock.monotonic())
        elif not decision.allowed:
            ready = decision.rule not in (Rule.DATABASE_UNKNOWN, Rule.NOT_INITIALISED)
            agenda.refused(self._clock.monotonic(), ready=ready)
        else:
            agenda.begin(self._clock.now(), self._clock.monotonic())
            self._send(agenda, snapshot, settings)

    def _send(self, agenda: Agenda, snapshot: Snapshot, settings: Settings) -> None:
        with tracing.span("ping", "client") as span:
            try:
                sent = send_once(snapshot, settings, self._operating_system, self._sender_with(settings))
                body, outcome = sent.body, sent.outcome
            except DeliveryError as error:
                body, outcome = None, Outcome(Result.FAILED, str(error))
            assert outcome is not None, "the same snapshot and settings were allowed when the ping was owed"
            span.set_attribute("ff_observe.outcome", outcome.result)
            if outcome.result is not Result.DELIVERED:
                span.fail(outcome.result)
        if self._stopping:
            return
        now, monotonic = self._clock.now(), self._clock.monotonic()
        self._metrics.add(bridge.PINGS, outcome.result)
        delivered = outcome.result is Result.DELIVERED
        self._metrics.delivery(NAME, None if delivered else outcome.explanation)
        if delivered:
            self._metrics.add(bridge.PING_BYTES, amount=len(body or b""))
            self._metrics.set(bridge.PING_LAST_SUCCESS, now.timestamp())
        if outcome.result is Result.FAILED:
            agenda.retry(now, monotonic, outcome.retry_after_seconds)
        else:
            agenda.settled(monotonic)
        self._tell(outcome, agenda.next_ping(now, monotonic))

    def _sender_with(self, settings: Settings) -> Sender:
        if self._sender is None or self._sender_settings is not settings:
            self._sender, self._sender_settings = self._sender_for(settings), settings
            if self._stopping:  # told to stop while there was nothing yet to abort
                self._sender.abort()
        return self._sender

    def _take_note(self, decision: Decision) -> None:
        if decision == self._decision:
            return
        self._decision = decision
        self._metrics.replace(bridge.PING_ENABLED, {(decision.rule,): float(decision.allowed)})
        self._metrics.set(bridge.PING_OPT_OUT_IGNORED, float(decision.opt_out_ignored))
        level = logging.WARNING if decision.opt_out_ignored else logging.INFO
        log.log(level, "the core ping is %s: %s", "on" if decision.allowed else "off", decision.explanation)

    def _publish_next(self, moment: datetime) -> None:
        allowed = self._decision is not None and self._decision.allowed
        self._metrics.replace(bridge.PING_NEXT, {(): moment.timestamp()} if allowed else {})

    def _tell(self, outcome: Outcome, next_ping: datetime) -> None:
        """The first failure is a warning and the recovery news; repetitions are neither."""
        changed, self._last = outcome.result is not self._last, outcome.result
        level = logging.INFO if outcome.result is Result.DELIVERED else logging.WARNING
        log.log(
            level if changed else logging.DEBUG,
            "core ping %s: %s; the next is due at %s",
            outcome.result,
            outcome.explanation,
            next_ping.isoformat(timespec="seconds"),
        )
