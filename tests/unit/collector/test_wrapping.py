"""Keys wrapped by a file or by a command, and everything that a file or a command can do wrong."""

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.keys import wrapping as wrapping_module
from ff_observe.collector.keys.wrapping import LARGEST, Wrapping, WrappingCommand, WrappingKeyFile
from ff_observe.collector.store import StoreError
from ff_observe.errors import ConfigurationError
from tests.fakes import no_more_files
from tests.real_parts.processes import wait_until

SECRET = b"planted-secret-of-a-key"


def key_file(directory: Path, content: str = "5a" * 32, mode: int = 0o600) -> WrappingKeyFile:
    file = directory / "wrapping.key"
    file.write_text(content + "\n")
    file.chmod(mode)
    return WrappingKeyFile(file, "collector.yml")


def command(directory: Path, text: str, patience_seconds: float = 60) -> WrappingCommand:
    program = directory / "kms"
    program.write_text(f"#!{sys.executable} -IS\nimport os, signal, sys\n{text}\n")
    program.chmod(0o700)
    return WrappingCommand((str(program), "alias/pings"), "collector.yml", patience_seconds)


def test_what_is_wrapped_can_be_unwrapped_and_is_not_the_same_twice(tmp_path: Path) -> None:
    wrapping = key_file(tmp_path)
    wrapped = wrapping.wrap(SECRET)
    assert SECRET not in wrapped
    assert wrapping.wrap(SECRET) != wrapped
    assert key_file(tmp_path).unwrap(wrapped) == SECRET


@given(st.data())
def test_what_was_changed_is_not_unwrapped(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    wrapping = key_file(tmp_path_factory.mktemp("wrapping"))
    wrapped = bytearray(wrapping.wrap(SECRET))
    wrapped[data.draw(st.integers(0, len(wrapped) - 1))] ^= data.draw(st.integers(1, 255))
    shortened = wrapping.wrap(SECRET)[: data.draw(st.integers(0, len(wrapped) - 1))]
    for wrong in (bytes(wrapped), shortened):
        with pytest.raises(ConfigurationError, match="does not open what the database keeps"):
            wrapping.unwrap(wrong)


def test_another_wrapping_key_is_named(tmp_path: Path) -> None:
    wrapped = key_file(tmp_path).wrap(SECRET)
    with pytest.raises(ConfigurationError, match=r"keys\.wrapping_key_file: .*/wrapping\.key does not open") as raised:
        key_file(tmp_path, "a5" * 32).unwrap(wrapped)
    assert "a5a5" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("5a" * 32, 0o640, "chmod 600"),
        ("5a" * 31, 0o600, "64 hexadecimal digits"),
        ("no key", 0o600, "64 hexadecimal digits"),
        ("5a" * 10_000, 0o600, "cannot be used: the file has"),
    ],
)
def test_a_wrapping_key_that_is_none_or_that_others_can_read_is_refused(
    tmp_path: Path, content: str, mode: int, said: str
) -> None:
    wrapping = key_file(tmp_path)
    wrapping.wrap(SECRET)
    replaced = key_file(tmp_path, content, mode)
    for each in (wrapping, replaced):  # also by a collector that is running
        with pytest.raises(ConfigurationError, match=said) as raised:
            each.wrap(SECRET)
        assert content not in str(raised.value)


@pytest.mark.parametrize(("mode", "may_be_read_by"), [(0o440, "the service"), (0o444, "all")])
def test_a_credential_is_read_though_the_mask_of_its_acl_looks_like_a_right_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, may_be_read_by: str
) -> None:
    """systemd: `fd_add_uid_acl_permission` in `write_credential`, src/core/exec-credential.c."""
    credential = key_file(tmp_path, mode=mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        credential.wrap(SECRET)
    monkeypatch.setattr(wrapping_module, "CREDENTIALS", tmp_path)
    if may_be_read_by == "the service":
        assert credential.unwrap(credential.wrap(SECRET)) == SECRET
    else:
        with pytest.raises(ConfigurationError, match="chmod 600"):
            credential.wrap(SECRET)


def test_a_missing_wrapping_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.key cannot be used: No such file"):
        WrappingKeyFile(tmp_path / "gone.key", "collector.yml").wrap(SECRET)


def test_a_command_gets_the_key_on_its_standard_input_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FF_OBSERVE_COLLECTOR_DATABASE", "postgresql://u:planted-password@127.0.0.1/pings")
    wrapping = command(
        tmp_path,
        "import json; content = sys.stdin.buffer.read()\n"
        f"json.dump([sys.argv, dict(os.environ)], open({str(tmp_path / 'seen')!r}, 'w'))\n"
        "sys.stdout.buffer.write(content[::-1])",
    )
    wrapped = wrapping.wrap(SECRET)
    arguments, environment = json.loads((tmp_path / "seen").read_text())
    assert arguments[1:] == ["alias/pings", "wrap"]
    assert wrapping.unwrap(wrapped) == SECRET
    assert "planted" not in json.dumps([arguments, environment])
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    ("text", "patience_seconds", "said"),
    [
        ("print(sys.stdin.read(), file=sys.stderr); sys.exit(3)", 60, "ended with status 3"),
        ("sys.exit(sys.stdin.read())", 60, "ended with status 1"),
        ("os.close(0)", 60, "wrote nothing"),
        ("signal.pause()", 0.5, "did not end within 0.5 seconds"),
        ("os.fork(); signal.pause()", 0.5, "did not end within 0.5 seconds"),
        ("signal.alarm(5); os.close(1); signal.pause()", 0.5, "did not end within 0.5 seconds"),
        ("os.fork() or (signal.alarm(5), signal.pause())", 0.5, "did not end within 0.5 seconds"),
        ("os.fork() or (os.setsid(), signal.alarm(5), signal.pause())", 0.5, "did not end within 0.5 seconds"),
        ("os.write(1, b'x' * 65536); signal.pause()", 60, f"wrote more than {LARGEST} bytes"),
        ("while True: os.write(1, b'x' * 65536)", 60, f"wrote more than {LARGEST} bytes"),
        ("os.kill(os.getpid(), 9)", 60, "ended with status -9"),
    ],
)
def test_a_command_that_fails_hangs_or_does_not_stop_is_ended_and_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, patience_seconds: float, said: str
) -> None:
    with pytest.raises(StoreError, match=r"keys\.wrapping_command: `.*/kms … wrap`") as raised:
        command(tmp_path, text, patience_seconds).wrap(SECRET)
    assert said in str(raised.value)
    assert "planted" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_a_command_may_read_more_than_a_pipe_holds_or_nothing(tmp_path: Path) -> None:
    assert command(tmp_path, "print(len(sys.stdin.read()), end='')").wrap(bytes(1_000_000)) == b"1000000"
    assert command(tmp_path, "os.close(0); print('wrapped', end='')").wrap(bytes(1_000_000)) == b"wrapped"


def test_what_a_command_leaves_running_is_ended_before_another_process_can_get_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int | None]] = []
    kill = os.killpg

    def observed(number: int, how: int) -> None:
        ended = os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        killed.append((number, None if ended is None else ended.si_pid))
        kill(number, how)

    monkeypatch.setattr(os, "killpg", observed)
    file = tmp_path / "held"
    leaves = f"""
import fcntl
held = open({str(file)!r}, "w")
fcntl.flock(held, fcntl.LOCK_EX)
if os.fork():
    sys.stdout.write("wrapped")
else:
    os.close(1)
    signal.alarm(600)
    signal.pause()
"""
    assert command(tmp_path, leaves).wrap(SECRET) == b"wrapped"
    ((number, unreaped),) = killed
    assert unreaped == number
    with file.open() as held:
        wait_until(lambda: _is_free(held), "what the command has started to end")


def _is_free(file: TextIO) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


@pytest.mark.parametrize(
    ("text", "hangs"), [("print('wrapped', end='')", False), ("signal.alarm(60); signal.pause()", True)]
)
def test_a_command_of_another_user_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, *, hangs: bool
) -> None:
    """As with sudo: it cannot be killed."""
    started: list[int] = []

    def refused(number: int, _: int) -> None:
        started.append(number)
        raise PermissionError

    with monkeypatch.context() as other_user:
        other_user.setattr(os, "killpg", refused)
        other_user.setattr(wrapping_module, "REAPING_SECONDS", 0.1)
        if hangs:
            with pytest.raises(StoreError, match=r"did not end within 0\.5 seconds"):
                command(tmp_path, text, 0.5).wrap(SECRET)
            (number,) = started
            assert os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None, "it still runs"
            os.kill(number, signal.SIGKILL)
        else:
            assert command(tmp_path, text).wrap(SECRET) == b"wrapped"
    for thread in threading.enumerate():
        if thread.name == "collector-wrapping":
            thread.join()


def test_a_command_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone cannot be run: No such file"):
        WrappingCommand((str(tmp_path / "gone"),), "collector.yml").wrap(SECRET)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (key_file, r"keys\.wrapping_key_file: .*/wrapping\.key cannot be read: Too many open files"),
        (partial(command, text="print('wrapped', end='')"), r"keys\.wrapping_command: .*/kms cannot be run: Too many"),
    ],
)
def test_what_the_machine_lacks_for_now_is_no_error_of_the_configuration(
    tmp_path: Path, kind: Callable[[Path], Wrapping], said: str
) -> None:
    wrapping = kind(tmp_path)
    wrapped = wrapping.wrap(SECRET)
    for use in (partial(wrapping.wrap, SECRET), partial(wrapping.unwrap, wrapped)):
        with pytest.raises(StoreError, match=said) as raised, no_more_files():
            use()
        assert raised.value.exit_status == 1
