"""Rules for every test: loopback only, no thread left behind, no warnings; and the real parts as fixtures."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import network_guard
from tests.real_parts import bugsink as bugsink_part
from tests.real_parts import postgresql

if TYPE_CHECKING:
    from playwright.sync_api import Browser

network_guard.install()


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Every thread a test (or the code under test) starts must have ended, or be on its way out, when it is over."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(2)
    names = [thread.name for thread in left if thread.is_alive()]
    assert not names, f"threads left running: {names}"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.Cluster]:
    """A private PostgreSQL server for the whole run."""
    if postgresql.BINARIES is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with postgresql.cluster(Path(tmp_path_factory.mktemp("postgresql")) / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Real Chromium that knows no host but this machine.

    For one module and no longer: while it runs, this thread has an event loop, and `asyncio.run` would refuse.
    """
    from tests.real_parts import browser as browser_part

    if browser_part.CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with browser_part.browser() as launched:
        yield launched


@pytest.fixture(scope="session")
def bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bugsink_part.Server]:
    """A server of Sentry's protocol for the whole run; each test makes a project of its own in it."""
    if not bugsink_part.installed():
        pytest.skip(bugsink_part.HOW_TO_INSTALL)
    with bugsink_part.server(Path(tmp_path_factory.mktemp("bugsink")) / "server") as server:
        yield server
