"""Real programs as context managers: each in a directory of its own, ended by its process id, at the end of the run."""

import contextlib
import functools
import itertools
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""After which what has not happened never will, however busy the machine is."""
_PORTS = range(11_000, 32_000)
"""A system gives others to outgoing connections and to who asks for any: only other tests can take one meanwhile."""


@functools.cache
def _ports_of(_process: int) -> Iterator[int]:
    """Of a process that was forked too: mutmut forks one for each mutant."""
    return itertools.islice(itertools.cycle(_PORTS), secrets.randbelow(len(_PORTS)), None)


@contextlib.contextmanager
def open_directory(within: Path | None = None) -> Iterator[Path]:
    """A directory that other users may enter. (pytest makes the way to its own private again whenever a run starts.)"""
    with tempfile.TemporaryDirectory(prefix="ff-observe-", dir=within) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def free_port() -> int:
    """A port that is taken at no address right now. A process gets each one once, in the order of their numbers."""
    for port in _ports_of(os.getpid()):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            return port
    raise AssertionError("they never end")


def wait_until(ask: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Ask until the answer is true; connection errors mean not yet. Fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            answer = ask()
        except (OSError, ValueError):
            answer = None
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


def answers(url: str) -> Callable[[], bool]:
    """A question for `wait_until`: does `url` answer with 200?"""

    def ask() -> bool:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)

    return ask


def accepts(port: int) -> Callable[[], bool]:
    """A question for `wait_until`: does the port accept connections?"""

    def ask() -> bool:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True

    return ask


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    directory: Path,
    ready: Callable[[], object] | None,
    *,
    environment: dict[str, str] | None = None,
    user: str | None = None,
    seconds: float = PATIENCE_SECONDS,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in `directory` until the block ends; its output goes to `NAME.log` there."""
    directory.mkdir(parents=True, exist_ok=True)
    name = Path(command[0]).name
    log_path = directory / f"{name}.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            user=user,
            start_new_session=True,
        )
    # A run that is killed ends nothing itself: the end of this pipe does.
    watch = subprocess.Popen(
        ["sh", "-c", 'read -r _; kill "$0"', str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        if ready is not None:

            def ready_or_dead() -> object:
                if process.poll() is not None:
                    tail = log_path.read_text(errors="replace")[-2000:]
                    raise AssertionError(f"{name} ended with {process.returncode}:\n{tail}")
                return ready()

            wait_until(ready_or_dead, f"{name} to be ready", seconds)
        yield process
    finally:
        watch.kill()
        watch.communicate()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(60)
