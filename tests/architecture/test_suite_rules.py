"""The rules of the test suite hold: each of these small tests, run by a pytest of its own, breaks one and fails."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import network_guard

RULE_BREAKERS = """
import pytest, socket, threading, warnings
from tests import suite_rules

suite_rules.GRACE_SECONDS = 1.0

def test_good():
    pass

def test_skipped():
    pytest.skip("no such part here")

@pytest.mark.xfail(reason="known")
def test_known_failure():
    assert False

def test_leaves_a_thread():
    forever = threading.Event()
    threading.Thread(target=forever.wait, args=(2.3,), name="left-over").start()

def test_thread_fails():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()

def test_unraisable():
    class Careless:
        def __del__(self):
            raise ValueError("in a finaliser")
    Careless()

def test_warning():
    warnings.warn("mind this")

def test_leaves_a_socket_open():
    socket.socket()

def test_outside():
    try:
        socket.create_connection(("192.0.2.1", 9), 1)
    except Exception:
        pass
"""


def _run(directory: Path, require_all: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The tests of `directory`, under the rules; without schemathesis, which takes a second to load."""
    rules = ["-p", "tests.suite_rules", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-o", "filterwarnings=error"]
    command = [sys.executable, "-m", "pytest", *rules, f"--rootdir={directory}", *options]
    environment = network_guard.guarded_environment(FF_OBSERVE_REQUIRE_ALL=require_all)
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120)


@cache
def _outcomes(directory: Path, require_all: str, only: str = "test") -> dict[str, str]:
    (directory / "test_rules.py").write_text(RULE_BREAKERS)
    _run(directory, require_all, "-o", "xfail_strict=true", "--junitxml=report.xml", "-k", only, "test_rules.py")
    cases = ElementTree.parse(directory / "report.xml").iter("testcase")
    return {case.attrib["name"]: next((child.tag for child in case), "passed") for case in cases}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Outcome of each of the tests above where skipping is allowed."""
    return _outcomes(tmp_path_factory.mktemp("rules"), "")


@pytest.mark.parametrize(
    "breaker",
    ["leaves_a_thread", "thread_fails", "unraisable", "warning", "leaves_a_socket_open", "outside"],
)
def test_a_test_that_breaks_a_rule_fails(outcomes: dict[str, str], breaker: str) -> None:
    assert outcomes[f"test_{breaker}"] in ("failure", "error")


def test_a_good_test_passes(outcomes: dict[str, str]) -> None:
    assert outcomes["test_good"] == "passed"


def test_a_missing_part_skips_its_tests(outcomes: dict[str, str]) -> None:
    assert outcomes["test_skipped"] == "skipped"


def test_a_skipped_test_fails_where_nothing_may_be_skipped(tmp_path: Path) -> None:
    strict = _outcomes(tmp_path, "1", "good or skipped or known")
    assert strict["test_skipped"] == "failure"
    assert strict["test_known_failure"] == "skipped"  # as JUnit calls an expected failure
    assert strict["test_good"] == "passed"


def test_a_skipped_module_fails_where_nothing_may_be_skipped(tmp_path: Path) -> None:
    module = 'import pytest\npytest.skip("not here", allow_module_level=True)\n'
    (tmp_path / "test_module.py").write_text(module)
    ended = _run(tmp_path, "1", "test_module.py")
    assert re.search("was to be skipped, and here nothing may be:.*not here", ended.stdout)
    assert ended.returncode == 2  # interrupted: errors during collection


def test_a_module_that_leaves_a_socket_open_as_it_is_loaded_fails(tmp_path: Path) -> None:
    module = "import socket\nleft = [socket.socket()]\nleft.append(left)\ndel left\n\ndef test_good():\n    pass\n"
    (tmp_path / "test_module.py").write_text(module)
    ended = _run(tmp_path, "", "test_module.py")
    assert "unclosed <socket" in ended.stdout + ended.stderr
    assert ended.returncode == 1


def test_half_a_surrogate_pair_in_a_failure_ends_no_run_of_several_workers(tmp_path: Path) -> None:
    (tmp_path / "test_module.py").write_text(
        'def test_half():\n    assert "\\ud800" == ""\n\ndef test_after():\n    assert not "reached"\n'
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.suite_rules", "-p", "no:cacheprovider"]
    environment = network_guard.guarded_environment(FF_OBSERVE_REQUIRE_ALL="")
    ended = subprocess.run(
        [*command, "--numprocesses=1", str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, timeout=120
    )
    assert ended.stdout.count(b"FAILED test_module.py::test_") == 2
