"""PostgreSQL on several nodes as deploy/patroni has it: Patroni (PyPI), etcd (Debian package `etcd-server`). Each node
has ports of its own that can be cut off from the others, and processes that can be stopped and killed."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.network_guard import guarded_environment
from tests.plain_machine import TOP
from tests.real_parts.cache import cache_directory
from tests.real_parts.postgresql import BINARIES, PASSWORD
from tests.real_parts.processes import PATIENCE_SECONDS, answers, free_port, running, wait_until

RECIPE = TOP / "deploy" / "patroni"
ETCD = shutil.which("etcd")
VERSION = "4.1.5"
PATRONI = cache_directory() / f"patroni-{VERSION}" / "bin" / "patroni"
"""In a virtual environment of its own: one of its dependencies has no wheel, and what the tests install needs one."""
_AS_POSTGRES = (
    # PostgreSQL refuses to be root, and Python may be where only root can read.
    ("setpriv", "--reuid=postgres", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    if os.geteuid() == 0
    else ()
)


class Links:
    """Ports that lead to others, in a thread of their own. A link that is cut takes connections and bytes, as a network
    does until somebody gives up, and passes none on."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links")
        self._open: dict[int, asyncio.Event] = {}

    def __enter__(self) -> "Links":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # closed connections end in the next turn of the loop

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def to(self, target: int) -> int:
        """The port of a new link."""

        async def listen() -> int:
            is_open = asyncio.Event()
            is_open.set()

            async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                with contextlib.closing(writer), contextlib.suppress(OSError):
                    await is_open.wait()
                    onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", target)
                    await asyncio.gather(_pump(reader, onward_writer, is_open), _pump(onward_reader, writer, is_open))

            server = await asyncio.start_server(take, "127.0.0.1", 0)
            serving = self._loop.create_task(server.serve_forever())
            serving.add_done_callback(lambda _: server.close())
            port: int = server.sockets[0].getsockname()[1]
            self._open[port] = is_open
            return port

        return asyncio.run_coroutine_threadsafe(listen(), self._loop).result()

    def cut(self, *ports: int) -> None:
        for port in ports:
            self._loop.call_soon_threadsafe(self._open[port].clear)

    def mend(self, *ports: int) -> None:
        for port in ports:
            self._loop.call_soon_threadsafe(self._open[port].set)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event) -> None:
    try:
        while part := await reader.read(65536):
            await is_open.wait()
            writer.write(part)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@dataclass
class Node:
    """One of the nodes. `links` are the ways between it and the others."""

    name: str
    port: int
    api: int
    directory: Path
    environment: Mapping[str, str]
    links: tuple[int, ...]
    patroni: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def processes(self) -> list[psutil.Process]:
        """Patroni, and PostgreSQL with its children, which no longer is a child of Patroni's once that is gone."""
        found = []
        if self.patroni is not None and self.patroni.poll() is None:
            found.append(psutil.Process(self.patroni.pid))
        with contextlib.suppress(OSError, ValueError, IndexError):
            postmaster = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(postmaster))
        return [each for process in found for each in (process, *process.children(recursive=True))]

    def send(self, number: signal.Signals) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


class PatroniCluster:
    """Nodes that replicate each other. The database `pings` belongs to the role `collector`."""

    def __init__(self, nodes: tuple[Node, ...], links: Links, stack: contextlib.ExitStack) -> None:
        self.nodes = nodes
        self._links = links
        self._stack = stack

    def url(self, role: str = "collector", database: str = "pings") -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://{role}:{PASSWORD}@{hosts}/{database}"

    def start(self, node: Node) -> None:
        log = self._stack.enter_context((node.directory / "patroni.log").open("ab"))
        node.patroni = subprocess.Popen(
            [*_AS_POSTGRES, str(PATRONI), str(RECIPE / "patroni.yml")],
            cwd=node.directory,
            env={**guarded_environment(), **node.environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def leader(self) -> Node:
        """The node that leads while all others stream from it, and one confirms commits."""
        return wait_until(self._whole, "a leader with its standbys, one of them synchronous")

    def _whole(self) -> Node | None:
        for node in self.nodes:
            if node.patroni is None or node.patroni.poll() is not None:
                continue
            with contextlib.suppress(OSError, ValueError):
                with urllib.request.urlopen(f"http://127.0.0.1:{node.api}/cluster", timeout=2) as answer:
                    members = json.load(answer)["members"]
                roles = {member["name"]: member["role"] for member in members}
                states = [member["state"] for member in members]
                is_streaming = sorted(states) == ["running", *["streaming"] * (len(self.nodes) - 1)]
                if is_streaming and "sync_standby" in roles.values():
                    return next(each for each in self.nodes if roles.get(each.name) == "leader")
        return None

    def cut_off(self, node: Node) -> None:
        """Nothing passes any more between this node and etcd and the other nodes."""
        self._links.cut(*node.links)

    def cut_off_from_standbys(self, node: Node) -> None:
        """The other nodes can no longer follow this one, which still has etcd."""
        to_postgresql, *_ = node.links
        self._links.cut(to_postgresql)

    def mend(self, node: Node) -> None:
        self._links.mend(*node.links)

    def kill(self, node: Node) -> None:
        """The machine loses its power."""
        ended = node.processes()
        node.send(signal.SIGKILL)
        if node.patroni is not None:
            node.patroni.wait(PATIENCE_SECONDS)
        psutil.wait_procs(ended, PATIENCE_SECONDS)

    def end(self) -> None:
        for node in self.nodes:
            node.send(signal.SIGCONT)
            self.kill(node)


@contextlib.contextmanager
def patroni_cluster(directory: Path, size: int) -> Iterator[PatroniCluster]:
    """A cluster of so many nodes, with as many members of etcd where that makes it safer, until the block ends."""
    if BINARIES is None or ETCD is None:
        pytest.skip("needs PostgreSQL and etcd: apt-get install postgresql etcd-server")
    if not PATRONI.exists():
        pytest.skip("needs Patroni: python -m tests.real_parts.patroni")
    names = [f"node{number + 1}" for number in range(size)]
    with contextlib.ExitStack() as stack:
        etcd = _etcd(names if size > 2 else names[:1], directory, stack)
        links = stack.enter_context(Links())
        cluster = PatroniCluster(tuple(_node(name, directory, etcd, links) for name in names), links, stack)
        stack.callback(cluster.end)
        for node in cluster.nodes:
            cluster.start(node)
        cluster.leader()
        with psycopg.connect(
            cluster.url("postgres", "postgres"), target_session_attrs="read-write", autocommit=True
        ) as session:
            session.execute(f"CREATE ROLE collector LOGIN PASSWORD '{PASSWORD}'".encode())
            session.execute("CREATE DATABASE pings OWNER collector")
        yield cluster


def _settings(name: str) -> dict[str, str]:
    lines = (RECIPE / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _etcd(names: Sequence[str], directory: Path, stack: contextlib.ExitStack) -> list[int]:
    """Members of etcd; their ports."""
    assert ETCD is not None
    peers, clients = ({name: free_port() for name in names} for _ in range(2))
    for name in names:
        peer, client = (f"http://127.0.0.1:{ports[name]}" for ports in (peers, clients))
        environment = {
            **_settings("etcd.env"),
            "ETCD_NAME": name,
            "ETCD_DATA_DIR": str(directory / f"etcd-{name}"),
            "ETCD_LISTEN_CLIENT_URLS": client,
            "ETCD_ADVERTISE_CLIENT_URLS": client,
            "ETCD_LISTEN_PEER_URLS": peer,
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer,
            "ETCD_INITIAL_CLUSTER": ",".join(f"{each}=http://127.0.0.1:{peers[each]}" for each in names),
        }
        stack.enter_context(
            running([ETCD], directory / f"log-{name}", None, environment=guarded_environment(**environment))
        )
    for port in clients.values():
        wait_until(answers(f"http://127.0.0.1:{port}/health"), "etcd")
    return list(clients.values())


def _node(name: str, directory: Path, etcd: list[int], links: Links) -> Node:
    place = directory / name
    place.mkdir()
    place.chmod(0o700)
    if os.geteuid() == 0:
        shutil.chown(place, "postgres", "postgres")
    port, api = free_port(), free_port()
    to_port, to_api, *to_etcd = (links.to(each) for each in (port, api, *etcd))
    environment = {
        **_settings("node.env"),
        "PATRONI_NAME": name,
        "PATRONI_ETCD3_HOSTS": ",".join(f"127.0.0.1:{each}" for each in to_etcd),
        "PATRONI_ETCD3_USE_PROXIES": "true",  # or it would ask etcd for its members, and go around the links
        "PATRONI_RESTAPI_LISTEN": f"127.0.0.1:{api}",
        "PATRONI_RESTAPI_CONNECT_ADDRESS": f"127.0.0.1:{to_api}",
        "PATRONI_POSTGRESQL_LISTEN": f"127.0.0.1:{port}",
        "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"127.0.0.1:{to_port}",
        "PATRONI_POSTGRESQL_DATA_DIR": str(place / "data"),
        "PATRONI_POSTGRESQL_BIN_DIR": str(BINARIES),
        "PATRONI_POSTGRESQL_PGPASS": str(place / "pgpass"),
        "PATRONI_SUPERUSER_PASSWORD": PASSWORD,
        "PATRONI_REPLICATION_PASSWORD": PASSWORD,
    }
    return Node(name, port, api, place, environment, (to_port, to_api, *to_etcd))


def install() -> None:
    """Does nothing where it is there."""
    if PATRONI.exists():
        return
    home = PATRONI.parent.parent
    subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
    wanted = (f"patroni[etcd3,psycopg3]=={VERSION}", "psycopg[binary]")
    subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted], check=True)


if __name__ == "__main__":
    install()
