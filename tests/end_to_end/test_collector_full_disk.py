"""A disk that is full or read-only: nothing is acknowledged, and all is well again as soon as it is."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ff_observe.collector.settings_file import collector_settings
from ff_observe.collector.store.opening import open_store
from tests.real_parts import postgresql
from tests.real_parts.collector import ask, process, send
from tests.real_parts.processes import free_port, wait_until
from tests.unit.collector.pings import body, instance


@contextlib.contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own in memory."""
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", directory], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system: run as root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def remounted(directory: Path, *options: str) -> None:
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), directory], check=True)


def filled(directory: Path) -> Path:
    """Fill the disk with one file."""
    filler = directory / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def refused_until_it_is_mended(port: int, first: int) -> list[str]:
    """Send until pings are refused; returns the names of those that were acknowledged."""
    acknowledged: list[str] = []
    for index in range(first, first + 3000):
        name = f"full-{index}"
        answer = send(port, body(name))
        if answer.status == 503:
            assert "retry-after" in answer.headers
            assert answer.json == {"status": "error", "error": "the ping could not be stored; try again later"}
            assert ask(port, "GET", "/-/ready").status == 503
            assert ask(port, "GET", "/-/healthy").status == 200
            return acknowledged
        assert answer.status == 200
        acknowledged.append(name)
    raise AssertionError("the disk never was full")


def all_are_stored_once(directory: Path, names: list[str]) -> None:
    store = open_store(collector_settings(directory / "collector.yml"))
    for name in names:
        assert len(list(store.export(instance(name)))) == 1


def test_sqlite_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk, process(tmp_path, database=f"sqlite:{disk}/pings.db") as collector:
        assert send(collector.port, body("before")).status == 200
        filler = filled(disk)
        acknowledged = refused_until_it_is_mended(collector.port, 0)
        filler.unlink()
        wait_until(lambda: send(collector.port, body("room again")).status == 200, "the collector to recover")
        all_are_stored_once(tmp_path, ["before", *acknowledged, "room again"])


def test_sqlite_on_a_read_only_file_system(tmp_path: Path) -> None:
    """Linux refuses to make one read-only under an open file, so the collector starts on it."""
    with small_disk(tmp_path / "disk", 4) as disk:
        database = f"sqlite:{disk}/pings.db"
        with process(tmp_path, database=database) as collector:
            assert send(collector.port, body("before")).status == 200
        remounted(disk, "ro")
        with process(tmp_path, database=database) as collector:
            assert refused_until_it_is_mended(collector.port, 0) == []
            remounted(disk, "rw")
            wait_until(lambda: send(collector.port, body("writable again")).status == 200, "the collector to recover")
        all_are_stored_once(tmp_path, ["before", "writable again"])


def test_postgresql_that_takes_no_writes(tmp_path: Path, postgres: postgresql.Cluster) -> None:
    """As a primary that has become a standby, or one whose disk is to be spared."""
    name = postgres.create("read_only")
    with process(tmp_path, database=postgres.url(name)) as collector:
        assert send(collector.port, body("before")).status == 200
        with postgres.connect() as session:
            session.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
            _end_sessions(session, name)
            acknowledged = refused_until_it_is_mended(collector.port, 0)
            session.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
            _end_sessions(session, name)
        wait_until(lambda: send(collector.port, body("writable again")).status == 200, "the collector to recover")
        all_are_stored_once(tmp_path, ["before", "writable again"])
        assert acknowledged == []


def _end_sessions(session: psycopg.Connection[Any], database: str) -> None:
    session.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (database,))


def test_postgresql_on_a_full_disk(tmp_path: Path, open_directory: Path) -> None:
    with small_disk(open_directory / "disk", 120) as disk:
        cluster = disk / "cluster"
        disk.chmod(0o755)
        postgresql.initialise(cluster)
        with (cluster / "data" / "postgresql.conf").open("a") as config:
            config.write("log_statement = none\nmax_wal_size = 64MB\n")
        port = free_port()
        url = f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{port}/postgres"
        with postgresql.server(cluster, port), process(tmp_path / "collector", database=url) as collector:
            assert send(collector.port, body("before")).status == 200
            filler = filled(disk)
            acknowledged = refused_until_it_is_mended(collector.port, 0)
            filler.unlink()
            wait_until(lambda: send(collector.port, body("room again")).status == 200, "the collector to recover", 60)
            all_are_stored_once(tmp_path / "collector", ["before", "room again", *acknowledged])
