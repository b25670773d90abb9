"""Takes snapshots of the platform: the only module that asks its database, and shares the answer."""

import contextvars
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from datetime import datetime
from functools import partial

from ff_observe.catalogue import COUNTS, bridge
from ff_observe.catalogue.audit import AUDIT_EVENTS
from ff_observe.catalogue.model import Reading
from ff_observe.config.settings import PlatformSettings
from ff_observe.errors import SourceError
from ff_observe.lifecycle.periodic import ErrorSink
from ff_observe.lifecycle.workers import Workers
from ff_observe.platform import facts
from ff_observe.platform.audit_counters import AuditCounters, Counted
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.http_probe import HttpProbe
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.model import Answer, Installation, Source
from ff_observe.system.clock import Clock
from ff_observe.telemetry import tracing
from ff_observe.telemetry.log import StateLog
from ff_observe.telemetry.self_metrics import SelfMetrics

log = logging.getLogger(__name__)

MINIMUM_INTERVAL_SECONDS = 5.0
"""A younger snapshot is shared. Well below common scrape intervals: an equal one would give every other scrape an
old snapshot."""


class Snapshots:
    """Takes snapshots, and returns the same one for requests at about the same time. A component of the service.

    A dead database is no error here: it gives a snapshot that says so, with everything that is known without it.
    """

    name = "snapshots"

    def __init__(
        self,
        source: Source,
        platform: PlatformSettings,
        clock: Clock,
        self_metrics: SelfMetrics,
        versions: InstalledVersions,
        *,
        audit: AuditCounters | None = None,
        probe: HttpProbe | None = None,
        minimum_interval_seconds: float = MINIMUM_INTERVAL_SECONDS,
        on_error: ErrorSink | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
        workers: Workers | None = None,
    ) -> None:
        """`workers` take the snapshots of several platforms; without them each is taken in a thread of its own."""
        self._on_snapshot = on_snapshot
        self._source = source
        self._platform = platform
        self._clock = clock
        self._self_metrics = self_metrics
        self._versions = versions
        self._without_database = Installation()  # from the last lookup
        self._audit = audit
        self._probe = probe
        self._waits_for_http: Snapshot | None = None  # complete except for FlowFuse's own answer
        self._minimum_interval_seconds = minimum_interval_seconds
        self._on_error = on_error
        self._state = StateLog(log)
        self._licence_state = StateLog(log)
        self._expected: frozenset[str] = frozenset(
            count.name for count in COUNTS if not (count.billing or count.licensed)
        )
        self._one_at_a_time = threading.Lock()  # a source answers one thread at a time
        self._lock = threading.Lock()  # for the next three
        self._under_way: Future[Snapshot] | None = None
        self._begun: Future[Snapshot] | None = None  # the last one that a thread took up
        self._idle = threading.Event()  # no thread takes a snapshot, or reports that it could not
        self._idle.set()
        self._shares_workers = workers is not None
        self._workers = workers or Workers()
        self._latest: tuple[Snapshot, float] | None = None  # and the monotonic time until which it is fresh
        self.instance_id: str | None = None  # as last read; it stays while the database does not answer

    def start(self) -> None:
        """Nothing to do: the first request takes the first snapshot."""

    def stop(self, deadline: float) -> None:
        """Close the connection, aborting a read in progress."""
        if self._audit is not None:
            self._audit.interrupt()
        self._source.close()
        if self._probe is not None:
            self._probe.close(deadline - self._clock.monotonic())
        with self._lock:
            asked = self._under_way
            was_begun = asked is self._begun
            if not was_begun:
                self._begun, self._under_way = asked, None
        if asked is not None and not was_begun:
            asked.set_result(self.unanswered(0.0))
        seconds = max(0.0, deadline - self._clock.monotonic())
        done = self._idle.wait(seconds) if self._shares_workers else self._workers.finish(seconds)
        if not done:
            raise TimeoutError("the database did not let go in time")
        if self._audit is not None:
            self._audit.keep()

    def count_audit_log(self, seconds: float) -> None:
        """Spend up to `seconds` on counting the audit log, for a snapshot that is to show its counters."""
        if self._audit is None:
            return
        until = self._clock.monotonic() + seconds
        while self.take().up and not self._audit.is_complete and self._clock.monotonic() < until:
            self._audit.catch_up(until - self._clock.monotonic())

    @property
    def latest(self) -> Snapshot | None:
        """The latest snapshot, however old."""
        return self._latest[0] if self._latest is not None else None

    def fresh(self) -> Snapshot | None:
        """The latest snapshot while it is fresh. Never blocks: an event loop can try this before it uses a thread."""
        latest = self._latest
        return latest[0] if latest is not None and self._clock.monotonic() < latest[1] else None

    def current(self, timeout_seconds: float | None = None) -> Snapshot:
        """A fresh snapshot; joins one that is being taken.

        If the database takes longer than `timeout_seconds`, a snapshot that says that it does not answer; the read
        continues until its own limit.
        """
        try:
            return self.request().result(timeout_seconds)
        except FutureTimeoutError:
            return self.unanswered(timeout_seconds or 0.0)

    def request(self) -> "Future[Snapshot]":
        """A fresh snapshot, or the one in progress, or else one taken in a thread from now on. `asyncio.wrap_future`
        makes it awaitable."""
        with self._lock:
            if (fresh := self.fresh()) is not None:
                done: Future[Snapshot] = Future()
                done.set_result(fresh)
                return done
            if self._under_way is not None:
                return self._under_way
            asked: Future[Snapshot] = Future()
            # In the context of the first request, so that in a trace the snapshot is a part of that work.
            run = contextvars.copy_context().run
            if self._workers.submit("snapshot", partial(run, self._run, asked)):
                self._under_way = asked
            else:
                asked.set_exception(RuntimeError("there is no thread to take a snapshot in"))
            return asked

    def take(self, at: datetime | None = None) -> Snapshot:
        """Take a separate snapshot now, with `at` as the present of everything that depends on time. Never raises
        for a dead database."""
        with self._one_at_a_time, tracing.span("snapshot") as span:
            snapshot = self._take(at or self._clock.now())
            outcome = _outcome(snapshot)
            span.set_attribute("ff_observe.outcome", outcome)
            if outcome != "ok":
                span.fail(outcome)
            return snapshot

    def _run(self, asked: "Future[Snapshot]") -> None:
        with self._lock:
            if self._begun is asked:
                return  # stopped meanwhile
            self._begun = asked
            self._idle.clear()
        try:
            self._answer(asked)
        finally:
            self._idle.set()

    def _answer(self, asked: "Future[Snapshot]") -> None:
        try:
            snapshot = self.take()
        except BaseException as error:
            with self._lock:
                if self._under_way is asked:
                    self._under_way = None
            asked.set_exception(error)  # first: even if reporting fails, all callers return
            if self._on_error is not None:
                self._on_error(error, threading.current_thread().name)
            return
        with self._lock:
            self._latest = (snapshot, self._clock.monotonic() + self._minimum_interval_seconds)
            if self._under_way is asked:
                self._under_way = None
        asked.set_result(snapshot)
        if self._audit is not None:
            self._go_on_counting(self._audit)

    def _go_on_counting(self, audit: AuditCounters) -> None:
        try:
            audit.catch_up()
        except Exception as error:
            log.exception("the audit log could not be counted")
            if self._on_error is not None:
                self._on_error(error, threading.current_thread().name)

    def unanswered(self, after_seconds: float) -> Snapshot:
        """A snapshot for a caller that cannot wait any longer: the database did not answer, and everything known
        without it.

        Other callers keep waiting for the read in progress. If only FlowFuse's own answer is missing, it is the
        snapshot without it: a FlowFuse that hangs does not make its database unreachable. Never blocks, and reads no
        file, so an event loop may call it.
        """
        return self._waits_for_http or self._down(
            self._clock.now(), after_seconds, f"the database did not answer within {after_seconds:g} s"
        )

    def _take(self, at: datetime) -> Snapshot:
        # Reads files and may run `node --version` once; done here, off the event loop and outside the database's time.
        self._without_database = Installation(
            flowfuse_version=self._versions.flowfuse(), nodejs_version=self._versions.nodejs()
        )
        if self._probe is not None:
            self._probe.ask()  # in parallel with the database
        started = self._clock.monotonic()
        try:
            answer = self._source.read(at)
        except SourceError as error:
            self._state.failing(str(error))
            snapshot = self._down(at, self._clock.monotonic() - started, str(error))
        else:
            self._state.working("the platform's database answers again")
            snapshot = self._up(answer, at, self._clock.monotonic() - started)
        if self._probe is not None:
            snapshot = self._with_answer_of(self._probe, snapshot)
        self._publish(snapshot)
        return snapshot

    def _with_answer_of(self, probe: HttpProbe, snapshot: Snapshot) -> Snapshot:
        self._waits_for_http = snapshot
        try:
            http = probe.answer()
        finally:
            self._waits_for_http = None
        readings = {**snapshot.readings, **facts.liveness(database=snapshot.up, http=http)}
        return replace(snapshot, readings=readings, http=http)

    def _up(self, answer: Answer, at: datetime, seconds: float) -> Snapshot:
        known = facts.installation(answer, self._platform, self._without_database, at)
        if known.licence_problem is None:
            self._licence_state.working(
                "the licence is accepted" if known.licence else "no licence is refused any more"
            )
        else:
            self._licence_state.failing(known.licence_problem)
        if known.instance_id is not None:
            self.instance_id = known.instance_id
        http = self._probe.latest() if self._probe is not None else None
        counted = self._count_events(known.instance_id, answer)
        readings = {
            **facts.liveness(database=True, http=http),
            **facts.readings(answer, known, self._platform),
            **counted.readings,
        }
        failures = facts.failures(answer)
        if counted.failure is not None:
            failures[AUDIT_EVENTS.name] = counted.failure
        self._publish_caps(answer, readings)
        self._expected = frozenset(count.name for count in COUNTS if count.name in readings or count.name in failures)
        platform_id = facts.platform_id(self.instance_id)
        return Snapshot(at, seconds, True, known, readings, failures, http, counted.since, platform_id)

    def _count_events(self, platform: str | None, answer: Answer) -> Counted:
        """The audit log's counters. In the moment of the snapshot, since they cost next to nothing then."""
        if self._audit is None:
            return Counted()
        counted = self._audit.look(platform, unchanged=answer.unchanged)
        share: Reading = {} if counted.share is None else {(): counted.share}
        self._self_metrics.replace(bridge.AUDIT_LOG_COUNTED, share)
        return counted

    def _down(self, at: datetime, seconds: float, reason: str) -> Snapshot:
        known = self._without_database
        http = self._probe.latest() if self._probe is not None else None
        readings: dict[str, Reading] = {
            **facts.liveness(database=False, http=http),
            **facts.without_database(known, self._platform),
        }
        failures = dict.fromkeys(sorted(self._expected), reason)
        platform_id = facts.platform_id(self.instance_id)
        return Snapshot(at, seconds, False, known, readings, failures, http, platform_id=platform_id)

    def _publish(self, snapshot: Snapshot) -> None:
        """Publish how taking it went, in the bridge's own metrics."""
        metrics = self._self_metrics
        metrics.set(bridge.SNAPSHOT_TIMESTAMP, snapshot.taken_at.timestamp())
        metrics.set(bridge.SNAPSHOT_DURATION, snapshot.duration_seconds)
        metrics.add(bridge.SNAPSHOTS, _outcome(snapshot))
        counted = {*(count.name for count in COUNTS), AUDIT_EVENTS.name}
        success: dict[tuple[str, ...], float] = {(_reading(name),): 1 for name in snapshot.readings if name in counted}
        success.update({(_reading(name),): 0 for name in snapshot.failures})
        metrics.replace(bridge.READING_SUCCESS, success)
        if self._on_snapshot is not None:
            self._on_snapshot(snapshot)

    def _publish_caps(self, answer: Answer, shown: Mapping[str, Reading]) -> None:
        capped: dict[tuple[str, ...], float] = {}
        for name, caps in answer.caps.items():
            if name in shown:
                capped[_reading(name), "number"] = caps.number
                capped[_reading(name), "length"] = caps.length
        self._self_metrics.replace(bridge.LABEL_VALUES_CAPPED, capped)


def _outcome(snapshot: Snapshot) -> str:
    return "failed" if not snapshot.up else "partial" if snapshot.failures else "ok"


def _reading(metric_name: str) -> str:
    return metric_name.removeprefix("flowfuse_")
