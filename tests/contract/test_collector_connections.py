"""What a connection brings besides one ping after another: what follows the last answer, other protocols, the stop."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ff_observe.collector import service
from ff_observe.collector.receiving import ingest
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Ping
from ff_observe.collector.store.opening import open_store
from tests.real_parts.collector import collecting, in_packets, raw, send
from tests.real_parts.processes import PATIENCE_SECONDS, wait_until
from tests.unit.collector.pings import body, instance

SIZED = b"Content-Length: %d\r\n\r\n%b"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"


def test_no_ping_behind_an_answer_that_closes_is_taken(collector: Collector) -> None:
    """Its sender would not hear of it (RFC 9112, 9.6)."""
    refused, sent = body("refused"), body("behind")
    head = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    behind = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    answers = raw(collector.port, head % len(refused) + refused + behind % len(sent) + sent)
    assert re.findall(rb"HTTP/1.1 ([0-9]{3}) ", answers) == [b"415"]
    assert send(collector.port, body("later")).status == 200  # what was taken before is stored by now
    assert [len(list(collector.store.export(instance(name)))) for name in ("refused", "behind", "later")] == [0, 0, 1]


@pytest.mark.parametrize("framed", [SIZED, CHUNKED], ids=["sized", "chunked"])
def test_a_ping_that_offers_another_protocol_is_a_ping(collector: Collector, framed: bytes) -> None:
    """RFC 9110, 7.8: java.net.http.HttpClient and `curl --http2` offer HTTP/2 with every request."""
    upgrade = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    first, second = (framed % (len(sent), sent) for sent in (body("first"), body("second")))
    last = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    packets = [upgrade + b"HTTP2-Settings: AAMAAABk\r\n" + first[:40], first[40:] + last + second]
    for sent in (packets, [b"".join(packets)]):
        assert re.findall(rb"HTTP/1.1 ([0-9]{3}) ", in_packets(collector.port, sent)) == [b"200", b"200"]
    assert [len(list(collector.store.export(instance(name)))) for name in ("first", "second")] == [1, 1]


def test_nothing_behind_a_connect_is_taken_for_a_request(collector: Collector) -> None:
    sent = body("behind")
    behind = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent)
    raw(collector.port, b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n" + behind)
    assert send(collector.port, body("later")).status == 200
    assert list(collector.store.export(instance("behind"))) == []


def test_a_ping_whose_client_left_is_stored_at_the_stop(
    settings: CollectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose client waits is, for as long."""
    monkeypatch.setattr(service, "LEAVE_SECONDS", 0.0)
    monkeypatch.setattr(ingest, "ABORT_SECONDS", 0.0)
    monkeypatch.setattr(service, "ANSWER_SECONDS", PATIENCE_SECONDS)
    sent = body("left")
    with collecting(settings) as running, ThreadPoolExecutor(1) as stopping:
        writing, written = threading.Event(), asyncio.Event()
        write = running._writer.write

        async def held(pings: Sequence[Ping]) -> Sequence[bool]:
            if pings:
                writing.set()
                await written.wait()
            return await write(pings)

        monkeypatch.setattr(running._writer, "write", held)
        with socket.create_connection(("127.0.0.1", running.port), 5) as client:
            head = b"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(sent)
            client.sendall(head + sent)
            assert writing.wait(PATIENCE_SECONDS)
        wait_until(lambda: running._server.connection_count == 0, "the client to be gone")
        stopped = stopping.submit(running.stop, time.monotonic() + PATIENCE_SECONDS)
        wait_until(lambda: running._ingest._stopping, "the writer to be stopped")
        assert running._server._loop is not None
        running._server._loop.call_soon_threadsafe(written.set)
        stopped.result()
    assert len(list(open_store(settings).export(instance("left")))) == 1
