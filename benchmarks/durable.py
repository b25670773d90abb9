"""What the benchmarks of the collector share: databases as one would run them, and what of a processor they take."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.real_parts import postgresql
from tests.real_parts.processes import free_port, open_directory
from tests.recordings import ROOT


@contextlib.contextmanager
def on_disk() -> Iterator[Path]:
    """A directory that is not in memory, as a temporary one may be."""
    disk = ROOT / ".cache"
    disk.mkdir(exist_ok=True)
    with open_directory(within=disk) as directory:
        yield directory


@contextlib.contextmanager
def durable_server(directory: Path) -> Iterator[tuple[str, int]]:
    """The URL and the process of a PostgreSQL with fsync on, which the tests' own has off."""
    if postgresql.BINARIES is None:
        raise SystemExit("needs PostgreSQL: apt-get install postgresql")
    cluster, port = directory / "cluster", free_port()
    postgresql.initialise(cluster)
    config = cluster / "data" / "postgresql.conf"
    settings = config.read_text().replace("fsync = off", "fsync = on").replace("log_statement = all", "")
    config.write_text(f"{settings}\nmax_connections = 200\nshared_buffers = 512MB\nmax_wal_size = 4GB\n")
    with postgresql.server(cluster, port):
        postmaster = (cluster / "data" / "postmaster.pid").read_text().split()[0]
        yield f"postgresql://postgres:{postgresql.PASSWORD}@127.0.0.1:{port}/postgres", int(postmaster)


def seconds_used_by(pid: int) -> float:
    """Of a process, its children, and those of them that have ended."""
    used = sum(_seconds(pid))
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            used += seconds_used_by(int(child))
    return used


def used_here(postmaster: int | None) -> float:
    """Seconds of a processor that this process has used, and those of PostgreSQL's sessions that have ended."""
    return time.process_time() + (0 if postmaster is None else sum(_seconds(postmaster)[2:]))


def _seconds(pid: int) -> list[float]:
    """Of the process itself, as user and as system, and of those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15]]


def timed(what: str, task: Callable[[], object], used: Callable[[], float]) -> None:
    """Print how long it takes, on the clock and of a processor."""
    before, began = used(), time.monotonic()
    task()
    wall = time.monotonic() - began
    time.sleep(1)  # until the session has ended
    print(f"    {what:34} {wall:8.2f} s {used() - before:8.2f} s of a processor", flush=True)
