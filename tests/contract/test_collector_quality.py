"""What is doubtful of a fleet, found in the roll-ups of every store, and shown by a collector."""

import itertools
import json
import random
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.catalogue.quality import RULES
from ff_observe.cli import main
from ff_observe.collector.fleet.quality import take_findings
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Ping, Store
from ff_observe.system.clock import FrozenClock
from tests.contract.conftest import MakeStore
from tests.contract.test_collector_rollups import fold_all, some
from tests.fakes import FakeClock
from tests.pace import in_full
from tests.recount import doubted
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping
from tests.unit.collector.test_quality import crowd, daily


def found(store: Store, since: date, until: date) -> set[tuple[date, str, str, int, int]]:
    answered = take_findings(store, since, until)
    return {(one.day, one.rule.name, one.field, one.found, one.usual) for one in answered}


def write(writer: BlockingWriter, pings: list[Ping]) -> None:
    """Day by day, as in reality."""
    for _, of_a_day in itertools.groupby(sorted(pings, key=received_at), lambda ping: ping.received_at.date()):
        writer.write(list(of_a_day))


def received_at(ping: Ping) -> datetime:
    return ping.received_at


@pytest.mark.parametrize("seed", range(in_full(20, 2)))
def test_findings_are_those_of_a_recount_also_of_days_rolled_up_anew(seed: int, make_store: MakeStore) -> None:
    draw = random.Random(seed)
    store = make_store()
    last = NOON + timedelta(days=14)
    pings = [each for day in range(12) if draw.random() < 0.8 for each in some(draw, NOON + timedelta(days=day))]
    day = draw.randrange(3, 12)
    pings += crowd(30, draw.choice((1, 2, 3)), day, platform__config__driver="planted")
    with BlockingWriter(store) as writer:
        write(writer, pings)
    fold_all(store, last)
    stored = [each for name in {one.instance_id for one in pings} for each in store.export(name)]
    since, until = min(each.received_at for each in pings).date(), last.date()
    assert found(store, since, until) == doubted(stored, until)
    later_on = since + timedelta(days=8)
    assert found(store, later_on, until) == {each for each in doubted(stored, until) if each[0] >= later_on}
    for number in range(4):
        store.forget(f"crowd-{day}-{number}")
    fold_all(store, last)
    left = [each for name in {one.instance_id for one in pings} for each in store.export(name)]
    assert len(left) == len(stored) - 4
    assert found(store, since, until) == doubted(left, until)


def test_findings_that_rest_on_many_stay_when_the_pings_are_deleted(store: Store, writer: BlockingWriter) -> None:
    write(writer, daily(3, range(20)) + crowd(40, 2, 5, platform__config__driver="planted"))
    now = later(days=19)
    fold_all(store, now)
    day = NOON.date() + timedelta(days=5)
    before = found(store, day, day)
    assert {rule for _, rule, *_ in before} == {"crowd", "crowd_of_few_senders", "unknown_value"}
    store.prune(now, timedelta(days=10))
    for _ in range(9):
        store.prune(now, timedelta(days=10))
    assert store.kept_since() > day
    assert found(store, day, day) == before


def test_a_collector_shows_what_is_doubtful_of_the_last_whole_day(tmp_path: Path) -> None:
    settings = CollectorSettings(port=0, data_dir=tmp_path / "collector")
    clock = FakeClock(later(days=2, hours=11))
    collector = Collector(settings, clock)
    none = dict.fromkeys((rule.name for rule in RULES), 0)
    with BlockingWriter(collector.store) as writer:
        write(writer, daily(20, range(3)) + crowd(22, 2, 2, env__flowforge="2.33.2-planted"))
        write(writer, [ping("few", later(days=2, hours=1), sender=b"f" * 32, platform__config__driver="planted")])
        collector.fold()
        assert collector.metrics.findings == none, "today is not over"
        clock.adjust(timedelta(hours=13).total_seconds())
        assert collector.metrics.findings == none, "and not rolled up"
        collector.fold()
        one = {"crowd": 1, "crowd_of_few_senders": 1, "unknown_value": 1}
        assert collector.metrics.findings == none | one, "one platform with a driver of its own stays below fleet.k"
        clock.adjust(timedelta(days=2).total_seconds())
        collector.fold()
    assert collector.metrics.findings == none | {"no_pings": 1}


def test_findings_are_absent_while_days_are_still_to_be_rolled_up(tmp_path: Path) -> None:
    collector = Collector(CollectorSettings(port=0, data_dir=tmp_path / "collector"), FrozenClock(later(days=9)))
    with BlockingWriter(collector.store) as writer:
        write(writer, daily(1, range(10)))
    collector.fold()
    assert collector.metrics.findings is None
    fold_all(collector.store, later(days=9))
    collector.fold()
    assert collector.metrics.findings == dict.fromkeys((rule.name for rule in RULES), 0)


def test_the_command_names_day_rule_field_and_what_is_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ff_observe.cli.fleet.SystemClock", lambda: FakeClock(later(days=5)))
    collector = Collector(CollectorSettings(port=0, data_dir=tmp_path), FrozenClock(later(days=5)))
    with BlockingWriter(collector.store) as writer:
        write(writer, [*daily(20, (0, 1, 2, 4)), ping("odd", later(days=4), platform__config__driver="planted")])
    fold_all(collector.store, later(days=5))

    def asked(question: str, *arguments: str) -> str:
        assert main(["fleet", question, "--data-dir", str(tmp_path), *arguments]) == 0
        return capsys.readouterr().out

    rows = json.loads(asked("quality", "--format", "json"))
    assert [tuple(row.values())[:-1] for row in rows] == [
        ("2026-11-26", "no_pings", "", "", 0, 20),
        ("2026-11-27", "late", "", "", 20, 0),
        ("2026-11-27", "unknown_value", "platform.config.driver", "planted", 1, 0),
    ]
    meanings = {rule.name: rule.meaning for rule in RULES}
    assert all(row["meaning"] == meanings[row["rule"]] for row in rows)
    text = asked("quality", "--since", "2026-11-27")
    assert ("planted" in text, "2026-11-26" in text) == (True, False)
    (missing,) = json.loads(asked("missing-days", "--format", "json"))
    assert missing == {"day": "2026-11-26", "platforms": 0, "usual": 20, "meaning": "No platform pinged."}
