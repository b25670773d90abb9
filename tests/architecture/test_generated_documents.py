"""The derived documents are committed, up to date, and complete."""

import ast
import re
from pathlib import Path

import pytest

from ff_observe.catalogue import METRICS, PLATFORM, SELF
from ff_observe.config.declaration import PLATFORM_KEYS, TELEMETRY_KEYS
from ff_observe.generate import __main__ as command
from ff_observe.generate import documents
from ff_observe.generate.configuration_reference import ENVIRONMENT_VARIABLES

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_documents_are_up_to_date() -> None:
    assert documents.outdated(ROOT) == [], "run: make generate"


def test_every_metric_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    by_name = {re.split("[{`]", row[0])[1]: row for row in rows}
    for metric in METRICS:
        assert metric.name in by_name, f"{metric.name} is not in docs/metrics.md; run: make generate"
        row = by_name[metric.name]
        assert row[1] == metric.title
        assert row[4].startswith(metric.help)
        assert [cell.removesuffix(" |") for cell in row[5:7]] == [metric.sensitivity.value, metric.since]


def test_privacy_says_once_what_each_metric_of_platform_and_bridge_discloses() -> None:
    text = (ROOT / "PRIVACY.md").read_text()
    assert "of the platform, and of the bridge and its process, discloses" in " ".join(text.split())
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[-1] for line in text.splitlines() if "{" in line}
    listed = [(name, kind) for kind, cell in rows.items() for name in re.findall(r"`([a-z_]+)[{`]", cell)]
    assert sorted(listed) == sorted((metric.name, metric.sensitivity.value) for metric in (*PLATFORM, *SELF))


def test_every_key_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for key in (*TELEMETRY_KEYS, *PLATFORM_KEYS):
        assert f"| `{key.path}` " in text


def test_every_environment_variable_that_is_read_is_in_the_reference() -> None:
    tree = ast.parse((ROOT / "ff_observe" / "config" / "environment.py").read_text())
    read = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and not str(node.args[0].value).startswith("OTEL_")
    }
    assert read
    assert read <= {name for names, _ in ENVIRONMENT_VARIABLES for name in names.split(", ")}


def test_check_names_what_is_outdated_and_writes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert command.main([], tmp_path) == 0
    stale = tmp_path / "docs" / "metrics.md"
    stale.write_text("something else")
    assert command.main(["--check"], tmp_path) == 1
    assert "docs/metrics.md is outdated; run: make generate" in caplog.messages
    assert stale.read_text() == "something else"
    assert command.main([], tmp_path) == 0
    assert command.main(["--check"], tmp_path) == 0


def test_only_what_is_outdated_is_written(tmp_path: Path) -> None:
    assert documents.write(tmp_path) == [*documents.DOCUMENTS, *documents.SECTIONS]
    (tmp_path / "docs" / "metrics.md").unlink()
    assert documents.write(tmp_path) == ["docs/metrics.md"]
    assert documents.write(tmp_path) == []


def test_what_people_wrote_around_a_derived_section_stays(tmp_path: Path) -> None:
    documents.write(tmp_path)
    privacy = tmp_path / "PRIVACY.md"
    privacy.write_text(f"before\n\n{privacy.read_text()}\nafter\n")
    assert documents.outdated(tmp_path) == []
    privacy.write_text(privacy.read_text().replace("Core ping", "Coal ping"))
    assert documents.write(tmp_path) == ["PRIVACY.md"]
    text = privacy.read_text()
    assert text.startswith("before\n\n<!-- Made by")
    assert text.endswith("<!-- End of the table. -->\n\nafter\n")
    assert "Coal" not in text
