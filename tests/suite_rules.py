"""The rules every test lives by, as a pytest plugin: it stays on loopback, leaves no thread behind, and in CI
(`FF_OBSERVE_REQUIRE_ALL=1`) it is not skipped. Warnings, unraisable errors among them, are errors by pyproject.toml."""

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest

from tests import network_guard

network_guard.install()

GRACE_SECONDS = 20.0
"""How long threads that are on their way out may take, on a busy machine."""

REQUIRE_ALL = bool(os.environ.get("FF_OBSERVE_REQUIRE_ALL"))

# Deadlines measure the machine, not the code. CI repeats the same examples; `make nightly` looks for new ones.
_COMMON = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True)
hypothesis.settings.register_profile("local", parent=_COMMON)
hypothesis.settings.register_profile("all", parent=_COMMON, derandomize=True, database=None)
hypothesis.settings.register_profile("nightly", parent=_COMMON, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("all" if REQUIRE_ALL else "local"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is loaded and collected stays to the end: it is searched for garbage once, and no more."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()  # what is frozen is never finalised, and could not complain
        gc.freeze()


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Every thread a test (or the code under test) starts must have ended, or be on its way out, when it is over."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + GRACE_SECONDS
    while (
        left := [thread for thread in threading.enumerate() if thread not in before]
    ) and time.monotonic() < deadline:
        for thread in left:
            if thread.ident is None:  # another thread is about to start it: it cannot be joined yet
                threading.Event().wait(0.01)
            else:
                thread.join(max(0.0, deadline - time.monotonic()))
    assert not left, f"threads left running: {[thread.name for thread in left]}"


@pytest.fixture(autouse=True)
def logging_stays_as_it_was() -> Iterator[None]:
    """Commands under test set up the log of the process: what they left is taken away again."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: found.level for name, found in root.manager.loggerDict.items() if isinstance(found, logging.Logger)}
    yield
    if root.level != level:
        root.setLevel(level)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
    for name, found in list(root.manager.loggerDict.items()):
        if isinstance(found, logging.Logger) and found.level != (level := levels.get(name, logging.NOTSET)):
            found.setLevel(level)  # which empties the caches of all of them


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was to be skipped, and here nothing may be: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    """xdist's channel ends the whole run at half a surrogate pair, such as a failing example of Hypothesis may hold."""
    data = yield
    return None if data is None else _encodable(data)


def _encodable(data: Any) -> Any:
    match data:
        case str():
            return data.encode("utf-8", "backslashreplace").decode("utf-8")
        case dict():
            return {key: _encodable(value) for key, value in data.items()}
        case list() | tuple():
            return type(data)(_encodable(item) for item in data)
    return data


def pytest_sessionfinish() -> None:
    """In `make coverage`: a worker that is late, on a busy machine, is ended before it would save by itself."""
    if (coverage := sys.modules.get("coverage")) is not None and (measured := coverage.Coverage.current()) is not None:
        measured.save()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
