"""`ff-observe ping log`: the ledger for people, for programs, and checked."""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.demo.platform import DemoPlatform
from ff_observe.system.clock import SystemClock
from tests.unit.ping.receivers import Receiver, answer, receiver


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "STATE_DIRECTORY", "FF_TELEMETRY_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    with receiver(answer(200)) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, server: Receiver) -> Path:
    """An initialised platform that pings the receiver."""
    platform = DemoPlatform(
        tmp_path / "home", SystemClock(), random.Random(1), ping_url=server.url(), metrics_port=10464
    )
    platform.create()
    return platform.home


def ledger(home: Path) -> Path:
    return home / "var" / "ff-observe" / "pings.jsonl"


def ping(home: Path, *arguments: str) -> int:
    return main(["--home", str(home), "ping", *arguments])


def test_what_ping_send_sent_is_listed(home: Path, server: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    assert ping(home, "send") == 0
    capsys.readouterr()
    assert ping(home, "log") == 0
    heading, row = capsys.readouterr().out.splitlines()
    body = server.requests[0].body
    assert heading.split() == ["N", "TIME", "OUTCOME", "STATUS", "RECEIVER", "BYTES", "SHA256"]
    expected = ["delivered", "200", f"127.0.0.1:{server.port}", str(len(body)), hashlib.sha256(body).hexdigest()]
    assert [row.split()[0], *row.split()[2:]] == ["1", *expected]


def test_json_gives_one_object_per_line_with_the_body(
    home: Path, server: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    ping(home, "send")
    ping(home, "send")
    capsys.readouterr()
    assert ping(home, "log", "--json") == 0
    held = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["body"].encode() for entry in held] == [request.body for request in server.requests]


def test_verify_says_how_many_and_the_root_of_their_tree(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ping(home, "send")
    ping(home, "send")
    capsys.readouterr()
    assert ping(home, "log", "--verify") == 0
    root = ledger(home).with_name("pings.jsonl.checkpoint").read_text().splitlines()[2]
    assert capsys.readouterr().out == f"2 entries, intact; the root of the 3 lines is {root}\n"


def test_verify_of_a_changed_ledger_fails_and_says_where(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ping(home, "send")
    capsys.readouterr()
    ledger(home).write_text(ledger(home).read_text().replace("delivered", "\\u001b[2Jfailed"))
    assert ping(home, "log", "--verify") == 1
    assert capsys.readouterr().err == (
        f"ff-observe: {ledger(home)}.checkpoint: the checkpoint of 2 lines is contradicted: of the entries 0 to 1, "
        "some were changed, removed, added or moved\n"
    )
    assert ping(home, "log") == 0
    assert "\x1b" not in capsys.readouterr().out


def test_verify_tells_of_what_was_mended(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ping(home, "send")
    ledger(home).write_bytes(ledger(home).read_bytes() + b'{"ti')
    ping(home, "send")
    capsys.readouterr()
    assert ping(home, "log", "--verify") == 0
    assert "an unfinished line of 4 bytes was removed" in capsys.readouterr().out


def test_before_the_first_ping_there_is_nothing_to_list_and_nothing_to_verify(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ping(home, "log") == 0
    assert ping(home, "log", "--verify") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert "nothing was sent yet" in first
    assert str(ledger(home)) in first
    assert "the file is missing" in second


def test_a_copy_of_a_ledger_needs_no_platform(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ping(home, "send")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(ledger(home).read_bytes())
    checkpoint = tmp_path / "copy.jsonl.checkpoint"
    checkpoint.write_bytes(ledger(home).with_name("pings.jsonl.checkpoint").read_bytes())
    capsys.readouterr()
    assert main(["--home", "/nowhere", "ping", "log", "--verify", "--file", str(copy)]) == 0
    assert capsys.readouterr().out.startswith("1 entry, intact")
    checkpoint.unlink()
    assert main(["--home", "/nowhere", "ping", "log", "--verify", "--file", str(copy)]) == 1
    assert "copy.jsonl.checkpoint: the file is missing" in capsys.readouterr().err


def test_the_ledger_lies_where_the_service_manager_or_the_file_says(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", f"{state}:/nowhere")
    ping(home, "send")
    assert (state / "pings.jsonl").exists()
    file = home / "etc" / "flowforge.yml"
    file.write_text(file.read_text().replace("telemetry:\n", "telemetry:\n  ledger: mine.jsonl\n"))
    ping(home, "send")
    assert (home / "var" / "mine.jsonl").exists()
    assert not ledger(home).exists()


def test_a_ping_that_a_rule_withholds_is_an_entry_once(
    home: Path, server: Receiver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FF_TELEMETRY_DISABLED", "1")
    assert [ping(home, "send"), ping(home, "send")] == [1, 1]
    capsys.readouterr()
    assert ping(home, "log") == 0
    _, row = capsys.readouterr().out.splitlines()
    assert row.split()[2:] == ["withheld", "-", "-", "-", "by", "the", "rule", "ff_telemetry_disabled"]
    assert server.requests == []
    assert ping(home, "log", "--json") == 0
    assert json.loads(capsys.readouterr().out).keys() == {"index", "time", "outcome", "rule"}


def test_off_keeps_no_ledger(home: Path, server: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / "etc" / "flowforge.yml"
    file.write_text(file.read_text().replace("telemetry:\n", "telemetry:\n  ledger: off\n"))
    assert ping(home, "send") == 0
    assert len(server.requests) == 1
    assert not ledger(home).parent.exists()
    assert ping(home, "log") == 1
    assert "telemetry.ledger is off" in capsys.readouterr().err


def test_a_damaged_line_is_said_beside_the_others(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ping(home, "send")
    ping(home, "send")
    opening, _, last = ledger(home).read_bytes().splitlines(keepends=True)
    ledger(home).write_bytes(opening + b"damaged\n" + last)
    for arguments in (["log"], ["log", "--json"], ["show", "--diff"]):
        capsys.readouterr()
        assert ping(home, *arguments) == 1
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == (2 if arguments == ["log"] else 1)
        second, third = err.splitlines()
        assert second == f"ff-observe: {ledger(home)}, line 2: it is no entry; see `ping log --verify`"
        assert third.startswith(f"ff-observe: {ledger(home)}, line 3: it does not follow the lines before: ")


@pytest.mark.parametrize(("is_there", "what"), [(False, "missing"), (True, "empty")])
def test_a_ledger_that_is_gone_is_not_one_that_was_never_begun(
    is_there: bool, what: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ping(home, "send")
    ledger(home).unlink()
    if is_there:
        ledger(home).touch()
    for arguments, besides in ((["log"], 0), (["show", "--diff"], 1)):
        capsys.readouterr()
        assert ping(home, *arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        first, *others = err.splitlines()
        assert first == f"ff-observe: {ledger(home)}: the file is {what}; see `ping log --verify`"
        assert len(others) == besides


def test_a_ledger_that_is_named_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "pngs.jsonl", tmp_path / "nowhere" / "pings.jsonl"):
        for form in ([], ["--json"]):
            assert main(["ping", "log", *form, "--file", str(path)]) == 1
            assert capsys.readouterr().err == f"ff-observe: {path}: there is no such ledger\n"


def test_a_file_that_is_compared_with_is_named_as_given(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ping(home, "send")
    monkeypatch.chdir(tmp_path)
    Path("kept").write_text("nonsense")
    capsys.readouterr()
    assert ping(home, "log", "--verify", "--against", "kept") == 1
    assert capsys.readouterr().err.startswith("ff-observe: kept: ")
