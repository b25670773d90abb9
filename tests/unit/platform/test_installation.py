"""Finding the versions of FlowFuse and Node.js beside the platform."""

import json
import logging
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ff_observe.config.environment import Environment
from ff_observe.config.settings import PlatformSettings, PrometheusSettings, Settings, SQLiteDatabase
from ff_observe.platform.sources import installation
from ff_observe.platform.sources.installation import InstalledVersions, installed_versions, operating_system
from tests.fakes import FakeClock
from tests.recordings import Case, frontends
from tests.unit.ping.receivers import Respond, answer, receiver, silent, tcp_server


@pytest.fixture
def not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """What root owns, an ordinary user may trust as well."""
    user = os.geteuid() or 1000
    monkeypatch.setattr(os, "geteuid", lambda: user)


def install(directory: Path, name: str = "@flowfuse/flowfuse", version: str = "2.33.2") -> None:
    directory.mkdir(parents=True)
    (directory / "package.json").write_text(json.dumps({"name": name, "version": version}))


def program(path: Path, text: str) -> Path:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("app/node_modules/@flowfuse/flowfuse", "@flowfuse/flowfuse"),
        ("node_modules/@flowfuse/flowfuse", "@flowfuse/flowfuse"),
        ("node_modules/@flowforge/flowforge", "@flowforge/flowforge"),
        ("app", "@flowfuse/flowfuse"),
    ],
)
def test_the_version_of_flowfuse_is_that_of_its_package(tmp_path: Path, place: str, name: str) -> None:
    install(tmp_path / place, name)
    assert InstalledVersions(tmp_path).flowfuse() == "2.33.2"


@pytest.mark.parametrize("content", ["{", '{"name": "something-else", "version": "1.0.0"}'])
def test_a_package_that_is_not_flowfuses_hides_none_that_is(tmp_path: Path, content: str) -> None:
    install(tmp_path / "flowfuse", version="9" * installation.MAX_VERSION_CHARACTERS)
    (tmp_path / "flowfuse" / "app").mkdir()
    (tmp_path / "flowfuse" / "app" / "package.json").write_text(content)
    assert InstalledVersions(tmp_path / "flowfuse").flowfuse() == "9" * 64


def test_a_working_copy_says_so(tmp_path: Path) -> None:
    install(tmp_path / "app")
    (tmp_path / "app" / ".git").mkdir()
    assert InstalledVersions(tmp_path).flowfuse() == "2.33.2-git"


def test_an_upgrade_of_flowfuse_is_noticed(tmp_path: Path) -> None:
    install(tmp_path / "app")
    versions = InstalledVersions(tmp_path)
    assert versions.flowfuse() == "2.33.2"
    (tmp_path / "app" / "package.json").write_text('{"name": "@flowfuse/flowfuse", "version": "2.34.0"}')
    assert versions.flowfuse() == "2.34.0"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"name": "@flowfuse/flowfuse"}',
        b'{"name": "@flowfuse/flowfuse", "version": 2}',
        b'{"name": "something-else", "version": "1.0.0"}',
        b"[" * 100_000,
        b'{"name": "@flowfuse/flowfuse", "version": "' + b"9" * 65 + b'"}',
    ],
)
def test_what_is_not_flowfuses_package_is_unknown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "package.json").write_bytes(content)
    assert InstalledVersions(tmp_path).flowfuse() is None


def test_a_pipe_in_place_of_the_package_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "package.json")
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(InstalledVersions(tmp_path).flowfuse()), daemon=True)
    thread.start()
    thread.join(20)
    if thread.is_alive():  # let it end
        os.close(os.open(tmp_path / "package.json", os.O_WRONLY | os.O_NONBLOCK))
    assert found == [None]


def test_a_package_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    install(tmp_path / "app")
    assert InstalledVersions(tmp_path).flowfuse() is not None
    package = next(tmp_path.rglob("package.json"))
    with package.open("ab") as file:
        file.write(b" " * 2**20)
    assert InstalledVersions(tmp_path).flowfuse() is None


def test_what_was_configured_wins_the_file_before_the_environment(tmp_path: Path) -> None:
    install(tmp_path / "app")
    environment = Environment(flowfuse_version="2.2.2", nodejs_version="v18.0.0")
    settings = Settings(
        tmp_path, tmp_path / "flowforge.yml", SQLiteDatabase(tmp_path / "forge.db"), environment=environment
    )
    told = installed_versions(settings)
    assert (told.flowfuse_known, told.flowfuse(), told.nodejs()) == ("2.2.2", "2.2.2", "v18.0.0")
    platform = PlatformSettings(flowfuse_version="2.1.0", nodejs_version="v16.0.0")
    told = installed_versions(replace(settings, platform=platform))
    assert (told.flowfuse_known, told.flowfuse(), told.nodejs()) == ("2.1.0", "2.1.0", "v16.0.0")
    told = installed_versions(replace(settings, environment=Environment()))
    assert (told.flowfuse_known, told.flowfuse(), told.flowfuse_known) == (None, "2.33.2", "2.33.2")


@pytest.mark.usefixtures("not_root")
@pytest.mark.parametrize(
    ("answers", "version"), [("echo v8.17.0", "v8.17.0"), (f"echo v2{'0' * 62}", f"v2{'0' * 62}"), ("exit 1", None)]
)
def test_node_is_asked_once(tmp_path: Path, answers: str, version: str | None) -> None:
    node = program(tmp_path / "my node", f"echo \"$*\" >> '{tmp_path}/asked'; {answers}")
    versions = InstalledVersions(tmp_path, PlatformSettings(node_path=str(node)))
    assert [versions.nodejs() for _ in range(3)] == [version] * 3
    assert (tmp_path / "asked").read_text() == "--version\n"


@pytest.mark.usefixtures("not_root")
@pytest.mark.parametrize(
    "answers",
    [
        *("", "exit 1", "echo nonsense", "echo vague", "echo v20; exit 3", "printf '\\377'"),
        *("head -c 100000 /dev/zero", f"echo v2{'0' * 63}"),
    ],
)
def test_a_node_that_does_not_tell_is_unknown(tmp_path: Path, answers: str) -> None:
    node = program(tmp_path / "node", answers)
    assert InstalledVersions(tmp_path, PlatformSettings(node_path=str(node))).nodejs() is None


@pytest.mark.usefixtures("not_root")
def test_node_reads_nothing_of_the_bridges_input(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("v1.2.3\n")
    node = program(tmp_path / "node", "exec cat")
    before = os.dup(0)
    with (tmp_path / "input").open() as of_the_bridge:
        os.dup2(of_the_bridge.fileno(), 0)
    try:
        assert InstalledVersions(tmp_path, PlatformSettings(node_path=str(node))).nodejs() is None
    finally:
        os.dup2(before, 0)
        os.close(before)


@pytest.mark.usefixtures("not_root")
def test_the_log_says_why_node_does_not_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, installation.__name__)
    node = program(tmp_path / "node", "exit 3")
    InstalledVersions(tmp_path, PlatformSettings(node_path=str(node))).nodejs()
    (said,) = caplog.messages
    assert said.startswith(f"the version of Node.js is unknown: {node} --version: ")
    assert "exit status 3" in said


@pytest.mark.usefixtures("not_root")
@pytest.mark.parametrize("path", ["/nonexistent/node", "", "/", "bad\0path"])
def test_a_node_that_is_not_there_is_unknown(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert InstalledVersions(tmp_path, PlatformSettings(node_path=path)).nodejs() is None


@pytest.mark.usefixtures("not_root")
def test_a_node_that_hangs_is_unknown_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "NODE_TIMEOUT_SECONDS", 0.1)
    node = program(tmp_path / "node", "echo v20.20.2; exec sleep 20")
    assert InstalledVersions(tmp_path, PlatformSettings(node_path=str(node))).nodejs() is None


def test_root_does_not_run_what_the_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    node = program(tmp_path / "node", f"touch '{tmp_path}/ran'; echo v20.20.2")
    versions = InstalledVersions(tmp_path, PlatformSettings(node_path=str(node)))
    with caplog.at_level(logging.INFO):
        assert versions.nodejs() is None
    assert not (tmp_path / "ran").exists()
    (said,) = caplog.messages
    assert said == (
        f"Node.js is not asked for its version: root does not run {node}, which driver.options.node_path names. "
        "Write it to telemetry.platform.nodejs_version"
    )


@pytest.mark.usefixtures("not_root")
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("writable", ["node", "bin", "target"])
def test_a_node_that_other_users_could_have_changed_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: str, named: bool
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "target").mkdir()
    program(tmp_path / "target" / "node", f"touch '{tmp_path}/ran'; echo v20.20.2")
    (tmp_path / "bin" / "node").symlink_to(tmp_path / "target" / "node")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    place = tmp_path / "target" / "node" if writable == "node" else tmp_path / writable
    before = place.stat().st_mode
    place.chmod(0o777)
    platform = PlatformSettings(node_path=str(tmp_path / "bin" / "node") if named else None)
    versions = InstalledVersions(tmp_path, platform)
    assert versions.node_refusal() == (
        f"Node.js is not asked for its version: {place}: every user can write to it. "
        "Write it to telemetry.platform.nodejs_version"
    )
    assert versions.nodejs() is None
    assert not (tmp_path / "ran").exists()
    place.chmod(before)
    assert InstalledVersions(tmp_path, platform).node_refusal() is None
    assert InstalledVersions(tmp_path, platform).nodejs() == "v20.20.2"


def test_where_the_version_is_written_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    platform = PlatformSettings(node_path="/usr/bin/node", nodejs_version="v22.0.0")
    assert InstalledVersions(tmp_path, platform).node_refusal() is None


@pytest.mark.parametrize("place", ["", "app", "node_modules/@flowfuse/flowfuse"])
def test_a_pipe_in_the_place_of_a_package_is_passed_over(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / place / "package.json")
    assert InstalledVersions(tmp_path).flowfuse() is None


def test_a_package_of_any_size_is_read_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "package.json").open("wb") as file:
        file.truncate(1 << 40)
    assert InstalledVersions(tmp_path).flowfuse() is None


@pytest.fixture
def no_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


SERVED = [case for case in frontends() if case.name == "v2.33.2-all"]


@pytest.mark.usefixtures("no_node")
@pytest.mark.parametrize("served", SERVED, ids=lambda case: case.id)
def test_where_there_is_no_node_flowfuse_is_asked_for_its_version(tmp_path: Path, served: Case) -> None:
    exposition = (served.home / "metrics.txt").read_bytes()
    version = "v22.14.0" if served.id == served.name else "v20.20.2"
    with receiver(answer(200, exposition)) as flowfuse:
        versions = InstalledVersions(tmp_path, flowfuse_url=flowfuse.url("/"))
        assert [versions.nodejs() for _ in range(3)] == [version] * 3
    assert [request.line for request in flowfuse.requests] == ["GET /metrics HTTP/1.1"]


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.usefixtures("no_node")
def test_flowfuse_is_asked_only_where_it_has_metrics(tmp_path: Path, enabled: bool) -> None:
    with receiver(answer(200)) as flowfuse:
        settings = Settings(
            tmp_path,
            tmp_path / "flowforge.yml",
            SQLiteDatabase(tmp_path / "forge.db"),
            platform=PlatformSettings(base_url=flowfuse.url("")),
            prometheus=PrometheusSettings(enabled=True, flowfuse_enabled=enabled),
        )
        installed_versions(settings).nodejs()
    assert len(flowfuse.requests) == int(enabled)
    for request in flowfuse.requests:
        assert not request.body
        assert request.headers.keys() <= {"Host", "Accept-Encoding", "User-Agent"}


@pytest.mark.usefixtures("no_node")
def test_a_flowfuse_that_starts_later_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [answer(503), answer(200, b'nodejs_version_info{version="v22.1.0",major="22"} 1\n')]

    def respond(handler: BaseHTTPRequestHandler) -> None:
        told.pop(0)(handler)

    clock = FakeClock(monotonic=0.0)
    monkeypatch.setattr(installation, "time", clock)
    with receiver(respond) as flowfuse:
        versions = InstalledVersions(tmp_path, flowfuse_url=flowfuse.url(""))
        for seconds in (0, 1, 58):
            clock.advance(seconds)
            assert versions.nodejs() is None
        assert len(flowfuse.requests) == 1
        clock.advance(1)
        assert versions.nodejs() == "v22.1.0"


@pytest.mark.parametrize(
    "respond",
    [
        answer(200, b"<!doctype html><title>FlowFuse</title>", content_type="text/html"),  # the option is off
        answer(200, b'nodejs_version_info{version="20"} 1'),
        answer(200, b'# nodejs_version_info{version="v20.1.0"} 1'),
        answer(200, b"x" * 3 * 2**20 + b'\nnodejs_version_info{version="v20.1.0"} 1'),
        answer(302, b"", location="http://127.0.0.1:9/metrics"),
    ],
    ids=["web page", "other version", "comment", "without end", "redirect"],
)
@pytest.mark.usefixtures("no_node")
def test_a_flowfuse_that_does_not_tell_leaves_it_unknown(tmp_path: Path, respond: Respond) -> None:
    with receiver(respond) as flowfuse:
        assert InstalledVersions(tmp_path, flowfuse_url=flowfuse.url("")).nodejs() is None


@pytest.mark.usefixtures("no_node")
def test_a_flowfuse_that_hangs_leaves_it_unknown_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "METRICS_SECONDS", 0.1)
    with tcp_server(silent) as (port, _):
        assert InstalledVersions(tmp_path, flowfuse_url=f"http://127.0.0.1:{port}").nodejs() is None


@pytest.mark.parametrize("url", ["", "forge", "ftp://127.0.0.1", "http://127.0.0.1:1", "http://[", "http://\udc80/"])
@pytest.mark.usefixtures("no_node")
def test_an_address_that_leads_nowhere_leaves_it_unknown(tmp_path: Path, url: str) -> None:
    assert InstalledVersions(tmp_path, flowfuse_url=url).nodejs() is None


@pytest.mark.usefixtures("not_root")
def test_flowfuse_is_not_asked_where_node_or_the_file_tells(tmp_path: Path) -> None:
    node = program(tmp_path / "node", "echo v20.20.2")
    with receiver(answer(200)) as flowfuse:
        url = flowfuse.url("")
        assert InstalledVersions(tmp_path, PlatformSettings(node_path=str(node)), None, url).nodejs() == "v20.20.2"
        assert InstalledVersions(tmp_path, PlatformSettings(nodejs_version="v1.2.3"), None, url).nodejs() == "v1.2.3"
    assert not flowfuse.requests


def test_the_operating_system_is_named_as_node_names_it() -> None:
    found = operating_system()
    assert (found.type, found.release) == (os.uname().sysname, os.uname().release)
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js: apt-get install nodejs")
    answer = subprocess.run(
        [node, "-p", "[os.type(), os.release(), os.arch()].join()"], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == f"{found.type},{found.release},{found.arch}"


@pytest.mark.parametrize(
    ("machine", "arch"),
    [("x86_64", "x64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("i686", "ia32"), ("s390x", "s390x")],
)
def test_architectures_have_nodes_names(machine: str, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "6.1", "#1", machine)))
    assert operating_system().arch == arch
