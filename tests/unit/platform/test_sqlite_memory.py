"""What an observed SQLite database takes in memory, where one process observes hundreds."""

import subprocess
import sys
from pathlib import Path

from tests.platforms import case_named, writable_copy

CASE = case_named("v2.4.0-sqlite-dev")
DATABASES = 60
MOST_BYTES = 256 * 1024
"""For each. 500 platforms are to take less than 300 MiB, beside which each has some 100 KiB elsewhere."""

GROWTH = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ff_observe.platform.sources.sqlite import SQLiteSource

def resident():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))

def read(path):
    source = SQLiteSource(path)
    source.read(datetime(2026, 11, 23, tzinfo=UTC))
    return source

paths = [Path(name) for name in sys.argv[1:]]
first = [read(path) for path in paths[:5]]
before = resident()
others = [read(path) for path in paths[5:]]
print((resident() - before) // len(others))
"""


def test_each_of_many_databases_takes_little_memory(tmp_path: Path) -> None:
    paths = [writable_copy(CASE, tmp_path / str(number)) for number in range(DATABASES)]
    command = [sys.executable, "-c", GROWTH, *map(str, paths)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.stderr == ""
    assert int(ended.stdout) < MOST_BYTES
