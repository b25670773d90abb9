"""Keys wrapped by a file or by a command, and everything that a file or a command can do wrong."""

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.collector.store import StoreError
from ff_observe.collector.wrapping import LARGEST, WrappingCommand, WrappingKeyFile
from ff_observe.errors import ConfigurationError

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


def test_a_command_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone cannot be run: No such file"):
        WrappingCommand((str(tmp_path / "gone"),), "collector.yml").wrap(SECRET)
