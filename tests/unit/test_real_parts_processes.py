"""Servers that tests start: the ports of one process are not another's, and none outlives the run that started it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real_parts.processes import free_port, wait_until
from tests.recordings import ROOT


def port_of_a_fork() -> int:
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, f"{free_port()}".encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as child:  # noqa: PTH123 - of a descriptor
        return int(child.read())


def test_a_process_gets_each_port_once() -> None:
    assert len({free_port() for _ in range(20)}) == 20


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forks_get_different_ports() -> None:
    """mutmut forks a process for each mutant: side by side they would start servers on the same ports."""
    forked = [port_of_a_fork() for _ in range(5)]
    assert len({free_port(), *forked}) > 2, "as good as never are four of six the same by chance"


RUN = """
import sys
from pathlib import Path
from tests.real_parts.processes import running
with running(["sleep", "600"], Path(sys.argv[1]), None) as process:
    print(process.pid, flush=True)
    sys.stdin.read()
"""


def test_a_program_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        started = Path("/proc", run.stdout.readline().decode().strip(), "stat")
        assert "(sleep)" in started.read_text()
        run.kill()
    wait_until(lambda: not started.exists() or ") Z " in started.read_text(), "the end of the program", 10)
