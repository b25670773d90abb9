"""Ports of servers that tests start: those of one process are not another's."""

import os

import pytest

from tests.real_parts.processes import free_port


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
