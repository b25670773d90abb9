"""`ff-observe fleet` over a store of some weeks, in each of its formats."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.collector.store.sqlite import open_sqlite
from tests.fakes import FakeClock
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import ping

TODAY = datetime(2026, 11, 23, tzinfo=UTC)
DAYS = 20


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ff_observe.cli.fleet.SystemClock", lambda: FakeClock(TODAY + timedelta(hours=12)))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three platforms that ping at noon; one of them has upgraded ten days ago, another fell silent five days ago."""
    directory = tmp_path_factory.mktemp("collector")
    store = open_sqlite(directory / "pings" / "pings.sqlite3", timedelta(hours=1), "collector")
    with BlockingWriter(store) as writer:
        for ago in range(DAYS, 0, -1):
            at = TODAY - timedelta(days=ago) + timedelta(hours=12)
            new = "2.33.2" if ago <= 10 else "2.32.0"
            pings = [
                ping("a", at, env__flowforge=new, platform__counts__users=30),
                ping("b", at, env__flowforge="2.32.0"),
            ]
            writer.write(pings + [ping("c", at, env__flowforge="2.32.0")] * (ago > 5))
    while store.fold(TODAY, 100).oldest_due is not None:
        pass
    return directory


def asked(capsys: pytest.CaptureFixture[str], data_dir: Path, *arguments: str) -> str:
    assert main(["fleet", *arguments, "--data-dir", str(data_dir)]) == 0
    return capsys.readouterr().out


def test_every_question_has_the_same_answer_as_text_json_and_csv(
    capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    for question in (
        ["adoption"],
        ["adoption", "--of", "nodejs"],
        ["upgrades"],
        ["cohorts"],
        ["crosstab", "flowforge", "driver"],
        ["histogram", "users"],
        ["silent"],
        ["missing-days"],
        ["quality"],
    ):
        rows = json.loads(asked(capsys, data_dir, *question, "--format", "json"))
        table = list(csv.DictReader(io.StringIO(asked(capsys, data_dir, *question, "--format", "csv"))))
        assert [{key: str(value) for key, value in row.items()} for row in rows] == table, question
        assert bool(rows) == (question not in (["missing-days"], ["quality"])), question
        text = asked(capsys, data_dir, *question)
        assert "\x1b" not in text
        assert all(str(value) in text for row in rows[-1:] for key, value in row.items() if key == "value")


def test_an_answer_as_a_page_has_the_whole_table(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    for question in (["adoption", "--of", "nodejs"], ["crosstab", "flowforge", "driver"], ["silent"], ["missing-days"]):
        rows = json.loads(asked(capsys, data_dir, *question, "--format", "json"))
        page = asked(capsys, data_dir, *question, "--format", "html")
        heading = " ".join(word for word in question if word != "--of")
        assert f"<h1>{heading}</h1>" in page
        assert page.count("<tr>") == 1 + len(rows)
        cells = re.findall('<td(?: class="number")?>(.*?)</td>', page)
        assert cells == [str(value) for row in rows for value in row.values()]
        assert ('class="chart"' in page) == (question[0] in ("adoption", "silent"))


@pytest.mark.parametrize("form", ["text", "json", "csv", "html"])
def test_an_answer_is_written_into_a_file(
    capsys: pytest.CaptureFixture[str], data_dir: Path, tmp_path: Path, form: str
) -> None:
    printed = asked(capsys, data_dir, "adoption", "--format", form)
    assert asked(capsys, data_dir, "adoption", "--format", form, "-o", f"{tmp_path / 'answer'}") == ""
    assert (tmp_path / "answer").read_text(encoding="utf-8") == printed


def test_answers_are_of_whole_days_up_to_yesterday(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    yesterday = (TODAY - timedelta(days=1)).date().isoformat()
    assert json.loads(asked(capsys, data_dir, "crosstab", "env.flowforge", "license.type", "--format", "json")) == [
        {"env.flowforge": "2.32.0", "platform.license.type": "CE", "platforms": 1},
        {"env.flowforge": "2.33.2", "platform.license.type": "CE", "platforms": 1},
    ]
    assert json.loads(asked(capsys, data_dir, "histogram", "users", "--format", "json")) == [
        {"day": yesterday, "from": 5, "to": 9, "platforms": 1, "sum": 9},
        {"day": yesterday, "from": 20, "to": 49, "platforms": 1, "sum": 30},
    ]
    since = (TODAY - timedelta(days=2)).date().isoformat()
    silent = json.loads(asked(capsys, data_dir, "silent", "--since", since, "--format", "json"))
    assert [row["day"] for row in silent] == [since, yesterday]
    assert [silent[-1][key] for key in ("seen", "seen in 7 days", "seen in 30 days", "silent")] == [2, 3, 3, 1]
    (upgrade,) = json.loads(asked(capsys, data_dir, "upgrades", "--format", "json"))
    assert upgrade == {"from": "2.32.0", "to": "2.33.2", "platforms": 1}


def test_a_question_of_one_day_takes_no_other(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    arguments = ["fleet", "crosstab", "flowforge", "driver", "--since", "2026-11-01", "--data-dir", str(data_dir)]
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "unrecognized option --since" in capsys.readouterr().err


@pytest.mark.parametrize("question", ["silent", "quality", "missing-days"])
def test_the_first_day_may_be_any_of_the_calendar(
    capsys: pytest.CaptureFixture[str], data_dir: Path, question: str
) -> None:
    """Also one whose days before, which the answer needs, are none."""
    everything = asked(capsys, data_dir, question, "--format", "json", "--since", "0001-01-01")
    assert everything == asked(capsys, data_dir, question, "--format", "json")


def test_a_curve_shows_each_version_over_the_days(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    _, *lines = asked(capsys, data_dir, "adoption").splitlines()
    assert [line.split()[0] for line in lines] == ["2.32.0", "2.33.2"]
    assert lines[0].split()[1] == "█" * 10 + "▆" * 5 + "▃" * 5
    assert lines[1].split()[1] == "▃" * 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["adoption", "--of", "type"],
            "'type' stands for more than one field; write one of os.type, platform.license.type",
        ),
        (["histogram", "driver"], "'driver' is no field that this question knows; write one of platform.counts.users,"),
    ],
)
def test_a_wrong_question_is_answered_with_what_to_write(
    capsys: pytest.CaptureFixture[str], data_dir: Path, arguments: list[str], message: str
) -> None:
    assert main(["fleet", *arguments, "--data-dir", str(data_dir)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["version", "window", "change"])
def test_a_label_of_the_history_that_a_metric_has_itself_is_refused(
    capsys: pytest.CaptureFixture[str], data_dir: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "history.om"
    arguments = ["--label", "job=x", "--label", f"{name}=x", "--output", str(output), "--data-dir", str(data_dir)]
    assert main(["fleet", "history", *arguments]) == 2
    assert f"--label {name}: flowfuse_fleet_" in capsys.readouterr().err
    assert not output.exists()


def test_without_a_store_or_roll_ups_it_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["fleet", "silent", "--data-dir", str(tmp_path)]) == 1
    assert "there is no" in capsys.readouterr().err
    open_sqlite(tmp_path / "pings" / "pings.sqlite3", timedelta(hours=1), "collector").fold(TODAY, 1)
    yesterday = (TODAY - timedelta(days=1)).date().isoformat()
    for question, since in (
        *((["silent"], "from "), (["crosstab", "flowforge", "driver"], f"from {yesterday}")),
        *((["quality"], "from "), (["missing-days"], "from "), (["history"], "until ")),
    ):
        assert main(["fleet", *question, "--data-dir", str(tmp_path)]) == 1
        written = capsys.readouterr()
        assert written.out == ""  # no table without a row
        assert f"nothing to show {since}" in written.err
        assert f" {yesterday}: a day is shown when it is over (UTC)" in written.err
