"""`ff-observe check` asks the platform: its exit status says what a deployment needs to know."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ff_observe.cli import check, main
from ff_observe.cli import run as run_command
from ff_observe.config.settings import Settings
from ff_observe.platform.snapshot import Snapshot
from ff_observe.platform.snapshots import Snapshots
from ff_observe.platform.sources.model import Answer, Source
from ff_observe.running import wiring
from tests.network_guard import guarded_environment
from tests.platforms import case_named, database_name, licence_of, postgresql_source
from tests.real_parts.bridge import command, home_with
from tests.real_parts.many_platforms import broken_home, sqlite_home
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.real_parts.processes import free_port

SQLITE = "  type: sqlite\n"
OPTED_OUT = "  enabled: false\n"


@pytest.fixture
def licensed(tmp_path: Path) -> Path:
    """A platform with a licence whose file opts out."""
    case = case_named("v2.4.0-sqlite-dev")
    home = home_with(tmp_path, SQLITE, OPTED_OUT)
    file = home / "etc" / "flowforge.yml"
    file.write_text(f"{file.read_text()}{licence_of(case)}\n")
    shutil.copyfile(case.home / "var" / "forge.db", home / "var" / "forge.db")
    return home


def postgresql_home(directory: Path, port: int, password: str, database: str = "postgres") -> Path:
    section = f"  type: postgres\n  host: 127.0.0.1\n  port: {port}\n  user: postgres\n"
    return home_with(directory, f"{section}  password: {password}\n  database: {database}\n", "  enabled: true\n")


def checked(home: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("--home", home, "check", *options),
        env=guarded_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def checked_here(capfd: pytest.CaptureFixture[str], home: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """The same without a process of its own."""
    status = main(["--home", str(home), "check", *options])
    written = capfd.readouterr()
    return subprocess.CompletedProcess(options, status, written.out, written.err)


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_licensed_platform_that_opts_out_is_shown_as_sending_the_ping(
    licensed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(licensed), "check", "--json"]) == 0
    found = answer(capsys)
    ping = next(output for output in found["outputs"] if output["name"] == "ping")
    assert ping["on"] is True
    assert "a licensed platform always sends the ping" in ping["reason"]
    assert [problem["title"] for problem in found["problems"]][-1:] == [
        "The ping is sent although an opt-out is configured"
    ]
    assert main(["--home", str(licensed), "ping", "why", "--json"]) == 0
    assert answer(capsys)["allowed"] is True


def test_key_facts_of_a_platform_that_answers(licensed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = case_named("v2.4.0-sqlite-dev")
    assert case.stats is not None
    assert main(["--home", str(licensed), "check"]) == 0
    text = capsys.readouterr().out
    assert f"{licensed / 'etc' / 'flowforge.yml'} is valid." in text
    assert "The platform's database answers in " in text
    assert "licence DEV" in text
    assert f"{case.stats['userCount']} users" in text
    assert f"{case.stats['deviceCount']} devices" in text


def test_postgresql_with_the_right_password_answers(
    tmp_path: Path, postgres: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    case = case_named("v2.4.0-postgres-ce")
    postgresql_source(case, postgres).close()
    home = postgresql_home(tmp_path, postgres.port, PASSWORD, database_name(case))
    assert main(["--home", str(home), "check", "--json"]) == 0
    platform = answer(capsys)["platform"]
    assert platform["answers"] is True
    assert case.stats is not None
    assert platform["counts"]["users"] == case.stats["userCount"]


def test_a_wrong_password_is_status_1_with_the_reason_and_without_the_password(
    tmp_path: Path, postgres: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    done = checked_here(capfd, postgresql_home(tmp_path, postgres.port, "planted-wrong"))
    assert done.returncode == 1
    assert "The platform's database does not answer" in done.stdout
    assert "password authentication failed" in done.stdout
    assert "planted" not in done.stdout + done.stderr
    assert done.stderr == ""


def test_no_database_is_status_1_also_as_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = postgresql_home(tmp_path, free_port(), "x")
    done = checked_here(capfd, home, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["valid"] is True
    assert found["platform"]["answers"] is False
    assert found["problems"][0]["title"] == "The platform's database does not answer"
    assert "refused" in found["problems"][0]["detail"].lower()


def test_a_missing_sqlite_file_is_status_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = checked_here(capfd, home_with(tmp_path, "  storage: nowhere.db\n", "  enabled: true\n"))
    assert done.returncode == 1
    assert "nowhere.db" in done.stdout


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_hanging_server_is_status_1(tmp_path: Path, silent_server: int) -> None:
    done = checked(postgresql_home(tmp_path, silent_server, "x"))
    assert done.returncode == 1
    assert "The platform's database does not answer" in done.stdout


def test_a_reading_that_cannot_be_interrupted_does_not_keep_the_command(
    licensed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, released = threading.Event(), threading.Event()
    current = Snapshots.current

    class Stuck:
        def read(self, at: datetime) -> Answer:
            begun.set()
            released.wait()
            raise AssertionError("released")

        def close(self) -> None:
            pass

    left: list[int] = []

    def leave(status: int) -> int:
        left.append(status)
        return status

    def after_it_has_begun(snapshots: Snapshots, timeout_seconds: float) -> Snapshot:
        current(snapshots, 0)
        assert begun.wait(60)
        return current(snapshots, timeout_seconds)

    monkeypatch.setattr(Snapshots, "current", after_it_has_begun)
    monkeypatch.setattr(wiring, "_source", lambda _settings: Stuck())
    monkeypatch.setattr(wiring, "STOP_SECONDS", 0.01)
    monkeypatch.setattr(check, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(run_command, "leave", leave)
    try:
        assert main(["--home", str(licensed), "check"]) == 1
        assert left == [1], "the process has to end although a thread hangs"
        assert "did not answer within 0.01 s" in capsys.readouterr().out
    finally:
        released.set()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", "TLS is not asked for (db.ssl is not true)"),
        ("  ssl: true\n", "TLS, certificate and host name verified; authorities: the system's"),
    ],
)
def test_the_way_postgresql_is_connected_to_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: str, words: str
) -> None:
    home = home_with(tmp_path, f"  type: postgres\n  host: 127.0.0.1\n{keys}", "")
    for options in ([], ["--json"]):
        assert main(["--home", str(home), "check", "--offline", *options]) == 0
        assert words in capsys.readouterr().out


def test_offline_checks_the_file_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = postgresql_home(tmp_path, free_port(), "x")
    done = checked_here(capfd, home, "--offline")
    assert done.returncode == 0
    assert "is valid" in done.stdout
    assert "answer" not in done.stdout
    assert "Core ping           ?    the platform's database decides" in done.stdout


@pytest.mark.parametrize("options", [(), ("--offline",)])
def test_a_wrong_file_is_status_78_whatever_the_database_says(
    tmp_path: Path, options: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    home = home_with(tmp_path, SQLITE, "  enabled: no\n")
    assert checked_here(capfd, home, *options).returncode == 78
    assert checked_here(capfd, home, *options, "--json").returncode == 78


def test_a_web_configuration_that_secures_nothing_does_not_open_the_bridge(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = home_with(
        tmp_path, SQLITE, "  backend:\n    prometheus:\n      host: 0.0.0.0\n      web_config_file: web.yml\n"
    )
    (home / "etc" / "web.yml").write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    done = checked_here(capfd, home, "--offline")
    assert done.returncode == 78
    assert "web.yml: neither TLS nor users are configured here" in done.stderr
    assert "allow_public: true" in done.stderr


def test_every_value_in_use_is_shown_with_its_origin_and_without_secrets(
    licensed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, overlay = licensed / "etc" / "flowforge.yml", licensed / "etc" / "ff-observe.yml"
    overlay.write_text("telemetry:\n  url: https://planted@ping.example.com/\n")
    monkeypatch.setenv("FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT", "9000")
    arguments = ["--home", str(licensed), "check", "--offline", "--set", "telemetry.ping.sender=never"]

    def shown(*options: str) -> dict[str, tuple[str, str]]:
        assert main([*arguments, "--json", *options]) == 0
        return {value["key"]: (value["value"], value["origin"]) for value in answer(capsys)["values"]}

    beside = {
        "telemetry.url": ("********", f"{overlay}:2:8"),
        "telemetry.backend.prometheus.port": ("9000", "FF_OBSERVE_TELEMETRY_BACKEND_PROMETHEUS_PORT"),
        "telemetry.ping.sender": ("never", "--set"),
    }
    assert shown() == beside
    every = shown("--effective")
    assert every.items() >= beside.items()
    assert every["telemetry.enabled"][0] == "false"
    assert every["telemetry.enabled"][1].startswith(f"{file}:")
    assert every["telemetry.backend.prometheus.host"] == ("127.0.0.1", "default")
    assert main([*arguments, "--effective"]) == 0
    text = capsys.readouterr().out
    assert "planted" not in text
    lines = [line.split() for line in text.splitlines()]
    assert all([key, *value.split(), *origin.split()] in lines for key, (value, origin) in every.items())


def of_several(directory: Path, capfd: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    status = main(["check", "--platforms", str(directory), *options])
    return status, capfd.readouterr().out


def test_of_several_platforms_each_is_checked_and_the_worst_decides(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    acme, initech = sqlite_home(tmp_path / "acme"), sqlite_home(tmp_path / "initech")
    status, sound = of_several(tmp_path, capfd)
    assert status == 0
    assert f"\nacme:\n  {acme}/etc/flowforge.yml is valid.\n  The platform's database answers in " in f"\n{sound}"
    assert sound.endswith("\n2 platforms: nothing is wrong with their files.\n")
    (initech / "var" / "forge.db").unlink()
    status, silent = of_several(tmp_path, capfd)
    assert status == 1
    assert silent.endswith("\n2 platforms: 1 without an answer of the database.\n")
    assert of_several(tmp_path, capfd, "--offline")[0] == 0
    file = broken_home(tmp_path / "broken") / "etc" / "flowforge.yml"
    status, broken = of_several(tmp_path, capfd)
    assert status == 78
    assert f"\nbroken:\n  problem: {file}:1:12: this is not YAML" in broken
    assert broken.endswith("\n3 platforms: 1 not valid, 1 without an answer of the database.\n")


def test_of_several_platforms_a_slow_one_keeps_none_waiting_and_its_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first waits until the second was asked."""
    asked, source_of = threading.Event(), wiring._source
    sqlite_home(tmp_path / "acme")
    sqlite_home(tmp_path / "initech")

    def watched(settings: Settings) -> Source:
        source = source_of(settings)
        read = source.read

        def read_in_turn(at: datetime) -> Answer:
            if settings.home.name == "initech":
                asked.set()
            assert asked.wait(60)
            return read(at)

        monkeypatch.setattr(source, "read", read_in_turn)
        return source

    monkeypatch.setattr(wiring, "_source", watched)
    monkeypatch.setattr(check, "ASK_SECONDS", 120)
    status, shown = of_several(tmp_path, capfd)
    assert status == 0
    assert [line for line in shown.splitlines() if line in ("acme:", "initech:")] == ["acme:", "initech:"]


def test_ctrl_c_ends_the_check_of_several_platforms(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for name in ("acme", "initech", "hooli"):
            postgresql_home(tmp_path / name, server.getsockname()[1], "x")
        checking = subprocess.Popen(
            command("check", "--platforms", tmp_path),
            env=guarded_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with checking, contextlib.ExitStack() as connections:
            for _ in range(3):
                connections.enter_context(server.accept()[0])
            checking.send_signal(signal.SIGINT)
            assert checking.communicate(timeout=60) == (b"", b"")
            assert checking.returncode == 130


def test_of_several_platforms_no_secret_is_shown_and_warnings_are_errors(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sqlite_home(tmp_path / "acme", "  backend:\n    sentry:\n      dsn: https://planted@sentry.example.com/1\n")
    sqlite_home(tmp_path / "misspelt", "  enabeld: false\n")
    (tmp_path / "web.yml").write_text("tls_server: {}\n")
    listed = tmp_path / "platforms.yml"
    listed.write_text("web_config_file: web.yml\nplatforms: [{name: acme, home: acme}, {name: m, home: misspelt}]\n")
    status, shown = of_several(listed, capfd, "--json", "--effective")
    answer = json.loads(shown)
    assert status == 78
    assert (answer["valid"], [each["valid"] for each in answer["platforms"]]) == (False, [True, False])
    assert "telemetry.backend.sentry.dsn" in {each["key"] for each in answer["platforms"][0]["values"]}
    assert answer["platforms"][1]["problems"][0]["key"] == "telemetry.enabeld"
    assert answer["problems"][0]["file"] == str(tmp_path / "web.yml")
    assert "planted" not in shown
    listed.write_text("platforms: [\n")
    status, shown = of_several(listed, capfd, "--json")
    assert (status, json.loads(shown)["problems"][0]["file"]) == (78, str(listed))
