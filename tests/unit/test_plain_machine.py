"""What `make plain-machine` demands of a run of `make test`, what its short form does not do twice, and what
`make newcomer` counts."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployment.newcomer import Moment
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
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):  # younger than what is installed
        shutil.copyfile(TOP / name, second / PLACE / name)
    command = ["make", "--dry-run", "test"]
    assert "pip" in subprocess.check_output(command, cwd=second / PLACE, text=True)
    keep_installed(first, tmp_path / "installed")
    take_installed(tmp_path / "installed", second, os.geteuid())
    assert "pip" not in subprocess.check_output(command, cwd=second / PLACE, text=True)


def test_a_newcomers_time_is_that_of_the_clock_but_for_what_others_took() -> None:
    began = Moment(clock=100.0, machine=5000.0, ours=3.0)
    alone, disturbed = Moment(160.0, 5025.0, 28.0), Moment(340.0, 5480.0, 28.0)
    assert alone.counted_since(began, 2) == 60.0
    assert disturbed.counted_since(began, 2) == 240.0 - (480.0 - 25.0) / 2
    assert Moment(500.0, 5000.0, 28.0).counted_since(began, 2) == 400.0  # no counters: nothing is taken off
    now = Moment.now()
    assert now.machine > now.ours >= 0
