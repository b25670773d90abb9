"""The real parts as fixtures. The rules for every test are in `suite_rules.py`."""

import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pace import in_full
from tests.real_parts import bugsink as bugsink_part
from tests.real_parts import flowfuse, postgresql, processes

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["tests.suite_rules"]


def pytest_configure() -> None:
    """What tests end by a signal must notice it: `nohup` and a shell's background have programs ignore two of them."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """FlowFuse takes minutes to compile: what uses it is run where it is installed, and by `make nightly`."""
    is_left_out = flowfuse.program() is None and not in_full(nightly=1, else_=0)
    return True if is_left_out and collection_path.name == "test_flowfuse_audit.py" else None


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may enter."""
    with processes.open_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def open_module_directory() -> Iterator[Path]:
    """One for all tests of a module."""
    with processes.open_directory() as directory:
        yield directory


@pytest.fixture(autouse=True)
def _time_for_every_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """One reading asks everything that is due, however busy the machine is."""
    monkeypatch.setattr("ff_observe.platform.sources.intervals.BUDGET_SECONDS", math.inf)
    monkeypatch.setattr("ff_observe.platform.sources.intervals.STATEMENT_SECONDS", 60.0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgresql.Cluster]:
    """A private PostgreSQL server for the whole run."""
    quick = processes.open_directory(within=postgresql.memory())
    with quick as directory, postgresql.cluster(directory / "cluster", "max_wal_size = 128MB\n") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Real Chromium that knows no host but this machine.

    For one module and no longer: while it runs, this thread has an event loop, and `asyncio.run` would refuse.
    """
    from tests.real_parts import browser as browser_part

    with browser_part.browser() as launched:
        yield launched


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that looks for faults of accessibility."""
    from tests.real_parts import browser as browser_part

    libraries = browser_part.libraries()
    if libraries is None:
        pytest.skip("needs the libraries of npm: python -m tests.real_parts.browser")
    return (libraries / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="session")
def bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bugsink_part.Server]:
    """A server of Sentry's protocol for the whole run; each test makes a project of its own in it."""
    if not bugsink_part.installed():
        pytest.skip(bugsink_part.HOW_TO_INSTALL)
    with bugsink_part.server(Path(tmp_path_factory.mktemp("bugsink")) / "server") as server:
        yield server
