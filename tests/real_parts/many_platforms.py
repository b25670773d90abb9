"""Homes of many platforms for one process: on SQLite, on PostgreSQL, one whose database hangs, one that is broken."""

import contextlib
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from psycopg import sql

from tests.real_parts.bridge import home_with
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.recordings import COMMITTED

TELEMETRY = (
    "  enabled: false\n  url: http://127.0.0.1:9/never-reached\n"
    "  backend:\n    prometheus:\n      enabled: true\n      port: 0\n"
)
SQLITE = "  type: sqlite\n"
HANGING, BROKEN = "hanging", "broken"


def sqlite_home(directory: Path, telemetry: str = TELEMETRY) -> Path:
    """A home with a database of its own."""
    home = home_with(directory, SQLITE, telemetry)
    shutil.copyfile(COMMITTED / "v2.4.0-sqlite-dev" / "var" / "forge.db", home / "var" / "forge.db")
    return home


def postgresql_home(directory: Path, port: int, database: str, telemetry: str = TELEMETRY) -> Path:
    """A home whose database is at that port."""
    return home_with(
        directory,
        f"  type: postgres\n  host: 127.0.0.1\n  port: {port}\n  user: postgres\n  password: {PASSWORD}\n"
        f"  database: {database}\n",
        telemetry,
    )


def databases(cluster: Cluster, count: int) -> list[str]:
    """So many databases of FlowFuse, each of its own."""
    first = cluster.load("platform-0", COMMITTED / "v2.4.0-postgres-dev" / "dump.sql")
    names = [first, *(f"platform-{number}" for number in range(1, count))]
    with cluster.connect() as connection:
        for name in names[1:]:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(first)))
    return names


def broken_home(directory: Path) -> Path:
    """A home whose file is no YAML."""
    home = sqlite_home(directory)
    (home / "etc" / "flowforge.yml").write_text("telemetry: [\n")
    return home


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        taken: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listening.accept()[0])

        thread = threading.Thread(target=accept, name="silent server", daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in taken:
            connection.close()
