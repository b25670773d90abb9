"""A receiver of every output, and a proxy to it, that keeps what comes in, refuses at first and repeats what it got."""

import contextlib
import gzip
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

REFUSALS = 1


@dataclass(frozen=True)
class Request:
    """First line and headers as they came in, and the body without compression."""

    path: str
    head: bytes
    body: bytes


@dataclass
class Recorder:
    """What came in so far."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)

    def to(self, path: str) -> list[Request]:
        """The requests to a path."""
        return [request for request in list(self.requests) if path in request.path]

    def is_asked(self, path: str, times: int) -> bool:
        """Whether so many requests came to a path."""
        return len(self.to(path)) >= times


@contextlib.contextmanager
def recording() -> Iterator[Recorder]:
    """Receive until the block ends. Of each path the first request is refused, with all its headers in the answer."""
    state, seen = Recorder(), Counter[str]()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            state.requests.append(Request(self.path, f"{self.requestline}\n{self.headers}".encode(), body))
            where = self.path.partition("?")[0]
            seen[where] += 1
            refused = seen[where] <= REFUSALS
            said = " ".join(f"{name}: {value};" for name, value in self.headers.items()) if refused else ""
            self.send_response(403 if refused else 200, said or None)
            for name in ("X-Sentry-Error", "WWW-Authenticate", "Location") if refused else ():
                self.send_header(name, said)
            self.send_header("Content-Length", str(len(said.encode())))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(said.encode())
            self.close_connection = True

        do_GET = do_POST  # noqa: N815 - the name is http.server's

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
