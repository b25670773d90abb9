"""What `make test` says and does about the real programs that the tests run against."""

import os
import subprocess

import pytest

from tests.real_parts import install
from tests.real_parts.install import Package

PYTHON = Package("python3", "python3", "everything")
SHELL = Package("dash", "/bin/s?", "the shell")
UNKNOWN = Package("no-such-package", "no-such-program-anywhere", "the impossible")


@pytest.fixture(autouse=True)
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("FF_OBSERVE_REQUIRE_ALL", raising=False)


def test_a_part_is_there_if_its_program_or_its_file_is() -> None:
    assert install.missing([PYTHON, SHELL, UNKNOWN]) == [UNKNOWN]


def test_nothing_is_said_where_all_is_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert install.main([PYTHON, SHELL], []) == 0
    assert capfd.readouterr() == ("", "")


def test_what_is_left_out_is_named_with_the_way_to_get_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert install.main([PYTHON, UNKNOWN], ["no_such_module"]) == 0
    said = capfd.readouterr().err
    assert "no-such-package: the impossible" in said
    assert "apt-get install --no-install-recommends no-such-package\n" in said
    assert "python -m tests.real_parts.no_such_module" in said


def test_something_left_out_is_a_failure_where_all_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FF_OBSERVE_REQUIRE_ALL", "1")
    assert install.main([PYTHON, UNKNOWN], []) == 1
    assert install.main([PYTHON], []) == 0


def test_an_ordinary_user_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not install.may_install()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a program was started"))
    install.main([UNKNOWN], [])
