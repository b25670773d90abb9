"""A SQLite file that is cut off in place, as by a backup being copied over it, while it is being read now and then."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.network_guard import guarded_environment
from tests.platforms import case_named, writable_copy

PROGRAM = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from ff_observe.errors import SourceError
from ff_observe.platform.sources.sqlite import SQLiteSource

path, length = Path(sys.argv[1]), int(sys.argv[2])
whole = path.read_bytes()
source = SQLiteSource(path)
before = source.read(datetime.now(UTC)).readings["flowfuse_users"]
os.truncate(path, length)
for _ in range(2):
    try:
        source.read(datetime.now(UTC))
    except SourceError as error:
        print(error)
path.write_bytes(whole)
assert source.read(datetime.now(UTC)).readings["flowfuse_users"] == before
source.close()
"""
INDEX_CUT_OFF = """
import contextlib, os, sys
from datetime import UTC, datetime
from pathlib import Path
from ff_observe.errors import SourceError
from ff_observe.platform.sources.sqlite import SQLiteSource

path = Path(sys.argv[1])
source = SQLiteSource(path)
source.read(datetime.now(UTC))
index = path.with_name("forge.db-shm")
os.truncate(index, 0)
for _ in range(2):
    with contextlib.suppress(SourceError):
        source.read(datetime.now(UTC))
source.close()
print("alive")
"""
# A process of its own: touching mapped memory beyond the end of its file would end this one.


@pytest.mark.parametrize(
    ("length", "says"), [(0, "none of FlowFuse's tables"), (100, "cannot be read"), (65536, "cannot be read")]
)
def test_it_is_an_error_until_it_is_whole_again(tmp_path: Path, length: int, says: str) -> None:
    path = writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)
    command = [sys.executable, "-c", PROGRAM, str(path), str(length)]
    ended = subprocess.run(command, env=guarded_environment(), capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [says in line for line in ended.stdout.splitlines()] == [True, True]


def test_the_index_of_a_log_that_was_cut_off_is_not_used_any_more(tmp_path: Path) -> None:
    path = writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)
    command = [sys.executable, "-c", INDEX_CUT_OFF, str(path)]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as flowfuse:
        flowfuse.execute("PRAGMA journal_mode = wal")
        flowfuse.execute("UPDATE Users SET admin = admin")
        ended = subprocess.run(command, env=guarded_environment(), capture_output=True, text=True, timeout=30)
        index = path.with_name("forge.db-shm")
        os.truncate(index, 32768)  # or closing this connection, which has it mapped too, would end the test
    assert (ended.returncode, ended.stdout) == (0, "alive\n")
