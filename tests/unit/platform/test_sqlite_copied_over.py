"""A backup copied over the SQLite file, again and again, by a real `cp` beside a process that reads without a pause."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network_guard import guarded_environment
from tests.pace import in_full
from tests.platforms import case_named, writable_copy

COPIES = in_full(25, 10)

READER = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from ff_observe.errors import SourceError
from ff_observe.platform.sources import sqlite_process
from ff_observe.platform.sources.sqlite_process import GuardedSQLiteSource

sqlite_process.LARGE_BYTES = int(sys.argv[2])
source = GuardedSQLiteSource(Path(sys.argv[1]))
print(source.read(datetime.now(UTC)).readings["flowfuse_devices"][()], flush=True)
enough = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), enough.set()), daemon=True).start()
while not enough.is_set():
    try:
        source.read(datetime.now(UTC))
    except SourceError:
        pass
while "flowfuse_devices" not in (readings := source.read(datetime.now(UTC)).readings):
    pass  # a table that could not be read in half a copy is asked again a little later
print(readings["flowfuse_devices"][()], flush=True)
source.close()
"""


@pytest.fixture(params=["delete", "wal"])
def writer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """A platform of some megabytes, and the connection of the FlowFuse that has it open."""
    path = writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = off")
        connection.execute(f"PRAGMA journal_mode = {request.param}")
        connection.execute(
            "INSERT INTO Devices (name, type, credentialSecret, createdAt, updatedAt)"
            " WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 50000)"
            " SELECT 'd', 't', hex(randomblob(60)), 1, 1 FROM s"
        )
        yield path, connection


@pytest.mark.parametrize("large_bytes", [0, 2**60], ids=["large", "small"])
def test_no_reading_is_ended_by_it(writer: tuple[Path, sqlite3.Connection], tmp_path: Path, large_bytes: int) -> None:
    path, connection = writer
    ((devices,),) = connection.execute("SELECT count(*) FROM Devices").fetchall()
    files = [path, *path.parent.glob(f"{path.name}-*")]  # with a write-ahead log, that and its index
    backup = tmp_path / "backup"
    backup.mkdir()
    for file in files:
        shutil.copy(file, backup)
    command = [sys.executable, "-c", READER, str(path), str(large_bytes)]
    with subprocess.Popen(
        command, env=guarded_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == f"{devices}\n"
        copied = 0
        while copied < COPIES:  # one that finds the log gone, which a reading has just removed, is no copy
            copied += subprocess.run(["cp", *(backup / file.name for file in files), path.parent]).returncode == 0
            assert reader.poll() is None
        reader.stdin.close()
        assert reader.stdout.readline() == f"{devices}\n"
    assert reader.returncode == 0
