"""A private PostgreSQL cluster (Debian package `postgresql`) for the tests, with `log_statement=all`."""

import base64
import contextlib
import hashlib
import hmac
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.real_parts.processes import free_port, running, wait_until

BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
SERVER = "FF_OBSERVE_TEST_POSTGRESQL"
"""Names a variable for the directory of another server's `initdb` and `postgres`; the clients stay Debian's."""
PASSWORD = "planted-database-password"
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30


@dataclass(frozen=True)
class Cluster:
    """A running server. Its superuser is `postgres`; `log` receives every statement."""

    directory: Path
    port: int

    @property
    def log(self) -> Path:
        return self.directory / "postgres.log"

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url(database), autocommit=True)

    def create(self, database: str, template: str = "template1") -> str:
        """Make a database, empty or as another one is; returns its name."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
            made, as_is = sql.Identifier(database), sql.Identifier(template)
            # What 15 and later do by themselves, each page through the log, takes twice the processor's time.
            how = sql.SQL("STRATEGY file_copy" if connection.info.server_version >= 150_000 else "")
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(made, as_is, how))
        return database

    def end_sessions(self, condition: LiteralString, value: object) -> None:
        """End the sessions of `pg_stat_activity` that the condition names, and wait until they are gone."""
        with self.connect() as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {condition}", [value])
            left = f"SELECT FROM pg_stat_activity WHERE {condition}"
            wait_until(lambda: connection.execute(left, [value]).fetchone() is None, "the end of the sessions")

    def load(self, database: str, dump: Path) -> str:
        """Make a database from a plain SQL dump; returns its name. A dump is read once: the databases are copies."""
        template = f"dump {hashlib.sha256(dump.read_bytes()).hexdigest()[:32]}"
        with self.connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone():
                _read(dump, self.url(self.create("reading")))
                connection.execute(sql.SQL("ALTER DATABASE reading RENAME TO {}").format(sql.Identifier(template)))
        return self.create(database, template)

    def logged(self, since: int) -> str:
        """What the log has from its byte `since` on: all of it grows to a hundred megabytes."""
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")


def memory() -> Path | None:
    """A file system in memory, if it has room for the databases of all workers: a disk takes ten times as long to make
    one."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES else None


def _read(dump: Path, url: str) -> None:
    assert BINARIES is not None
    command: list[str | Path] = [BINARIES / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", dump]
    subprocess.run(command, check=True, capture_output=True)


def _of_server(program: str) -> Path:
    assert BINARIES is not None
    return Path(os.environ.get(SERVER) or BINARIES) / program


def _as_postgres() -> dict[str, str]:
    """PostgreSQL refuses to run as root: there it runs as the user the package made."""
    return {"user": "postgres"} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def server(directory: Path, port: int) -> Iterator[None]:
    """Run the cluster in `directory` on `port` until the block ends: for tests that stop and start the database."""
    command: list[str | Path] = [_of_server("postgres"), "-D", "data", "-p", str(port), "-k", "", "-h", "127.0.0.1"]
    with running(command, directory, lambda: _takes_sessions(port), user=_as_postgres().get("user")) as process:
        yield
        process.send_signal(signal.SIGINT)  # "fast": SIGTERM would wait for the sessions that tests hold


def _takes_sessions(port: int) -> bool:
    try:
        psycopg.connect(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def initialise(directory: Path) -> None:
    """Make an empty cluster in `directory/data` with password authentication, where PostgreSQL's user may enter. Skips
    the test without PostgreSQL."""
    if BINARIES is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    directory.mkdir(parents=True)
    password_file = directory / "password"
    password_file.write_text(PASSWORD)
    owner = _as_postgres().get("user")
    if owner is not None:
        account = pwd.getpwnam(owner)
        for path in (directory, password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
    subprocess.run(
        [
            *(_of_server("initdb"), "-D", "data", "-U", "postgres", "--pwfile=password", "--auth=scram-sha-256"),
            *("--no-sync", "--encoding=UTF8", "--locale=C"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
        user=owner,
    )
    with (directory / "data" / "postgresql.conf").open("a") as config:
        config.write("log_statement = all\nlog_line_prefix = '%p %a '\nfsync = off\n")
        config.write("autovacuum = off\n")  # in as many databases as tests make it starts two processes a second


@contextlib.contextmanager
def cluster(directory: Path, configuration: str = "") -> Iterator[Cluster]:
    """A fresh cluster until the block ends; `configuration` is added to its `postgresql.conf`."""
    initialise(directory)
    with (directory / "data" / "postgresql.conf").open("a") as config:
        config.write(configuration)
    port = free_port()
    with server(directory, port):
        made = Cluster(directory, port)
        with made.connect() as connection:
            connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(_verifier()))
        yield made
    shutil.rmtree(directory, ignore_errors=True)


def _verifier() -> str:
    """`PASSWORD` as PostgreSQL keeps it (RFC 5802), of one iteration: each of the tests' ten thousand sessions would
    spend 2 ms on the usual 4096."""
    salt = b"salt"
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    parts = (salt, stored, hmac.digest(salted, b"Server Key", "sha256"))
    return "SCRAM-SHA-256$1:{}${}:{}".format(*(base64.b64encode(part).decode() for part in parts))


@contextlib.contextmanager
def standby(primary: Cluster, directory: Path) -> Iterator[Cluster]:
    """A server that follows another, until the block ends."""
    assert BINARIES is not None
    owner = _as_postgres().get("user")
    directory.mkdir()
    if owner is not None:
        shutil.chown(directory, owner)
    copy = ("--no-sync", "--checkpoint=fast", "--write-recovery-conf", "--pgdata=data")
    command: list[str | Path] = [BINARIES / "pg_basebackup", *copy, f"--dbname={primary.url('postgres')}"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True, user=owner)
    port = free_port()
    with server(directory, port):
        yield Cluster(directory, port)
