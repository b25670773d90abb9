"""The questions of `ff-observe fleet`, held against an evaluation of the pings themselves."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from ff_observe.catalogue.ping_contract import MAX_COUNT
from ff_observe.collector.fleet import questions
from ff_observe.collector.fleet.quality import findings
from ff_observe.collector.store import Ping, Rollup
from ff_observe.collector.store.rollups import size
from tests.pace import in_full
from tests.recount import BOUNDS, recounted
from tests.unit.collector.pings import NOON, later, ping

DAY = NOON.date()


def fleet(draw: random.Random, days: int, versions: tuple[str, ...] = ("2.32.0", "2.33.2")) -> list[Ping]:
    """Platforms that ping on some days of a period that ends on `DAY`, some of them rarely."""
    return [
        ping(f"{number}", later(days=-ago, seconds=number), env__flowforge=draw.choice(versions))
        for number, often in enumerate((0.9, 0.9, 0.5, 0.3, 0.1, 0.05, 0.02, 0.02))
        for ago in range(days)
        if draw.random() < often
    ]


def seen(pings: list[Ping], last: date, days: int) -> set[str]:
    """The platforms that pinged on one of the `days` that end with `last`."""
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    return {each.instance_id for each in pings if end - timedelta(days=days) <= each.received_at < end}


@pytest.mark.parametrize("seed", range(in_full(200, 5)))
def test_windows_new_silent_and_lost_platforms_are_those_of_the_pings(seed: int) -> None:
    pings = fleet(random.Random(seed), 100)
    answer = questions.silent(recounted(pings), DAY - timedelta(days=40), silent_after_days=2)
    for text, today, week, month, new, returning, silent, lost in answer.rows:
        day = date.fromisoformat(str(text))
        before = seen(pings, day - timedelta(days=1), 400)
        assert (today, week, month) == tuple(len(seen(pings, day, days)) for days in (1, 7, 30))
        assert new == len(seen(pings, day, 1) - before)
        assert returning == len((seen(pings, day, 1) & before) - seen(pings, day - timedelta(days=1), 30))
        assert silent == len(seen(pings, day, 30) - seen(pings, day, 2))
        assert lost == len(seen(pings, day - timedelta(days=30), 1) - seen(pings, day, 30))


def test_upgrades_are_those_between_the_last_pings_of_two_days() -> None:
    versions = ("2.31.0", "2.31.0", "2.32.0", "2.33.2")
    pings = [ping("a", later(days=days), env__flowforge=version) for days, version in enumerate(versions)]
    pings += [ping("b", later(days=days), env__flowforge="2.31.0") for days in range(4)]
    assert questions.upgrades(recounted(pings)).rows == [("2.31.0", "2.32.0", 1), ("2.32.0", "2.33.2", 1)]


def test_a_cohort_is_counted_on_the_last_day_of_each_month() -> None:
    pings = [ping("old", later(days=-days)) for days in range(60)] + [ping("new", later(days=-days)) for days in (9, 1)]
    assert questions.cohorts(recounted(pings)).rows == [
        ("2026-09", "2026-09-30", 1),
        ("2026-09", "2026-10-31", 1),
        ("2026-09", "2026-11-23", 1),
    ]


def test_adoption_is_a_share_of_those_that_pinged_that_day() -> None:
    rows = [Rollup(DAY, "env.nodejs", "v16.20.2", 1), Rollup(DAY, "env.nodejs", "", 3)]
    assert questions.adoption(rows).rows == [
        ("2026-11-23", "(not said)", 3, 0.75),
        ("2026-11-23", "v16.20.2", 1, 0.25),
    ]


def test_the_sizes_of_a_histogram_meet_and_hold_every_count() -> None:
    sizes = [size(bound) for bound in BOUNDS if bound <= MAX_COUNT]
    rows = [Rollup(DAY, "platform.counts.users", str(each), 1) for each in sizes]
    table = questions.histogram(rows).rows
    assert [row[1] for row in table] == [bound for bound in BOUNDS if bound <= MAX_COUNT]
    assert [row[2] for row in table[:-1]] == [int(str(row[1])) - 1 for row in table[1:]]
    assert size(MAX_COUNT) == BOUNDS[-2] if BOUNDS[-1] > MAX_COUNT else BOUNDS[-1]


def test_the_days_that_lack_platforms_are_a_part_of_what_is_doubtful() -> None:
    seen_on = {0: 100, 1: 100, 2: 100, 3: 40, 5: 100, 6: 190}
    rows = [Rollup(DAY + timedelta(days=day), "seen", "", platforms) for day, platforms in seen_on.items()]
    rows.append(Rollup(DAY + timedelta(days=6), "gap", "new", 90))
    found = findings(rows, DAY, DAY + timedelta(days=7))
    assert questions.missing_days(found).rows == [
        ("2026-11-26", 40, 100, "Fewer platforms pinged than usual, by over 50 %."),
        ("2026-11-27", 0, 100, "No platform pinged."),
        ("2026-11-30", 0, 100, "No platform pinged."),
    ]
    assert [row[:-1] for row in questions.quality(found).rows] == [
        ("2026-11-26", "missing", "", "", 40, 100),
        ("2026-11-27", "no_pings", "", "", 0, 100),
        ("2026-11-29", "crowd", "", "", 90, 0),
        ("2026-11-30", "no_pings", "", "", 0, 100),
    ]
