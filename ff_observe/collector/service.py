"""The running collector: a listening socket, one event loop in one thread, a writer, and upkeep in the background."""

import asyncio
import contextlib
import logging
import socket
import threading
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from ff_observe import errors
from ff_observe.catalogue import collector as catalogue
from ff_observe.collector.app import PING_REQUESTS, CollectorApp
from ff_observe.collector.fleet.daily import take_day
from ff_observe.collector.fleet.figures import disclosed, take_fleet
from ff_observe.collector.fleet.quality import counted, take_findings
from ff_observe.collector.keys.both import Keys
from ff_observe.collector.metrics import CollectorMetrics
from ff_observe.collector.publication import Publication
from ff_observe.collector.receiving.answers import Reason, Refusal, error, refusal_answer
from ff_observe.collector.receiving.ingest import Ingest
from ff_observe.collector.receiving.receiver import PingObserver, PingReceiver, without_values
from ff_observe.collector.receiving.unknown_fields import UnknownFields
from ff_observe.collector.sender_address import SenderAddress
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.settings_kinds import show_listen
from ff_observe.collector.store import Folded, Pruned, StoreError
from ff_observe.collector.store.opening import open_store
from ff_observe.collector.store.rollups import PATIENCE
from ff_observe.errors import FFObserveError, what_to_change_to_listen
from ff_observe.http.hosts import AllowedHosts
from ff_observe.http.listening import listen, reason
from ff_observe.http.refusals import Closing, Problem, Refusals
from ff_observe.http.server import Server, loop_factory
from ff_observe.lifecycle.periodic import Periodic
from ff_observe.system.clock import Clock, SystemClock
from ff_observe.telemetry.log import StateLog
from ff_observe.version import VERSION

if TYPE_CHECKING:
    from ff_observe.collector.clickhouse.sink import Sink

log = logging.getLogger(__name__)

UPKEEP_SECONDS = 3600.0
PRUNING_SECONDS = 60.0
"""After a prune that left some of its pings."""
IDLE_SHARE = 60
"""Rolling up works for at most one part in so many of the time."""
FOLD_SECONDS = 60.0
"""At least so long after a roll-up follows the next, unless older days are due."""
FOLDED_AT_ONCE = 3
START_SECONDS = 10.0

# At the stop: how long a request whose ping has arrived waits for the store, how long a request that is still being
# sent may take, and how long closing the store may take. Together they are shorter than the command line's deadline.
ANSWER_SECONDS = 2.0
SEND_SECONDS = 3
LEAVE_SECONDS = 0.5


_REASONS = {
    Problem.MALFORMED: Reason.MALFORMED_HTTP,
    Problem.HEAD_TOO_LARGE: Reason.TOO_LARGE,
    Problem.BODY_TOO_LARGE: Reason.TOO_LARGE,
    Problem.TOO_SLOW: Reason.TOO_SLOW,
    Problem.TOO_MANY_PIPELINED: Reason.OVERLOADED,
}


class _CountedRefusals(Refusals):
    """Refusals by the server, as JSON like those of pings, and counted with them."""

    def __init__(self, metrics: CollectorMetrics) -> None:
        super().__init__()
        self._metrics = metrics
        wrong_host = (
            "this collector is not known by the name in the Host header; add it to allowed_hosts in collector.yml"
        )
        self._answers = {
            **{problem: refusal_answer(Refusal(reason)) for problem, reason in _REASONS.items()},
            Problem.WRONG_HOST: error(421, wrong_host),
            Problem.FAULT: error(500, "the request could not be handled"),
        }

    def refused(self, problem: Problem) -> None:
        if problem in _REASONS:  # a request for another host name was not sent by a bridge
            self._metrics.add(catalogue.PINGS_REFUSED, _REASONS[problem].value)

    def closed(self, closing: Closing) -> None:
        self._metrics.add(catalogue.CONNECTIONS_CLOSED, closing.value)


class Collector:
    """A component (`start`, `stop`): one collector. `port` is the actual one, also where the settings say 0."""

    name = "ping collector"

    def __init__(
        self, settings: CollectorSettings, clock: Clock | None = None, on_ping: PingObserver | None = None
    ) -> None:
        self.settings = settings
        self.port = settings.port
        self.metrics = CollectorMetrics()
        self.store = open_store(settings)
        self._clock = clock or SystemClock()
        self._keys = Keys(settings, self.store, self._clock)
        self._writer = self.store.writer()
        self._ingest = Ingest(self._writer, self._clock, max_batch=settings.max_batch, on_commit=self._observe_commit)
        address = SenderAddress(settings.trusted_proxies, settings.forwarded_header)
        unknown = UnknownFields(settings.k, partial(self.metrics.remove, catalogue.UNKNOWN_FIELDS))
        receipts = self._keys.receipts
        receiver = PingReceiver(
            self._ingest, address, self._keys.sender, self.metrics, unknown, self._clock, receipts, on_ping
        )
        self.publication = (
            Publication(self.store, settings, lambda: receipts.releases_key, lambda: receipts.public_key)
            if settings.public
            else None
        )
        self._app = CollectorApp(receiver, self.metrics, self._is_ready, public=settings.public)
        self._started = threading.Event()
        self._turn_away_at = 0.0
        self._server = Server(
            self._app,
            settings.limits,
            refusals=_CountedRefusals(self.metrics),
            on_fault=_log_error,
            open_to_any_host=PING_REQUESTS,  # anyone may send a ping, under any host name
        )
        self._thread: threading.Thread | None = None
        self._counting = threading.Lock()
        self._folding = threading.Lock()
        self._copying = threading.Lock()
        self._fold_seconds: float | None = None
        self._rolled_up: datetime | None = None
        self._copied: datetime | None = None
        self._sink = _sink(settings)
        self._rolling_up = StateLog(log)
        self._sending = StateLog(log)
        self._tidying = StateLog(log)
        self._pruning = StateLog(log)
        self._awaited: date | None = None
        interval = settings.fleet_interval_seconds
        fresh = timedelta(seconds=interval / 2)
        self._upkeep = (
            Periodic("collector-fleet", partial(self.count_fleet, fresh), self._clock, retry_seconds=interval),
            Periodic("collector-fold", self.fold, self._clock, retry_seconds=FOLD_SECONDS),
            *(() if self._sink is None else (Periodic("collector-copy", self.copy, self._clock),)),
            Periodic("collector-key", self._keys.look_after, self._clock),
            Periodic("collector-upkeep", self.keep_up, self._clock, retry_seconds=600.0),
        )

    def start(self) -> None:
        """Listen. Raises `FFObserveError` if a key or the address cannot be used: `ConfigurationError` for what is
        written wrongly.

        An unreachable database server does not prevent the start: pings are refused until it answers.
        """
        self._keys.open()
        self._register_gauges()
        listening = self._bind()
        address, self.port = listening.getsockname()[:2]
        self._server.allow_hosts(AllowedHosts(address, self.settings.allowed_hosts))
        self._thread = threading.Thread(target=self._run, args=(listening,), name="collector-http", daemon=True)
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            raise FFObserveError("the collector did not start in time")
        for periodic in self._upkeep:
            periodic.start()
        log.info(
            "collecting pings on http://%s/ping into %s", show_listen((self.settings.host, self.port)), self.store.name
        )

    def stop(self, deadline: float) -> None:
        """Answer and store what has been received, then end. Idempotent."""
        self._server.request_stop(SEND_SECONDS)
        self.store.interrupt()
        if self._sink is not None:
            self._sink.server.interrupt()
        for periodic in self._upkeep:
            periodic.request_stop()
        for periodic in self._upkeep:
            try:
                periodic.stop(deadline)
            except TimeoutError as error:  # it waits for a server or a lock, and its work can be repeated
                log.warning("%s", error)
        thread = self._thread
        if thread is None:
            return
        thread.join(max(0.0, deadline - self._clock.monotonic()))
        if thread.is_alive():
            raise TimeoutError("the collector's requests did not end in time")

    def responds(self, within_seconds: float) -> bool:
        """See `Server.responds`."""
        return self._server.responds(within_seconds)

    def count_fleet(self, fresh: timedelta = timedelta(0)) -> float:
        """Count the fleet for `/metrics`, unless another collector did so less than `fresh` ago, and publish a release
        when one is due. Returns the seconds until the next time. Until the first count ends, which can take minutes,
        there is the last one, however old. Counts wait for each other, so that an older one never replaces a newer
        one."""
        with self._counting:
            now, k = self._clock.now(), self.settings.k
            with contextlib.suppress(StoreError):  # the writer reports that the store is down; the old numbers stay
                if self.metrics.fleet is None and (last := self.store.last_count()) is not None:
                    self.metrics.fleet = disclosed(last, k)
                self.metrics.fleet = take_fleet(self.store, now, k, self.settings.silent_after_days, fresh)
                release = None if self.publication is None else self.publication.refresh(self.metrics.fleet, now)
                if release is not None:
                    self._app.publish(release)
            return self.settings.fleet_interval_seconds

    def fold(self) -> float:
        """Roll up the days that have changed. Returns the seconds until the next time: today is rolled up again and
        again; while older days are due, as after an update, half of the time is spent on them, but not on those that
        failed. Roll-ups wait for each other, as counts do."""
        with self._folding:
            began, began_at = self._clock.monotonic(), self._clock.now()
            try:
                folded = self.store.fold(began_at, FOLDED_AT_ONCE)
                self._show_yesterday(folded, began_at.astimezone(UTC).date())
            except StoreError as error:
                self._failing(self._rolling_up, f"days are not rolled up: {error}")
                return FOLD_SECONDS
            if folded.failed:
                self._failing(self._rolling_up, f"days are not rolled up: {folded.failed[min(folded.failed)]}")
            else:
                self._rolling_up.working("days are rolled up again")
            took = self._clock.monotonic() - began
            oldest = folded.oldest_due
            self._rolled_up = began_at if oldest is None else datetime.combine(oldest, time(), UTC)
            self._fold_seconds = took
            if folded.days and folded.more:
                return max(1.0, took)
            return min(UPKEEP_SECONDS, max(FOLD_SECONDS, IDLE_SHARE * took))

    def _show_yesterday(self, folded: Folded, today: date) -> None:
        """Its figures stay those of the day before while days are still to be rolled up; findings are absent then."""
        if not folded.is_complete_before(today):
            self.metrics.findings = None
            return
        yesterday, k = today - timedelta(days=1), self.settings.k
        self.metrics.day = take_day(self.store, yesterday, k)
        self.metrics.findings = counted(take_findings(self.store, yesterday, yesterday), k)

    def _failing(self, state: StateLog, message: str) -> None:
        if not self._server.is_stopping:  # otherwise it was interrupted by the stop
            state.failing(message)

    def copy(self) -> float:
        """Copy days that are over, and rolled up, to ClickHouse. Returns the seconds until the next time. Copies wait
        for each other, as counts do."""
        if self._sink is None:
            return UPKEEP_SECONDS
        with self._copying:
            today = self._clock.now().astimezone(UTC).date()
            try:
                oldest_due = self._sink.send(self.store, today, FOLDED_AT_ONCE)
            except StoreError as error:
                self._failing(self._sending, f"days could not be copied to {self._sink.server.name}: {error}")
                return FOLD_SECONDS
            self._sending.working(f"days are copied to {self._sink.server.name} again")
            if oldest_due is not None:
                self._copied = datetime.combine(oldest_due, time(), UTC)
            return FOLD_SECONDS if oldest_due in (None, today) else 1.0

    def keep_up(self) -> float:
        """Tidy up, and delete pings older than the retention, whether it could be tidied up or not. Returns the seconds
        until the next time."""
        now = self._clock.now()
        self._tidy(now)
        try:
            pruned = self.store.prune(now, self.settings.retention, self.settings.rollup_retention)
        except StoreError as error:
            if not self._server.is_stopping:
                log.warning("old pings could not be deleted: %s", error)
            return UPKEEP_SECONDS
        self.metrics.add(catalogue.PRUNED, amount=pruned.pings)
        if pruned.pings:
            rest = "; those of more days follow, hour by hour" if pruned.more and not pruned.unfinished else ""
            log.info("deleted %d pings older than %d days%s", pruned.pings, self.settings.retention.days, rest)
        if pruned.doubtful:
            self._pruning.failing(
                f"old pings are not deleted: the clock says {now:%Y-%m-%d}, the newest pings or PostgreSQL's clock do "
                "not; set the clock, or wait until pings of three days have come"
            )
        else:
            self._pruning.working("the clock and the newest pings agree again on what is old")
        self._say_what_pruning_met(pruned)
        return PRUNING_SECONDS if pruned.unfinished else UPKEEP_SECONDS

    def _tidy(self, now: datetime) -> None:
        try:
            self.store.tidy(now)
        except StoreError as error:
            self._failing(self._tidying, f"the store could not be tidied up: {error}")
        else:
            self._tidying.working("the store is tidied up again")

    def _say_what_pruning_met(self, pruned: Pruned) -> None:
        if pruned.awaited not in (None, self._awaited):
            message = "old pings are kept for up to %d days longer: %s is still to be rolled up"
            log.info(message, PATIENCE.days, pruned.awaited)
        self._awaited = pruned.awaited
        if pruned.lost:
            days = ", ".join(map(str, pruned.lost))
            log.warning("nothing is kept of days that were not rolled up before their pings had to go: %s", days)

    async def _is_ready(self) -> bool:
        return self._keys.sender.is_open and await self._ingest.probe()

    def _run(self, listening: socket.socket) -> None:
        async def serve() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(_log_fault)
            probing = loop.create_task(self._ingest.probe_regularly())
            try:
                await self._server.serve(listening, self._started.set, self._turn_away_later)
            finally:
                probing.cancel()
                try:
                    await self._ingest.stop(max(LEAVE_SECONDS, self._turn_away_at - loop.time()))
                except TimeoutError as error:
                    log.warning("%s", error)

        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve())

    def _turn_away_later(self) -> None:
        """The server is stopping: requests that wait for the store are answered while their clients still listen."""
        loop = asyncio.get_running_loop()
        self._turn_away_at = loop.time() + ANSWER_SECONDS
        loop.call_at(self._turn_away_at, self._ingest.turn_away)

    def _bind(self) -> socket.socket:
        try:
            return listen(self.settings.host, self.settings.port)
        except OSError as error:
            place = show_listen((self.settings.host, self.settings.port))
            hint = what_to_change_to_listen(error, self.settings.port)
            message = f"cannot listen on {place} ({reason(error)}); {hint}"
            raise FFObserveError(str(errors.Problem(self.settings.named_in, 0, 0, "listen", message))) from None

    def _observe_commit(self, pings: int, duration_seconds: float) -> None:
        self.metrics.observe(catalogue.COMMIT_PINGS, pings)
        self.metrics.observe(catalogue.COMMIT_DURATION, duration_seconds)

    def _register_gauges(self) -> None:
        gauge = self.metrics.gauge
        gauge(catalogue.BUILD_INFO, lambda: 1.0, VERSION, self.store.name)
        gauge(catalogue.WAITING, lambda: self._ingest.waiting)
        gauge(catalogue.STORE_UP, lambda: None if self._ingest.up is None else float(self._ingest.up))
        gauge(catalogue.FAILOVER_SAFE, lambda: self._writer.survives_failover)
        gauge(catalogue.CONNECTIONS, lambda: self._server.connection_count)
        gauge(catalogue.FOLD_DURATION, lambda: self._fold_seconds)
        gauge(catalogue.ROLLED_UP, lambda: _seconds(self._rolled_up))
        gauge(catalogue.COPIED, lambda: _seconds(self._copied))
        gauge(catalogue.FLEET_MAX_AGE, self._fleet_max_age_seconds)
        noisy = self.publication if self.settings.epsilon is not None else None
        gauge(catalogue.PRIVACY_SPENT, lambda: None if noisy is None else noisy.spent)
        gauge(catalogue.PRIVACY_BUDGET, lambda: None if noisy is None else self.settings.epsilon_budget)
        gauge(catalogue.KEY_CREATED, lambda: _seconds(self._keys.sender.created_at))

    def _fleet_max_age_seconds(self) -> float | None:
        fleet = self.metrics.fleet
        return None if fleet is None else self.settings.fleet_interval_seconds + 2 * fleet.took_seconds


def _sink(settings: CollectorSettings) -> "Sink | None":
    if settings.fleet_analytics is None:
        return None
    from ff_observe.collector.clickhouse.sink import Sink  # with urllib3, which few collectors need

    return Sink(settings.fleet_analytics, settings.retention)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _log_error(error: BaseException) -> None:
    log.error("a request could not be answered: %s", without_values(error))


def _log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's own log message would quote the error, and name the transport."""
    error = context.get("exception")
    kind = without_values(error) if isinstance(error, BaseException) else "unknown"
    log.error("a connection could not be handled: %s", kind)
