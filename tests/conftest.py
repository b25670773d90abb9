"""Rules for every test: loopback only, no thread left behind, no warnings; and the real parts as fixtures."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import network_guard
from tests.real_parts import postgresql

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


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may enter. (pytest makes the way to its own private again whenever a run starts.)"""
    with tempfile.TemporaryDirectory(prefix="ff-observe-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgresql.Cluster]:
    """A private PostgreSQL server for the whole run."""
    if postgresql.BINARIES is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with (
        tempfile.TemporaryDirectory(prefix="ff-observe-postgresql-") as name,
        postgresql.cluster(Path(name) / "cluster") as cluster,
    ):
        yield cluster
