"""Attacks on the privacy of the fleet's figures. Each takes empty stores and says what it came to know or to write."""

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ff_observe.collector.fleet.disclosure import Disclosure
from ff_observe.collector.fleet.figures import BOUNDS, PLATFORMS
from ff_observe.collector.receiving.acceptance import accept
from ff_observe.collector.receiving.answers import Reason, Refusal
from ff_observe.collector.receiving.unknown_fields import MAX_NAMES, OTHER, UnknownFields
from tests.attack.world import HONEST, RELEASE_DAY, SETTINGS, World, sender
from tests.unit.collector.pings import NOON, body

MakeWorld = Callable[[], World]
ADVERT = "6.6.6"
"""A version that only the attacker's platforms have."""


@dataclass(frozen=True, slots=True)
class Result:
    """`sought` is what the attack was after, `got` what it got; `held` whether that is nothing."""

    sought: str
    got: str
    held: bool


def one_giant(make: MakeWorld, _size: int) -> Result:
    """A platform too small to dominate joins, far above the others: what has it?"""
    totals = []
    for users in (1_000, 2_000, 10**9):
        world = make()
        world.honest(300, users=50)
        world.ping(["giant"], platform__counts__users=users)
        totals.append(world.public()["resources"]["users"]["total"])
    return Result("the giant's number of users", f"sums {totals}", max(totals) - min(totals) <= 1_000)


def dominance(make: MakeWorld, _size: int) -> Result:
    """A sum over thirty platforms of which one is a bank."""
    world = make()
    world.honest(30, users=3)
    world.ping(["bank"], platform__counts__users=10_000)
    shown = [world.private()["resources"], world.public()["resources"]]
    return _absent("the bank's number of users", "users", shown)


def zero_inflation(make: MakeWorld, _size: int) -> Result:
    """A hundred platforms say 0, one says a number: it is the sum."""
    world = make()
    world.ping((f"zero-{index}" for index in range(100)), platform__counts__blueprints=0)
    world.ping(["licensed"], platform__counts__blueprints=37)
    shown = [world.private()["resources"], world.public()["resources"]]
    return _absent("the one platform's number", "blueprints", shown)


def differencing_within_a_day(make: MakeWorld, _size: int) -> Result:
    """The page before and after a platform pings."""
    world = make()
    world.honest()
    before = world.published()
    world.ping(["victim"], days=[RELEASE_DAY], platform__counts__users=7)
    after = world.published(hours=10)
    return Result("the change by one ping", "none" if before == after else "a change", before == after)


def differencing_between_days(make: MakeWorld, _size: int) -> Result:
    """The sums of the days before and after a platform joins."""
    world = make()
    world.honest(users=100)
    before = world.public()["resources"]["users"]["total"]
    world.ping(["victim"], days=range(RELEASE_DAY, RELEASE_DAY + 3), platform__counts__users=73)
    world.ping((f"honest-{index}" for index in range(HONEST)), days=[RELEASE_DAY + 1], platform__counts__users=100)
    after = world.public(RELEASE_DAY + 3)["resources"]["users"]["total"]
    return Result("the victim's 73 users", f"{after - before:+d}", after - before in (0, 100))


def differencing_over_a_year(_make: MakeWorld, _size: int) -> Result:
    """The mean of 180 daily sums before a platform joins, and of 185 after: others stay as they are. Offsets that were
    drawn for each release would average out."""
    found = set()
    for number in range(8):
        rules = Disclosure(SETTINGS.public_k, number.to_bytes(32))
        totals = []
        for day in range(365):
            joined = [(73, 1)] if day >= 180 else []
            shown = rules.resource("users", [*joined, (100, HONEST)], BOUNDS["users"])
            assert shown is not None
            assert shown.total is not None
            totals.append(shown.total)
        found.add(statistics.mean(totals[180:]) - statistics.mean(totals[:180]))
    return Result("the victim's 73 users", f"{sorted(found)}, in steps of 100", found <= {0, 100})


def the_mean_of_a_page(_make: MakeWorld, _size: int) -> Result:
    """All platforms report all counts: how many there are is on the page for each count. Is the mean any better?"""
    k, there = SETTINGS.public_k, 137
    off: list[tuple[float, float]] = []
    for number in range(400):
        rules = Disclosure(k, number.to_bytes(32)).within(PLATFORMS, there)
        (once,) = rules.nested(PLATFORMS, {"30d": there}).values()
        shown = [
            resource.platforms for name in BOUNDS if (resource := rules.resource(name, [(3, there)], BOUNDS[name]))
        ]
        off.append((once + k - 1 - there, statistics.mean([once, *shown]) + k - 1 - there))
    one, mean = (statistics.pstdev(errors) for errors in zip(*off, strict=True))
    return Result("the number of platforms", f"off by {mean:.1f}, by {one:.1f} from one figure", mean >= one)


def sybils_behind_one_address(make: MakeWorld, size: int) -> Result:
    """Invented platforms that ping for days, all from one address: too many for one day."""
    world = make()
    world.honest()
    world.ping((f"sybil-{index}" for index in range(size)), at="attacker", env__flowforge=ADVERT)
    return _newcomers(world, 0)


def sybils_behind_one_address_ten_a_day(make: MakeWorld, size: int) -> Result:
    """So few on each day that they are no crowd: they count as one platform."""
    world = make()
    world.honest()
    for day in range(3):
        names = [f"sybil-{index}" for index in range(10 * day, min(10 * (day + 1), size))]
        world.ping(names, days=range(day, 5), at="attacker", env__flowforge=ADVERT)
    return _newcomers(world, 1)


def sybils_over_a_change_of_the_key(make: MakeWorld, size: int) -> Result:
    """One address has another hash after the key was replaced: it counts twice, and no more often."""
    world = make()
    world.honest()
    for key, days in ((0, range(3)), (1, range(2, 5))):
        names = (f"sybil-{key}-{index}" for index in range(min(10, size)))
        world.ping(names, at="attacker", key=key, days=days, env__flowforge=ADVERT)
    return _newcomers(world, 2)


def sybils_within_an_hour(make: MakeWorld, size: int) -> Result:
    """Invented platforms, each from an address of its own, all on one day."""
    world = make()
    world.honest()
    world.ping((f"sybil-{index}" for index in range(size)), days=[4], env__flowforge=ADVERT)
    return _newcomers(world, 0)


def _newcomers(world: World, allowed: int) -> Result:
    """Beside the honest platforms so many count at most, and the attacker's version is nowhere."""
    counted = world.counted() - HONEST
    held = counted <= allowed and ADVERT.encode() not in world.published()
    return Result("a place on the page", f"{counted} counted, version not shown" if held else f"{counted}", held)


def guessed_version_with_four_addresses(make: MakeWorld, _size: int) -> Result:
    """Does anybody run a version? Four invented platforms do, and wait for it to appear."""
    seen = []
    for victims in (0, 1):
        world = make()
        world.honest()
        world.ping((f"sybil-{index}" for index in range(4)), env__flowforge=ADVERT)
        world.ping((f"victim-{index}" for index in range(victims)), env__flowforge=ADVERT)
        seen.append(ADVERT in world.public()["platforms_by_version"])
    return Result("whether a victim runs it", f"shown: {seen[0]} without, {seen[1]} with", seen == [False, False])


def guessed_version_with_any_number_of_addresses(_make: MakeWorld, _size: int) -> Result:
    """The attacker adds one address after the other until the version appears. Where it does depends on a secret: one
    victim moves it by one of `k` places, an advantage of 1/k, which is measured here over some keys."""
    k, keys = SETTINGS.public_k, 2000
    appears = [Counter[int](), Counter[int]()]
    for number in range(keys):
        rules = Disclosure(k, number.to_bytes(32))
        for victims in (0, 1):
            appears[victims][_first_shown(rules, victims)] += 1
    places = appears[0] | appears[1]
    advantage = sum(abs(appears[0][place] - appears[1][place]) for place in places) / (2 * keys)
    sought = "whether a victim runs it"
    return Result(sought, f"a guess {advantage:.0%} better than chance", advantage < 2 / k)


def _first_shown(rules: Disclosure, victims: int) -> int:
    attackers = 0
    while ADVERT not in rules.shares("version", [(ADVERT, attackers + victims), ("2.33.2", 100)], str):
        attackers += 1
    return attackers


def few_silent_platforms(make: MakeWorld, _size: int) -> Result:
    """A platform is switched off: it is the one that is silent."""
    world = make()
    world.honest()
    world.ping(["victim"], days=[0, 1, 2])
    world.ping((f"honest-{index}" for index in range(HONEST)), days=[5, 6])
    private, public = world.private(6), world.public(7)
    silent = [
        document["silent_platforms"] for document in (private, public) if document["silent_platforms"] is not None
    ]
    differences = {HONEST + 1 - platforms for platforms in private["platforms"].values()}
    held = not silent and differences == {0}
    return Result("that one platform fell silent", f"{silent or 'none'}", held)


FORGED: dict[str, Any] = {
    "instanceId": "203.0.113.77 alice@bank.example",
    "env__flowforge": "2.33.2 \u202eexample.com at yuB",
    "env__nodejs": "v20.20.2\x1b[31m",
    "os__type": "Linux\u2066",
    "os__release": "6.1.0\n",
    "os__arch": "x64\u0301",
    "platform__config__driver": "visit example.com",
    "platform__license__type": "\u200bCE",
    "platform__license__id": "<b>",
}


def forged_text(make: MakeWorld, _size: int) -> Result:
    """Sentences, control and bidirectional characters: sent now, and stored by a collector before the grammars."""
    answers = [accept(body(**{field: text})) for field, text in FORGED.items()]
    taken = [name for name, answer in zip(FORGED, answers, strict=True) if not _is_refused(answer)]
    world = make()
    world.honest()
    old: dict[str, Any] = {field: text for field, text in FORGED.items() if field != "instanceId"}
    world.ping((f"{FORGED['instanceId']} {index}" for index in range(HONEST)), **old)
    shown = [text for text in FORGED.values() if text in str((world.private(), world.public()))]
    return Result("text on the page", f"{len(taken)} accepted, {len(shown)} shown", not taken and not shown)


def _is_refused(answer: object) -> bool:
    return isinstance(answer, Refusal) and answer.reason in (Reason.WRONG_FORM, Reason.TOO_LONG)


def words_for_values(make: MakeWorld, _size: int) -> Result:
    """Words that the grammars allow, from enough addresses on enough days."""
    world = make()
    world.honest()
    says: dict[str, Any] = {"env__flowforge": "6.6.6-visit.example.com", "platform__config__driver": "visit-us"}
    world.ping((f"sybil-{index}" for index in range(60)), **says, platform__license__type="BUYME")
    found = [word for word in ("visit", "BUYME") if word in str((world.private(), world.public()))]
    return Result("text on the page", ", ".join(found) or "none", not found)


def junk_field_names(_make: MakeWorld, size: int) -> Result:
    """Junk names: many from one address, then so many from enough addresses that no name is free."""
    hidden: list[str] = []
    counted = UnknownFields(SETTINGS.k, hidden.append)
    day = NOON.date()
    for index in range(size):
        counted.label(f"junk{index}", sender("attacker"), day)
    for index in range(MAX_NAMES):
        for address in range(SETTINGS.k):
            counted.label(f"junk{index}", sender(f"attacker-{index}-{address}"), day)
    honest = [counted.label("pipelines", sender(f"honest-{n}"), day) for n in range(SETTINGS.k + 1)][-1]
    later_day = day + timedelta(days=2)
    rare = [counted.label("rare", sender(f"honest-{n}"), later_day) for n in range(SETTINGS.k)][-1]
    held = OTHER not in (honest, rare)
    return Result("that honest names stay out", f"shown: {honest}, two days later {rare}", held)


def _absent(sought: str, name: str, shown: list[dict[str, object]]) -> Result:
    found = [resources[name] for resources in shown if name in resources]
    return Result(sought, str(found[0]) if found else "none", not found)


Attack = Callable[[MakeWorld, int], Result]
ATTACKS: tuple[Attack, ...] = (
    one_giant,
    dominance,
    zero_inflation,
    differencing_within_a_day,
    differencing_between_days,
    differencing_over_a_year,
    the_mean_of_a_page,
    sybils_behind_one_address,
    sybils_behind_one_address_ten_a_day,
    sybils_over_a_change_of_the_key,
    sybils_within_an_hour,
    guessed_version_with_four_addresses,
    guessed_version_with_any_number_of_addresses,
    few_silent_platforms,
    forged_text,
    words_for_values,
    junk_field_names,
)


def row(attack: Attack, result: Result) -> str:
    """The attack and what came of it, as a row of the table."""
    name = attack.__name__.replace("_", " ")
    return f"{'held' if result.held else 'BROKEN':7} {name:46} {result.sought:32} {result.got}"


HEADING = f"{'':7} {'attack':46} {'after':32} got"
