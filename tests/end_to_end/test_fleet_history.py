"""`ff-observe fleet history`: a real promtool makes blocks of it, and a real Prometheus answers the dashboard's
questions as `ff-observe fleet` and a recount of the pings do."""

import json
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from ff_observe.collector.store import Ping
from ff_observe.collector.store.sqlite import open_sqlite
from tests.dashboards import targets
from tests.end_to_end.test_command_line import ff_observe
from tests.real_parts import prometheus
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import ping

TODAY = datetime.now(UTC).date()
DAYS, K = 75, 3
TARGET = {"job": "flowfuse-collector", "instance": "pings.example.com:10465"}
SHOWN = (2, 8, 11, 15, 22, 30, 44)
"""Days ago. Yesterday may be too young for Prometheus. 12 days ago Node.js 16 was shown, 11 days ago it is not."""


def pinged(number: int, ago: int) -> Ping:
    """Every odd platform leaves Node.js 16, the last first; 2.33.0 came 20 days ago, and one more has it each day."""
    at = datetime.combine(TODAY - timedelta(days=ago), time(12), UTC)
    version, nodejs = (
        "2.33.0" if ago <= 26 - number else "2.32.1",
        "v16.20.2" if number % 2 and ago > number else "v20.1.0",
    )
    return ping(f"platform-{number}", at, env__flowforge=version, env__nodejs=nodejs)


def there(ago: int) -> list[int]:
    """24 platforms: 6 leave after 30 days, 5 come 25 days ago."""
    return [number for number in range(24) if not (number < 6 and ago <= 45) and not (number >= 19 and ago > 25)]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("fleet")
    store = open_sqlite(directory / "pings" / "pings.sqlite3", timedelta(hours=1), "collector")
    with BlockingWriter(store) as writer:
        for ago in range(DAYS, 0, -1):
            writer.write([pinged(number, ago) for number in there(ago)])
    while store.fold(datetime.combine(TODAY, time(1), UTC), 100).oldest_due is not None:
        pass
    (directory / "collector.yml").write_text(f"data_dir: .\nfleet: {{k: {K}}}\n")
    return directory


def asked(fleet: Path, *arguments: str) -> str:
    ended = ff_observe("fleet", *arguments, "--settings", "collector.yml", directory=fleet)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def history(fleet: Path, *arguments: str) -> str:
    labels = [part for name, value in TARGET.items() for part in ("--label", f"{name}={value}")]
    return asked(fleet, "history", *labels, *arguments)


@pytest.fixture(scope="module")
def server(fleet: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[prometheus.Prometheus]:
    if prometheus.PROMTOOL is None:
        pytest.skip(prometheus.MISSING)
    directory = tmp_path_factory.mktemp("prometheus")
    assert history(fleet, "-o", "history.om") == ""
    command = [prometheus.PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", "-q", "--max-block-duration=2160h"]
    subprocess.run([*command, fleet / "history.om", directory / "data"], check=True, capture_output=True)
    with prometheus.prometheus(directory, prometheus.scrape({})) as server:
        yield server


def shown(server: prometheus.Prometheus, panel: str, at: datetime) -> dict[str, float]:
    """What a query of the dashboard shows, by the value of its one label, if it has one."""
    (target,) = (each for each in targets() if str(each) == f"flowfuse-fleet-history: {panel}")
    expression = target.expression
    for variable, value in (("$job", TARGET["job"]), ("$instance", ".+"), ("$__range", "120d")):
        expression = expression.replace(variable, value)
    return {"".join(value for _, value in labels): number for labels, number in server.query(expression, at).items()}


def end_of(ago: int) -> datetime:
    return datetime.combine(TODAY - timedelta(days=ago - 1), time(), UTC)


def recount(fleet: Path, statement: str, *values: object) -> Any:
    with closing(sqlite3.connect(fleet / "pings" / "pings.sqlite3")) as database:
        return database.execute(statement, values).fetchall()


def few_as_other(counted: Counter[str]) -> dict[str, int]:
    """As docs/collector.md says it."""
    named = {value: number for value, number in counted.items() if number >= K}
    other = counted.total() - sum(named.values())
    while named and 0 < other < K:
        rarest = min(named, key=lambda value: named[value])
        other += named.pop(rarest)
    return named | ({"other": other} if other else {})


def test_may_node_16_be_dropped(server: prometheus.Prometheus, fleet: Path) -> None:
    answered = json.loads(asked(fleet, "adoption", "--of", "nodejs", "--format", "json"))
    found = {}
    for ago in SHOWN:
        day = (TODAY - timedelta(days=ago)).isoformat()
        majors = Counter[str]()
        for row in answered:
            majors[row["value"].removeprefix("v").partition(".")[0]] += row["platforms"] * (row["day"] == day)
        statement = "SELECT env_nodejs, count(DISTINCT instance_id) FROM ping WHERE received_at LIKE ? GROUP BY 1"
        assert dict(recount(fleet, statement, f"{day}%")) == {
            f"v{major}.{'20.2' if major == '16' else '1.0'}": n for major, n in majors.items() if n
        }
        found[ago] = shown(server, "Node versions by day A", end_of(ago))
        assert found[ago] == few_as_other(majors)
        assert shown(server, "Node versions by day A", end_of(ago) + timedelta(hours=23, minutes=59)) == found[ago]
    assert found[30] == {"16": 6, "20": 7}
    assert found[8] == {"other": 18}, "one has Node.js 16"
    assert found[2] == {"20": 18}


def test_how_fast_is_a_release_adopted(server: prometheus.Prometheus, fleet: Path) -> None:
    answered = json.loads(asked(fleet, "adoption", "--format", "json"))
    for ago in SHOWN:
        day = (TODAY - timedelta(days=ago)).isoformat()
        versions = Counter({row["value"]: row["platforms"] for row in answered if row["day"] == day})
        statement = "SELECT env_flowforge, count(DISTINCT instance_id) FROM ping WHERE received_at LIKE ? GROUP BY 1"
        assert dict(recount(fleet, statement, f"{day}%")) == versions
        expected = {
            "2.33" if version == "2.33.0" else "2.32" if version == "2.32.1" else version: number / versions.total()
            for version, number in few_as_other(versions).items()
        }
        assert shown(server, "Adoption of releases A", end_of(ago)) == pytest.approx(expected)
    # The third platform took it 18 days ago, and until then it is `other`.
    since = end_of(18).timestamp() * 1000
    assert shown(server, "Versions of the last day C", end_of(2)) == {"2.33.0": since}
    assert shown(server, "Versions of the last day B", end_of(2)) == {"2.33.0": 1}
    assert shown(server, "Versions of the last day A", end_of(2)) == {"2.33.0": 18}


CHANGED = """
WITH day AS (SELECT DISTINCT instance_id, substr(received_at, 1, 10) AS day FROM ping),
first AS (SELECT instance_id, min(day) AS day FROM day GROUP BY 1),
before AS (SELECT instance_id, day, lag(day) OVER (PARTITION BY instance_id ORDER BY day) AS before FROM day)
SELECT (SELECT count(*) FROM first WHERE day > date(:day, :since) AND day <= :day),
  (SELECT count(*) FROM before WHERE day > date(:day, :since) AND day <= :day
    AND julianday(day) - julianday(before) > 30),
  (SELECT count(*) FROM day AS last WHERE date(day, '+30 days') > date(:day, :since) AND date(day, '+30 days') <= :day
    AND NOT EXISTS (SELECT 1 FROM day WHERE day.instance_id = last.instance_id AND day.day > last.day
      AND day.day <= date(last.day, '+30 days')))
"""


def test_who_churned(server: prometheus.Prometheus, fleet: Path) -> None:
    answered = {row["day"]: row for row in json.loads(asked(fleet, "silent", "--format", "json"))}
    for ago in (*SHOWN, 16, 25):
        day, at = TODAY - timedelta(days=ago), end_of(ago)
        row = answered[day.isoformat()]
        for window, within in (("30d", 30), ("1d", 1)):
            with closing(sqlite3.connect(fleet / "pings" / "pings.sqlite3")) as database:
                values = {"day": day.isoformat(), "since": f"-{within} days"}
                counted = dict(zip(("new", "returning", "lost"), *database.execute(CHANGED, values), strict=True))
            found = {
                change: server.value(f'flowfuse_fleet_changed_platforms{{change="{change}",window="{window}"}}', at)
                for change in counted
            }
            assert found == counted, f"{day}: none of them is 1 or 2"
            assert within > 1 or {change: row[change] for change in counted} == found
        assert shown(server, "Seen and silent A", at)[""] == row["seen in 30 days"]
        assert shown(server, "Seen and silent B", at)[""] == row["seen"]
        assert shown(server, "Seen and silent C", at)[""] == row["silent"]
    assert [shown(server, f"Joined and lost in 30 days {ref}", end_of(15))[""] for ref in "ABCD"] == [5, 5, 0, 6]
    assert shown(server, "Churn A", end_of(15)) == {"": pytest.approx(6 / 19)}
    assert shown(server, "Churn A", end_of(60)) == {}, "there were no 30 days before"


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...], float], float]:
    found = {
        (sample.name, tuple(sorted(sample.labels.items())), float(sample.timestamp)): sample.value
        for family in parse_openmetrics(text)  # type: ignore[no-untyped-call]  # as the library has it
        for sample in family.samples
    }
    assert text.count("\n") - 2 * text.count("# HELP") - 1 == len(found)
    return found


def test_the_history_is_openmetrics_and_a_part_of_it_is_the_same(fleet: Path) -> None:
    whole = samples(history(fleet))
    since = TODAY - timedelta(days=20)
    part = samples(history(fleet, "--since", since.isoformat()))
    assert part == {key: value for key, value in whole.items() if key[2] > moment(since)}
    assert min(at for _, _, at in whole) == moment(TODAY - timedelta(days=DAYS - 1))
    assert all(set(TARGET.items()) <= set(labels) for _, labels, _ in whole)


def moment(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def test_a_label_that_is_none_is_refused(fleet: Path) -> None:
    ended = ff_observe("fleet", "history", "--label", "none", "--settings", "collector.yml", directory=fleet)
    assert (ended.returncode, ended.stderr) == (2, "ff-observe: 'none' is not a label such as job=flowfuse\n")
