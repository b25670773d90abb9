"""The servers that `benchmarks.collector` loads, each in a process of its own: `NAME PORT ARGUMENT...`."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import uvicorn

from ff_observe.collector.commands import prepare_process
from ff_observe.collector.receiving.acceptance import Accepted, accept
from ff_observe.collector.receiving.answers import SUCCESS
from ff_observe.collector.service import Collector
from ff_observe.collector.settings_file import collector_settings
from ff_observe.collector.settings_kinds import parse_database
from ff_observe.collector.store.columns import NAMES
from ff_observe.http.messages import Receive, Scope, Send
from tests.network_guard import guarded_environment
from tests.real_parts.processes import accepts, answers, free_port, running

SENDER = "ab" * 32


@dataclass(frozen=True)
class Receiver:
    """A server that is running, and its process."""

    port: int
    pid: int


@contextlib.contextmanager
def receiving(name: str, directory: Path, *arguments: str) -> Iterator[Receiver]:
    """One of the servers below, until the block ends."""
    port = free_port()
    ready = answers(f"http://127.0.0.1:{port}/-/ready") if name == "collector" else accepts(port)
    command = [sys.executable, "-m", "benchmarks.receivers", name, str(port), *arguments]
    with running(command, directory, ready, environment=guarded_environment()) as process:
        yield Receiver(port, process.pid)


def collector(port: int, directory: str, database: str, max_batch: str = "1000") -> None:
    """ff-observe's own."""
    prepare_process()
    settings = replace(
        collector_settings(listen=f"127.0.0.1:{port}", data_dir=Path(directory)),
        database=parse_database(database),
        max_batch=int(max_batch),
        fleet_interval_seconds=3600,
    )
    Collector(settings).start()
    threading.Event().wait()


def naive(port: int, url: str) -> None:
    """uvicorn, with a new connection and one INSERT for each request."""
    columns = ", ".join(["received_at", "sender", *NAMES])
    statement = f"INSERT INTO ping ({columns}) VALUES (now(), %s, {', '.join(['%s'] * len(NAMES))})".encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = accept((await receive())["body"])
        assert isinstance(found, Accepted)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(statement, (bytes.fromhex(SENDER), *found.values))
        await SUCCESS.send(scope, send)

    _serve(app, port)


def uvicorn_alone(port: int) -> None:
    """uvicorn, with an application that reads each request, and neither parses nor stores it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await SUCCESS.send(scope, send)

    _serve(app, port)


def _serve(app: object, port: int) -> None:
    uvicorn.run(app, port=port, log_level="error", access_log=False, lifespan="off", loop="uvloop")  # type: ignore[arg-type] # its own names for ASGI's types


if __name__ == "__main__":
    servers: dict[str, Callable[..., None]] = {"collector": collector, "naive": naive, "uvicorn": uvicorn_alone}
    servers[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
