"""A ping collector in this process, or in one of its own that can be killed."""

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families as parse_text

from ff_observe.collector.receiving.receiver import PingObserver
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.system.clock import Clock, SystemClock
from tests.network_guard import guarded_environment
from tests.real_parts.processes import answers, free_port, running


@contextlib.contextmanager
def collecting(
    settings: CollectorSettings, clock: Clock | None = None, on_ping: PingObserver | None = None
) -> Iterator[Collector]:
    """A collector in this process, until the block ends."""
    clock = clock or SystemClock()
    collector = Collector(settings, clock, on_ping)
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
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    source: str = "127.0.0.1",
) -> Answer:
    """One request on a connection of its own, which comes from the address `source`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read())
    finally:
        connection.close()


def send(
    port: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    path: str = "/ping",
    source: str = "127.0.0.1",
) -> Answer:
    """POST a ping."""
    return ask(port, "POST", path, body, {"Content-Type": "application/json", **(headers or {})}, source)


def raw(port: int, sent: bytes, *, seconds: float = 60.0) -> bytes:
    """Whatever comes back until the other end closes."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        client.sendall(sent)
        received = b""
        while part := client.recv(65536):
            received += part
        return received


def in_packets(port: int, packets: Sequence[bytes]) -> bytes:
    """Whatever comes back until the other end closes, which it may before all is sent."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), 5) as client, contextlib.suppress(ConnectionError):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for packet in packets:
                client.sendall(packet)
                time.sleep(0.001)  # or the next would be read together with it
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
def process(directory: Path, port: int = 0, **settings: Any) -> Iterator["Running"]:
    """`ff-observe collector run` with these settings in its `collector.yml`, until the block ends. What it logs and
    what it keeps, temporary files too, is below `directory`."""
    port = port or free_port()
    temporary = directory / "temporary"
    temporary.mkdir(parents=True, exist_ok=True)
    file = directory / "collector.yml"
    file.write_text(yaml.safe_dump({"listen": f"127.0.0.1:{port}", "data_dir": "data", **settings}))
    command: list[str | Path] = [sys.executable, "-m", "ff_observe", "collector", "run", "--settings", file]
    ready = answers(f"http://127.0.0.1:{port}/-/healthy")
    environment = guarded_environment(TMPDIR=str(temporary), SQLITE_TMPDIR=str(temporary))
    with running(command, directory, ready, environment=environment) as started:
        yield Running(port, started.pid)


@dataclass(frozen=True, slots=True)
class Running:
    """A collector's process."""

    port: int
    pid: int
