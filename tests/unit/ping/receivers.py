"""Real servers on loopback that behave as told: an HTTP(S) receiver, a proxy, and TCP servers that are none."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Respond = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A running server; `requests` grows as they arrive."""

    port: int
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str = "/ping", scheme: str = "http", user: str = "") -> str:
        return f"{scheme}://{user}127.0.0.1:{self.port}{path}"


def answer(status: int, body: bytes = b"", **headers: str) -> Respond:
    """A handler that answers like this; underscores in names of headers are hyphens."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


@contextlib.contextmanager
def receiver(respond: Respond, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """An HTTP server that answers every request with `respond`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            running.requests.append(Request(self.requestline, dict(self.headers.items()), self.rfile.read(length)))
            with contextlib.suppress(OSError):
                respond(self)

        do_GET = do_POST = do_CONNECT = handle_any  # noqa: N815 - named so by the standard library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the standard library
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # so that closing waits for them

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    running = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tunnel(handler: BaseHTTPRequestHandler) -> None:
    """What an HTTP proxy does for `CONNECT host:port`."""
    host, _, port = handler.path.partition(":")
    with socket.create_connection((host, int(port)), 5) as far:
        handler.send_response(200)
        handler.end_headers()
        near = handler.connection
        other = {near: far, far: near}
        while True:
            readable, _, _ = select.select([near, far], [], [], 5)
            for source in readable:
                data = source.recv(65536)
                if not data:
                    handler.close_connection = True
                    return
                other[source].sendall(data)


@contextlib.contextmanager
def tcp_server(talk: Callable[[socket.socket], None]) -> Iterator[tuple[int, threading.Event]]:
    """A TCP server that is no HTTP server: gives its port, and an event that is set when a client has connected."""
    connected = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with client:
                connected.set()
                talk(client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], connected
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def silent(client: socket.socket) -> None:
    """Read, and never answer, until the client goes away."""
    while client.recv(65536):
        pass


def trickling(first: bytes, each: bytes = b"x") -> Callable[[socket.socket], None]:
    """Answer with `first`, then with `each` again and again, until the client goes away."""
    gone = threading.Event()

    def talk(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(first)
        while not gone.wait(0.02):
            client.sendall(each)

    return talk


@contextlib.contextmanager
def unreachable_port() -> Iterator[int]:
    """A port whose connections neither succeed nor fail: its queue is full, as that of a host that drops packets."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
