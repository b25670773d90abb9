"""What the collector serves besides taking pings: its metrics, the fleet as a page and as data, and to which names."""

import contextlib
import re
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ff_observe.collector import publication
from ff_observe.collector.metrics import CollectorMetrics
from ff_observe.collector.pages.public import render
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store.opening import open_store
from ff_observe.exposition.formats import Format
from tests.real_parts.collector import ask, collecting, send
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import body, ping


@pytest.fixture
def settings(tmp_path: Path) -> CollectorSettings:
    return CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True, k=1, public_k=1)


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


def test_the_page_and_its_data_are_off_unless_asked_for(settings: CollectorSettings) -> None:
    with collecting(replace(settings, public=False)) as running:
        assert ask(running.port, "GET", "/").status == 405
        assert ask(running.port, "GET", "/fleet.json").status == 404
        assert send(running.port, body(), path="/").status == 200


def test_the_page_needs_nothing_from_elsewhere(collector: Collector) -> None:
    collector.count_fleet()
    answer = ask(collector.port, "GET", "/")
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    text = answer.body.decode()
    for foreign in ("<script", "<link", "<img", "http://", "https://", "url(", "style="):
        assert foreign not in text


def test_what_an_earlier_collector_stored_against_the_grammar_is_counted_and_not_shown(
    collector: Collector, settings: CollectorSettings
) -> None:
    odd: dict[str, Any] = {
        "env__flowforge": "<script>",
        "platform__config__driver": "\u202eyub",
        "platform__license__type": "buy this",
    }
    writer = BlockingWriter(open_store(settings))
    writer.write([ping("203.0.113.77 alice@bank.example", datetime.now(UTC), **odd)])
    writer.close()
    collector.count_fleet()
    data = ask(collector.port, "GET", "/fleet.json").json
    assert data["platforms"]["30d"] == 1
    shares = ("platforms_by_version", "platforms_by_driver", "platforms_by_license_type")
    assert [data[name] for name in shares] == [{"other": 1}] * 3
    for path in ("/", "/fleet.json", "/metrics"):
        text = ask(collector.port, "GET", path).body.decode()
        assert not any(value in text for value in ("<script", "yub", "buy this", "alice")), path


def test_a_value_is_escaped_on_the_page(collector: Collector) -> None:
    collector.count_fleet()
    document = ask(collector.port, "GET", "/fleet.json").json
    page = render(document | {"platforms_by_version": {"<script>": 1}}, "key<", "other key<")
    assert b"&lt;script&gt;" in page
    assert b"<script" not in page
    assert b"<code>key&lt;</code>" in page
    assert b"<code>other key&lt;</code>" in page


def test_a_histogram_is_said_in_words_too(collector: Collector) -> None:
    collector.count_fleet()
    document = ask(collector.port, "GET", "/fleet.json").json
    sizes = {"0": 10, "1": 20, "2": 30, "5": 40, "10": 50, "20": 60, "1000": 70, "other": 80}
    users = {"platforms": 360, "sizes": sizes, "quantiles": {}, "total": None, "bound": 1000}
    page = render(document | {"resources": {"users": users}}, "key", "key").decode()
    words = "10 have 0; 20 have 1; 30 have 2 to 4; 40 have 5 to 9; 50 have 10 to 19; 60 have 20 to 49"
    assert f"<title>{words}; 70 have 1\u202f000 or more</title>" in page
    places = [float(x) for x in re.findall('<rect x="([0-9]+)" y', page)]
    assert places == [0, 1, 2, 3, 4, 5, 10], "on a logarithmic scale"


def test_the_page_names_counts_in_words(collector: Collector) -> None:
    for index in range(5):
        send(collector.port, body(f"{index}"))
    collector.count_fleet()
    text = ask(collector.port, "GET", "/").body.decode()
    assert ">suspended instances<" in text
    assert "by state" not in text


def test_the_data_says_what_the_metrics_say(collector: Collector) -> None:
    for index in range(5):
        send(collector.port, body(f"{index}"))
    collector.count_fleet()
    data = ask(collector.port, "GET", "/fleet.json").json
    assert data["platforms"] == {"1d": 5, "7d": 5, "30d": 5}
    users = data["resources"]["users"]
    assert (users["platforms"], users["total"], users["quantiles"]) == (5, 45, {"0.5": 9, "0.9": 9, "0.99": 9})
    assert data["platforms_by_driver"] == {"stub": 5}


def test_a_new_collector_releases_an_empty_fleet(settings: CollectorSettings) -> None:
    with collecting(replace(settings, k=5, public_k=10)) as running:
        send(running.port, body())
        running.count_fleet()
        data = ask(running.port, "GET", "/fleet.json").json
        assert (data["k"], data["days"], data["platforms"]["30d"], data["resources"]) == (10, 3, 0, {})
        assert data["counted_at"].endswith("T00:00:00+00:00")
        assert "Too few platforms to show." in ask(running.port, "GET", "/").body.decode()
