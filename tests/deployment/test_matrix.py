"""What `make matrix` runs, held against what `pyproject.toml` promises and what is there to be run."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deployment import matrix
from tests.plain_machine import TOP

PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]


def test_the_classifiers_are_the_pythons_of_the_matrix() -> None:
    named = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    assert named == [row.python for row in matrix.ROWS if row.name.startswith("python-")] == list(matrix.PYTHONS)
    assert PROJECT["requires-python"] == f">={matrix.PYTHONS[0]}"


def test_the_tests_of_every_row_are_there() -> None:
    assert {test for row in matrix.ROWS for test in row.tests if not (TOP / test).exists()} == set()


def test_the_databases_are_those_that_are_documented() -> None:
    first, *_, last = matrix.POSTGRESQLS
    assert f"PostgreSQL {first} to {last}" in " ".join((TOP / "CONTRIBUTING.md").read_text().split())
    assert all(exact.startswith(f"{name}.") for name, exact in matrix.POSTGRESQLS.items())


def test_an_interpreter_is_of_the_version_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / f"python{here}").symlink_to(sys.executable)
    (tmp_path / "python3.99").symlink_to(sys.executable)
    assert matrix.interpreter(here) == tmp_path / f"python{here}"
    assert matrix.interpreter("3.99") is None


def test_a_python_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "interpreter", lambda python: None)
    with pytest.raises(matrix.LeftOutError, match=r"no Python 3\.12"):
        matrix.inside("3.12")


def test_what_fails_is_named_with_its_tests_and_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "COPY", tmp_path)
    output = "ERROR    of a log\nFAILED tests/x.py::test_y\n== 1 failed in 0.1s =="
    code = f"raise SystemExit({output!r})"  # printed, and the status is 1
    with pytest.raises(matrix.FailedError, match=r"^1 failed in 0\.1s\nFAILED tests/x\.py::test_y\nsee .*row\.log$"):
        matrix._run([sys.executable, "-c", code], tmp_path / "row.log")
