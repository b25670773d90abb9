"""ClickHouse: the engine in the package `chdb`, behind the part of its HTTP interface that the collector uses."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.real_parts.processes import accepts, free_port, wait_until

USER, PASSWORD = "collector", "planted-p%w"
AUTHENTICATION_FAILED = b"Code: 516. DB::Exception: collector: Authentication failed. (AUTHENTICATION_FAILED)"


class ClickHouse:
    """A server, in a process of its own; its data outlives the process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.real_parts.clickhouse", str(self.port), str(self.directory)]
        self._process = subprocess.Popen(command)
        wait_until(accepts(self.port), "ClickHouse")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def url(self, database: str, password: str = "planted-p%25w") -> str:
        return f"clickhouse://{USER}:{password}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def running(directory: Path) -> Iterator[ClickHouse]:
    server = ClickHouse(directory)
    try:
        yield server
    finally:
        server.kill()


class _Server(HTTPServer):
    database = ""


class _Requests(BaseHTTPRequestHandler):
    server: _Server
    session: Any

    def do_POST(self) -> None:
        sent = dict(parse_qsl(urlsplit(self.path).query))
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if (self.headers["X-ClickHouse-User"], self.headers["X-ClickHouse-Key"]) != (USER, PASSWORD):
            return self._answer(403, AUTHENTICATION_FAILED)
        parameters = {name.removeprefix("param_"): value for name, value in sent.items() if name.startswith("param_")}
        statement = f"{sent['query']}\n{body}" if "query" in sent else body
        quoted = sent["output_format_json_quote_64bit_integers"]
        try:
            if sent["database"] != self.server.database:
                self.session.query(f"CREATE DATABASE IF NOT EXISTS {sent['database']}")
                self.session.query(f"USE {sent['database']}")
                self.session.query(f"SET output_format_json_quote_64bit_integers = {quoted}")
                self.server.database = sent["database"]
            answer = self.session.query(statement, sent["default_format"], params=parameters or None)
        except RuntimeError as error:
            return self._answer(404 if "UNKNOWN_TABLE" in str(error) else 500, str(error).encode())
        return self._answer(200, str(answer).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main(port: int, directory: str) -> None:
    from chdb.session import Session

    session: Any = Session
    _Requests.session = session(directory)
    _Server(("127.0.0.1", port), _Requests).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
