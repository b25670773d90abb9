"""The page about the fleet and its data, over real HTTP."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ff_observe.collector.page import render
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store.opening import open_store
from tests.real_parts.collector import ask, collecting, send
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import body, ping


@pytest.fixture
def settings(tmp_path: Path) -> CollectorSettings:
    return CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True, k=1, public_k=1)


@pytest.fixture
def collector(settings: CollectorSettings) -> Iterator[Collector]:
    with collecting(settings) as running:
        yield running


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
