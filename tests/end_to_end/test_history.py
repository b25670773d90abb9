"""`ff-observe history`: a real promtool makes blocks of it, and a real Prometheus shows the platform's past."""

import contextlib
import json
import re
import sqlite3
import subprocess
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from ff_observe.cli import main
from ff_observe.demo.platform import DemoPlatform
from ff_observe.platform.history import GROWING, Span, write
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.system.clock import FrozenClock
from tests.end_to_end.test_command_line import ff_observe
from tests.platforms import case_named, cluster_database, postgresql_source, sqlite_source
from tests.real_parts import prometheus
from tests.real_parts.postgresql import Cluster

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
UNTIL = NOW - timedelta(hours=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    platform = DemoPlatform(
        tmp_path / "home", FrozenClock(NOW), Random(5), ping_url="http://127.0.0.1:9/ping", metrics_port=10464
    )
    platform.create()
    return platform.home


def test_prometheus_shows_what_the_database_says_of_the_past(home: Path, tmp_path: Path) -> None:
    if prometheus.PROMTOOL is None:
        pytest.skip(prometheus.MISSING)
    text, directory = tmp_path / "history.om", tmp_path / "prometheus"
    options = [
        "--until",
        UNTIL.isoformat(),
        "--step",
        "3600",
        "--label",
        "job=flowfuse",
        "--every-event",
        "-o",
        str(text),
    ]
    ended = ff_observe("--home", home, "history", *options, directory=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    directory.mkdir()
    command = [prometheus.PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", "-q", "--max-block-duration=2160h"]
    subprocess.run([*command, text, directory / "data"], check=True, capture_output=True)
    with (
        prometheus.prometheus(directory, prometheus.scrape({})) as server,
        contextlib.closing(sqlite3.connect(home / "var" / "forge.db")) as database,
    ):

        def asked(query: str, at: datetime) -> float:
            parameters = urllib.parse.urlencode({"query": query, "time": at.timestamp()})
            with urllib.request.urlopen(f"{server.url}/api/v1/query?{parameters}", timeout=60) as response:
                (found,) = json.load(response)["data"]["result"]
            assert found["metric"]["job"] == "flowfuse"
            assert len(found["metric"]["platform_id"]) == 16
            return float(found["value"][1])

        def counted(table: str, at: datetime, where: str = "1") -> int:
            moment = f"{at:%Y-%m-%d %H:%M:%S}.000 +00:00"
            statement = f'SELECT count(*) FROM "{table}" WHERE "createdAt" <= ? AND {where}'
            (number,) = database.execute(statement, (moment,)).fetchone()
            assert isinstance(number, int)
            return number

        for days in (0, 3, 25, 200):
            at = UNTIL - timedelta(days=days)
            assert asked("flowfuse_users", at) == counted("Users", at)
            assert asked("flowfuse_instances", at) == counted("Projects", at)
        for days in (0, 3, 25):
            at = UNTIL - timedelta(days=days)
            failed = """"event" = 'account.login' AND "body" LIKE '{"error"%'"""
            assert asked('flowfuse_sign_ins_total{outcome="failure"}', at) == counted("AuditLogs", at, failed)
            assert asked('flowfuse_deployments_total{by="pipeline"}', at) == counted(
                "AuditLogs", at, "\"event\" = 'application.pipeline.stage-deployed'"
            )
            assert asked('flowfuse_audit_events_total{event="crashed",source="none"}', at) == counted(
                "AuditLogs", at, "\"event\" = 'crashed'"
            )


@pytest.mark.parametrize("name", ["v2.4.0-sqlite-dev", "v2.4.0-postgres-dev"])
def test_the_last_moment_is_what_a_recorded_platform_has(name: str, postgres: Cluster) -> None:
    case = case_named(name)
    assert case.stats is not None
    source: PostgreSQLSource | SQLiteSource = sqlite_source(case)
    if case.is_postgresql:
        source = postgresql_source(case, postgres)
    with contextlib.closing(source):
        at = datetime.fromisoformat(case.meta["stats_at"])
        span = Span(at, at + timedelta(minutes=1), timedelta(minutes=1))
        lines = [line for text in write(source, span, {}, lambda *_: None) for line in text.splitlines()]
    last = {line.split("{")[0]: float(line.split()[-2]) for line in lines if not line.startswith("#")}
    assert lines[-1] == "# EOF"
    stats = case.stats
    expected = (stats["userCount"], stats["teamCount"], stats["instanceCount"], stats["deviceCount"])
    assert tuple(last[each] for each in GROWING[:4]) == expected


def test_rows_from_after_the_calendar_are_not_of_the_past(postgres: Cluster) -> None:
    """PostgreSQL's calendar is longer than Python's."""
    database = postgres.load("after_the_calendar", case_named("v2.4.0-postgres-dev").home / "dump.sql")
    source = PostgreSQLSource(cluster_database(postgres, database))
    with contextlib.closing(source), postgres.connect(database) as connection:

        def history() -> list[str]:
            return list(write(source, Span(None, NOW + timedelta(days=1), timedelta(hours=6)), {}, lambda *_: None))

        before = history()
        for row in (
            """"ProjectSnapshots" (name, "updatedAt", "createdAt") VALUES ('late', now(), '12000-01-01')""",
            """"AuditLogs" (event, "createdAt") VALUES ('account.login', '12000-01-01')""",
        ):
            connection.execute(f"INSERT INTO {row}")
            assert history() == before
        assert any(line.startswith("flowfuse_snapshots{} ") for line in before)


def test_a_label_that_is_none_is_refused(home: Path) -> None:
    ended = ff_observe("--home", home, "history", "--label", "no label", directory=home)
    assert ended.returncode == 2
    assert ended.stderr == "ff-observe: 'no label' is not a label such as job=flowfuse\n"


@pytest.mark.parametrize(("name", "options"), [("outcome", []), ("source", ["--every-event"])])
def test_a_label_that_a_metric_has_itself_is_refused(
    home: Path, name: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A series would have it twice, which no Prometheus takes."""
    arguments = ["--home", str(home), "history", "--until", UNTIL.isoformat(), "--step", "86400"]
    assert main([*arguments, *options, "--label", f"{name}=x"]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert re.fullmatch(f"ff-observe: --label {name}: flowfuse_[a-z_]+ has this label itself; .*\n", written.err)


@pytest.mark.parametrize("until", [["--until", "2026-11-01T00:00:00+00:00"], []], ids=["said", "by default"])
def test_a_history_that_would_end_before_it_begins_is_refused(
    until: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "history.om"
    assert main(["history", "--since", "2126-11-02T00:00:00+00:00", *until, "-o", str(output)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ff-observe: --since 2126-11-02T00:00:00+00:00 is later than --until 20")
    assert not output.exists()


@pytest.mark.parametrize("step", ["0.5", "nan", "inf", "1e300"])
def test_a_step_that_is_no_time_between_samples_is_refused(step: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--step", step]) == 2
    assert "--step is a number of seconds, from 1 to 31622400" in capsys.readouterr().err
