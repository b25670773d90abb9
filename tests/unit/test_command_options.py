"""What several commands share: global options in either place, and a log that never forgets a secret."""

import argparse
import errno
import logging
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ff_observe.cli import build_parser, check, main
from ff_observe.cli.options import hide_secrets, settings_of
from ff_observe.config import load_settings
from ff_observe.config.declaration import OVERLAY
from ff_observe.config.key import Key
from ff_observe.config.secret import MASK
from ff_observe.errors import ConfigurationError, FFObserveError
from ff_observe.running.bridge import build_bridge
from ff_observe.web import server
from tests.platforms import case_named
from tests.real_parts.bridge import home_with, write_file
from tests.real_parts.processes import free_port

OLD, NEW = "planted-old-1", "planted-new-2"
log = logging.getLogger("ff_observe.test")


def postgresql(password: str) -> str:
    return f"  type: postgres\n  host: 127.0.0.1\n  port: {free_port()}\n  user: collector\n  password: {password}\n"


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Standard error; the root logger is as before afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield capsys
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return home_with(tmp_path / "home", postgresql(OLD), "  enabled: false\n")


def options_of(home: Path) -> argparse.Namespace:
    return build_parser().parse_args(["--home", str(home), "run"])


@pytest.mark.parametrize("key", [key for key in OVERLAY.keys if key.secret], ids=lambda key: key.path)
def test_a_secret_on_the_command_line_is_refused_in_words_of_which_none_is_masked(
    key: Key[Any], home: Path, written: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(home), "--set", f"{key.path}={OLD}", "check", "--offline"]) == 78
    said = written.readouterr().err
    assert f" in {key.file_path}, or set {key.variable}\n" in said
    assert MASK not in said
    assert OLD not in said


def test_a_reload_that_fails_leaves_the_secrets_masked(home: Path, written: pytest.CaptureFixture[str]) -> None:
    options = options_of(home)
    settings_of(options)
    write_file(home, postgresql(NEW), "  enabled: maybe\n")
    with pytest.raises(ConfigurationError):
        settings_of(options)
    log.error("it said %s, by collector", OLD)
    assert written.readouterr().err.endswith("ff_observe.test: it said ********, by collector\n")


def test_after_a_reload_the_secrets_of_both_files_are_masked(home: Path, written: pytest.CaptureFixture[str]) -> None:
    """The parts with the old ones still stop, or go on where the new ones do not start."""
    options = options_of(home)
    settings_of(options)
    write_file(home, postgresql(NEW), "  enabled: false\n")
    settings_of(options)
    log.error("it said %s, then %s", OLD, NEW)
    assert options.redactor.text(f"{OLD} {NEW}") == "******** ********"
    assert written.readouterr().err.endswith("it said ********, then ********\n")


def test_what_is_hidden_once_stays_hidden_whatever_is_hidden_next(
    home: Path, written: pytest.CaptureFixture[str]
) -> None:
    options = options_of(home)
    hide_secrets(options, settings_of(options))
    hide_secrets(options, ())
    log.error("it said %s", OLD)
    assert written.readouterr().err.endswith("it said ********\n")


def test_errors_that_leave_are_without_the_secrets_of_the_settings_before(home: Path) -> None:
    bridge = build_bridge(load_settings(home))
    bridge.start()
    try:
        write_file(home, postgresql(NEW), "  enabled: false\n")
        bridge.reload(load_settings(home))
        assert bridge._platforms.only._parts.redactor.text(f"{OLD} {NEW}") == "******** ********"
    finally:
        bridge.stop()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--home", "/h", "--log-level", "debug", "ping", "show"],
        ["ping", "--home", "/h", "--log-level", "debug", "show"],
        ["ping", "show", "--home", "/h", "--log-level", "debug"],
        ["--home", "/elsewhere", "ping", "--log-level=debug", "show", "--home=/h"],
    ],
)
def test_global_options_come_before_or_after_the_command(arguments: list[str]) -> None:
    options = build_parser().parse_args(arguments)
    assert (options.home, options.log_level, options.log_format, options.config) == ("/h", "debug", "text", None)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["--home", "run"],
        ["--home", "run", "nonsense"],
        ["--hom", "/h", "run", "--bogus"],
        ["--log-format", "xml", "run"],
        ["--set", "novalue", "run"],
        ["run", "--bogus"],
        ["run", "check"],
        ["--", "run", "--bogus"],
        ["--help", "run"],
        ["ping", "--help"],
        ["--home=", "ping", "run"],
        ["--version", "run"],
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_told_as_by_the_whole_command_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the command that is named is imported."""
    ended = []
    for parse in (main, build_parser().parse_args):
        with pytest.raises(SystemExit) as exit_:
            parse(arguments)
        ended.append((exit_.value.code, *capsys.readouterr()))
    assert ended[0] == ended[1]


MISSPELT = {
    "collector --lsten x": "collector: error: unrecognized option --lsten: did you mean --listen behind ACTION?",
    "collector --listen x run": "collector: error: unrecognized option --listen: write it behind ACTION",
    "--log-level debug collector run --lsten=x": "run: error: unrecognized option --lsten: did you mean --listen?",
    "check --ofline": "check: error: unrecognized option --ofline: did you mean --offline?",
    "--hme /h check": "ff-observe: error: unrecognized option --hme: did you mean --home?",
    "collector run --cnfig x": "run: error: unrecognized option --cnfig",
    "chekc": "ff-observe: error: argument COMMAND: invalid choice: 'chekc', did you mean 'check'?",
    "--home /h ping --log-level info shwo": "argument ACTION: invalid choice: 'shwo', did you mean 'show'?",
    "collector nonsense": "argument ACTION: invalid choice: 'nonsense' (choose from ",
}


@pytest.mark.parametrize("line", MISSPELT)
def test_a_misspelt_option_or_command_is_named_with_the_one_that_was_meant(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert MISSPELT[line] in capsys.readouterr().err


def test_words_behind_two_hyphens_are_no_options() -> None:
    assert build_parser().parse_args(["frontend", "render", "--", "--page"]).page == Path("--page")


@pytest.mark.parametrize(
    "command",
    [["run"], ["check"], ["metrics"], ["ping", "why"], ["frontend", "csp"], ["sentry", "test"]],
)
def test_every_command_that_reads_flowforge_yml_takes_them(command: list[str]) -> None:
    options = build_parser().parse_args([*command, "--home", "/h", "--config", "c", "--log-format", "json"])
    assert (options.home, options.config, options.log_format, options.log_level) == ("/h", "c", "json", None)


IDLE = ["demo", "collector run", "collector verify --key k f", "fleet silent", "fleet history", "assets"]


@pytest.mark.parametrize("command", [*IDLE, "completion zsh"])
@pytest.mark.parametrize("option", ["--home=/h", "--config=c", "--overlay=o", "--set=a.b=1"])
def test_other_commands_refuse_the_options_of_flowforge_yml(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command.split()
    for arguments in ([option, *words], [*words, option]):
        assert main(arguments) == 2
        name = option.partition("=")[0]
        own_file = "; its own file is named with --settings" if words[0] in ("collector", "fleet") else ""
        assert capsys.readouterr().err == (
            f"ff-observe: {name} is an option of flowforge.yml, which `{words[0]}` does not read{own_file}\n"
        )
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    shown = capsys.readouterr().out
    assert name not in re.findall(r"--\w+", shown)
    assert "--log-level" in shown


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--home", "h"], "--home"),
        (["--config", "c"], "--config"),
        (["--overlay", "o", "--set", "a.b=1"], "--overlay and --set"),
    ],
)
def test_many_platforms_leave_no_option_for_one(
    options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--platforms", "nowhere", *options]) == 2
    assert capsys.readouterr().err == (
        f"ff-observe: --platforms names every home, each with its own settings: leave {named} out\n"
    )


def test_metrics_of_a_database_that_does_not_answer_are_printed_and_end_with_1(
    home: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["metrics", "--home", str(home)]) == 1
    captured = capfdbinary.readouterr()
    assert b"\nflowfuse_up 0.0\n" in captured.out
    assert b"127.0.0.1" in captured.err


def test_metrics_of_a_platform_that_answers_end_with_0(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    home = home_with(tmp_path / "home", "  type: sqlite\n", "  enabled: false\n")
    shutil.copyfile(case_named("v2.4.0-sqlite-dev").home / "var" / "forge.db", home / "var" / "forge.db")
    assert main(["metrics", "--home", str(home)]) == 0
    assert re.search(rb'\nflowfuse_up{platform_id="[0-9a-f]{16}"} 1.0\n', capfdbinary.readouterr().out)


def test_check_says_that_node_is_not_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    file = home / "etc" / "flowforge.yml"
    file.write_text(file.read_text().replace("type: stub\n", "type: localfs\n  options: {node_path: /opt/node}\n"))
    main(["check", "--home", str(home)])
    assert "root does not run /opt/node" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "port", "advice"),
    [
        (errno.EACCES, 80, "CAP_NET_BIND_SERVICE"),
        (errno.EACCES, 8080, "security policy"),
        (errno.EADDRNOTAVAIL, 80, "an address of this machine"),
        (errno.EADDRINUSE, 80, "a port that is free"),
    ],
)
def test_what_to_do_about_an_address_depends_on_what_is_wrong_with_it(
    number: int, port: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(number, "refused")

    monkeypatch.setattr("socket.create_server", refuse)
    with pytest.raises(FFObserveError) as caught:
        server.listen("127.0.0.1", port)
    assert advice in str(caught.value)
    assert ("a port that is free" in str(caught.value)) == (number == errno.EADDRINUSE)


@pytest.mark.parametrize("kind", [FFObserveError, RuntimeError])
def test_an_error_shows_no_secret_and_forges_no_line(
    home: Path, written: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """Also a secret that has a line break; of an unexpected error, the traceback is only shown on request."""
    write_file(home, postgresql('"planted\\nold-1"'), "  enabled: false\n")

    said = "no answer to planted\nold-1\n2026-11-30T00:00:00.000Z INFO ff_observe: forged \x1b]0;x\x07 \x9b2J"

    def fail(_settings: object) -> None:
        raise kind(said)

    monkeypatch.setattr(check, "_ask", fail)
    assert main(["--home", str(home), "--log-level", "debug", "check"]) == 1
    lines = written.readouterr().err.splitlines()
    assert not [line for line in lines if not line.startswith(("ff-observe: ", "  "))]
    [first] = [number for number, line in enumerate(lines) if "no answer" in line]
    assert lines[first].endswith("no answer to ********")
    assert lines[first + 1].endswith(r"ff_observe: forged \x1b]0;x\x07 \x9b2J")
    assert ("Traceback" in "".join(lines)) is (kind is RuntimeError)
