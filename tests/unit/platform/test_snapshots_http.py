"""A snapshot says of the database and of FlowFuse itself whether they answer, and of neither by the other."""

from pathlib import Path

import pytest

from ff_observe.config.settings import PrometheusSettings, Settings, SQLiteDatabase
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.sources import http_probe
from ff_observe.running.wiring import Platform, open_platform
from tests.fakes import FakeClock
from tests.platforms import case_named
from tests.real_parts.processes import wait_until
from tests.unit.ping.receivers import answer, receiver, silent, tcp_server
from tests.unit.platform.test_http_probe import SETTINGS

DATABASE = case_named("v2.4.0-sqlite-dev").home / "var" / "forge.db"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_probe, "LIMIT_SECONDS", 60.0)


def of(home: Path, probe_url: str | None, database: Path = DATABASE) -> Settings:
    return Settings(home, home / "x.yml", SQLiteDatabase(database), prometheus=PrometheusSettings(probe_url=probe_url))


def said(snapshot: Snapshot) -> dict[str, float]:
    names = ("up", "database_up", "http_up", "http_duration_seconds")
    return {
        name: snapshot.readings[f"flowfuse_{name}"][()] for name in names if f"flowfuse_{name}" in snapshot.readings
    }


def test_a_dead_flowfuse_shows_while_its_database_answers(tmp_path: Path) -> None:
    with (
        receiver(answer(502)) as proxy,
        open_platform(of(tmp_path, proxy.url("")), asks_flowfuse=True) as platform,
    ):
        snapshot = platform.snapshots.take()
    assert said(snapshot) == {"up": 1, "database_up": 1, "http_up": 0}
    assert snapshot.http is not None
    assert snapshot.http.problem == "answers with status 502"
    assert "flowfuse_users" in snapshot.readings


def test_a_dead_database_shows_while_flowfuse_answers(tmp_path: Path) -> None:
    with receiver(SETTINGS) as flowfuse:
        settings = of(tmp_path, flowfuse.url(""), tmp_path / "missing.db")
        with open_platform(settings, asks_flowfuse=True) as platform:
            snapshot = platform.snapshots.take()
    seconds = said(snapshot).pop("http_duration_seconds")
    assert said(snapshot) == {"up": 0, "database_up": 0, "http_up": 1, "http_duration_seconds": seconds}
    assert seconds > 0


@pytest.mark.parametrize("asks_flowfuse", [True, False])
def test_who_is_not_asked_is_absent(tmp_path: Path, asks_flowfuse: bool) -> None:
    with receiver(SETTINGS) as flowfuse:
        probe_url = None if asks_flowfuse else flowfuse.url("")
        with open_platform(of(tmp_path, probe_url), asks_flowfuse=asks_flowfuse) as platform:
            snapshot = platform.snapshots.take()
    assert said(snapshot) == {"up": 1, "database_up": 1}
    assert snapshot.http is None
    assert flowfuse.requests == []


def waiting(platform: Platform) -> Snapshot:
    """What a caller is shown that cannot wait until FlowFuse has answered."""
    snapshots = platform.snapshots
    platform.snapshots.request()
    wait_until(lambda: snapshots._waits_for_http, "the database's answer", 60)
    return snapshots.unanswered(1.0)


def probe_is_free(platform: Platform) -> bool:
    probe = platform.snapshots._probe
    return probe is not None and probe._question is not None and probe._question.done()


def test_a_flowfuse_that_hangs_does_not_make_its_database_unreachable(tmp_path: Path) -> None:
    with tcp_server(silent) as (port, _):
        settings = of(tmp_path, f"http://127.0.0.1:{port}")
        with open_platform(settings, asks_flowfuse=True) as platform:  # whose end cuts the question off
            snapshot = waiting(platform)
    assert said(snapshot) == {"up": 1, "database_up": 1}
    assert "flowfuse_users" in snapshot.readings


def test_while_flowfuse_hangs_its_last_answer_stands(tmp_path: Path) -> None:
    with tcp_server(silent) as (port, _):
        settings = of(tmp_path, f"http://127.0.0.1:{port}")
        with open_platform(settings, asks_flowfuse=True) as platform, pytest.MonkeyPatch.context() as patch:
            patch.setattr(http_probe, "LIMIT_SECONDS", 0.05)
            assert said(platform.snapshots.take())["http_up"] == 0
            wait_until(lambda: probe_is_free(platform), "the first question's end")  # or the next one joins it
            patch.setattr(http_probe, "LIMIT_SECONDS", 60.0)
            assert said(waiting(platform)) == {"up": 1, "database_up": 1, "http_up": 0}


def test_all_who_ask_share_one_question(tmp_path: Path) -> None:
    clock = FakeClock()
    with receiver(SETTINGS) as flowfuse:
        settings = of(tmp_path, flowfuse.url(""))
        with open_platform(settings, clock, asks_flowfuse=True) as platform:
            assert len({id(platform.snapshots.current()) for _ in range(3)}) == 1
            assert len(flowfuse.requests) == 1
            clock.advance(5)
            platform.snapshots.current()
            assert len(flowfuse.requests) == 2
