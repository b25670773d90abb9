"""The command line as people meet it: help, wrong input, Ctrl-C, and the demo."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ff_observe import cli
from ff_observe.cli import main
from ff_observe.config.secret import MASK
from tests.network_guard import guarded_environment
from tests.pace import within
from tests.platforms import case_named
from tests.real_parts.bridge import command, home_with
from tests.real_parts.processes import free_port, wait_until

HOME = case_named("v2.4.0-sqlite-dev").home


def ff_observe(*arguments: str | Path, directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), cwd=directory, env=guarded_environment(), capture_output=True, text=True, timeout=60
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    done = ff_observe("--help", directory=tmp_path)
    assert done.returncode == 0
    for name in cli._COMMANDS:
        assert f"\n    {name} " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 2),
        (["--bogus"], 2),
        (["nonsense"], 2),
        (["ping"], 2),
        (["metrics", "--at", "yesterday"], 2),
        (["metrics", "--at", "0001-01-01T00:00:00+14:00"], 2),
        (["ping", "show", "--at", "9999-12-31T23:59:59-14:00"], 2),
        (["metrics", "--format", "xml"], 2),
        (["demo", "--port", "65536"], 2),
        (["demo", "--directory", str(HOME)], 2),
        (["--home", "nowhere", "check"], 78),
        (["--home", "nowhere", "run"], 78),
        (["--home", "nowhere", "ping", "why"], 78),
        (["--home", str(HOME), "sentry", "test"], 78),  # no DSN
        (["--home", str(HOME), "frontend", "render", "no-such-page.html"], 1),
        (["collector", "run", "--listen", "nonsense"], 2),
        (["collector", "run", "--database", "mysql://127.0.0.1/x"], 2),
        (["collector", "export", "an-instance", "--data-dir", "nowhere"], 1),
        (["collector", "forget", "an-instance", "--database", "sqlite:nowhere.db"], 1),
    ],
)
def test_wrong_input_is_answered_in_a_few_lines_and_the_documented_status(
    arguments: list[str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        ended: object = main(arguments)
    except SystemExit as refused:  # by argparse
        ended = refused.code
    told = capfd.readouterr()
    assert ended == status, told.err
    assert "ff-observe" in told.err
    assert len(told.err.splitlines()) <= 6
    assert "Traceback" not in told.err
    assert MASK not in told.err, "there is no secret, and a hint with a hole helps nobody"
    assert told.out == ""


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["demo", "--port", "0", "--collector-port", "0", "--directory"], "--directory"),
        (["collector", "run", "--listen", "127.0.0.1:0", "--data-dir"], "--data-dir"),
    ],
    ids=["demo", "collector"],
)
def test_a_directory_that_cannot_be_made_names_the_option_and_can_be_tried_again(
    arguments: list[str], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, after which systemd starts a service again, as it does not after 78."""
    (tmp_path / "file").touch()
    assert main([*arguments, str(tmp_path / "file" / "d")]) == 1
    assert f"Not a directory); choose another with {option}\n" in capsys.readouterr().err


def test_the_process_ends_with_the_status_of_its_command(tmp_path: Path) -> None:
    done = ff_observe("--home", "nowhere", "check", directory=tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    assert "nowhere" in done.stderr


def test_a_reader_that_goes_away_is_no_matter_for_a_traceback(tmp_path: Path) -> None:
    shell = f"{' '.join(command('--home', HOME, 'metrics'))} | head -c 1"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, env=guarded_environment(), capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "2>&-"])
def test_a_command_works_where_nobody_can_hear_it(closed: str, tmp_path: Path) -> None:
    shell = f"{' '.join(command('--home', HOME, 'check'))} {closed}"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=tmp_path, env=guarded_environment(), stderr=subprocess.PIPE, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interrupt_while_the_commands_load_is_no_matter_for_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_commands: Sequence[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build_parser", interrupted)
    assert main(["check"]) == 130


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_named(unbuffered: str, tmp_path: Path) -> None:
    shell = f"{' '.join(command('--home', HOME, 'check'))} >/dev/full"
    variables = {**guarded_environment(), "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "ff-observe: No space left on device\n"


def test_an_error_shows_no_password_and_does_not_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = r"/nowhere/\e[31m/postgres://forge:planted-one@127.0.0.1/planted-two"  # a directory of sockets, to libpq
    home = home_with(tmp_path, f'  type: postgres\n  host: "{host}"\n  password: planted-two\n', "  enabled: true\n")
    assert main(["--home", str(home), "ping", "show"]) == 1
    told = capsys.readouterr().err
    assert "cannot connect to PostgreSQL" in told
    assert "planted" not in told
    assert "\x1b" not in told


def test_check_tells_of_every_problem_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = home_with(
        tmp_path, "  type: sqlite\n", "  enabled: no\n  ulr: http://127.0.0.1/\n  url: ftp://planted:x@h/\n"
    )
    assert main(["--home", str(home), "check"]) == 78
    told = capsys.readouterr().err
    file = home / "etc" / "flowforge.yml"
    assert f"{file}:6:12: telemetry.enabled" in told
    assert f'{file}:7:3: telemetry.ulr: unknown key; did you mean "url"?' in told
    assert f"{file}:8:8: telemetry.url" in told
    assert "planted" not in told
    assert main(["--home", str(home), "check", "--json"]) == 78
    answer = json.loads(capsys.readouterr().out)
    assert not answer["valid"]
    assert {problem["key"] for problem in answer["problems"]} >= {"telemetry.enabled", "telemetry.url"}


def test_check_tells_of_the_files_that_a_file_names_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = home_with(
        tmp_path, "  type: sqlite\n", "  bakend: {}\n  backend:\n    prometheus:\n      web_config_file: web.yml\n"
    )
    (home / "etc" / "web.yml").write_text("tls_server_config: {cert_fil: x}\n")
    assert main(["--home", str(home), "check"]) == 78
    told = capsys.readouterr().err
    assert 'did you mean "backend"?' in told
    assert f"{home / 'etc' / 'web.yml'}:1:" in told


def test_check_says_which_outputs_are_on_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(HOME), "check", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["valid"]
    assert {output["name"] for output in answer["outputs"]} >= {"ping", "prometheus", "backend_sentry", "otlp"}
    assert all(output["reason"] for output in answer["outputs"])


@pytest.mark.parametrize("arguments", [["metrics"], ["ping", "show"], ["ping", "why"], ["check"]])
def test_a_command_that_answers_and_ends_says_nothing_besides(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(case_named("v2.4.0-sqlite-ce").home, home)  # tables are missing here, of which `run` tells
    with (home / "etc" / "flowforge.yml").open("a") as file:
        file.write("  backend: {prometheus: {probe_url: false}}\n")  # its FlowFuse runs no more
    assert main(["--home", str(home), *arguments]) == 0
    told = capfd.readouterr()
    assert told.out
    assert told.err == ""


def test_of_the_commands_only_metrics_asks_flowfuse_whether_it_answers(capfd: pytest.CaptureFixture[str]) -> None:
    home = case_named("v2.4.0-sqlite-ce").home
    assert main(["--home", str(home), "metrics"]) == 0
    told = capfd.readouterr()
    assert re.search(r"\nflowfuse_http_up\{.*\} 0.0\n", told.out)
    assert "FlowFuse at http://localhost:33000 " in told.err
    assert main(["--home", str(home), "ping", "show"]) == 0
    assert capfd.readouterr().err == ""


def test_a_command_says_more_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    home = case_named("v2.4.0-sqlite-ce").home
    assert main(["--home", str(home), "--log-level", "info", "metrics"]) == 0
    assert "has no table TeamBrokerClients" in capfd.readouterr().err


def test_a_database_that_is_not_there_is_told_of_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = home_with(tmp_path, "  storage: nowhere.db\n", "  enabled: true\n")
    assert main(["--home", str(home), "ping", "show"]) == 1
    assert capfd.readouterr().err.count("nowhere.db") == 1


def test_a_policy_that_needs_nothing_is_no_empty_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(HOME), "frontend", "csp"]) == 0
    told = capfd.readouterr()
    assert told.out == ""
    assert "configures no service" in told.err


def test_frontend_commands_agree_with_each_other(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    home = home_with(
        tmp_path / "home",
        "  type: sqlite\n",
        "  frontend:\n    sentry:\n      dsn: https://key@o1.ingest.de.sentry.io/4\n"
        "    plausible:\n      domain: d.example\n",
    )
    page = tmp_path / "index.html"
    page.write_bytes(b"<!doctype html><title>x</title></head><body></body>")
    assert main(["--home", str(home), "frontend", "render", str(page)]) == 0
    captured = capsysbinary.readouterr()
    assert b"window.sentryConfig" in captured.out
    assert b"deprecated" in captured.err
    out = tmp_path / "out.html"
    assert main(["--home", str(home), "frontend", "render", str(page), "-o", str(out)]) == 0
    assert out.read_bytes() == captured.out
    capsysbinary.readouterr()
    assert main(["--home", str(home), "frontend", "csp"]) == 0
    assert b"connect-src" in capsysbinary.readouterr().out
    assert main(["--home", str(home), "frontend", "csp", "--merge", "default-src 'self'"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"default-src 'self'; ")


def test_source_maps_without_a_token_are_left_alone_with_a_word(tmp_path: Path) -> None:
    done = ff_observe("sentry", "sourcemaps", tmp_path, directory=tmp_path)
    assert done.returncode == 0
    assert "SENTRY_AUTH_TOKEN" in done.stdout


def test_what_a_collector_keeps_of_an_instance_is_exported_and_forgotten(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "collector.log"
    with log.open("wb") as output:
        collector = subprocess.Popen(
            command("collector", "run", "--listen", f"127.0.0.1:{port}", "--data-dir", tmp_path / "data"),
            cwd=tmp_path,
            env=guarded_environment(),
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: "collecting pings" in log.read_text(), "the collector")
        home = home_with(tmp_path / "home", "  type: sqlite\n", f"  url: http://127.0.0.1:{port}/ping\n")
        (home / "var" / "forge.db").write_bytes((HOME / "var" / "forge.db").read_bytes())
        assert ff_observe("--home", home, "ping", "send", directory=tmp_path).returncode == 0
        shown = json.loads(ff_observe("--home", home, "ping", "show", directory=tmp_path).stdout)
        about = ("--data-dir", tmp_path / "data", shown["instanceId"])
        exported = ff_observe("collector", "export", *about, directory=tmp_path).stdout
        assert json.loads(exported)["ping"] == shown
        assert ff_observe("collector", "forget", *about, directory=tmp_path).stdout == "deleted 1 ping\n"
        for action in ("export", "forget"):
            again = ff_observe("collector", action, *about, directory=tmp_path)
            assert (again.returncode, again.stdout) == (1, "")
            assert "nothing is stored about an instance" in again.stderr
        collector.send_signal(signal.SIGINT)
        assert collector.wait(10) == 0
    finally:
        collector.kill()
        collector.wait(10)
    assert "127.0.0.1:" not in log.read_text().replace(f"127.0.0.1:{port}", "")


def test_the_demo_shows_a_ping_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with log.open("wb") as output:
        demo = subprocess.Popen(
            command("demo", "--port", "0", "--collector-port", "0"),
            cwd=tmp_path,
            env=guarded_environment(TMPDIR=str(temporary)),
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: "accepted a ping" in log.read_text(), "a ping")
        with within(5):
            os.kill(demo.pid, signal.SIGINT)
            assert demo.wait(120) == 0
    finally:
        demo.kill()
        demo.wait(10)
    assert "Traceback" not in log.read_text()
    assert list(temporary.iterdir()) == []  # nothing is left behind
    assert {path.name for path in tmp_path.iterdir()} == {"demo.log", "tmp"}
