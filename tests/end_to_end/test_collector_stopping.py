"""A collector that is told to stop under load: whoever was received is answered, and the answer is true."""

import contextlib
import os
import signal
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.settings_file import collector_settings
from ff_observe.collector.store.opening import open_store
from tests.pace import within
from tests.real_parts.collector import process, sample, send
from tests.real_parts.processes import wait_until
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.endless import make_counting_endless
from tests.unit.collector.pings import body, instance, ping

WAITING = 5


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_what_was_received_is_stored_and_acknowledged_before_it_ends(tmp_path: Path, told: signal.Signals) -> None:
    database = tmp_path / "data" / "pings" / "pings.sqlite3"
    with process(tmp_path) as collector, ThreadPoolExecutor(WAITING) as clients:
        assert send(collector.port, body("before")).status == 200
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")  # commits wait
            answers = [clients.submit(send, collector.port, body(f"late-{index}")) for index in range(WAITING)]
            waiting = "ff_observe_collector_waiting_pings"
            wait_until(lambda: sample(collector.port, waiting) == WAITING, "the pings to arrive")
            os.kill(collector.pid, told)
            wait_until(lambda: refuses(collector.port), "new connections to be refused")
            holder.execute("ROLLBACK")
        assert [answer.result().status for answer in answers] == [200] * WAITING
    store = open_store(collector_settings(tmp_path / "collector.yml"))
    assert all(len(list(store.export(instance(f"late-{index}")))) == 1 for index in range(WAITING))
    (log,) = tmp_path.glob("*.log")
    assert "stopping" in log.read_text()
    assert "WARNING" not in log.read_text()


def test_whoever_waits_for_a_store_that_hangs_is_turned_away_at_the_stop(tmp_path: Path) -> None:
    database = tmp_path / "data" / "pings" / "pings.sqlite3"
    with process(tmp_path) as collector, ThreadPoolExecutor(WAITING) as clients:
        assert send(collector.port, body("before")).status == 200
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")  # commits wait, for longer than the collector may
            answers = [clients.submit(send, collector.port, body(f"late-{index}")) for index in range(WAITING)]
            waiting = "ff_observe_collector_waiting_pings"
            wait_until(lambda: sample(collector.port, waiting) == WAITING, "the pings to arrive")
            with within(5):
                os.kill(collector.pid, signal.SIGTERM)
                assert psutil.Process(collector.pid).wait(120) == 0
        assert [answer.result().status for answer in answers] == [503] * WAITING
    (log,) = tmp_path.glob("*.log")
    assert "ERROR" not in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_database_that_does_not_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """While it is being connected to: that cannot be interrupted."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with process(tmp_path, database=f"postgresql://user:secret@127.0.0.1:{port}/pings") as collector:
            accepted, _ = silent.accept()
            with accepted, within(5):
                os.kill(collector.pid, signal.SIGTERM)
                assert psutil.Process(collector.pid).wait(120) == 0
    (log,) = tmp_path.glob("*.log")
    assert "left behind: collector-" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_count_of_the_fleet_under_way_does_not_hold_up_the_end(tmp_path: Path) -> None:
    store = open_store(CollectorSettings(data_dir=tmp_path / "data"))
    with BlockingWriter(store) as writer:
        writer.write([ping()])
    make_counting_endless(store)
    with process(tmp_path) as collector:
        assert send(collector.port, b"{}").status == 400
        counted = "flowfuse_fleet_timestamp_seconds"
        assert sample(collector.port, counted) is None, "it is still counting"
        with within(3):
            os.kill(collector.pid, signal.SIGTERM)
            assert psutil.Process(collector.pid).wait(120) == 0
    (log,) = tmp_path.glob("*.log")
    assert log.read_text().endswith("stopping\n"), "nothing was left behind"
