"""The workflow that publishes: valid, without findings of zizmor, every action by its commit, no stored secret."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plain_machine import TOP

WORKFLOW = TOP / ".github" / "workflows" / "release.yml"


def audited(workflow: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("zizmor")
    command: list[str | Path] = [program, "--offline", "--no-config", "--no-progress", "--color=never", workflow]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_is_a_workflow_by_githubs_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_zizmor_finds_nothing() -> None:
    ended = audited(WORKFLOW)
    assert ended.returncode == 0, ended.stdout
    assert "No findings to report" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("written", "instead", "finding"),
    [
        (r"checkout@\w{40} # v5.0.0", "checkout@v5", "unpinned-uses"),
        (r"        with:\n          persist-credentials: false\n", "", "artipacked"),
        (r"\$GITHUB_REF_NAME", "${{ github.ref_name }}", "template-injection"),
        (r"permissions:\n      contents: read", "permissions: write-all", "excessive-permissions"),
    ],
)
def test_zizmor_would_find_what_weakens_it(tmp_path: Path, written: str, instead: str, finding: str) -> None:
    changed = re.sub(written, instead, WORKFLOW.read_text(), flags=re.MULTILINE)
    assert changed != WORKFLOW.read_text()
    weakened = tmp_path / ".github" / "workflows" / "release.yml"
    weakened.parent.mkdir(parents=True)
    weakened.write_text(changed)
    ended = audited(weakened)
    assert ended.returncode != 0
    assert finding in ended.stdout


def test_it_publishes_by_its_identity_what_make_dist_built() -> None:
    text = WORKFLOW.read_text()
    assert "secrets." not in text
    assert "password" not in text
    assert re.findall(r"run: (make .*)", text) == ["make dist"]
