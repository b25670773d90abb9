"""A ping collector in this process, or in one of its own that can be killed."""

import contextlib
import http.client
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families as parse_text

from ff_observe.clock import Clock, SystemClock
from ff_observe.ping_collector.commands import build_collector, prepare_process
from ff_observe.ping_collector.receive import PingObserver
from ff_observe.ping_collector.service import Collector
from ff_observe.ping_collector.settings import CollectorSettings
from ff_observe.ping_collector.settings_file import collector_settings
from tests.network_guard import guarded_environment
from tests.real_parts.processes import answers, free_port, running


@contextlib.contextmanager
def collecting(
    settings: CollectorSettings, clock: Clock | None = None, on_ping: PingObserver | None = None
) -> Iterator[Collector]:
    """A collector in this process, until the block ends."""
    clock = clock or SystemClock()
    collector = build_collector(settings, clock, on_ping)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop(clock.monotonic() + 10)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the collector answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read())
    finally:
        connection.close()


def send(port: int, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/ping") -> Answer:
    """POST a ping."""
    return ask(port, "POST", path, body, {"Content-Type": "application/json", **(headers or {})})


def raw(port: int, sent: bytes, *, seconds: float = 10.0) -> bytes:
    """Whatever comes back until the other end closes."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        client.sendall(sent)
        received = b""
        while part := client.recv(65536):
            received += part
        return received


def sample(port: int, name: str, **labels: str) -> float | None:
    """The value of one sample of `/metrics`."""
    text = ask(port, "GET", "/metrics").body.decode()
    for family in parse_text(text):
        for found in family.samples:
            if found.name == name and found.labels == labels:
                return float(found.value)
    return None


@contextlib.contextmanager
def process(directory: Path, port: int = 0, user: str | None = None, **settings: Any) -> Iterator["Running"]:
    """A collector in a process of its own, with the `settings` of `collector.yml`, until the block ends."""
    port = port or free_port()
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "collector.yml"
    file.write_text(yaml.safe_dump({"listen": f"127.0.0.1:{port}", "data_dir": "data", **settings}))
    command: list[str | Path] = [sys.executable, "-m", "tests.real_parts.collector", file]
    ready = answers(f"http://127.0.0.1:{port}/-/healthy")
    with running(command, directory, ready, environment=guarded_environment(), user=user) as started:
        yield Running(port, started.pid)


@dataclass(frozen=True, slots=True)
class Running:
    """A collector's process."""

    port: int
    pid: int


def main(file: Path) -> None:
    """What the process does: collect until SIGTERM."""
    prepare_process()
    collector = build_collector(collector_settings(file))
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    collector.start()
    stopped.wait()
    collector.stop(time.monotonic() + 10)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
