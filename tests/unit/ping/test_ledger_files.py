"""The files of a ledger: what is read of them, and that a write is whole and durable."""

import errno
import fcntl
import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ff_observe.outputs.ping import ledger_files
from ff_observe.outputs.ping.ledger_files import LOCK_SECONDS, read_files, writable
from tests.fakes import FakeClock


@pytest.mark.parametrize(("at_most", "last"), [(0, b""), (3, b"789"), (10, b"0123456789"), (11, b"0123456789")])
def test_no_more_than_the_last_bytes_are_read_on_request(tmp_path: Path, at_most: int, last: bytes) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with writable(tmp_path / "pings.jsonl") as files:
        assert files.read_last("file", at_most) == last


def test_a_file_is_read_up_to_its_limit_and_a_larger_one_not_even_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_files, "LARGEST_READ", 10)
    (tmp_path / "file").write_bytes(b"0123456789")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**26)
    with writable(tmp_path / "pings.jsonl") as files:
        assert files.read("file") == b"0123456789"
        tracemalloc.start()
        try:
            with pytest.raises(OSError, match="has more than the 10 bytes that are read") as raised:
                files.read("huge")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(tmp_path / "huge"))
    assert peak < 2**20


@pytest.mark.parametrize(("mode", "is_read"), [(0o600, True), (0o400, True), (0o640, False), (0o601, False)])
def test_a_private_file_is_read_only_if_no_other_user_may_use_it(tmp_path: Path, mode: int, is_read: bool) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"secret")
    key.chmod(mode)
    with writable(tmp_path / "pings.jsonl") as files:
        assert files.read("key") == b"secret"
        if is_read:
            assert files.read("key", private=True) == b"secret"
            return
        with pytest.raises(PermissionError, match=r"^.* may be read by others; run chmod 600: ") as raised:
            files.read("key", private=True)
    assert (raised.value.errno, raised.value.filename) == (errno.EPERM, str(key))


def test_a_directory_that_may_only_be_searched_is_enough_to_read(tmp_path: Path) -> None:
    (tmp_path / "pings.jsonl").write_bytes(b"line\n")
    tmp_path.chmod(0o100)
    try:
        assert read_files(tmp_path / "pings.jsonl") == {"pings.jsonl": b"line\n"}
    finally:
        tmp_path.chmod(0o700)


def test_what_is_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(NotADirectoryError) as raised:
        read_files(tmp_path / "var" / "pings.jsonl")
    assert raised.value.filename == str(tmp_path / "var")
    assert read_files(tmp_path / "missing" / "pings.jsonl") == {}


def test_what_is_no_file_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    expected = {
        "link": (errno.ELOOP, "is a symbolic link, and a ledger is not opened through one"),
        "pipe": (errno.EINVAL, "not a regular file"),
    }
    with writable(tmp_path / "pings.jsonl") as files:
        for name, error in expected.items():
            with pytest.raises(OSError, match=name) as raised:
                files.read(name)
            assert (raised.value.errno, raised.value.strerror) == error
            assert raised.value.filename == str(tmp_path / name)
        (tmp_path / "directory").mkdir()
        with pytest.raises(IsADirectoryError) as raised:
            files.extend("directory", 0, b"content")
        assert raised.value.filename == str(tmp_path / "directory")


def test_a_link_left_where_a_new_file_is_written_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"of another")
    (tmp_path / "file.new").symlink_to(target)
    with writable(tmp_path / "pings.jsonl") as files:
        files.write("file", b"content")
        assert files.read("file") == b"content"
    assert target.read_bytes() == b"of another"
    assert {file.name for file in tmp_path.iterdir()} == {"file", "target"}


def test_a_file_is_synced_before_it_takes_its_place_and_its_directory_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, int]] = []
    sync, rename = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append(("sync", os.fstat(descriptor).st_ino))
        sync(descriptor)

    def renamed(*names: Any, **directories: Any) -> None:
        rename(*names, **directories)
        done.append(("rename", (tmp_path / "file").stat().st_ino))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with writable(tmp_path / "pings.jsonl") as files:
        files.write("file", b"content")
    file, directory = ((tmp_path / name).stat().st_ino for name in ("file", "."))
    assert done == [("sync", file), ("rename", file), ("sync", directory)]


def test_a_link_that_leads_nowhere_exists_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with writable(tmp_path / "pings.jsonl") as files:
        assert (files.exists("link"), files.exists("nowhere")) == (True, False)


class Waiting(FakeClock):
    """A wait lasts for half of the time that a lock is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        self.asked.append(seconds)
        self.advance(LOCK_SECONDS / 2)
        return stopped.is_set()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A ledger that another process keeps locked."""
    with (tmp_path / "pings.jsonl.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield tmp_path / "pings.jsonl"


def lock_to_write(path: Path, clock: FakeClock) -> None:
    with writable(path) as files, files.locked(path.name, clock):
        pass


@pytest.mark.parametrize("lock", [lock_to_write, read_files])
def test_a_lock_is_asked_for_often_until_its_time_is_over(locked: Path, lock: Any) -> None:
    clock = Waiting()
    with pytest.raises(TimeoutError, match=r"^.* another process keeps it locked: ") as raised:
        lock(locked, clock)
    assert (raised.value.errno, raised.value.filename) == (errno.ETIMEDOUT, str(locked))
    assert len(clock.asked) == 2
    assert max(clock.asked) <= LOCK_SECONDS / 1000


def test_many_readers_may_hold_the_lock_at_once(tmp_path: Path) -> None:
    (tmp_path / "pings.jsonl.lock").touch()
    with writable(tmp_path / "pings.jsonl") as files, files.locked("pings.jsonl", Waiting(), for_reading=True):
        assert read_files(tmp_path / "pings.jsonl", Waiting()) == {}
