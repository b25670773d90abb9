"""The web as a browser under test sees it: one TLS server on loopback that answers for every host name and records.

Hosts are told apart by the `Host` header; `browser.browser({"*:443": …})` leads every name here.
"""

import concurrent.futures
import contextlib
import datetime
import gzip
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.real_parts.processes import wait_until

_WORKERS = 24  # connections at a time, those included that a browser opens ahead of use


@dataclass(frozen=True)
class Request:
    """One request that arrived."""

    method: str
    host: str
    path: str  # with its query
    body: bytes
    user_agent: str = ""

    def json(self) -> Any:
        return json.loads(gzip.decompress(self.body) if self.body[:2] == b"\x1f\x8b" else self.body)


@dataclass(frozen=True)
class Answer:
    """What to answer."""

    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200


Site = Callable[[Request], Answer | None]


@dataclass
class Internet:
    """`sites` is host name → what it answers; a host without a site, or a site that answers None, gives 404.

    `requests` are those of visitors whose user agent holds `visitor`. A browser sends what a page had still to say
    after that page is gone, at its leisure: such a straggler of an earlier visitor is answered and not recorded.
    """

    port: int
    sites: dict[str, Site] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    visitor: str = ""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def welcome(self, visitor: str) -> None:
        """Record from now on what `visitor` sends, and nobody else."""
        self.visitor = visitor
        self.requests.clear()

    def record(self, request: Request) -> None:
        """Keep `request`, if it is of the present visitor."""
        if self.visitor in request.user_agent:
            self.requests.append(request)

    def to(self, host: str) -> list[Request]:
        return [request for request in self.requests if request.host == host]

    def wait_for(self, wanted: Callable[[Request], bool], what: str) -> Request:
        """The first request for which `wanted` holds."""
        return wait_until(lambda: next((request for request in tuple(self.requests) if wanted(request)), None), what)


@contextlib.contextmanager
def internet(directory: Path) -> Iterator[Internet]:
    """Run the server until the block ends; its certificate is made in `directory`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            host = (self.headers.get("host") or "").split(":")[0]
            user_agent = self.headers.get("user-agent") or ""
            request = Request(self.command, host, self.path, self.rfile.read(length), user_agent)
            web.record(request)
            site = web.sites.get(host)
            answer = (site(request) if site is not None else None) or Answer(status=404)
            self.send_response(answer.status)
            for name, value in (
                ("content-type", answer.content_type),
                ("content-length", str(len(answer.body))),
                ("access-control-allow-origin", self.headers.get("origin") or "*"),
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-headers", "content-type, x-sentry-auth"),
                *answer.headers,
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_OPTIONS = _answer  # noqa: N815 - the names http.server calls

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
            pass

    class Server(http.server.HTTPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            pool.submit(self._serve, request, client_address)

        def _serve(self, request: Any, client_address: Any) -> None:
            try:
                self.finish_request(request, client_address)
            except OSError:
                self.handle_error(request, client_address)
            finally:
                self.shutdown_request(request)

        def handle_error(self, request: object, client_address: object) -> None:
            """A browser that closes a connection early is no news."""

        def finish_request(self, request: Any, client_address: Any) -> None:
            request.settimeout(1)  # browsers open connections ahead of use: those must not keep a thread
            super().finish_request(request, client_address)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(directory))
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    web = Internet(server.server_address[1])
    # All threads run before the first request: a test is watched for those it leaves behind.
    pool = concurrent.futures.ThreadPoolExecutor(_WORKERS, thread_name_prefix="internet")
    running = threading.Barrier(_WORKERS + 1)
    for _ in range(_WORKERS):
        pool.submit(running.wait)
    running.wait()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="internet")
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        pool.shutdown()


def _certificate(directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "localhost.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path
