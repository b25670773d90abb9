"""What the collector serves besides taking pings: its metrics, its pages, and to which names."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from ff_observe.collector import publication
from ff_observe.collector.metrics import CollectorMetrics
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.exposition.formats import Format
from tests.real_parts.collector import ask, collecting, send
from tests.unit.collector.pings import body


@pytest.fixture
def settings(tmp_path: Path) -> CollectorSettings:
    return CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True)


@pytest.fixture
def collector(settings: CollectorSettings) -> Iterator[Collector]:
    with collecting(settings) as running:
        yield running


@pytest.mark.parametrize(
    ("headers", "content_type", "encoding"),
    [
        ({"Accept-Encoding": "gzip;q=0"}, "text/plain; version=0.0.4", None),
        ({"Accept-Encoding": "gzip;q=0, *"}, "text/plain; version=0.0.4", None),
        ({"Accept-Encoding": "*"}, "text/plain; version=0.0.4", "gzip"),
        ({"Accept": "application/openmetrics-text;q=0, text/plain"}, "text/plain; version=0.0.4", None),
        ({"Accept": "text/plain;q=0.5, application/openmetrics-text;q=0.4"}, "text/plain; version=0.0.4", None),
        ({"Accept": "application/openmetrics-text," * 100}, "text/plain; version=0.0.4", None),
    ],
)
def test_the_exposition_keeps_to_what_was_refused(
    collector: Collector, headers: dict[str, str], content_type: str, encoding: str | None
) -> None:
    answer = ask(collector.port, "GET", "/metrics", headers=headers)
    assert answer.headers["content-type"].startswith(content_type)
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "accept, accept-encoding"


def test_scrapes_that_come_together_share_a_rendering(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is off the event loop, which belongs to the pings."""
    rendered: list[str] = []
    may_go_on = threading.Event()
    render = CollectorMetrics.exposition

    def slow(self: CollectorMetrics, exposition_format: Format) -> bytes:
        rendered.append(threading.current_thread().name)
        assert may_go_on.wait(20)
        return render(self, exposition_format)

    monkeypatch.setattr(CollectorMetrics, "exposition", slow)
    scrape = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with contextlib.ExitStack() as held:
        clients = []
        for _ in range(20):
            clients.append(held.enter_context(socket.create_connection(("127.0.0.1", collector.port), 20)))
            clients[-1].sendall(scrape)
        assert send(collector.port, body("while-rendering")).status == 200
        may_go_on.set()
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
    assert len(rendered) <= 3
    assert "collector-http" not in rendered


def test_the_page_is_rendered_when_it_is_counted_and_not_when_it_is_read(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.count_fleet()

    def never(*_arguments: object) -> NoReturn:
        raise AssertionError("rendered for a reader")

    monkeypatch.setattr(publication, "render", never)
    monkeypatch.setattr(publication, "as_json", never)
    for path in ("/", "/fleet.json"):
        assert ask(collector.port, "GET", path).status == 200


def test_another_name_gets_no_page_and_no_metrics_but_may_send_pings(settings: CollectorSettings) -> None:
    """A page of another site could otherwise read them by a name that resolves to 127.0.0.1 (DNS rebinding)."""
    foreign = {"Host": "attacker.example"}
    with collecting(replace(settings, allowed_hosts=("pings.example.com",))) as running:
        for path in ("/", "/metrics", "/fleet.json", "/-/ready"):
            refused = ask(running.port, "GET", path, headers=foreign)
            assert (refused.status, "allowed_hosts" in refused.json["error"]) == (421, True)
            assert ask(running.port, "GET", path, headers={"Host": "pings.example.com:443"}).status in (200, 503)
        assert send(running.port, body(), headers=foreign).status == 200


@pytest.mark.parametrize("path", ["/", "/metrics", "/fleet.json", "/nothing", "/-/healthy", "/ping", "/favicon.ico"])
def test_every_answer_forbids_sniffing_and_referring(collector: Collector, path: str) -> None:
    headers = ask(collector.port, "GET", path).headers
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_browsers_find_an_icon(collector: Collector) -> None:
    answer = ask(collector.port, "GET", "/favicon.ico")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
