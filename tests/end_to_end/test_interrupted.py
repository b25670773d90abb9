"""Commands that a signal ends before they are done: what they record, and that they leave nothing behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from random import Random

import pytest

from ff_observe.demo.platform import DemoPlatform
from ff_observe.outputs.ping.ledger import entries
from ff_observe.outputs.ping.ledger_proof import verify
from ff_observe.outputs.ping.sending import INTERRUPTED
from ff_observe.system.clock import FrozenClock
from tests.network_guard import guarded_environment
from tests.platforms import case_named
from tests.real_parts.bridge import command, home_with
from tests.real_parts.processes import wait_until
from tests.unit.ping.receivers import receiver

DATABASE = case_named("v2.4.0-sqlite-dev").home / "var" / "forge.db"


@contextlib.contextmanager
def started(*arguments: str | Path, directory: Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = guarded_environment(**variables)
    with subprocess.Popen(command(*arguments), cwd=directory, env=environment, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_ping_whose_answer_is_waited_for_is_in_the_ledger(number: int, status: int, tmp_path: Path) -> None:
    ended = threading.Event()

    def wait_for_the_end(_handler: BaseHTTPRequestHandler) -> None:
        ended.wait(60)

    ledger = tmp_path / "pings.jsonl"
    with receiver(wait_for_the_end) as server:
        home = home_with(tmp_path / "home", "  type: sqlite\n", f"  url: {server.url()}\n  ledger: {ledger}\n")
        shutil.copy(DATABASE, home / "var" / "forge.db")
        with started("--home", home, "ping", "send", directory=tmp_path) as process:
            try:
                wait_until(lambda: server.requests, "the ping")
                os.kill(process.pid, number)
                assert process.wait(30) == status
                assert process.stderr is not None
                assert process.stderr.read() == b""
            finally:
                ended.set()
        (got,) = server.requests
    (entry,) = entries(ledger)
    assert (entry.outcome, entry.status, entry.note) == ("failed", None, INTERRUPTED)
    assert (entry.receiver, entry.body.encode()) == (f"127.0.0.1:{server.port}", got.body)
    assert verify(ledger) == []


def test_a_ping_of_another_machine_leaves_no_receipt_if_its_delivery_is_interrupted(tmp_path: Path) -> None:
    """It may have arrived, but no receipt may say so: the next try sends it once more."""
    ended = threading.Event()

    def answer_once_ended(handler: BaseHTTPRequestHandler) -> None:
        ended.wait(60)
        handler.send_response(200)
        handler.end_headers()

    platform = home_with(tmp_path / "home", "  type: sqlite\n", "  url: http://127.0.0.1:1/\n")
    shutil.copy(DATABASE, platform / "var" / "forge.db")
    exported = tmp_path / "ping.json"
    with started("--home", platform, "ping", "export", exported, directory=tmp_path) as process:
        assert process.wait(30) == 0
    with receiver(answer_once_ended) as server:
        between = home_with(tmp_path / "between", "  type: sqlite\n", f"  url: {server.url()}\n")
        arguments = ("--home", between, "ping", "send", "--from", exported)
        with started(*arguments, directory=tmp_path) as process:
            try:
                wait_until(lambda: server.requests, "the ping")
                process.terminate()
                assert process.wait(30) == 143
            finally:
                ended.set()
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["ping.json"]
        with started(*arguments, directory=tmp_path) as process:
            assert process.wait(30) == 0
        assert len({request.body for request in server.requests}) == 1
        assert len(server.requests) == 2
    assert (tmp_path / "ping.json.receipt").is_file()
    assert list(between.rglob("pings.jsonl*")) == []


def test_a_history_that_is_terminated_leaves_no_part_of_its_file(tmp_path: Path) -> None:
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    platform = DemoPlatform(
        tmp_path / "home", FrozenClock(at), Random(5), ping_url="http://127.0.0.1:9/ping", metrics_port=10464
    )
    platform.create()
    output = tmp_path / "output"
    output.mkdir()
    options = ("--until", at.isoformat(), "--step", "60", "-o", output / "history.om")
    with started("--home", platform.home, "history", *options, directory=tmp_path) as process:
        wait_until(lambda: list(output.iterdir()), "the first part")
        process.terminate()
        assert process.wait(30) == 143
    assert list(output.iterdir()) == []


def test_a_demo_that_is_terminated_at_its_start_leaves_no_directory(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    arguments = ("demo", "--port", "0", "--collector-port", "0")
    with started(*arguments, directory=tmp_path, TMPDIR=str(temporary)) as process:
        wait_until(lambda: list(temporary.iterdir()), "its directory")
        process.terminate()
        assert process.wait(60) in (0, 143)  # 0 once it waits for signals
    assert list(temporary.iterdir()) == []


def test_a_command_that_ignores_hangups_goes_on_ignoring_them(tmp_path: Path) -> None:
    ledger = tmp_path / "pings.jsonl"
    hung_up = threading.Event()

    def answer_after_the_hangup(handler: BaseHTTPRequestHandler) -> None:
        hung_up.wait(60)
        handler.send_response(200)
        handler.end_headers()

    with receiver(answer_after_the_hangup) as server:
        home = home_with(tmp_path / "home", "  type: sqlite\n", f"  url: {server.url()}\n  ledger: {ledger}\n")
        shutil.copy(DATABASE, home / "var" / "forge.db")
        command_line = ["nohup", *command("--home", home, "ping", "send")]
        process = subprocess.Popen(
            command_line, cwd=tmp_path, env=guarded_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            wait_until(lambda: server.requests, "the ping")
            process.send_signal(signal.SIGHUP)
            hung_up.set()
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            hung_up.set()
            process.kill()
            process.wait()
    (entry,) = entries(ledger)
    assert entry.outcome == "delivered"
