"""A week of the demo platform as its bridge would have told it, and of the bridge itself; and what `ff-observe history`
says of the years before."""

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from types import MappingProxyType

from ff_observe.catalogue import PLATFORM, SELF, bridge, facts, process
from ff_observe.catalogue.model import Reading
from ff_observe.config.load import load_settings
from ff_observe.demo.platform import DemoPlatform
from ff_observe.outputs import OUTPUTS, statuses
from ff_observe.platform.audit_counters import AuditCounters
from ff_observe.platform.history import Span, write
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.audit_log import AuditLog
from ff_observe.platform.sources.installation import InstalledVersions
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.system.clock import FrozenClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.pictures.openmetrics import Sample

TARGET = MappingProxyType({"job": "flowfuse", "instance": "flowfuse.example.com:10464"})
EXPIRES_AFTER = timedelta(days=143)
"""The licence of the demo is FlowFuse's for developers, which ends in two hundred years."""

_METRICS = {metric.name: metric for metric in (*PLATFORM, *SELF)}
_OUTAGE_AFTER, _OUTAGE = timedelta(days=4, hours=3, minutes=10), timedelta(minutes=20)
_FIRST_PING_AFTER = timedelta(hours=9, minutes=41)
_DAY = timedelta(days=1)
_UNSEEN_STEP = timedelta(hours=6)


def platform_history(
    home: Path, start: datetime, end: datetime, step: timedelta, born: datetime | None = None
) -> Iterator[Sample]:
    """Every sample of the bridge's target from `start` to `end`, of a platform that has lived since it was `born`."""
    clock, random, told = FrozenClock(start), Random(7), SelfMetrics()
    platform = DemoPlatform(home, clock, random, ping_url="http://127.0.0.1:10465/ping", metrics_port=10464)
    if born is not None:
        deque(platform.history(born, start, _UNSEEN_STEP), maxlen=0)
    told.process_started()
    told.set(bridge.CONFIG_RELOAD_SUCCESS, 1.0)
    snapshots: Snapshots | None = None
    for at in platform.history(start, end, step):
        if snapshots is None:
            settings = load_settings(home=home, variables={})
            on = {output.name for output, status in statuses(settings, None) if status.on is not False}
            on |= {"otlp", "backend_sentry"}
            told.replace(bridge.OUTPUT_ENABLED, {(output.name,): float(output.name in on) for output in OUTPUTS})
            versions = InstalledVersions(home, settings.platform)
            source = SQLiteSource(platform.database)
            audit = AuditCounters(AuditLog(source), clock)
            snapshots = Snapshots(source, settings.platform, clock, told, versions, audit=audit)
            while not snapshots.take(at).counted_since:
                audit.catch_up()
        snapshot = _take(snapshots, platform.database, at, out=_OUTAGE_AFTER <= at - start < _OUTAGE_AFTER + _OUTAGE)
        _deliver(told, start, at, step, random)
        memory: Reading = {(): 50e6 + 3e6 * ((at - start) / _DAY % 1.3) + random.uniform(0, 4e5)}
        started: Reading = {(): (start - timedelta(days=11, hours=2)).timestamp()}
        own: dict[str, Reading] = {**told.readings(), process.RESIDENT_MEMORY.name: memory, process.START.name: started}
        moment: dict[str, Reading] = {
            bridge.SNAPSHOT_TIMESTAMP.name: {(): at.timestamp() - 0.4},
            bridge.SNAPSHOT_DURATION.name: {(): snapshot.duration_seconds},
            facts.HTTP_UP.name: {(): 1.0},
            facts.HTTP_DURATION.name: {(): 0.03 + random.uniform(0, 0.02)},
        }
        yield from platform_samples(at, {**_with_expiry(snapshot, end).readings, **own, **moment}, TARGET)
        yield Sample(at, "up", 1.0, TARGET)
        yield Sample(at, "scrape_duration_seconds", snapshot.duration_seconds + random.uniform(0.002, 0.004), TARGET)


def earlier_history(home: Path, start: datetime) -> Iterator[str]:
    """The lines that `ff-observe history` writes of the time before `start`."""
    with contextlib.closing(SQLiteSource(home / "var" / "forge.db")) as source:
        span = Span(None, start - _UNSEEN_STEP, _UNSEEN_STEP)
        yield from write(source, span, {**TARGET}, lambda _what, _share: None, every_event=True)


def _take(snapshots: Snapshots, database: Path, at: datetime, *, out: bool) -> Snapshot:
    if not out:
        return snapshots.take(at)
    away = database.with_suffix(".away")
    database.rename(away)
    try:
        return snapshots.take(at)
    finally:
        away.rename(database)


def _deliver(told: SelfMetrics, start: datetime, at: datetime, step: timedelta, random: Random) -> None:
    """The ping at its hour of the day (one of them fails at first), OTLP once a minute, now and then an error."""
    passed = at - start - _FIRST_PING_AFTER
    due = start + _FIRST_PING_AFTER + (passed // _DAY) * _DAY
    told.replace(bridge.PING_ENABLED, {("licensed",): 1.0})
    told.set(bridge.PING_OPT_OUT_IGNORED, 0.0)
    told.set(bridge.PING_LEADER, 1.0)
    told.replace(bridge.OUTPUT_DELIVERED, {(name,): 1.0 for name in ("backend_sentry", "otlp", "ping")})
    told.set(bridge.PING_NEXT, (due + _DAY).timestamp())
    if timedelta() <= at - due < step:
        if passed // _DAY == 2:
            told.add(bridge.PINGS, "failed", amount=2)
        told.add(bridge.PINGS, "delivered")
        told.add(bridge.PING_BYTES, amount=1043 + random.randrange(4))
        told.set(bridge.PING_LAST_SUCCESS, at.timestamp())
    elif passed < timedelta(0):
        told.set(bridge.PING_LAST_SUCCESS, due.timestamp())
    told.add(bridge.OTLP_EXPORTS, "delivered", amount=step / timedelta(minutes=1))
    if random.random() < 0.004:
        told.add(bridge.OTLP_EXPORTS, "failed", amount=2)
    if random.random() < 0.006:
        told.add(bridge.SENTRY_EVENTS, "captured")


def _with_expiry(snapshot: Snapshot, end: datetime) -> Snapshot:
    readings = dict(snapshot.readings)
    if facts.LICENSE_EXPIRY.name in readings:
        readings[facts.LICENSE_EXPIRY.name] = {(): (end + EXPIRES_AFTER).timestamp()}
    return replace(snapshot, readings=readings)


def platform_samples(at: datetime, readings: Mapping[str, Reading], target: Mapping[str, str]) -> Iterator[Sample]:
    """Readings as samples of a target; a label without a value is left out, as Prometheus does."""
    for name, reading in readings.items():
        for values, number in reading.items():
            labels = dict(zip(_METRICS[name].labels, values, strict=True))
            yield Sample(at, name, float(number), {**target, **{k: v for k, v in labels.items() if v}})
