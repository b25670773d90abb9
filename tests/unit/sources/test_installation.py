"""Finding the versions of FlowFuse and Node.js beside the platform."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ff_observe.config.environment import Environment
from ff_observe.config.settings import PlatformSettings
from ff_observe.sources import installation
from ff_observe.sources.installation import InstalledVersions, operating_system


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
    ],
)
def test_what_is_not_flowfuses_package_is_unknown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "package.json").write_bytes(content)
    assert InstalledVersions(tmp_path).flowfuse() is None


def test_what_was_configured_wins_the_file_before_the_environment(tmp_path: Path) -> None:
    install(tmp_path / "app")
    environment = Environment(flowfuse_version="2.2.2", nodejs_version="v18.0.0")
    told = InstalledVersions(tmp_path, PlatformSettings(), environment)
    assert (told.flowfuse(), told.nodejs()) == ("2.2.2", "v18.0.0")
    told = InstalledVersions(
        tmp_path, PlatformSettings(flowfuse_version="2.1.0", nodejs_version="v16.0.0"), environment
    )
    assert (told.flowfuse(), told.nodejs()) == ("2.1.0", "v16.0.0")


def test_node_is_asked_once(tmp_path: Path) -> None:
    node = program(tmp_path / "my node", f"echo x >> '{tmp_path}/asked'; echo v20.20.2")
    versions = InstalledVersions(tmp_path, PlatformSettings(node_path=str(node)))
    assert [versions.nodejs() for _ in range(3)] == ["v20.20.2"] * 3
    assert (tmp_path / "asked").read_text() == "x\n"


@pytest.mark.parametrize("answers", ["exit 1", "echo nonsense", "echo v20; exit 3", "head -c 100000 /dev/zero", ""])
def test_a_node_that_does_not_tell_is_unknown(tmp_path: Path, answers: str) -> None:
    node = program(tmp_path / "node", answers)
    assert InstalledVersions(tmp_path, PlatformSettings(node_path=str(node))).nodejs() is None


@pytest.mark.parametrize("path", ["/nonexistent/node", "", "/", "bad\0path"])
def test_a_node_that_is_not_there_is_unknown(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert InstalledVersions(tmp_path, PlatformSettings(node_path=path)).nodejs() is None


def test_a_node_that_hangs_is_unknown_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "NODE_TIMEOUT_SECONDS", 0.1)
    node = program(tmp_path / "node", "exec sleep 20")
    assert InstalledVersions(tmp_path, PlatformSettings(node_path=str(node))).nodejs() is None


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
