"""The benchmark of the collector: what fails in it is shown beside what was measured."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import collector, ratios
from benchmarks.collector import Result
from tests.real_parts import postgresql

WRK = """\
#!{python}
print("Running 5s test")
print("RESULT 812.500000 0.301000 2.003100 17")
"""


@pytest.fixture
def failing_wrk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """wrk as it reports requests that took longer than it waits."""
    program = tmp_path / "wrk"
    program.write_text(WRK.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("failing_wrk")
def test_time_outs_are_counted_and_throw_nothing_away() -> None:
    assert collector.load(1, 64, 5, "run") == Result(812.5, 2003.1, 17)


def test_failed_requests_stand_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    collector.row("PostgreSQL, naive", 64, [Result(100, 50, 3), Result(300, 70), Result(200, 60, 4)])
    assert capsys.readouterr().out.split() == ["PostgreSQL,", "naive", "64", "200", "60.0", "7"]


def test_the_processor_time_of_a_ping_stands_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    results = [Result(1, processor=(1.0, 20.0, 4.0)), Result(1, processor=(3.0, 10.0, 6.0))]
    collector.row("PostgreSQL, collector", 64, results)
    assert capsys.readouterr().out.split()[-3:] == ["2.0", "15.0", "5.0"]


def test_the_processor_time_of_the_program_that_asks_is_its_own() -> None:
    burn = "import time; print(next(t for t in iter(time.process_time, None) if t > 0.3))"

    def ask() -> Result:
        subprocess.run([sys.executable, "-c", burn], check=True, capture_output=True)
        return Result(per_second=100_000)  # in 2 s: 0.2 s are a microsecond for each

    server, database, sender = collector.using(ask, 2, os.getpid(), None).processor
    assert sender >= 1
    assert server - sender > -1e-6  # this process and its children, as a difference of sums
    assert math.isnan(database)


def test_every_contender_is_compared_with_the_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: dict[str, dict[str, object]] = {}
    monkeypatch.setattr(ratios, "_noted", noted)
    found = {"collector": [Result(300)], "a commit each": [Result(100)], "pgbench": [Result(200)]}
    collector.compare("SQLite", 16, found)
    assert "x a commit each: 3.00   x pgbench: 1.50" in capsys.readouterr().out
    assert {name: kept["ratio"] for name, kept in noted.items()} == {
        "collector.sqlite.16_connections.times_a_commit_each": 3.0,
        "collector.sqlite.16_connections.times_pgbench": 1.5,
    }


def test_a_round_in_which_a_contender_got_nothing_done_is_left_out_of_the_ratio() -> None:
    assert collector.ratio([Result(100), Result(100)], [Result(0, failed=9), Result(50)]) == 2


@pytest.mark.usefixtures("failing_wrk")
def test_a_failed_request_of_the_collector_fails_the_benchmark_after_its_last_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgresql, "BINARIES", tmp_path)
    monkeypatch.setattr(collector, "on_postgresql", lambda *_: 0)
    monkeypatch.setattr(collector, "on_sqlite", lambda *_: 2)
    with pytest.raises(SystemExit, match="2 requests of the collector failed"):
        collector.main([])
