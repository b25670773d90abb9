"""Settings, snapshot and memory → the status document. Pure: what it needs is handed in."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from ff_observe.catalogue import COUNTS, facts
from ff_observe.catalogue.model import Count, Reading
from ff_observe.config.settings import Settings
from ff_observe.egress.listing import contacts
from ff_observe.outputs import prometheus_output, statuses
from ff_observe.outputs.model import Output, Status
from ff_observe.outputs.ping.consent import decide_here
from ff_observe.platform import limits
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources.model import OperatingSystem
from ff_observe.problems import Finding, Severity, find_problems
from ff_observe.telemetry.self_metrics import Delivery, SelfMetrics
from ff_observe.version import VERSION
from ff_observe.web.status import document as shape
from ff_observe.web.status.memory import FIGURES, Condition, Figures, Memory, usage_column
from ff_observe.web.status.ping import describe_ping

FORECAST = timedelta(days=30)
"""How far ahead a limit that comes closer is named: as far as the alert FlowFuseLicenceLimitSoon looks."""

_COUNTED = {Severity.ERROR: "problem", Severity.WARNING: "warning", Severity.NOTE: "note"}


class Audience(Enum):
    """Who can ask for the status: the first are shown the least."""

    ANYONE = "anyone"
    THIS_MACHINE = "this machine"
    IDENTIFIED = "identified"
    """Only who has shown a password, the token or a certificate."""


@dataclass(frozen=True, slots=True)
class StatusSource:
    """What the status of a platform is made of. `examined` gives what examinations found; `name` is the platform's,
    where one bridge reads several."""

    settings: Settings
    self_metrics: SelfMetrics
    operating_system: OperatingSystem
    memory: Memory
    examined: Callable[[], Iterable[Finding]] = tuple
    name: str | None = None

    def status(
        self,
        snapshot: Snapshot,
        examined: Iterable[Finding] = (),
        *,
        scraped_seconds_ago: float | None = None,
        audience: Audience = Audience.ANYONE,
    ) -> shape.StatusDocument:
        """The status at the moment of `snapshot`; `examined` is what the last examination found. Hosts are not for
        anyone, and what identifies the platform in its ping only for those who have identified themselves."""
        readings = self.self_metrics.own_readings()
        findings = tuple(
            shape.Finding(each.id, each.severity, each.title, each.detail, each.fix)
            for each in self._findings(snapshot, readings, examined)
        )
        outputs = statuses(self.settings, snapshot)
        scraped_at = None if scraped_seconds_ago is None else snapshot.taken_at - timedelta(seconds=scraped_seconds_ago)
        changes = self.memory.changes(snapshot.taken_at)
        with self.memory.figures() as figures:
            return shape.StatusDocument(
                version=VERSION,
                name=self.name,
                taken_at=snapshot.taken_at,
                read_seconds=snapshot.duration_seconds if snapshot.up else None,
                state=findings[0].severity if findings else Severity.OK,
                summary=_summary(snapshot, findings),
                findings=findings,
                platform=_platform(self.settings, snapshot, figures),
                history=shape.History(figures.start, figures.step_seconds),
                figures=tuple(_figures(snapshot, figures)),
                licence=_licence(snapshot, figures),
                ping=describe_ping(
                    self.settings,
                    snapshot,
                    readings,
                    self.memory.sent,
                    self.operating_system,
                    with_identifiers=audience is Audience.IDENTIFIED,
                ),
                outputs=tuple(
                    _output(output, status, self.self_metrics.deliveries(), scraped_at)
                    for output, status in outputs
                    if output.name != "ping"  # has a place of its own
                ),
                egress=tuple(_egress(self.settings, snapshot, with_hosts=audience is not Audience.ANYONE)),
                changes=changes,
            )

    def condition(self, snapshot: Snapshot, examined: Iterable[Finding] = ()) -> Condition:
        """The part of the status of which changes are noted: it is needed of each snapshot, and costs a fraction of
        the whole."""
        readings = self.self_metrics.own_readings()
        findings = self._findings(snapshot, readings, examined)
        return Condition(snapshot.taken_at, snapshot.up, findings, dict(_facts(self.settings, snapshot, readings)))

    def _findings(
        self, snapshot: Snapshot, readings: Mapping[str, Reading], examined: Iterable[Finding]
    ) -> Sequence[Finding]:
        return find_problems(self.settings, snapshot, readings, self.self_metrics.failures(), examined)


def _facts(settings: Settings, snapshot: Snapshot, readings: Mapping[str, Reading]) -> Iterator[tuple[str, str]]:
    for output, status in statuses(settings, snapshot):
        if output.name != "ping":  # has a sentence of its own
            yield output.name, f"{output.title} is {'on' if status.on else 'off'}"
    installation = snapshot.installation
    if installation.flowfuse_version is not None:
        yield "version", f"FlowFuse is version {installation.flowfuse_version}"
    if snapshot.up:
        decision = decide_here(snapshot, settings, readings)
        yield "ping", f"The ping {'is' if decision.allowed else 'is not'} sent: `{decision.rule}`"
        yield "licence", f"Licence: {_licence_summary(snapshot)}"
        yield "initialised", f"The set-up is {'completed' if installation.initialised else 'not completed'}"


def _output(
    output: Output, status: Status, deliveries: Mapping[tuple[str, str], Delivery], scraped_at: datetime | None
) -> shape.Output:
    """`deliveries` are by output and part of it; `scraped_at` is when /metrics was last fetched."""
    if not status.on:
        return shape.Output(output.name, output.title, shape.OutputState.OFF, status.reason, "", None)
    of_output = {part: delivery for (name, part), delivery in deliveries.items() if name == output.name}
    fails = any(delivery.failure is not None for delivery in of_output.values())
    state = shape.OutputState.FAILS if fails else shape.OutputState.ON
    last, at = _last_delivery(output, of_output, scraped_at)
    return shape.Output(output.name, output.title, state, status.reason, last, at)


def _last_delivery(
    output: Output, deliveries: Mapping[str, Delivery], scraped_at: datetime | None
) -> tuple[str, datetime | None]:
    if deliveries:
        arrived = [part for part, delivery in deliveries.items() if delivery.failure is None]
        failed = [part for part, delivery in deliveries.items() if delivery.failure is not None]
        words = [f"{_parts(arrived)} delivered"] if arrived else []
        words += [f"{_parts(failed)} not delivered"] if failed else []
        sentence = ", ".join(words)
        return f"{sentence[:1].upper()}{sentence[1:]}", max(delivery.at for delivery in deliveries.values())
    if output is prometheus_output.OUTPUT:
        return ("Metrics fetched" if scraped_at else "Not fetched since the bridge started"), scraped_at
    if output.build is None:
        return "Runs in the browsers of FlowFuse's users: the bridge does not see what it does", None
    return "Nothing sent yet with these settings", None


def _parts(parts: list[str]) -> str:
    return " and ".join(parts) if any(parts) else "the last event"


def _egress(settings: Settings, snapshot: Snapshot, *, with_hosts: bool) -> Iterator[shape.Contact]:
    for each in contacts(settings, snapshot):
        yield shape.Contact(
            each.place if with_hosts else None,
            *(each.by, each.why, each.data, each.key, each.since, each.stop, each.condition),
            (each.receiver or None) if with_hosts else None,
            each.source,
        )


def _summary(snapshot: Snapshot, findings: Sequence[shape.Finding]) -> str:
    if not snapshot.up:
        return "The database does not answer"
    counts = [
        (sum(1 for finding in findings if finding.severity is severity), word) for severity, word in _COUNTED.items()
    ]
    words = [f"{count} {word}{'s' if count > 1 else ''}" for count, word in counts if count]
    return ", ".join(words) or "No problems found"


def _platform(settings: Settings, snapshot: Snapshot, figures: Figures) -> shape.Platform:
    installation = snapshot.installation
    return shape.Platform(
        flowfuse_version=installation.flowfuse_version,
        nodejs_version=installation.nodejs_version,
        driver=settings.platform.driver,
        initialised=installation.initialised,
        database_up=snapshot.up,
        database_day=figures.column(facts.DATABASE_UP.name),
        http_up=None if snapshot.http is None else snapshot.http.up,
        http_day=figures.column(facts.HTTP_UP.name),
    )


def _figures(snapshot: Snapshot, figures: Figures) -> Iterator[shape.Figure]:
    """Each count, unless this FlowFuse version has no table for it."""
    for count in FIGURES:
        if count.name in snapshot.readings or count.name in snapshot.failures:
            value = snapshot.readings.get(count.name, {}).get(())
            breakdowns = tuple(_breakdowns(count, snapshot))
            yield shape.Figure(count.name, count.title, value, figures.column(count.name), breakdowns)


def _breakdowns(figure: Count, snapshot: Snapshot) -> Iterator[shape.Breakdown]:
    """The counts of the same rows by a label. That of a part of the rows has none."""
    for count in COUNTS:
        of_all = len(count.labels) == 1 and not count.every_seconds and getattr(count.of, "where", None) is None
        if of_all and type(figure.of).__name__ == "Rows" and count.of.table == figure.of.table:
            parts = tuple(
                shape.Part(count.value_titles.get(label, label), value)
                for (label,), value in snapshot.readings.get(count.name, {}).items()
            )
            if parts:
                yield shape.Breakdown(count.name, count.title, parts)


def _licence(snapshot: Snapshot, figures: Figures) -> shape.Licence:
    licence = snapshot.installation.licence
    level, outlook = _expiry(snapshot)
    return shape.Licence(
        active=None if facts.LICENSE_ACTIVE.name not in snapshot.readings else licence is not None,
        type=licence.type if licence else None,
        tier=licence.tier if licence else None,
        expires_at=licence.expires_at if licence else None,
        level=level,
        summary=_licence_summary(snapshot),
        outlook=outlook,
        limits=tuple(_limit(room, snapshot, figures) for room in limits.headroom(snapshot)),
    )


def _licence_summary(snapshot: Snapshot) -> str:
    installation = snapshot.installation
    licence = installation.licence
    if licence is not None:
        until = ""
        if licence.expires_at is not None:
            expired = licence.expires_at <= snapshot.taken_at
            until = f"{'expired' if expired else 'until'} {licence.expires_at:%Y-%m-%d}"
        return " · ".join(filter(None, (licence.type, licence.tier, until)))
    if installation.licence_problem is not None:
        return "not accepted"
    return "none (CE)" if snapshot.up else "unknown"


def _expiry(snapshot: Snapshot) -> tuple[limits.Level | None, str]:
    """How close the licence's expiry is, and what happens then, or without a licence."""
    licence = snapshot.installation.licence
    if licence is None and snapshot.up:
        return None, "Without a licence, FlowFuse refuses to create more than its limits."
    if licence is None or licence.expires_at is None:
        return None, ""
    left, day = licence.expires_at - snapshot.taken_at, f"{licence.expires_at:%Y-%m-%d}"
    if left <= timedelta():
        return limits.Level.OVER, f"Expired since {day}: {limits.AFTER_EXPIRY}"
    level = limits.Level.NEAR if left <= limits.EXPIRES_SOON else limits.Level.GOOD
    days = "1 day" if left.days == 1 else f"{left.days} days"
    return level, f"Expires on {day}, in {days}. From then on {limits.AFTER_EXPIRY}"


def _limit(room: limits.Headroom, snapshot: Snapshot, figures: Figures) -> shape.Limit:
    pace, reached_at, outlook = figures.pace(usage_column(room.resource)), None, room.effect
    if pace is not None and pace > 0 and room.used is not None and room.used < room.allowed:
        ahead = (room.allowed - room.used) / pace
        if ahead <= FORECAST.total_seconds():
            reached_at = snapshot.taken_at + timedelta(seconds=ahead)
            outlook = f"At the pace of the last day, reached on {reached_at:%Y-%m-%d}. {outlook}"
    return shape.Limit(room.resource, room.title, room.used, room.allowed, room.level, reached_at, outlook)
