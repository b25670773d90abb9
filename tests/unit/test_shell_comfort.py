"""Completion in real shells, the manual page, colours and progress on a terminal, and files that are replaced whole."""

import contextlib
import errno
import io
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.cli import build_parser, by_file, completion, main, manual
from ff_observe.cli.files import replaced
from ff_observe.cli.grammar import grammar
from ff_observe.cli.terminal import painted, progress
from ff_observe.collector import commands
from ff_observe.errors import DeliveryError
from ff_observe.outputs.ping.ledger import Ledger
from tests.fakes import FakeClock
from tests.other_users import somebody_else
from tests.platforms import case_named

ROOT = Path(__file__).resolve().parents[2]
HOME = case_named("v2.4.0-sqlite-ce").home
PROGRAM = grammar(build_parser())
COMMANDS = [command.words[0] for command in PROGRAM.commands]

# What stands on the command line, the last word unfinished → what is offered.
LINES: dict[str, tuple[list[str], set[str]]] = {
    "commands": (["ch"], {"check"}),
    "actions": (["ping", "w"], {"why"}),
    "after an option with a value": (["--home", "/", "ping", "sh"], {"show"}),
    "options of an action": (["ping", "log", "--ver"], {"--verify"}),
    "values of an option": (["metrics", "--format", "open"], {"openmetrics"}),
    "general options behind a command": (["collector", "forget", "--log-f"], {"--log-format"}),
    "keys of settings": (["--set", "telemetry.backend.prometheus.por"], {"telemetry.backend.prometheus.port="}),
    "shells": (["completion", "z"], {"zsh"}),
}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("scripts")
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            [sys.executable, "-m", "ff_observe", "completion", shell], check=True, capture_output=True, text=True
        )
        (directory / shell).write_text(done.stdout)
    return directory


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {name}")
    return found


def offered(name: str, script: Path, words: list[str]) -> set[str]:
    """What a real shell offers for the last of the words."""
    program = shell(name)
    if name == "bash":
        line = " ".join(f"'{word}'" for word in ("ff-observe", *words))
        code = f'source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _ff_observe; echo "${{COMPREPLY[@]}}"'
        answer = subprocess.run([program, "--norc", "-c", code], check=True, capture_output=True, text=True)
    elif name == "fish":
        code = f"source {script}; complete -C 'ff-observe {' '.join(words)}'"
        answer = subprocess.run([program, "--no-config", "-c", code], check=True, capture_output=True, text=True)
    else:
        # The functions through which a completion tells zsh what it found, in its stead.
        code = (
            'compdef() { }; _files() { }; compadd() { while [ "$1" != -- ]; do shift; done; shift; print -l -- $@ }; '
            "_describe() { print -l -- ${(P)2%%:*} }; "
            f"source {script}; words=(ff-observe {' '.join(words)}); CURRENT={len(words) + 1}; _ff_observe"
        )
        answer = subprocess.run([program, "-f", "-c", code], check=True, capture_output=True, text=True)
    assert answer.stderr == ""
    lines = answer.stdout.split() if name == "bash" else answer.stdout.splitlines()
    found = {line.split("\t")[0] for line in lines}
    return {word for word in found if word.startswith(words[-1])}


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_shell_completes_what_the_parser_takes(name: str, scripts: Path) -> None:
    for case, (words, expected) in LINES.items():
        assert offered(name, scripts / name, words) == expected, case
    assert offered(name, scripts / name, [""]) >= set(COMMANDS)


def test_every_command_and_option_is_in_every_script_and_in_the_manual(scripts: Path) -> None:
    page = re.sub(r"\\f[BIR]|\\&", "", manual.render()).replace("\\-", "-")
    for command in PROGRAM.each():
        if command.words and not command.commands:
            assert f".SS ff-observe {' '.join(command.words)}\n" in page
        for argument in command.arguments:
            assert argument.help, (command.words, argument.flags)
            for flag in argument.flags:
                assert flag in page
                for name in ("bash", "zsh"):
                    assert flag in (scripts / name).read_text()
                assert f"-l {flag[2:]}" in (scripts / "fish").read_text() or not flag.startswith("--")


def test_every_command_is_in_the_table_of_the_readme() -> None:
    table = (ROOT / "README.md").read_text("utf-8").partition("## Commands")[2].partition("Exit status")[0]
    rows = [set(re.findall(r"[a-z-]+", row.split(" | ")[0])) for row in table.splitlines()]
    named = [command.words for command in PROGRAM.each() if command.words and not command.commands]
    assert [words for words in named if not any(row.issuperset(words) for row in rows)] == []


def test_the_manual_page_is_good_roff() -> None:
    page = ROOT / "docs" / "man" / "ff-observe.1"
    groff = shell("groff")
    done = subprocess.run([groff, "-man", "-Tutf8", "-ww", "-z", page], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert "\n.B 78\nthe configuration is wrong\n" in page.read_text()


def test_metrics_are_written_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "flowfuse.prom"
    output.write_text("before")
    with output.open() as reading:
        assert main(["--home", str(HOME), "metrics", "-o", str(output)]) == 0
        assert reading.read() == "before"  # who had it open reads the old one to its end
    assert "\nflowfuse_up" in output.read_text()
    assert capsys.readouterr().out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["flowfuse.prom"]
    assert main(["--home", str(HOME), "metrics", "-o", str(tmp_path / "nowhere" / "x.prom")]) == 1
    assert f"{tmp_path}/nowhere/x.prom: No such file or directory" in capsys.readouterr().err


def test_a_file_of_others_under_the_name_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, mark = tmp_path / "x.prom", str(os.getpid())
    monkeypatch.setattr("secrets.token_hex", lambda _: mark)
    other = tmp_path / f".x.prom.{mark}"
    other.write_text("of others")
    with pytest.raises(FileExistsError) as caught, replaced(output):
        pass
    assert (caught.value.filename, other.read_text()) == (str(output), "of others")


def test_a_file_that_is_replaced_keeps_its_mode_and_is_open_to_none_before(tmp_path: Path) -> None:
    output = tmp_path / "x.prom"
    output.touch(0o604)
    output.chmod(0o604)
    with replaced(output):
        (meanwhile,) = tmp_path.glob(".x.prom.*")
        assert meanwhile.stat().st_mode & 0o777 == 0o600
    assert output.stat().st_mode & 0o777 == 0o604
    with pytest.raises(KeyboardInterrupt), replaced(output):
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["x.prom"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who does not own the file")
def test_a_file_of_another_user_keeps_its_group_and_with_it_its_readers(open_directory: Path) -> None:
    open_directory.chmod(0o777)
    output, groups, of_readers = open_directory / "index.html", os.getgroups(), 1001
    output.touch()
    output.chmod(0o640)
    os.chown(output, 0, of_readers)
    with contextlib.ExitStack() as stack:
        stack.callback(os.setgroups, groups)
        os.setgroups([*groups, of_readers])
        with somebody_else(), replaced(output):
            pass
    after = output.stat()
    assert (after.st_mode & 0o777, after.st_gid) == (0o640, of_readers)


def test_an_error_names_the_file_that_was_asked_for_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    for name in ("open", "unlink"):  # a file system that is read-only refuses to remove what is not there
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(os, "open", refuse)
    output = tmp_path / "x.prom"
    with pytest.raises(OSError, match="Read-only") as caught, replaced(output):
        pass
    assert caught.value.filename == str(output)
    sentence = f"^{output} cannot be written: Read-only file system$"
    with pytest.raises(DeliveryError, match=sentence), by_file._new_file(output):
        pass


def test_assets_that_cannot_be_copied_are_named_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", target)

    monkeypatch.setattr(shutil, "copyfile", refuse)
    assert main(["assets", "haproxy", "--copy", str(tmp_path)]) == 1
    (file,) = (ROOT / "deploy" / "haproxy").iterdir()
    copy = tmp_path / "haproxy" / file.name
    assert capsys.readouterr().err == f"ff-observe: {copy} cannot be written: No space left on device\n"
    assert main(["assets", "completion", "--copy", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(" cannot be written: No space left on device (and 2 more)\n")


@pytest.mark.parametrize("command", ["collector run", "collector export", "fleet adoption", "fleet history"])
def test_help_is_readable_in_every_encoding(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.TextIOWrapper(io.BytesIO(), "latin-1")
    monkeypatch.setattr("sys.stdout", output)
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    output.seek(0)
    assert "postgresql://\\u2026" in re.sub(r"\s+", " ", output.read())


def test_what_programs_read_is_utf_8_in_every_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "flowforge.yml"
    file.write_text("telemetry: {url: 'https://bücher.example/ping'}\n")
    path = tmp_path / "pings.jsonl"
    Ledger(path, FakeClock()).withhold("a_rule")
    monkeypatch.setattr(commands, "export", lambda *_: iter(['{"model": "bücher"}']))
    for arguments, expected in (
        (["completion", "zsh"], completion.render("zsh").encode()),
        (["egress", "--network-policy", "cilium", "--config", str(file)], "bücher.example".encode()),
        (["frontend", "csp", "--merge", "default-src bücher.example", "--config", str(file)], "bücher".encode()),
        (["collector", "export", "an-id"], '{"model": "bücher"}\n'.encode()),
        (["ping", "log", "--checkpoint", "--file", str(path)], "\n— ff-observe/ledger/".encode()),
        (["ping", "log", "--prove", "1", "--file", str(path)], "\n— ff-observe/ledger/".encode()),
    ):
        output = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(output, "latin-1"))
        assert main(arguments) == 0, arguments
        assert expected in output.getvalue(), arguments


def test_progress_is_said_on_a_terminal_alone_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("waiting", every_seconds=0.001):
        pass
    assert capsys.readouterr().err == ""
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as screen, os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        said = b""
        with progress("waiting", every_seconds=0.001):
            while b"waiting, " not in said:
                said += screen.read(100)
        with progress("quick", every_seconds=3600):
            pass
        terminal.write("the end")
        terminal.flush()
        while not said.endswith(b"the end"):
            said += screen.read(100)
    assert said.endswith(b" s \xe2\x80\xa6\r\x1b[Kthe end")
    assert b"quick" not in said


@pytest.mark.parametrize("command", [["history", "--home", str(HOME)], ["fleet", "history"], ["fleet", "silent"]])
def test_what_may_wait_for_a_database_says_so(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    @contextlib.contextmanager
    def note(what: str) -> Iterator[None]:
        said.append(what)
        yield

    monkeypatch.setattr(f"ff_observe.cli.{command[0]}.progress", note)
    monkeypatch.setattr("ff_observe.collector.commands.store_of_fleet", lambda _: FleetWithoutRollups())
    main([*command, *(["--data-dir", str(tmp_path)] if command[0] == "fleet" else ["-o", str(tmp_path / "o")])])
    assert said == ["reading the fleet" if command[0] == "fleet" else "reading the platform's database"]


class FleetWithoutRollups:
    def rollups(self, *_: object) -> list[object]:
        return []


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, "w") as terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert painted("x", "red", terminal) == "\x1b[31mx\x1b[0m"
        monkeypatch.setenv("NO_COLOR", "1")
        assert painted("x", "red", terminal) == "x"
        monkeypatch.setenv("NO_COLOR", "")  # no-color.org: an empty one does not count
        assert painted("x", "red", terminal) != "x"
        monkeypatch.setenv("TERM", "dumb")
        assert painted("x", "red", terminal) == "x"
