"""What `make plain-machine` demands of a run of `make test`, and what its short form does not do twice."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.plain_machine import PLACE, SHORT, TOP, FailedError, keep_installed, summary, take_installed

PASSED = "===== 12 passed in 3.21s ====="
SKIPPED = "===== 11 passed, 1 skipped in 3.21s ====="
LEFT_OUT = "Left out here:\n  prometheus: apt-get install prometheus\n"


@pytest.mark.parametrize(("text", "uid"), [(PASSED, 0), (LEFT_OUT + SKIPPED, 1000)])
def test_a_run_of_all_that_the_user_can_have_is_accepted(text: str, uid: int) -> None:
    assert summary(text, uid) in text


@pytest.mark.parametrize("text", [SKIPPED, LEFT_OUT + PASSED, "no tests ran in 0.1s"])
def test_root_skips_and_leaves_out_nothing(text: str) -> None:
    with pytest.raises(FailedError, match=r"^make test"):
        summary(text, 0)


def test_an_ordinary_user_reads_what_is_left_out() -> None:
    with pytest.raises(FailedError, match="did not name"):
        summary(SKIPPED, 1000)


def test_the_tests_of_the_short_form_are_there() -> None:
    assert [name for name in SHORT if not (TOP / name.partition("::")[0]).exists()] == []


def test_what_one_machine_installed_the_next_need_not_install(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        (root / PLACE / ".venv" / "bin").mkdir(parents=True)
        (root / PLACE / ".venv" / "bin" / "python").touch()
    for name in ("run.stamp", "test.stamp"):
        (first / PLACE / ".venv" / name).touch()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):  # younger than what is installed
        shutil.copyfile(TOP / name, second / PLACE / name)
    command = ["make", "--dry-run", "test"]
    assert "pip" in subprocess.check_output(command, cwd=second / PLACE, text=True)
    keep_installed(first, tmp_path / "installed")
    take_installed(tmp_path / "installed", second, os.geteuid())
    assert "pip" not in subprocess.check_output(command, cwd=second / PLACE, text=True)
