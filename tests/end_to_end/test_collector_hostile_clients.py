"""Clients that mean harm, or are broken, must not keep others from being served."""

import contextlib
import resource
import socket
import threading
from pathlib import Path

import psutil

from tests.pace import pace, within
from tests.real_parts.collector import process, send
from tests.real_parts.processes import wait_until
from tests.unit.collector.pings import body

IDLE = 10_000


def served_within(port: int, seconds: float, times: int = 20) -> None:
    """Others are served, and quickly."""
    for index in range(times):
        with within(seconds):
            assert send(port, body(f"other-{index}")).status == 200


def test_ten_thousand_idle_connections_and_as_many_slow_ones_do_not_keep_others_out(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    assert most > IDLE + 500, "needs ulimit -n of more than 10500"
    limits = {"request_seconds": round(20 * pace().slowness)}  # long enough to open all before the first is closed
    with contextlib.ExitStack() as held_open, process(tmp_path, limits=limits) as collector:
        memory = psutil.Process(collector.pid)
        before = memory.memory_info().rss
        held = []
        for index in range(IDLE):
            client = held_open.enter_context(socket.create_connection(("127.0.0.1", collector.port), 120))
            if index % 2:
                client.sendall(b"POST /ping HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")  # and a byte now and then
            held.append(client)
        wait_until(lambda: len(memory.net_connections("tcp")) >= IDLE, "all to be accepted")
        for client in held[1:1000:2]:
            client.sendall(b"x")
        served_within(collector.port, 1.0)
        assert memory.memory_info().rss - before < 200 * 2**20
        for client in held:  # to ask for all connections again and again would take a processor
            client.settimeout(600)
            with contextlib.suppress(ConnectionError):
                while client.recv(65_536):
                    pass
        wait_until(lambda: len(memory.net_connections("tcp")) < 100, "the idle and slow ones to be closed", 600)
        served_within(collector.port, 1.0, 3)


def test_a_body_of_a_gigabyte_is_neither_read_nor_kept(tmp_path: Path) -> None:
    with process(tmp_path) as collector:
        memory = psutil.Process(collector.pid)
        before = memory.memory_info().rss
        taken = []

        def pour(head: bytes, part: bytes) -> None:
            with socket.create_connection(("127.0.0.1", collector.port), 120) as client:
                try:
                    client.sendall(b"POST /ping HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
                    for _ in range(2**30 // len(part)):
                        client.sendall(part)
                    taken.append(head)
                except ConnectionError:
                    return  # turned away, as it should be

        spaces = b" " * 2**20
        pours = [
            threading.Thread(target=pour, args=(b"Content-Length: %d" % 2**30, spaces)),
            threading.Thread(target=pour, args=(b"Transfer-Encoding: chunked", b"100000\r\n" + spaces + b"\r\n")),
            threading.Thread(target=pour, args=(b"Content-Encoding: gzip\r\nContent-Length: %d" % 2**30, spaces)),
            threading.Thread(target=pour, args=(b"Transfer-Encoding: chunked\r\n\r\n0", b"X-Trailer: a\r\n" * 10_000)),
        ]
        for each in pours:
            each.start()
        served_within(collector.port, 1.0)
        for each in pours:
            each.join()
        assert taken == []
        served_within(collector.port, 1.0, 3)
        assert memory.memory_info().rss - before < 50 * 2**20
