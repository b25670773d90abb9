"""Databases that somebody broke or made to harm who reads them: as real files and in real PostgreSQL."""

import contextlib
import json
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from ff_observe.config.settings import PostgreSQLDatabase
from tests.network_guard import guarded_environment

ENDLESS = "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT 1 FROM s) SELECT count(*) FROM s"
"""A statement that ends in no lifetime."""


def make_endless(path: Path, table: str) -> None:
    """Give a table of a SQLite file more rows than can be counted in a lifetime, in three pages more.

    Its b-tree becomes one whose inner pages name the same child over and over (sqlite.org/fileformat2.html, 1.6).
    """
    with contextlib.closing(sqlite3.connect(path)) as connection:
        ((page_size,),) = connection.execute("PRAGMA page_size").fetchall()
        ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
        statement = "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?"
        ((root,),) = connection.execute(statement, (table,)).fetchall()
        connection.execute("PRAGMA journal_mode = delete")
    content = bytearray(path.read_bytes())
    leaf = content[(root - 1) * page_size : root * page_size]
    assert leaf[0] == 0x0D, "a table of one page"
    children = [pages + 1, pages + 2, pages + 3]
    content[(root - 1) * page_size : root * page_size] = _inner_page(children[0], page_size)
    content += _inner_page(children[1], page_size) + _inner_page(children[2], page_size) + leaf
    struct.pack_into(">I", content, 28, len(content) // page_size)
    path.write_bytes(content)


def _inner_page(child: int, page_size: int) -> bytes:
    cell = struct.pack(">I", child) + b"\x01"
    number = (page_size - 12) // (len(cell) + 2) - 2
    start = page_size - number * len(cell)
    header = struct.pack(">BHHHBI", 5, 0, number, start, 0, child)
    pointers = b"".join(struct.pack(">H", start + place * len(cell)) for place in range(number))
    return (header + pointers).ljust(start, b"\0") + cell * number


def compute_team_type_names(connection: "psycopg.Connection[Any]", body: str) -> None:
    """Have the names of team types in PostgreSQL made by `body` (PL/pgSQL) whenever they are read as text."""
    for statement in (
        "CREATE TYPE computed AS (v text)",
        f"CREATE FUNCTION compute(computed) RETURNS text LANGUAGE plpgsql AS $$ BEGIN {body}; END $$",
        "CREATE CAST (computed AS text) WITH FUNCTION compute(computed)",
        'ALTER TABLE "TeamTypes" ALTER name TYPE computed USING ROW(name)::computed',
    ):
        connection.execute(statement.encode())


_READ = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))  # the machine outlives a reading that fails this test
from datetime import UTC, datetime
from pathlib import Path
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.errors import SourceError
from ff_observe.platform.sources.postgresql import PostgreSQLSource
from ff_observe.platform.sources.sqlite import SQLiteSource

asked = json.loads(sys.argv[1])
if isinstance(asked, str):
    source = SQLiteSource(Path(asked))
else:
    host, port, user, password, name = asked
    source = PostgreSQLSource(PostgreSQLDatabase(host, port, user, Secret(password), name))
try:
    answer = source.read(datetime.now(UTC))
    said = {"failures": dict(answer.failures), "instances": answer.readings.get("flowfuse_instances", {}).get(())}
except SourceError as error:
    said = {"error": str(error)}
source.close()
# Not `ru_maxrss`, which begins with what the process had in memory that started this one.
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
said["megabytes"] = int(peak) // 1024
print(json.dumps(said))
"""


def read_in_a_process(database: Path | PostgreSQLDatabase) -> dict[str, Any]:
    """What one reading in a process of its own gives, and how many megabytes that process had in memory at most."""
    if isinstance(database, Path):
        asked: object = str(database)
    else:
        password = database.password.reveal() if database.password else ""
        asked = [database.host, database.port, database.user, password, database.database]
    command = [sys.executable, "-c", _READ, json.dumps(asked)]
    ended = subprocess.run(command, env=guarded_environment(), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    said: dict[str, Any] = json.loads(ended.stdout)
    return said
