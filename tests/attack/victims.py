"""The servers that are attacked, each in a process of its own."""

import base64
import contextlib
import shutil
import socket
import ssl
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.network_guard import guarded_environment
from tests.platforms import case_named, writable_copy
from tests.real_parts import collector
from tests.real_parts.bridge import home_with
from tests.real_parts.certificates import make_certificate
from tests.real_parts.processes import free_port, running

NODE_EXPORTER = shutil.which("prometheus-node-exporter")
TLS = "tls_server_config:\n  cert_file: certificate.pem\n  key_file: key.pem\n"
PASSWORD = "secret"
USERS = f"basic_auth_users:\n  alice: {bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()}\n"


@dataclass(frozen=True)
class Victim:
    """A running server. `probe` is what tells that it lives."""

    port: int
    pid: int
    probe: str
    context: ssl.SSLContext | None = None

    def status(self, path: str, seconds: float, *, with_password: bool = False) -> int:
        """Of one request on a connection of its own."""
        scheme = "http" if self.context is None else "https"
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{self.port}{path}")
        if with_password:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode())
        with urllib.request.urlopen(request, timeout=seconds, context=self.context) as response:
            response.read()
            return int(response.status)


Start = Callable[[Path, str], "contextlib.AbstractContextManager[Victim]"]


def _context(directory: Path, web_config: str) -> ssl.SSLContext | None:
    directory.mkdir(parents=True, exist_ok=True)
    if TLS not in web_config:
        return None
    make_certificate(directory)
    return ssl.create_default_context(cafile=directory / "certificate.pem")


def _accepts(port: int) -> Callable[[], bool]:
    def ask() -> bool:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True

    return ask


@contextlib.contextmanager
def bridge(directory: Path, web_config: str = "") -> Iterator[Victim]:
    """`ff-observe run` on a recorded platform."""
    port = free_port()
    database = writable_copy(case_named("v2.4.0-sqlite-dev"), directory)
    telemetry = "  enabled: false\n  backend:\n    prometheus:\n      enabled: true\n"
    telemetry += f"      port: {port}\n"
    context = _context(directory, web_config)
    home = home_with(directory / "home", f"  type: sqlite\n  storage: {database}\n", telemetry)
    if web_config:
        (directory / "web.yml").write_text(web_config)
        with (home / "etc" / "flowforge.yml").open("a") as file:
            file.write(f"      web_config_file: {directory}/web.yml\n")
    command: list[str | Path] = [sys.executable, "-m", "ff_observe", "--home", home, "run"]
    with running(command, directory, _accepts(port), environment=guarded_environment()) as process:
        yield Victim(port, process.pid, "/-/healthy", context)


@contextlib.contextmanager
def ping_collector(directory: Path, web_config: str = "") -> Iterator[Victim]:
    """`ff-observe collector run` with its public page."""
    assert not web_config
    with collector.process(directory, fleet={"public": True}) as started:
        yield Victim(started.port, started.pid, "/-/healthy")


@contextlib.contextmanager
def node_exporter(directory: Path, web_config: str = "", *options: str) -> Iterator[Victim]:
    """Debian's. It has no probe but its page."""
    assert NODE_EXPORTER is not None
    port = free_port()
    context = _context(directory, web_config)
    command = [NODE_EXPORTER, f"--web.listen-address=127.0.0.1:{port}", *options]
    if web_config:
        (directory / "web.yml").write_text(web_config)
        command.append(f"--web.config.file={directory}/web.yml")
    with running(command, directory, _accepts(port)) as process:
        yield Victim(port, process.pid, "/", context)


VICTIMS: dict[str, Start] = {"bridge": bridge, "collector": ping_collector, "node_exporter": node_exporter}
