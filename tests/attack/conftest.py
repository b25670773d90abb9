"""The stores that are attacked: embedded SQLite files and databases of a real PostgreSQL."""

from pathlib import Path

import pytest

from tests.attack.fleet_attacks import MakeWorld
from tests.attack.world import postgresql_worlds, sqlite_worlds
from tests.real_parts import postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> MakeWorld:
    """Each call makes a world with an empty store."""
    if request.param == "sqlite":
        return sqlite_worlds(tmp_path)
    cluster: postgresql.Cluster = request.getfixturevalue("postgres")
    return postgresql_worlds(cluster)
