"""A real Alertmanager (Debian package `prometheus-alertmanager`) that delivers to a webhook of this process."""

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.real_parts.processes import answers, free_port, running

ALERTMANAGER = shutil.which("prometheus-alertmanager")
MISSING = "needs Alertmanager: apt-get install prometheus-alertmanager"


@dataclass
class Alertmanager:
    """A running Alertmanager, and the alerts its webhook has received: labels, annotations, status."""

    port: int
    received: list[dict[str, Any]] = field(default_factory=list)

    def alert(self, name: str, status: str = "firing") -> dict[str, Any] | None:
        """The first alert of that name that came with that status."""
        for alert in self.received:
            if alert["labels"]["alertname"] == name and alert["status"] == status:
                return alert
        return None


@contextlib.contextmanager
def alertmanager(directory: Path) -> Iterator[Alertmanager]:
    """An Alertmanager that waits for nothing, until the block ends."""
    assert ALERTMANAGER is not None, MISSING
    directory.mkdir(parents=True, exist_ok=True)
    server = Alertmanager(free_port())
    with _webhook(server) as webhook:
        route = {"receiver": "webhook", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
        receivers = [{"name": "webhook", "webhook_configs": [{"url": webhook}]}]
        (directory / "alertmanager.yml").write_text(json.dumps({"route": route, "receivers": receivers}))
        command = [
            ALERTMANAGER,
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            f"--web.listen-address=127.0.0.1:{server.port}",
            "--cluster.listen-address=",
        ]
        with running(command, directory, answers(f"http://127.0.0.1:{server.port}/-/ready")):
            yield server


@contextlib.contextmanager
def _webhook(receiver: Alertmanager) -> Iterator[str]:
    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.received += json.loads(body)["alerts"]
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not in the output of the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    thread = threading.Thread(target=server.serve_forever, name="webhook")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
