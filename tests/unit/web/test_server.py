"""The server thread over real sockets: starting, refusing, bounds, and stopping in time whatever hangs."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ff_observe.errors import FFObserveError
from ff_observe.http.limits import Limits
from ff_observe.system.clock import SystemClock
from ff_observe.web.server import LIMITS, WebServer
from tests.fakes import no_more_files
from tests.pace import within
from tests.unit.web.platforms import Provider, app, snapshot


@contextlib.contextmanager
def served(provider: Provider, host: str = "127.0.0.1", port: int = 0, limits: Limits = LIMITS) -> Iterator[WebServer]:
    server = WebServer(app(provider), host, port, SystemClock(), limits=limits)
    server.start()
    try:
        yield server
    finally:
        provider.release()
        server.stop(time.monotonic() + 5)


def connect(server: WebServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 5)


def received(client: socket.socket) -> bytes:
    """Everything until the other end closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_it_serves_on_a_port_the_system_chose_as_soon_as_it_is_started() -> None:
    with served(Provider(snapshot())) as server:
        assert server.port != 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for _ in range(2):  # over one connection
            connection.request("GET", "/metrics")
            reply = connection.getresponse()
            assert reply.status == 200
            assert b"flowfuse_users 7.0\n" in reply.read()
            assert reply.headers["server"] is None
        connection.request("HEAD", "/metrics")
        head = connection.getresponse()
        assert (head.status, head.read()) == (200, b"")
        assert int(head.headers["content-length"]) > 0
        connection.close()


def test_it_serves_ipv6() -> None:
    with served(Provider(snapshot()), host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        connection = http.client.HTTPConnection("::1", server.port, timeout=60)
        connection.request("GET", "/-/healthy")
        assert connection.getresponse().status == 200
        connection.close()


def test_an_address_in_use_is_told_at_once() -> None:
    with served(Provider(snapshot())) as server:
        second = WebServer(app(Provider()), "127.0.0.1", server.port, SystemClock())
        with pytest.raises(FFObserveError, match=rf"127\.0\.0\.1:{server.port}.*in use.*prometheus\.host"):
            second.start()
        second.stop(time.monotonic() + 1)  # legal after a failed start


def test_a_host_that_is_none_is_told_at_once() -> None:
    host = "127.0.0.1%nonsense"
    with pytest.raises(FFObserveError, match=rf"{host}:80.*known.*prometheus\.host"):
        WebServer(app(Provider()), host, 80, SystemClock()).start()


def test_a_server_that_cannot_serve_is_not_started() -> None:
    with served(Provider(snapshot())):
        pass  # all that is needed is imported
    listening = socket.create_server(("127.0.0.1", 0))
    server = WebServer(app(Provider()), "127.0.0.1", 0, SystemClock(), listening=lambda: listening)
    with no_more_files(), pytest.raises(FFObserveError, match=r"cannot serve http://127.*: Too many open files"):
        server.start()
    server.stop(time.monotonic() + 5)
    assert listening.fileno() == -1


def test_stop_before_start_and_twice_is_legal() -> None:
    server = WebServer(app(Provider(snapshot())), "127.0.0.1", 0, SystemClock())
    server.stop(time.monotonic() + 1)
    server.start()
    server.stop(time.monotonic() + 5)
    server.stop(time.monotonic() + 5)
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_the_thread_is_named_and_takes_no_signals() -> None:
    with served(Provider(snapshot())):
        assert [thread.daemon for thread in threading.enumerate() if thread.name == "web server"] == [True]


def test_idle_and_half_sent_connections_do_not_delay_the_stop() -> None:
    server = WebServer(app(Provider(snapshot())), "127.0.0.1", 0, SystemClock())
    server.start()
    with connect(server) as idle, connect(server) as half, connect(server) as kept_alive:
        half.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n")
        kept_alive.sendall(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert kept_alive.recv(12) == b"HTTP/1.1 200"
        with within(2):
            server.stop(time.monotonic() + 5)
        assert received(idle) == b""


def test_a_scrape_that_waits_for_a_hanging_database_is_answered_when_the_server_stops() -> None:
    provider = Provider()
    server = WebServer(app(provider), "127.0.0.1", 0, SystemClock())
    server.start()
    with connect(server) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
        while provider.asked == 0:
            threading.Event().wait(0.005)
        with within(2):
            server.stop(time.monotonic() + 5)
        reply = received(client)
    provider.release()
    assert reply.startswith(b"HTTP/1.1 200")
    assert b"flowfuse_up 0.0\n" in reply


def test_a_request_that_does_not_come_to_its_end_is_cut_off() -> None:
    limits = replace(LIMITS, request_seconds=0.1)
    with served(Provider(snapshot()), limits=limits) as server, connect(server) as silent, connect(server) as slow:
        slow.sendall(b"\r\n")
        assert received(silent) == b""
        assert received(slow) == b""


def test_nonsense_is_answered_with_400_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with served(Provider(snapshot())) as server, connect(server) as client:
        client.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert received(client).startswith(b"HTTP/1.1 400")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("host", "tls", "words"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:10464"),
        ("::1", None, "http://[::1]:10464"),
        ("0.0.0.0", None, "http on all IPv4 addresses, port 10464"),
        ("::", None, "http on all addresses, port 10464"),
        ("0.0.0.0", ssl.create_default_context, "https on all IPv4 addresses, port 10464"),
    ],
)
def test_where_it_listens_is_said_as_it_is(host: str, tls: Callable[[], ssl.SSLContext] | None, words: str) -> None:
    assert WebServer(app(Provider()), host, 10464, SystemClock(), tls).listens_on == words
