"""One flood against one server: what of its service is left, what memory it takes, and whether it still stops."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.attack.victims import TLS, USERS, VICTIMS, Victim

ANSWER_SECONDS = 10.0  # what Prometheus waits for a scrape, unless told otherwise
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Attack:
    """A flood of `clients`, and the web configuration of what it is directed at."""

    flood: str
    clients: int
    web_config: str = ""

    @property
    def name(self) -> str:
        """Such as `40 passwords (users)`."""
        secured = " (TLS)" if self.web_config == TLS else " (users)" if self.web_config else ""
        return f"{self.clients} {self.flood}{secured}"

    def victims(self) -> list[str]:
        """The servers it can be directed at: the collector has no TLS and no users."""
        return [name for name in VICTIMS if not (self.web_config and name == "collector")]


ATTACKS = (
    Attack("unread", 40),
    Attack("unread", 200),
    Attack("idle", 1024),
    Attack("scattered", 1024),
    Attack("trickle", 1024),
    Attack("idle", 1100, TLS),
    Attack("half_handshake", 1100, TLS),
    Attack("passwords", 40, USERS),
    Attack("long_headers", 8),
    Attack("pages", 64),
)


@dataclass(frozen=True)
class Outcome:
    """`memory_bytes` is the largest resident size since the start; `stop_seconds` None if SIGTERM did not end it."""

    scrapes: int
    probes: int
    asked: int
    slowest_seconds: float
    memory_bytes: int
    stop_seconds: float | None


def measure(attack: Attack, victim_name: str, directory: Path, asked: int = 5) -> Outcome:
    """Attack, ask as Prometheus and a kubelet would, then end the server while the attack goes on."""
    with before_other_work(), VICTIMS[victim_name](directory, attack.web_config) as victim, attacking(attack, victim):
        scrapes = probes = 0
        slowest = 0.0
        for _ in range(asked):
            for path in ("/metrics", victim.probe):
                began = time.monotonic()
                answered = _is_answered(victim, path, with_password=bool(attack.web_config))
                slowest = max(slowest, time.monotonic() - began)
                scrapes += answered and path == "/metrics"
                probes += answered and path == victim.probe
        memory = largest_memory(victim.pid)
        return Outcome(scrapes, probes, asked, slowest, memory, _stopped_within(victim.pid))


@contextlib.contextmanager
def before_other_work() -> Iterator[None]:
    """This thread, and what it starts, run before what else keeps the machine busy, where this user may ask for that:
    a client that gets no processor time for half a second is taken for one that holds its place."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, usual - 15)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)


@contextlib.contextmanager
def attacking(attack: Attack, victim: Victim) -> Iterator[None]:
    """The flood, once all of its clients are there, until the block ends."""
    command = [sys.executable, "-m", "tests.attack.floods", attack.flood, str(victim.port), str(attack.clients)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as flood:
        try:
            assert flood.stdout is not None
            assert flood.stdout.readline() == b"ready\n"
            yield
        finally:
            flood.kill()


def largest_memory(pid: int) -> int:
    """The largest resident size of a process so far, in bytes (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+([0-9]+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def _is_answered(victim: Victim, path: str, *, with_password: bool) -> bool:
    try:
        return victim.status(path, ANSWER_SECONDS, with_password=with_password) == 200
    except OSError:
        return False


def _stopped_within(pid: int) -> float | None:
    process = psutil.Process(pid)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        return None
    return time.monotonic() - began
