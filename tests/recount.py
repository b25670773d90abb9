"""The roll-ups of a fleet, counted anew from every ping it has sent: slowly, and without the code that rolls up."""

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from ff_observe.catalogue.counts import COUNTS
from ff_observe.catalogue.model import ping_fields
from ff_observe.catalogue.ping_contract import COUNT_FIELDS, FIELDS, Value
from ff_observe.collector.store import Ping, Rollup

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
BY_SIZE = {field.dotted for field in COUNT_FIELDS}
BOUNDS = [0, *(digit * 10**power for power in range(16) for digit in (1, 2, 5))]


def recounted(pings: Iterable[Ping], most_values: int = 500) -> set[Rollup]:
    """Every roll-up of every day; of each field that is no number, so many values by name."""
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
    for day, number in crowds(latest).items():
        platforms[day, "crowd", ""] = number
    return {Rollup(*key, number, totals[key]) for key, number in shortened(platforms, most_values).items()}


def shortened(platforms: Mapping[tuple[date, str, str], int], most_values: int) -> Counter[tuple[date, str, str]]:
    """All but the most frequent values of each day under the name `other`, together with the platforms that say so."""
    found: Counter[tuple[date, str, str]] = Counter()
    places: Counter[tuple[date, str]] = Counter()
    for (day, field, value), number in sorted(platforms.items(), key=lambda each: (-each[1], each[0])):
        is_kept = value != "other" and places[day, field] < most_values
        if field in BY_SIZE or is_kept:
            places[day, field] += 1
            found[day, field, value] = number
        else:
            found[day, field, "other"] += number
    return found


def crowds(latest: Mapping[str, Mapping[date, Ping]]) -> dict[date, int]:
    """The largest number of platforms behind one sender that pinged first on a day, by the last ping of each."""
    senders: dict[date, Counter[bytes]] = {}
    for days in latest.values():
        first = min(days)
        if (sender := days[first].sender) is not None:
            senders.setdefault(first, Counter())[sender] += 1
    return {day: max(behind.values()) for day, behind in senders.items()}


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


_PLACES = {field.dotted: index for index, field in enumerate(FIELDS)}
assert len(_PLACES) == len(FIELDS)
_LIMITS = {".".join(("platform.counts", *part.path)): part.bound for _, part in ping_fields(COUNTS)}


def doubted(pings: Iterable[Ping], until: date) -> set[tuple[date, str, str, int, int]]:
    """What is doubtful of the days up to `until`: day, rule, field, how many platforms, and how many are usual."""
    latest: dict[str, dict[date, Ping]] = {}
    for ping in sorted(pings, key=lambda ping: ping.received_at):
        latest.setdefault(ping.instance_id, {})[ping.received_at.astimezone(UTC).date()] = ping
    sent = {day for days in latest.values() for day in days}
    numbers = {day: _numbers(latest, day) for day in sent}
    found: set[tuple[date, str, str, int, int]] = set()
    day = min(sent, default=until + timedelta(days=1))
    while day <= until:
        week = [numbers[other] for ago in range(1, 8) if (other := day - timedelta(days=ago)) in numbers]
        usual = {key: int(statistics.median(each.get(key, 0) for each in week)) if week else 0 for key in _asked()}
        platforms = usual["seen", ""]
        if day not in sent:
            found.add((day, "no_pings", "", 0, platforms))
        for key, number in numbers.get(day, {}).items():
            more = number - usual[key]
            limits = {"late": max(0.2 * platforms, 5), "crowd": max(0.5 * platforms, 5), "crowd_of_few_senders": 10}
            if key == ("seen", ""):
                if platforms and number < platforms / 2:
                    found.add((day, "missing", "", number, platforms))
            elif more > limits.get(key[0], 0) and (platforms or key[0] not in ("late", "crowd")):
                found.add((day, *key, number, usual[key]))
        day += timedelta(days=1)
    return found


_FORMS = {
    "env.flowforge": r"\d{1,3}\.\d{1,3}\.\d{1,3}(-git)?",
    "env.nodejs": r"v\d{1,3}\.\d{1,3}\.\d{1,3}",
    "platform.config.driver": "localfs|docker|kubernetes|stub",
    "platform.license.type": "CE|EE|DEV",
}


def _asked() -> list[tuple[str, str]]:
    fields = [*_FORMS, "os.type", "os.arch", *(field.dotted for field in COUNT_FIELDS)]
    days = [(rule, "") for rule in ("seen", "late", "crowd", "crowd_of_few_senders")]
    return [*days, *(("unknown_value", field) for field in fields)]


def _numbers(latest: Mapping[str, Mapping[date, Ping]], day: date) -> dict[tuple[str, str], int]:
    """How many platforms each rule looks at on a day."""
    today = {name: days for name, days in latest.items() if day in days}
    before = {name: [(day - other).days for other in days if other < day] for name, days in today.items()}
    numbers = {
        ("seen", ""): len(today),
        ("late", ""): sum(2 <= min(ago, default=0) <= 7 for ago in before.values()),
        ("crowd", ""): sum(not ago for ago in before.values()),
        ("crowd_of_few_senders", ""): crowds(latest).get(day, 0),
    }
    month = [ping for days in latest.values() for other, ping in days.items() if 1 <= (day - other).days <= 30]
    for rule, field in _asked():
        if rule == "unknown_value":
            said = [value for days in today.values() if (value := _value(days[day], field)) is not None]
            held = [value for ping in month if (value := _value(ping, field)) is not None]
            numbers[rule, field] = sum(_is_odd(field, value, held) for value in said)
    return numbers


def _is_odd(field: str, value: Value, held: list[Value]) -> bool:
    if field in _FORMS:
        return re.fullmatch(_FORMS[field], str(value)) is None
    if isinstance(value, str):
        return bool(held) and value not in held
    bound = _LIMITS[field]
    sizes = [max(place for place, least in enumerate(BOUNDS) if least <= int(count)) for count in (value, *held)]
    return (bound is not None and BOUNDS[sizes[0]] > bound.most) or (bool(held) and sizes[0] > max(sizes[1:]) + 3)


def _value(ping: Ping, dotted: str) -> Value | None:
    return ping.values[_PLACES[dotted]]


def seen_between(pings: Iterable[Ping], since: datetime, until: datetime) -> set[str]:
    """The platforms that pinged from `since`, up to before `until`."""
    return {ping.instance_id for ping in pings if since <= ping.received_at < until}


def released(pings: Iterable[Ping], until: date, days: int, silent_after_days: int) -> tuple[dict[str, int], int]:
    """How many platforms a release of the day `until` counts in each window, and how many of them are silent."""
    latest: dict[str, list[Ping]] = {}
    for ping in sorted(pings, key=lambda ping: ping.received_at):
        latest.setdefault(ping.instance_id, []).append(ping)
    first = {name: (sent[0].received_at, name) for name, sent in latest.items()}
    counting: dict[str, set[int]] = {}
    behind: dict[bytes | None, list[str]] = {}
    for name, sent in latest.items():
        ago = [(until - each.received_at.astimezone(UTC).date()).days for each in sent]
        if counting.setdefault(name, {number for number in ago if 1 <= number <= 30}):
            last = max(place for place, number in enumerate(ago) if number >= 1)
            behind.setdefault(sent[last].sender, []).append(name)
    nearest: list[int] = []
    for names in behind.values():
        arrived = Counter(first[name][0].astimezone(UTC).date() for name in names)
        alone = [name for name in names if arrived[first[name][0].astimezone(UTC).date()] <= 10]
        if often := [name for name in alone if len(counting[name]) >= days]:
            nearest.append(min(counting[min(often, key=first.__getitem__)]))
    windows = {f"{number}d": sum(each <= number for each in nearest) for number in (1, 7, 30)}
    return windows, sum(each > silent_after_days for each in nearest)
