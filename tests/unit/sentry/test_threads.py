"""Faults in every thread of a running bridge arrive in Sentry, with the name of the thread."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ff_observe.config.settings import PrometheusSettings, SQLiteDatabase
from ff_observe.platform.sources.sqlite import SQLiteSource
from ff_observe.running.bridge import Bridge
from ff_observe.web.app import SnapshotExposition
from tests.platforms import case_named, writable_copy
from tests.real_parts.envelopes import Receiver
from tests.unit.sentry.samples import settings


@pytest.fixture
def bridge(server: Receiver, tmp_path: Path) -> Iterator[Bridge]:
    told = replace(
        settings(server.dsn),
        database=SQLiteDatabase(writable_copy(case_named("v2.4.0-sqlite-dev"), tmp_path)),
        prometheus=PrometheusSettings(enabled=True, port=0),
    )
    running = Bridge(told, serve=True)
    running.start()
    yield running
    running.stop()


def fail(*_arguments: Any) -> NoReturn:
    raise ZeroDivisionError("a fault of ours")


def status_of_scrape(bridge: Bridge) -> int:
    try:
        with urllib.request.urlopen(f"{bridge.url}/metrics", timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def told_of(server: Receiver, bridge: Bridge) -> list[tuple[str, str]]:
    bridge.stop()
    return [(event["tags"]["thread"], event["exception"]["values"][-1]["type"]) for event in server.events()]


def test_a_fault_while_a_snapshot_is_taken_for_a_scrape(
    server: Receiver, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLiteSource, "read", fail)
    assert status_of_scrape(bridge) == 200
    assert told_of(server, bridge) == [("snapshot", "ZeroDivisionError")]


def test_a_fault_while_a_request_is_answered(server: Receiver, bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SnapshotExposition, "answer", fail)
    assert status_of_scrape(bridge) == 500
    assert told_of(server, bridge) == [("web server", "ZeroDivisionError")]


def test_a_sound_bridge_tells_nothing(server: Receiver, bridge: Bridge) -> None:
    assert status_of_scrape(bridge) == 200
    assert told_of(server, bridge) == []
