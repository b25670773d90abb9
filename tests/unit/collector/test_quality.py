"""What is doubtful of a fleet: each rule by a fleet made for it, and all by a recount of the pings."""

from collections.abc import Iterable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.catalogue.quality import CROWD_OF_FEW_SENDERS, RULES
from ff_observe.collector.fleet.quality import Finding, counted, findings, of_release
from ff_observe.collector.store import Ping, Rollup
from ff_observe.collector.store.rollups import OTHER, sealed
from tests.recount import doubted, recounted
from tests.unit.collector.pings import NOON, later, ping

DAY = NOON.date()


def daily(platforms: int, days: Iterable[int], **values: object) -> list[Ping]:
    """So many platforms, each behind an address of its own, that ping on each of the days from `DAY` on."""
    return [
        ping(f"{number}", later(days=day, seconds=number), sender=number.to_bytes(32), **values)
        for number in range(platforms)
        for day in days
    ]


def crowd(platforms: int, senders: int, day: int, **values: object) -> list[Ping]:
    """New platforms that share some addresses."""
    return [
        ping(f"crowd-{day}-{n}", later(days=day, seconds=n), sender=b"crowd-%026d" % (n % senders), **values)
        for n in range(platforms)
    ]


def found(pings: list[Ping], since: int, until: int) -> list[tuple[int, str, str, str, int, int]]:
    """The findings, by days from `DAY` on."""
    first, last = (DAY + timedelta(days=day) for day in (since, until))
    return [
        ((one.day - DAY).days, one.rule.name, one.field, one.value, one.found, one.usual)
        for one in findings(recounted(pings), first, last)
    ]


def test_an_even_fleet_has_nothing_doubtful() -> None:
    assert found(daily(20, range(40)), 0, 39) == []


def test_a_day_without_pings_and_those_who_come_back_after_it() -> None:
    pings = daily(20, (0, 1, 2, 4, 5))
    assert found(pings, 0, 6) == [
        (3, "no_pings", "", "", 0, 20),
        (4, "late", "", "", 20, 0),
        (6, "no_pings", "", "", 0, 20),
    ]


def test_a_long_outage_is_named_whatever_day_the_question_begins_with() -> None:
    pings = daily(9, (0, 1))
    assert [day for day, *_ in found(pings, 0, 80)] == list(range(2, 81))
    assert found(pings, 79, 80) == [(79, "no_pings", "", "", 0, 0), (80, "no_pings", "", "", 0, 0)]
    assert found(pings, -9, 1) == [], "days before the first ping are none without pings"


@pytest.mark.parametrize(("there", "is_doubtful"), [(10, False), (9, True)])
def test_platforms_are_missing_below_half_of_what_is_usual(there: int, is_doubtful: bool) -> None:
    pings = daily(20, range(3)) + daily(there, [3])
    assert (found(pings, 0, 3) == [(3, "missing", "", "", there, 20)]) == is_doubtful


@pytest.mark.parametrize(("late", "is_doubtful"), [(8, False), (9, True)])
def test_platforms_are_late_that_skipped_days(late: int, is_doubtful: bool) -> None:
    """Of 40 that usually ping, more than 20 % are more than 8."""
    pings = daily(40, (0, 1, 2, 4)) + daily(40 - late, [3])
    only = [one for one in found(pings, 0, 4) if one[1] == "late"]
    assert (only == [(4, "late", "", "", late, 0)]) == is_doubtful


@pytest.mark.parametrize(("pause", "is_doubtful"), [(1, False), (2, True), (7, True), (8, False)])
def test_a_pause_is_of_2_to_7_days(pause: int, is_doubtful: bool) -> None:
    pings = daily(40, (0, pause)) + daily(31, range(1, pause))
    assert [one[1] for one in found(pings, 0, pause)] == (["late"] if is_doubtful else [])


def test_few_platforms_are_neither_late_nor_a_crowd() -> None:
    """Of 8, 5 are more than half."""
    assert found(daily(8, (0, 1, 2, 4)) + daily(4, [3]) + crowd(5, 5, 4), 0, 4) == []


@pytest.mark.parametrize(("new", "is_doubtful"), [(10, False), (11, True)])
def test_a_crowd_is_more_than_half_as_many_new_platforms(new: int, is_doubtful: bool) -> None:
    pings = daily(20, range(4)) + crowd(new, new, 3)
    assert found(pings, 0, 3) == ([(3, "crowd", "", "", new, 0)] if is_doubtful else [])


def test_a_crowd_of_few_senders_needs_no_large_share() -> None:
    pings = daily(100, range(3)) + crowd(31, 3, 2)
    assert found(pings, 0, 2) == [(2, "crowd_of_few_senders", "", "", 11, 0)]
    assert found(daily(100, range(3)) + crowd(30, 3, 2), 0, 2) == []


def test_platforms_whose_address_is_not_known_are_no_crowd_of_one_sender() -> None:
    pings = [ping(f"{n}", later(days=n % 3, seconds=n), sender=None) for n in range(60)]
    assert all(row.field != "crowd" for row in recounted(pings))


def unlike(value: object, field: str) -> list[Ping]:
    return [*daily(20, range(3)), ping("odd", later(days=2), sender=b"o" * 32, **{field: value})]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("platform__config__driver", "nomad", "nomad"),
        ("platform__license__type", "PRO", "PRO"),
        ("env__flowforge", "2.33.2-ours", "2.33.2-ours"),
        ("env__nodejs", "v24.1.0-pre", "v24.1.0-pre"),
        ("os__arch", "riscv64", "riscv64"),
        ("os__type", "Plan9", "Plan9"),
        ("platform__counts__teams", 100, "100"),  # of 6 teams, in the size of 5, four sizes more
    ],
)
def test_a_value_that_no_platform_can_have_or_had_is_found(field: str, value: object, named: str) -> None:
    assert found(unlike(value, field), 0, 2) == [(2, "unknown_value", field.replace("__", "."), named, 1, 0)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("platform__config__driver", "kubernetes"),
        ("platform__license__type", "EE"),
        ("env__flowforge", "2.34.0"),
        ("env__flowforge", "2.33.2-git"),
        ("env__nodejs", "v24.1.0"),
        ("platform__counts__teams", 50),
        ("platform__config__broker__enabled", False),
    ],
)
def test_a_new_value_that_FlowFuse_has_is_not_doubtful(field: str, value: object) -> None:  # noqa: N802 - a name
    assert found(unlike(value, field), 0, 2) == []


@pytest.mark.parametrize(("users", "is_doubtful"), [(1999, False), (2000, True)])
def test_a_count_is_beyond_its_bound_in_the_next_size(users: int, is_doubtful: bool) -> None:
    """The bound of users is 1,000, and 1,000 to 1,999 one size: two above that of 900."""
    pings = daily(20, range(3), platform__counts__users=900)
    pings.append(ping("odd", later(days=2), sender=b"o" * 32, platform__counts__users=users))
    assert found(pings, 0, 2) == [(2, "unknown_value", "platform.counts.users", "2000", 1, 0)] * is_doubtful


@pytest.mark.parametrize(("again", "days"), [(30, [1]), (31, [1, 32])])
def test_a_value_is_known_for_30_days(again: int, days: list[int]) -> None:
    odd = [ping("odd", later(days=day), sender=b"o" * 32, os__arch="mips") for day in (1, 1 + again)]
    assert [one[0] for one in found(daily(20, range(40)) + odd, 0, 39)] == days


def test_an_unknown_value_that_stays_is_usual_until_more_platforms_have_it() -> None:
    odd = {"platform__config__driver": "nomad"}
    stays = [ping("odd", later(days=day), sender=b"o" * 32, **odd) for day in range(12)]
    more = [ping(f"more-{n}", later(days=10, seconds=n), sender=b"m%031d" % n, **odd) for n in range(2)]
    days = [(day, number, usual) for day, *_, number, usual in found(daily(20, range(12)) + stays + more, 0, 11)]
    assert days == [(0, 1, 0), (10, 3, 1)]


def test_what_is_merged_says_nothing_of_values() -> None:
    """When pings are deleted, values of few platforms become `other`, also those that are known."""
    pings = [*daily(20, range(3)), ping("few", later(days=2), platform__license__type="EE", os__arch="arm64")]
    kept = sealed(recounted(pings))
    assert {row.field for row in kept if row.value == OTHER} == {"platform.license.type", "os.arch"}
    assert findings(kept, DAY, DAY + timedelta(days=2)) == []
    later_on = [Rollup(DAY + timedelta(days=3), "os.arch", "arm64", 9), Rollup(DAY + timedelta(days=3), "seen", "", 20)]
    assert findings([*kept, *later_on], DAY, DAY + timedelta(days=3)) == [], "arm64 may have been there"


def test_of_a_metric_only_findings_that_rest_on_k_platforms_are_counted() -> None:
    def of(number: int, usual: int) -> Finding:
        return Finding(DAY, CROWD_OF_FEW_SENDERS, "", "", number, usual)

    none = dict.fromkeys((rule.name for rule in RULES), 0)
    assert counted([], 5) == none
    assert counted([of(14, 10)], 5) == none
    assert counted([of(15, 10), of(20, 1)], 5) == none | {"crowd_of_few_senders": 2}
    assert counted([of(0, 3)], 5)["crowd_of_few_senders"] == 1, "no platform is no single one"


@pytest.mark.parametrize(
    ("shown", "before", "named"),
    [
        (40, [], []),
        (10, [30, 30, 40], ["missing"]),
        (0, [30, 30, 40], ["missing"]),
        (20, [40, 40, 40], []),
        (None, [40, 40, 40], []),
        (10, [None, None, 40], ["missing"]),
        (0, [0, 0, 0], []),
    ],
)
def test_a_release_is_judged_by_what_those_before_show(
    shown: int | None, before: list[int | None], named: list[str]
) -> None:
    def release(number: int | None) -> dict[str, object]:
        return {"platforms": {"30d": 90} if number is None else {"30d": 90, "1d": number}}

    assert of_release(release(shown), [release(number) for number in before]) == named


DAYS = 16
platforms = st.tuples(
    st.sets(st.integers(0, DAYS), min_size=1, max_size=8),
    st.sampled_from([None, *(bytes([n]) * 32 for n in range(3))]),
    st.fixed_dictionaries(
        {},
        optional={
            "env__flowforge": st.sampled_from(("2.33.2", "2.33.2-git", "2.33.2-ours", "2.33.2+ours")),
            "env__nodejs": st.sampled_from(("v20.1.2", "v20.1.2-x")),
            "os__arch": st.sampled_from(("x64", "arm64", "mips")),
            "platform__config__driver": st.sampled_from(("docker", "localfs", "nomad")),
            "platform__license__type": st.sampled_from(("CE", "EE", "XX")),
            "platform__counts__users": st.sampled_from((0, 1, 9, 10, 99, 100, 1999, 2000, 2**53 - 1)),
        },
    ),
)
crowds = st.tuples(st.integers(0, DAYS), st.integers(1, 40), st.integers(1, 3))


@given(st.lists(platforms, max_size=12), st.lists(crowds, max_size=3), st.integers(0, DAYS), st.integers(1, 60))
def test_findings_from_roll_ups_are_those_of_the_pings(
    fleet: list[tuple[set[int], bytes | None, dict[str, object]]],
    sudden: list[tuple[int, int, int]],
    since: int,
    moved: int,
) -> None:
    pings = [
        ping(f"{number}", later(days=day if number % 3 else day + moved, seconds=number), sender=sender, **values)
        for number, (days, sender, values) in enumerate(fleet)
        for day in days
    ]
    for day, size, senders in sudden:
        pings += crowd(size, senders, day)
    last = max((each.received_at.date() for each in pings), default=DAY) + timedelta(days=1)
    first = DAY + timedelta(days=since)
    answered = findings(recounted(pings), first, last)
    found = {(one.day, one.rule.name, one.field, one.found, one.usual) for one in answered}
    assert found == {each for each in doubted(pings, last) if each[0] >= first}


def test_a_question_from_a_later_day_reads_as_far_back_as_rules_look() -> None:
    """See `take_findings`: what is found on a day does not depend on the day the question begins with."""
    odd = [ping("odd", later(days=day), sender=b"o" * 32, os__arch="mips") for day in (0, 31, 37)]
    pings = daily(20, range(40)) + odd
    whole = [one for one in found(pings, 0, 39) if one[0] >= 37]

    def read(since: date) -> list[Rollup]:
        return [row for row in recounted(pings) if row.field == "seen" or row.day >= since]

    first = DAY + timedelta(days=37)
    parted = findings(read(first - timedelta(days=37)), first, DAY + timedelta(days=39))
    assert [((one.day - DAY).days, one.rule.name) for one in parted] == [one[:2] for one in whole]
