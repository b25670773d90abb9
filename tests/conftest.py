"""The real parts as fixtures. The rules for every test are in `suite_rules.py`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_parts import bugsink as bugsink_part
from tests.real_parts import postgresql

pytest_plugins = ["tests.suite_rules"]


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


@pytest.fixture(scope="session")
def bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bugsink_part.Server]:
    """A server of Sentry's protocol for the whole run; each test makes a project of its own in it."""
    if not bugsink_part.installed():
        pytest.skip(bugsink_part.HOW_TO_INSTALL)
    with bugsink_part.server(Path(tmp_path_factory.mktemp("bugsink")) / "server") as server:
        yield server
