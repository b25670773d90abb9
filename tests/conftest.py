"""The real parts as fixtures. The rules for every test are in `suite_rules.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_parts import bugsink as bugsink_part
from tests.real_parts import postgresql

pytest_plugins = ["tests.suite_rules"]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.Cluster]:
    """A private PostgreSQL server for the whole run."""
    if postgresql.BINARIES is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with postgresql.cluster(Path(tmp_path_factory.mktemp("postgresql")) / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bugsink_part.Server]:
    """A server of Sentry's protocol for the whole run; each test makes a project of its own in it."""
    if not bugsink_part.installed():
        pytest.skip(bugsink_part.HOW_TO_INSTALL)
    with bugsink_part.server(Path(tmp_path_factory.mktemp("bugsink")) / "server") as server:
        yield server
