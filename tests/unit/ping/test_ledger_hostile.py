"""A ledger in a directory that another user prepared: no file of his choice is made, changed, read or waited for."""

import fcntl
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.demo.platform import DemoPlatform
from ff_observe.outputs.ping import ledger_files
from ff_observe.outputs.ping.ledger import Ledger, entries
from ff_observe.outputs.ping.ledger_proof import verify
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.system.clock import SystemClock
from ff_observe.system.trusted_path import UntrustedPathError
from tests.fakes import FakeClock
from tests.unit.ping.receivers import answer, receiver

DELIVERED = Outcome(Result.DELIVERED, "fine", 200, "ping.example.com:443")
NAMES = ("pings.jsonl", "pings.jsonl.1", "pings.jsonl.lock", "pings.jsonl.checkpoint", "pings.jsonl.key")
SECRET = "root's own file\n"


def append(path: Path) -> None:
    Ledger(path, FakeClock()).append(DELIVERED, b"{}")


READERS: tuple[Callable[[Path], object], ...] = (verify, lambda path: list(entries(path)))  # they need no key


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_the_place_of_a_file_is_refused_and_leads_nowhere(tmp_path: Path, name: str, exists: bool) -> None:
    ledger, target = tmp_path / "ledger", tmp_path / "target"
    ledger.mkdir(mode=0o700)
    if exists:
        target.write_text(SECRET)
    if name == "pings.jsonl.1":
        (ledger / "pings.jsonl").write_text("")
    (ledger / name).symlink_to(target)
    with pytest.raises(OSError, match=f"is a symbolic link.*{name}"):
        append(ledger / "pings.jsonl")
    assert (target.read_text() if exists else target.exists()) == (SECRET if exists else False)
    for read in READERS if name != "pings.jsonl.key" else ():
        with pytest.raises(OSError, match=f"is a symbolic link.*{name}"):
            read(ledger / "pings.jsonl")


def test_a_link_in_the_place_of_the_new_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text(SECRET)
    ledger = tmp_path / "ledger"
    ledger.mkdir(mode=0o700)
    (ledger / "pings.jsonl.new").symlink_to(target)
    append(ledger / "pings.jsonl")
    assert target.read_text() == SECRET
    assert verify(ledger / "pings.jsonl") == []


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(tmp_path: Path, name: str) -> None:
    if name == "pings.jsonl.1":
        (tmp_path / "pings.jsonl").write_text("")
    os.mkfifo(tmp_path / name)
    for use in (append, *(READERS if name != "pings.jsonl.key" else ())):
        with pytest.raises(OSError, match="not a regular file"):
            use(tmp_path / "pings.jsonl")


def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(UntrustedPathError, match="every user can write to it"):
        append(tmp_path / "pings.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_held_for_ever_ends_a_reading(tmp_path: Path) -> None:
    append(tmp_path / "pings.jsonl")

    class Impatient(SystemClock):
        asked = 0.0

        def monotonic(self) -> float:
            Impatient.asked += ledger_files.LOCK_SECONDS
            return Impatient.asked

    with (tmp_path / "pings.jsonl.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="another process"):
            ledger_files.read_files(tmp_path / "pings.jsonl", Impatient())


def test_a_file_that_is_larger_than_any_ledger_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "pings.jsonl").open("wb") as file:
        file.truncate(ledger_files.LARGEST_READ + 1)
    with pytest.raises(OSError, match="bytes that are read"):
        verify(tmp_path / "pings.jsonl")


@pytest.fixture
def platform_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform whose home belongs to another user, as root meets it. Who is not root stands in for it."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "STATE_DIRECTORY", "FF_TELEMETRY_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    with receiver(answer(200)) as server:
        platform = DemoPlatform(tmp_path / "home", SystemClock(), random.Random(1), ping_url="", metrics_port=10464)
    del server
    platform.create()
    return platform.home


def send_as_root(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[bytes]]:
    file = home / "etc" / "flowforge.yml"
    with receiver(answer(200)) as server:
        lines = [line for line in file.read_text().splitlines() if "url:" not in line]
        file.write_text("\n".join(lines).replace("telemetry:", f"telemetry:\n  url: {server.url()}") + "\n")
        if os.geteuid() == 0:
            for path in (home, *home.rglob("*")):
                os.chown(path, 1000, -1, follow_symlinks=False)
        with monkeypatch.context() as patched:
            patched.setattr(os, "geteuid", lambda: 0)
            status = main(["--home", str(home), "ping", "send"])
        return status, [request.body for request in server.requests]


def test_root_sends_no_ping_of_another_users_platform_and_leaves_its_ledger_alone(
    platform_of_another: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(platform_of_another.rglob("*"))
    status, sent = send_as_root(platform_of_another, monkeypatch)
    assert (status, sent) == (1, [])
    (error,) = capsys.readouterr().err.splitlines()
    assert str(platform_of_another / "var" / "ff-observe" / "pings.jsonl") in error
    assert "it belongs to" in error
    assert "sudo -u" in error
    assert sorted(platform_of_another.rglob("*")) == before


def test_root_writes_no_file_that_another_users_configuration_names(
    platform_of_another: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tmp_path / "ours"
    ours.mkdir(mode=0o700)
    (ours / "profile").write_text(SECRET)
    file = platform_of_another / "etc" / "flowforge.yml"
    file.write_text(file.read_text().replace("telemetry:\n", f"telemetry:\n  ledger: {ours}/profile\n"))
    status, sent = send_as_root(platform_of_another, monkeypatch)
    assert (status, sent) == (1, [])
    assert "it belongs to" in capsys.readouterr().err
    assert [path.name for path in ours.iterdir()] == ["profile"]
    assert (ours / "profile").read_text() == SECRET


def test_the_bridge_of_root_sends_the_ping_and_says_that_it_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ff_observe.outputs.ping.sending import sender_for
    from tests.unit.ping.test_recording import START, with_ledger

    tmp_path.chmod(0o777)
    with receiver(answer(200)) as server:
        outcome = sender_for(with_ledger(tmp_path / "pings.jsonl", server.url()), FakeClock(START)).send(b"{}")
    assert outcome.result is Result.DELIVERED
    assert f"{tmp_path}: every user can write to it" in caplog.text
    assert list(tmp_path.iterdir()) == []
