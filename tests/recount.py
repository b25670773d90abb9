"""The roll-ups of a fleet, counted anew from every ping it has sent: slowly, and without the code that rolls up."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime

from ff_observe.collector.store import Ping, Rollup
from ff_observe.ping_contract import COUNT_FIELDS, FIELDS, Value

BY_VALUE = (
    "os.type",
    "os.arch",
    "env.nodejs",
    "env.flowforge",
    "platform.config.driver",
    "platform.config.broker.enabled",
    "platform.config.fileStore.enabled",
    "platform.config.email.enabled",
    "platform.license.type",
)
BOUNDS = [0, *(digit * 10**power for power in range(16) for digit in (1, 2, 5))]


def recounted(pings: Iterable[Ping]) -> set[Rollup]:
    """Every roll-up of every day."""
    latest: dict[str, dict[date, Ping]] = {}
    sent: Counter[date] = Counter()
    for ping in sorted(pings, key=lambda ping: ping.received_at):
        day = ping.received_at.astimezone(UTC).date()
        latest.setdefault(ping.instance_id, {})[day] = ping
        sent[day] += 1
    platforms: Counter[tuple[date, str, str]] = Counter()
    totals: Counter[tuple[date, str, str]] = Counter()
    for day, number in sent.items():
        platforms[day, "pings", ""] = number
    for days in latest.values():
        for day, ping in days.items():
            for field, value, total in _says(days, day, ping):
                platforms[day, field, value] += 1
                totals[day, field, value] += total
    return {Rollup(*key, number, totals[key]) for key, number in platforms.items()}


def _says(days: dict[date, Ping], day: date, ping: Ping) -> Iterable[tuple[str, str, int]]:
    before = max((other for other in days if other < day), default=None)
    yield "seen", "", 0
    yield "cohort", f"{min(days):%Y-%m}", 0
    if before is None:
        yield "gap", "new", 0
    elif (day - before).days > 30:
        yield "gap", "returning", 0
    else:
        yield "gap", str((day - before).days), 0
        old, new = _value(days[before], "env.flowforge"), _value(ping, "env.flowforge")
        if old != new:
            yield "upgrade", f"{old or '-'} {new or '-'}", 0
    for name in BY_VALUE:
        value = _value(ping, name)
        yield name, "" if value is None else str(value).lower() if isinstance(value, bool) else str(value), 0
    for field in COUNT_FIELDS:
        count = _value(ping, field.dotted)
        if count is None:
            yield field.dotted, "", 0
        else:
            assert isinstance(count, int)
            yield field.dotted, str(max(bound for bound in BOUNDS if bound <= count)), count


def _value(ping: Ping, dotted: str) -> Value | None:
    (index,) = (index for index, field in enumerate(FIELDS) if field.dotted == dotted)
    return ping.values[index]


def seen_between(pings: Iterable[Ping], since: datetime, until: datetime) -> set[str]:
    """The platforms that pinged from `since`, up to before `until`."""
    return {ping.instance_id for ping in pings if since <= ping.received_at < until}


def released(pings: Iterable[Ping], until: date, days: int, silent_after_days: int) -> tuple[dict[str, int], int]:
    """How many platforms a release of the day `until` counts in each window, and how many of them are silent."""
    latest: dict[str, list[Ping]] = {}
    for ping in sorted(pings, key=lambda ping: ping.received_at):
        latest.setdefault(ping.instance_id, []).append(ping)
    known: dict[bytes | None, tuple[datetime, str, set[int]]] = {}
    for name, sent in latest.items():
        ago = [(until - each.received_at.astimezone(UTC).date()).days for each in sent]
        counting = [(each, number) for each, number in zip(sent, ago, strict=True) if 1 <= number <= 30]
        if len({number for _, number in counting}) >= days:
            sender = counting[-1][0].sender
            found = (sent[0].received_at, name, {number for _, number in counting})
            known[sender] = min(known.get(sender, found), found)
    nearest = [min(numbers) for _, _, numbers in known.values()]
    windows = {f"{number}d": sum(each <= number for each in nearest) for number in (1, 7, 30)}
    return windows, sum(each > silent_after_days for each in nearest)
