"""Checks of `doctor` that need a clock or a moment of their own, and the examination of a running bridge."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ff_observe.cli import main
from ff_observe.cli import options as cli_options
from ff_observe.config import load_settings
from ff_observe.doctor.examination import EVERY_SECONDS, Examination
from ff_observe.doctor.machine import MACHINE
from ff_observe.doctor.model import Check, Subject, note, run_checks
from ff_observe.doctor.platform import PLATFORM, SLOW_SECONDS
from ff_observe.doctor.serving import SILENT_SECONDS, Scrapes, examine_scrapes
from ff_observe.lifecycle.workers import Workers
from ff_observe.problems import Finding, Severity
from ff_observe.running.bridge import build_bridge
from ff_observe.running.wiring import open_platform
from ff_observe.system.clock import FrozenClock, SystemClock
from tests.fakes import FakeClock
from tests.other_users import somebody_else, unable_to_enter
from tests.planted_faults import World, world
from tests.real_parts.certificates import root_authority
from tests.real_parts.processes import wait_until
from tests.unit.ping import tampering
from tests.unit.ping.receivers import answer, receiver

__all__ = ["world"]  # the fixture


@pytest.fixture
def subject(world: World) -> Iterator[Subject]:
    """A platform that is well, whose clock stands still."""
    world.write()
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    with open_platform(load_settings(world.home, variables={}), FrozenClock(at)) as platform:
        yield Subject(platform.settings, platform.clock, platform.versions, platform.snapshots.take())


def found_in(checks: tuple[Check, ...], subject: Subject) -> dict[str, Finding]:
    return {finding.id: finding for finding in run_checks(checks, subject)}


def test_a_slow_database_is_found(subject: Subject) -> None:
    assert subject.snapshot is not None
    assert found_in(PLATFORM, subject)["speed"].severity is Severity.OK
    slow = replace(subject, snapshot=replace(subject.snapshot, duration_seconds=2 * SLOW_SECONDS))
    assert "took 2.0 s" in found_in(PLATFORM, slow)["database-slow"].detail


def test_a_clock_that_was_never_set_is_found(subject: Subject) -> None:
    never_set = replace(subject, clock=FrozenClock(datetime(1970, 1, 1, tzinfo=UTC)))
    assert "timedatectl" in found_in(MACHINE, never_set)["clock"].fix
    assert found_in(MACHINE, subject)["clock"].severity is Severity.OK


def test_a_state_directory_that_may_not_be_entered_is_found(subject: Subject, open_directory: Path) -> None:
    closed = open_directory / "closed"
    closed.mkdir()
    ping = replace(subject.settings.ping, state_directory=closed / "state")
    closed_in = replace(subject, settings=replace(subject.settings, ping=ping))
    with unable_to_enter(closed):
        found = found_in(tuple(check for check in MACHINE if check.id == "state-directory"), closed_in)
    assert f"may not write to {closed}" in found["state-directory"].detail


def test_a_state_directory_that_the_bridge_refuses_is_found(subject: Subject, open_directory: Path) -> None:
    state = open_directory / "state"
    state.mkdir()
    state.chmod(0o777)  # as Kubernetes makes an emptyDir
    ping = replace(subject.settings.ping, state_directory=state)
    open_to_all = replace(subject, settings=replace(subject.settings, ping=ping))
    with somebody_else():
        found = found_in(tuple(check for check in MACHINE if check.id == "state-directory"), open_to_all)
    assert f"Nothing is kept in {state}: " in found["state-directory"].detail


def test_secrets_are_open_to_every_user_where_the_directories_above_them_are(
    subject: Subject, open_directory: Path
) -> None:
    file = open_directory / "etc" / "flowforge.yml"
    file.parent.mkdir()
    file.write_text("telemetry: {url: 'https://pings.example.com/secret'}")
    file.chmod(0o644)
    of_file = replace(subject, settings=load_settings(open_directory, variables={}))
    for mode, severity in ((0o755, Severity.WARNING), (0o750, Severity.OK)):
        file.parent.chmod(mode)
        found = found_in(tuple(check for check in MACHINE if check.id == "secrets"), of_file)
        assert [finding.severity for finding in found.values()] == [severity]
    file.parent.chmod(0o755)
    assert f"{file} has the mode 0644" in found_in(MACHINE, of_file)["secrets-readable"].detail


def test_a_ledger_that_a_receipt_contradicts_is_found(subject: Subject, tmp_path: Path) -> None:
    """Rewritten with its own key, so that only the collector's receipts say otherwise."""
    files = tampering.make(tmp_path, random.Random(9), 9)
    ping = replace(subject.settings.ping, ledger=tmp_path / tampering.NAME, receipts=tampering.COLLECTOR.verifier)
    receipted = replace(subject, settings=replace(subject.settings, ping=ping))
    assert found_in(MACHINE, receipted)["ledger"].severity is Severity.OK
    forgery = tampering.Forger(files, random.Random(1)).forge("rewrite")
    assert forgery.touched < max(tampering.receipted(files))
    tampering.write(tmp_path, forgery.files)
    assert "is contradicted: " in found_in(MACHINE, receipted)["ledger-damaged"].detail
    unreceipted = replace(receipted, settings=replace(subject.settings, ping=replace(ping, receipts=None)))
    assert found_in(MACHINE, unreceipted)["ledger"].severity is Severity.OK


@pytest.mark.parametrize(
    ("kept", "required", "said"),
    [
        (True, True, "no ping is sent without a ledger, as `telemetry.ledger_required` says"),
        (True, False, "pings are sent, and no ledger records them"),
        (False, False, "after a restart, the bridge does not know when its last ping left"),
    ],
)
def test_what_a_directory_that_is_not_writable_means_for_the_ping_depends_on_the_settings(
    kept: bool, required: bool, said: str, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    ping = subject.settings.ping
    ping = replace(ping, ledger=ping.ledger if kept else None, ledger_required=required)
    changed = replace(subject, settings=replace(subject.settings, ping=ping))
    assert f": {said}." in found_in(MACHINE, changed)["state-directory"].detail


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [(200, b"<html>", "its answer is not Prometheus'"), (200, b"[]", "its answer is not Prometheus'"), (404, b"", "N")],
)
def test_why_prometheus_lists_no_targets_is_said_in_words(status: int, body: bytes, why: str, subject: Subject) -> None:
    prometheus = replace(subject.settings.prometheus, enabled=True)
    scraped = replace(subject, settings=replace(subject.settings, prometheus=prometheus))
    with receiver(answer(status, body)) as server:
        url = f"http://127.0.0.1:{server.port}"
        (finding,) = examine_scrapes(scraped, url)
    assert finding.detail.startswith(f"{url} did not list its targets: {why}")


@pytest.mark.parametrize(
    "url", ["foo", "ftp://127.0.0.1", "http://", "http://127.0.0.1:x", "http://u@127.0.0.1:9090", "http://[::1"]
)
def test_what_is_no_url_of_prometheus_is_a_wrong_command_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--prometheus", url])
    assert ended.value.code == 2
    assert "is not the URL of a server" in capsys.readouterr().err


def test_the_url_of_prometheus_may_have_a_path_and_no_port() -> None:
    assert cli_options.server_url("https://metrics.example.com/prometheus/") == "https://metrics.example.com/prometheus"


def test_clocks_that_differ_are_found(subject: Subject, world: World) -> None:
    world.on_postgresql()
    world.write()
    now = SystemClock().now()
    with open_platform(load_settings(world.home, variables={}), FrozenClock(now - timedelta(hours=2))) as platform:
        snapshot = platform.snapshots.take()
        behind = Subject(platform.settings, platform.clock, platform.versions, snapshot)
        assert "ahead: devices are counted" in found_in(PLATFORM, behind)["clock-differs"].detail
        assert "clock-differs" not in found_in(PLATFORM, replace(behind, clock=SystemClock()))


def test_a_certificate_that_expires_soon_is_found(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(root_authority().pem)
    otlp = replace(subject.settings.otlp, certificate=tmp_path / "ca.pem")
    with_authority = replace(subject, settings=replace(subject.settings, otlp=otlp), clock=SystemClock())
    (fine,) = [finding for finding in run_checks(MACHINE, with_authority) if "certificate" in finding.id]
    ends = SystemClock().now() + timedelta(days=1)
    assert fine.id in ("certificates", "certificate-expires")
    late = replace(with_authority, clock=FrozenClock(ends + timedelta(days=4000)))
    assert "OTLP has expired" in found_in(MACHINE, late)["certificate-expired"].title


def test_a_check_that_fails_does_not_keep_the_others(subject: Subject) -> None:
    def fails(_subject: Subject) -> list[Finding]:
        raise ZeroDivisionError("planted")

    failed, fine = run_checks((Check("one", "One", fails), Check("two", "Two", lambda _: [])), subject)
    assert (failed.severity, failed.detail) == (Severity.NOTE, "ZeroDivisionError.")
    assert fine.severity is Severity.OK


def test_metrics_that_nothing_reads_are_found_by_the_running_bridge(subject: Subject) -> None:
    clock, answered = FakeClock(), [0]
    scrapes = Scrapes(lambda: answered[0], clock)
    assert list(scrapes.look(subject)) == []
    clock.advance(SILENT_SECONDS)
    (silent,) = scrapes.look(subject)
    assert silent.id == "not-scraped"
    answered[0] = 1
    assert list(scrapes.look(subject)) == []
    clock.advance(SILENT_SECONDS - 1)
    assert list(scrapes.look(subject)) == []
    clock.advance(1)
    assert list(scrapes.look(subject)) != []
    assert scrapes.check.run(subject) == []  # the metrics of this platform are off


def test_a_bridge_counts_the_scrapes_that_it_answers(world: World) -> None:
    world.backend("    prometheus: {enabled: true}\n")
    world.write()
    bridge = build_bridge(load_settings(world.home))
    try:
        app: Any = bridge._platforms.only._parts.app
        bridge.snapshots.current()
        scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": []}
        assert [app.answer_now(scope).status for _ in range(2)] == [200, 200]
        assert app.scrapes_answered == 2
    finally:
        bridge.stop()


def test_an_examination_is_made_when_it_is_asked_for_and_kept_for_a_while() -> None:
    clock = FakeClock()
    made: list[float] = []
    finding = note("a", "A", "", "")

    def examine() -> list[Finding]:
        made.append(clock.monotonic())
        return [finding]

    examination = Examination(examine, clock)
    examination.start()
    assert made == []
    wait_until(examination.findings, "the findings")
    clock.advance(EVERY_SECONDS - 1)
    assert examination.findings() == (finding,)
    assert len(made) == 1
    clock.advance(1)
    assert examination.findings() == (finding,)
    wait_until(lambda: len(made) == 2, "the second examination")
    examination.stop(clock.monotonic() + 5)
    clock.advance(EVERY_SECONDS)
    assert examination.findings() == (finding,)
    assert len(made) == 2


@pytest.mark.parametrize("workers", [None, Workers()])
def test_a_stop_waits_for_the_examination_under_way_and_begins_no_other(workers: Workers | None) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def examine() -> list[Finding]:
        begun.set()
        may_end.wait(60)
        return [note("a", "A", "", "")]

    clock = FakeClock()
    examination = Examination(examine, clock, workers)
    examination.findings()
    assert begun.wait(60)
    with pytest.raises(TimeoutError, match="did not end in time"):
        examination.stop(clock.monotonic())
    may_end.set()
    examination.stop(clock.monotonic() + 60)
    assert len(examination.findings()) == 1
