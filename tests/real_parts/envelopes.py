"""A receiver of Sentry envelopes that keeps every byte: to see what really leaves. Can refuse, redirect or hang."""

import contextlib
import gzip
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Request:
    """One request: first line and headers as sent, and the decompressed body."""

    line: str
    headers: dict[str, str]
    body: bytes

    def items(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """The items of the envelope: header and payload."""
        lines = self.body.split(b"\n")[1:]
        return [(json.loads(head), json.loads(body)) for head, body in zip(lines[::2], lines[1::2], strict=False)]


@dataclass
class Receiver:
    """Answers with `status` and `headers`; waits for `released` first where `hangs`."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    scheme: str = "http"

    @property
    def dsn(self) -> str:
        return f"{self.scheme}://{KEY}@127.0.0.1:{self.port}/7"

    @property
    def everything(self) -> bytes:
        """Every byte that came in, but for the header that has to hold the key."""
        return b"\n".join(
            request.line.encode()
            + json.dumps({name: text for name, text in request.headers.items() if name != "X-Sentry-Auth"}).encode()
            + request.body
            for request in self.requests
        )

    def events(self) -> list[dict[str, Any]]:
        """The events received, in order."""
        return [body for request in self.requests for head, body in request.items() if head["type"] == "event"]


@contextlib.contextmanager
def receiver(tls: ssl.SSLContext | None = None, **how: Any) -> Iterator[Receiver]:
    """A receiver on a free port until the block ends."""
    state = Receiver(**how)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            state.requests.append(Request(self.requestline, dict(self.headers), body))
            state.asked.set()
            if state.hangs:
                state.released.wait()
                self.close_connection = True
                return
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        state.scheme = "https"
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
