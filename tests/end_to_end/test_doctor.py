"""`ff-observe doctor` finds planted faults, each with its advice, and the page of a running bridge shows the same."""

import asyncio
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from ff_observe.bridge import build_bridge
from ff_observe.cli import main
from ff_observe.clock import FrozenClock, SystemClock
from ff_observe.config import load_settings
from ff_observe.doctor.examination import EVERY_SECONDS, Examination
from ff_observe.doctor.machine import MACHINE
from ff_observe.doctor.model import Check, Subject, note, run_checks
from ff_observe.doctor.platform import PLATFORM, SLOW_SECONDS
from ff_observe.doctor.scrapes import SILENT_SECONDS, Scrapes
from ff_observe.problems import Finding, Severity
from ff_observe.wiring import open_platform
from tests.fakes import FakeClock
from tests.platforms import case_named, database_name, postgresql_source
from tests.real_parts.bridge import home_with, running_bridge
from tests.real_parts.certificates import root_authority
from tests.real_parts.pgbouncer import pooler
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.real_parts.processes import free_port, wait_until
from tests.real_parts.prometheus import prometheus, scrape

RECORDED = case_named("v2.4.0-sqlite-ce")
ON_POSTGRESQL = case_named("v2.4.0-postgres-ce")


@dataclass
class World:
    """A platform that is well, and where a fault is planted. Sections are YAML, indented by two."""

    home: Path
    monkeypatch: pytest.MonkeyPatch
    postgres: Callable[[], Cluster]
    until_the_end: ExitStack
    database: str = "  type: sqlite\n"
    telemetry: str = "  enabled: true\n"
    rest: str = ""
    options: list[str] = field(default_factory=list)

    def write(self) -> None:
        home_with(self.home, self.database, self.telemetry)
        file = self.home / "etc" / "flowforge.yml"
        file.write_text(file.read_text() + self.rest)
        file.chmod(0o600)
        shutil.copyfile(RECORDED.home / "var" / "forge.db", self.home / "var" / "forge.db")

    def backend(self, section: str) -> None:
        self.telemetry = f"  enabled: true\n  backend:\n{section}"

    def on_postgresql(self, **other: str | int) -> None:
        """FlowFuse's database with its owner, but for what is other."""
        values = {
            "type": "postgres",
            "host": "127.0.0.1",
            "user": "postgres",
            "password": PASSWORD,
            "database": database_name(ON_POSTGRESQL),
            **other,
        }
        if "port" not in values:
            values["port"] = self.postgres().port
            postgresql_source(ON_POSTGRESQL, self.postgres()).close()
        self.database = "".join(f"  {name}: {value}\n" for name, value in values.items())

    def role(self, sql: str) -> None:
        """As a role of its own, made by this SQL."""
        self.on_postgresql(user="doctored", password="x")
        with self.postgres().connect(database_name(ON_POSTGRESQL)) as owner:
            owner.execute(f"CREATE ROLE doctored LOGIN PASSWORD 'x'; {sql}".encode())

        def drop() -> None:
            with self.postgres().connect(database_name(ON_POSTGRESQL)) as owner:
                owner.execute(b"DROP OWNED BY doctored; DROP ROLE doctored")

        self.until_the_end.callback(drop)


def certificate(world: World) -> None:
    (world.home / "etc").mkdir(parents=True)
    (world.home / "etc" / "tls.pem").write_bytes(root_authority().issue("a", ips=["127.0.0.1"], expired=True))
    (world.home / "etc" / "web.yml").write_text("tls_server_config: {cert_file: tls.pem, key_file: tls.pem}")
    world.backend("    prometheus: {web_config_file: web.yml}\n")


def taken_port(world: World) -> None:
    taken = world.until_the_end.enter_context(socket.create_server(("127.0.0.1", 0)))
    world.backend(f"    prometheus: {{port: {taken.getsockname()[1]}}}\n")


def damaged_ledger(world: World) -> None:
    state = world.home / "var" / "ff-observe"
    state.mkdir(parents=True)
    (state / "pings.jsonl").write_text("{}\n")


def not_allowed(world: World, name: str) -> None:
    """As for a user who may not. (The tests may run as root, who may do everything.)"""
    allowed = os.access
    world.monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != name and allowed(path, mode))


def state_is_a_file(world: World) -> None:
    (world.home / "var").mkdir(parents=True)
    (world.home / "var" / "ff-observe").write_text("")


def through_a_pooler(world: World) -> None:
    world.on_postgresql()
    port = world.until_the_end.enter_context(pooler(world.postgres(), ignores="extra_float_digits"))
    world.on_postgresql(port=port)


def empty_database(world: World) -> None:
    world.on_postgresql(database=world.postgres().create("empty_for_doctor"))


def template(world: World, name: str) -> None:
    world.database = f"  type: sqlite\n  storage: {name}\n"
    shutil.copytree(case_named("v2.4.0-sqlite-ce-uninitialised").home / "var", world.home / "var")
    (world.home / "var" / "forge.db").rename(world.home / "var" / name)


GRANT_TOO_LITTLE = 'GRANT SELECT ON "Users", "PlatformSettings", "Projects", "Teams" TO doctored'
GRANT_TOO_MUCH = 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO doctored; GRANT UPDATE ON "Users" TO doctored'


@dataclass(frozen=True)
class Fault:
    """`id` and `advice` are what doctor says. `starts` is whether a bridge starts with it, and its page shows it."""

    id: str
    advice: str
    plant: Callable[[World], object]
    starts: bool = True


def setting(name: str, value: str) -> Callable[[World], object]:
    return lambda world: setattr(world, name, value)


def option(*options: str) -> Callable[[World], object]:
    return lambda world: world.options.extend(options)


def variable(name: str, value: str) -> Callable[[World], object]:
    return lambda world: world.monkeypatch.setenv(name, value)


def over_the_network(url: str) -> Callable[[World], object]:
    def plant(world: World) -> None:
        world.telemetry = f"  url: {url}\n"
        world.options.append("--network")

    return plant


def no_prometheus(world: World) -> None:
    world.backend("    prometheus: {enabled: true}\n")
    world.options.extend(["--prometheus", f"http://127.0.0.1:{free_port()}"])


FAULTS: dict[str, Fault] = {
    "no file": Fault("configuration", "--home", option("--home", "/nowhere"), starts=False),
    "a wrong value": Fault("configuration", "write false", setting("telemetry", "  enabled: no\n"), starts=False),
    "a wrong variable": Fault(
        "configuration",
        "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT: ",
        variable("FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT", "x"),
        starts=False,
    ),
    "a malformed DSN": Fault(
        "configuration",
        "write the DSN that Sentry shows",
        lambda world: world.backend("    sentry: {dsn: 'https://sentry.example.com/1'}\n"),
        starts=False,
    ),
    "an open door": Fault(
        "configuration",
        "allow_public",
        lambda world: world.backend("    prometheus: {host: 0.0.0.0}\n"),
        starts=False,
    ),
    "a misspelt key": Fault("unknown-keys", "ff-observe check", setting("telemetry", "  enable: false\n")),
    "nothing listens": Fault("database-refused", "db.port", lambda world: world.on_postgresql(port=free_port())),
    "a wrong password": Fault("database-password", "db.password", lambda world: world.on_postgresql(password="wrong")),
    "another name": Fault("database-name", "db.database", lambda world: world.on_postgresql(database="nowhere")),
    "a host that is none": Fault("database-host", "db.host", lambda world: world.on_postgresql(host="a..b", port=1)),
    "TLS that is not there": Fault("database-tls", "ca_file", lambda world: world.on_postgresql(ssl="true")),
    "another database": Fault("database-empty", "start FlowFuse once", empty_database),
    "no file of SQLite": Fault(
        "database-unreachable", "db.storage", setting("database", "  type: sqlite\n  storage: nowhere.db\n")
    ),
    "a role that lacks rights": Fault(
        "role-lacks-privileges", "ff-observe database grants", lambda world: world.role(GRANT_TOO_LITTLE)
    ),
    "a role that writes": Fault("role-can-write", "FF_OBSERVE_DB_USER", lambda world: world.role(GRANT_TOO_MUCH)),
    "a superuser": Fault("role-can-write", "ff-observe database grants", lambda world: world.on_postgresql()),
    "a pooler": Fault("pooler", "Connect to PostgreSQL itself", through_a_pooler),
    "FlowFuse is down": Fault(
        "flowfuse-unreachable",
        "probe_url",
        lambda world: setattr(world, "rest", f"base_url: http://127.0.0.1:{free_port()}\n"),
    ),
    "FlowFuse is not set up": Fault("not-initialised", "complete the set-up", lambda world: template(world, "new.db")),
    "an unknown version": Fault("flowfuse-version", "FF_OBSERVE_FLOWFUSE_VERSION", lambda world: None),
    "root": Fault("runs-as-root", "runAsUser", lambda world: world.monkeypatch.setattr("os.geteuid", lambda: 0)),
    "a home of others": Fault("home-unreadable", "chmod g+rx", lambda world: not_allowed(world, "var")),
    "state in a file": Fault("state-directory", "STATE_DIRECTORY", state_is_a_file),
    "state of others": Fault("state-directory", "StateDirectory=", lambda world: not_allowed(world, "var")),
    "a ledger that was changed": Fault("ledger-damaged", "ping log --verify", damaged_ledger),
    "an expired certificate": Fault("certificate-expired", "Renew it", certificate),
    "a proxy that is none": Fault("proxy", "http://HOST:PORT", variable("HTTPS_PROXY", "nonsense://")),
    "a secret in the DSN": Fault(
        "sentry-dsn-secret", ":SECRET", lambda world: world.backend("    sentry: {dsn: 'https://k:s@127.0.0.1/1'}\n")
    ),
    "errors in the clear": Fault(
        "sentry-dsn-plain", "https://", lambda world: world.backend("    sentry: {dsn: 'http://k@192.0.2.1/1'}\n")
    ),
    "a taken port": Fault("port", "choose a port that is free", taken_port, starts=False),
    "a receiver that does not listen": Fault(
        "ping-connect",
        "NetworkPolicy",
        over_the_network(f"http://127.0.0.1:{free_port()}/"),
        starts=False,
    ),
    "a receiver that is not found": Fault(
        "ping-dns",
        "resolv.conf",
        over_the_network("http://a..b/"),
        starts=False,
    ),
    "no Prometheus": Fault(
        "prometheus",
        "--prometheus",
        no_prometheus,
        starts=False,
    ),
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as until_the_end:
        yield World(tmp_path / "home", monkeypatch, lambda: request.getfixturevalue("postgres"), until_the_end)


def examined(world: World, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, str]]]:
    world.write()
    before = capsys.readouterr().err
    status = main(["--home", str(world.home), "doctor", "--json", *world.options])
    captured = capsys.readouterr()
    assert captured.err == before == ""
    answer = json.loads(captured.out)
    assert answer["worst"] == answer["findings"][0]["severity"]
    return status, answer["findings"]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found_with_its_advice(
    fault: Fault, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault.plant(world)
    if fault.id != "runs-as-root":
        monkeypatch.setattr("os.geteuid", lambda: 1000)
    status, findings = examined(world, capsys)
    found = [finding for finding in findings if finding["id"] == fault.id and finding["severity"] != "ok"]
    assert found, [finding["id"] for finding in findings]
    assert fault.advice in f"{found[0]['detail']} {found[0]['fix']}"
    errors = any(finding["severity"] == "error" for finding in findings)
    assert status == (78 if fault.id == "configuration" else int(errors))
    assert PASSWORD not in json.dumps(findings)
    if fault.starts:
        shown = page_of(world)
        assert found[0]["title"] in shown
        assert found[0]["fix"].replace("`", "") in shown


def page_of(world: World) -> str:
    """The words of the status page after an examination."""
    bridge = build_bridge(load_settings(world.home))
    try:
        bridge.snapshots.current()
        bridge._parts.examination.request().result()
        return words(bridge)
    finally:
        bridge.stop()


def words(bridge: Any) -> str:
    async def ask() -> str:
        transport = httpx.ASGITransport(app=bridge.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get("/")).text

    return unescape(re.sub(r"<[^>]*>", "", asyncio.run(ask()).replace("<wbr>", "")))


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
        app: Any = bridge._parts.app
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
    assert examination.request().result() == (finding,)
    assert examination.findings() == (finding,)
    assert len(made) == 1
    clock.advance(EVERY_SECONDS)
    assert examination.request().result() == (finding,)
    assert len(made) == 2
    examination.stop(clock.monotonic() + 5)
    clock.advance(EVERY_SECONDS)
    assert examination.request().result() == (finding,)
    assert len(made) == 2


def test_what_prometheus_says_of_the_bridge(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real one, first with a target that is not there, then with the bridge."""
    port = free_port()
    world.backend(f"    prometheus: {{enabled: true, port: {port}}}\n")
    config = scrape({"bridge": f"127.0.0.1:{port}"})
    with prometheus(tmp_path / "prometheus", config) as server:
        wait_until(lambda: "down" in {one["health"] for one in server.targets()}, "the target to be down")
        world.options = ["--prometheus", server.url]
        status, findings = examined(world, capsys)
        (down,) = [finding for finding in findings if finding["id"] == "target-down"]
        assert "connection refused" in down["detail"]
        assert status == 1
        with running_bridge(world.home, tmp_path):
            wait_until(lambda: server.targets()[0]["health"] == "up", "the target to be up")
            status, findings = examined(world, capsys)
            ids = {finding["id"]: finding["severity"] for finding in findings}
            assert (ids["prometheus"], ids["port"], status) == ("ok", "ok", 0)
        world.backend("    prometheus: {enabled: true, path: /other}\n")
        _, findings = examined(world, capsys)
        assert "not-a-target" in {finding["id"] for finding in findings}


def test_one_line_for_each_in_colour_only_on_a_terminal(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.telemetry = "  enable: false\n"
    world.write()
    arguments = ["--home", str(world.home), "doctor"]
    assert main(arguments) == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    lines = plain.splitlines()
    assert {line.split()[0] for line in lines} == {"warning", "ok"} | ({"note"} if "\nnote" in plain else set())
    (unknown,) = [line for line in lines if "telemetry.enable" in line]
    assert unknown.startswith("warning  The settings hold keys that ff-observe does not know. `telemetry.enable` in ")
    assert unknown.endswith("`ff-observe check` guesses what was meant.")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(arguments) == 0
    assert "\x1b[33mwarning\x1b[0m  The settings" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(arguments) == 0
    assert "\x1b" not in capsys.readouterr().out
