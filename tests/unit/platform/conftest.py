"""What several tests of the sources read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.platform.sources.sqlite import SQLiteSource
from tests.platforms import case_named, writable_copy
from tests.unit.platform.asked import Database, opened
from tests.unit.platform.scripted_server import Scripted, scripted_server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The SQLite file of a recorded platform."""
    return writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path / "var")


@pytest.fixture
def source(path: Path) -> Iterator[SQLiteSource]:
    """It, as the bridge reads it."""
    opened = SQLiteSource(path)
    yield opened
    opened.close()


@pytest.fixture
def database() -> Iterator[Database]:
    """A small platform in memory that does what a test says."""
    with opened() as database:
        yield database


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """What speaks PostgreSQL's protocol, and answers as a test says."""
    with scripted_server() as made:
        yield made
