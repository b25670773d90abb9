"""A ledger besides the entries of attempts: events, receipts, its key, its lock, and what it says of what it lost."""

import errno
import fcntl
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ff_observe.outputs.ping import ledger as ledger_module
from ff_observe.outputs.ping.ledger import Ledger, entries
from ff_observe.outputs.ping.ledger_files import CHECKPOINT, KEY, OLDER, RECEIPTS
from ff_observe.outputs.ping.ledger_lines import Entry, Event
from ff_observe.outputs.ping.ledger_proof import verify
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.system.clock import SystemClock
from tests.fakes import FakeClock
from tests.unit.ping.test_ledger import DELIVERED, ledger_of, lines_of, numbered

NAME = "pings.jsonl"
TIME = "2026-11-23T12:00:00.000Z"  # of a `FakeClock`
USES: dict[str, Callable[[Ledger], object]] = {
    "append": lambda ledger: ledger.append(DELIVERED, b"{}"),
    "keep a receipt": lambda ledger: ledger.keep_receipt("another"),
    "read the checkpoint": lambda ledger: ledger.checkpoint(),
}


def described(body: bytes, outcome: Event, receiver: str, index: int) -> Entry:
    return Entry(index, TIME, outcome, receiver, None, len(body), hashlib.sha256(body).hexdigest(), body.decode())


def test_events_are_entries_without_a_status(tmp_path: Path) -> None:
    path, body = tmp_path / NAME, '{"name":"Grüße"}'.encode()
    ledger = Ledger(path, FakeClock())
    ledger.begin("ping.example.com:443", body)
    assert ledger.export(body) == 2
    assert list(entries(path)) == [
        described(body, Event.BEGUN, "ping.example.com:443", 1),
        described(body, Event.EXPORTED, "", 2),
    ]
    assert verify(path) == []


def test_a_file_is_opened_at_the_time_of_its_first_entry(tmp_path: Path) -> None:
    ledger_of(tmp_path / NAME, b"{}")
    opening, entry = map(json.loads, lines_of(tmp_path / NAME))
    assert opening["time"] == entry["time"] == TIME


def test_times_are_written_in_utc_wherever_the_machine_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        try:
            ledger_of(tmp_path / NAME, b"{}")
        finally:
            patched.undo()
            time.tzset()
    assert {json.loads(line)["time"] for line in lines_of(tmp_path / NAME)} == {TIME}


def test_a_file_of_another_program_is_no_ledger_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "important.conf"
    file.write_text("line one\nlast line without its end")
    with pytest.raises(OSError, match="holds something else than a ledger"):
        Ledger(file, FakeClock()).withhold("opt_out_file")
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["important.conf"]
    assert file.read_text() == "line one\nlast line without its end"


def test_bridges_that_begin_at_once_record_a_rule_once(tmp_path: Path) -> None:
    Ledger(tmp_path / NAME, SystemClock()).withhold("file")
    begun = threading.Barrier(8)

    def begin() -> None:
        begun.wait(30)
        Ledger(tmp_path / NAME, SystemClock()).withhold("admin_setting")

    bridges = [threading.Thread(target=begin) for _ in range(begun.parties)]
    for bridge in bridges:
        bridge.start()
    for bridge in bridges:
        bridge.join()
    assert [entry.rule for entry in entries(tmp_path / NAME)] == ["file", "admin_setting"]


def test_a_ledger_is_named_after_its_key_alone(tmp_path: Path) -> None:
    origins = []
    for name in ("one.jsonl", "two.jsonl"):
        ledger_of(tmp_path / name, b"{}")
        origins.append((tmp_path / (name + CHECKPOINT)).read_text().partition("\n")[0])
    assert len(set(origins)) == 2
    assert all(re.fullmatch("ff-observe/ledger/[0-9a-f]{16}", origin) for origin in origins)


def test_an_attempt_that_reached_no_receiver_names_none(tmp_path: Path) -> None:
    Ledger(tmp_path / NAME, FakeClock()).append(Outcome(Result.FAILED, "no"), b"{}")
    [entry] = entries(tmp_path / NAME)
    assert entry.receiver == ""


WRITES: dict[str, Callable[[Ledger], object]] = {
    "an attempt": lambda ledger: ledger.append(DELIVERED, b"0123456789"),
    "a withheld ping, which has no body": lambda ledger: ledger.withhold("file"),
}


@pytest.mark.parametrize(("write", "body_bytes"), [*zip(WRITES, (10, 0), strict=True)])
def test_a_file_is_put_aside_once_the_next_body_would_not_fit(tmp_path: Path, write: str, body_bytes: int) -> None:
    path, older_path = tmp_path / NAME, tmp_path / (NAME + OLDER)
    ledger_of(path, b"{}")
    content = path.read_bytes()
    WRITES[write](Ledger(path, FakeClock(), len(content) + body_bytes))
    assert (path.read_bytes().startswith(content), older_path.exists()) == (True, False)
    path.write_bytes(content)
    WRITES[write](Ledger(path, FakeClock(), len(content) + body_bytes - 1))
    assert older_path.read_bytes() == content


def test_a_check_makes_nothing_where_there_is_nothing_yet(tmp_path: Path) -> None:
    Ledger(tmp_path / "var" / NAME, FakeClock()).check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("beside", ["", ".1", ".new", ".lock", ".key", ".checkpoint", ".receipts"])
def test_a_check_finds_a_link_in_the_place_of_any_file(tmp_path: Path, beside: str) -> None:
    (tmp_path / f"{NAME}{beside}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a symbolic link") as raised:
        Ledger(tmp_path / NAME, FakeClock()).check()
    assert raised.value.filename == str(tmp_path / f"{NAME}{beside}")


def test_a_check_of_an_intact_ledger_leaves_it_as_it_is(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / NAME, *numbered(2))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    ledger.check()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


class Releasing(FakeClock):
    """Whoever waits by it finds the lock released afterwards."""

    def __init__(self, held: int) -> None:
        super().__init__()
        self._held = held
        self.has_waited = False

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        fcntl.flock(self._held, fcntl.LOCK_UN)
        self.has_waited = True
        return stopped.is_set()


@pytest.mark.parametrize("use", USES)
def test_whoever_finds_a_ledger_locked_waits_by_its_clock_until_it_is_released(tmp_path: Path, use: str) -> None:
    path = tmp_path / NAME
    ledger_of(path, b"{}").keep_receipt("one")
    with path.with_name(f"{NAME}.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        clock = Releasing(held.fileno())
        USES[use](Ledger(path, clock))
    assert clock.has_waited


def test_the_newest_receipts_are_kept_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MOST_RECEIPTS", 3)
    ledger = ledger_of(tmp_path / NAME, b"{}")
    kept = []
    for note in ("a", "b", "b", "c", "d"):
        ledger.keep_receipt(note)
        lines = (tmp_path / (NAME + RECEIPTS)).read_text().splitlines()
        kept.append("".join(json.loads(line)["receipt"] for line in lines))
    assert kept == ["a", "ab", "ab", "abc", "bcd"]


def test_a_key_that_is_none_is_named_with_what_to_do(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / NAME, b"{}")
    key = tmp_path / (NAME + KEY)
    for content in (b"\xff\n", key.read_bytes()[:-9]):
        key.write_bytes(content)
        with pytest.raises(OSError, match="remove it, and a new one is made") as raised:
            ledger.append(DELIVERED, b"{}")
        assert (raised.value.errno, raised.value.filename) == (errno.EINVAL, str(key))
        assert key.read_bytes() == content
    key.unlink()
    ledger.append(DELIVERED, b"after")
    assert verify(tmp_path / NAME) == []


def test_a_checkpoint_that_cannot_be_read_is_told_by_the_next_entry(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / NAME, b"{}")
    (tmp_path / (NAME + CHECKPOINT)).write_bytes(b"\xff")
    ledger.append(DELIVERED, b"after")
    *_, last = entries(tmp_path / NAME)
    assert last.broken == "its checkpoint could not be read"


@pytest.mark.parametrize("largest_file", [1_000_000, 1], ids=["one file", "a file for each entry"])
def test_a_crash_before_the_checkpoint_is_no_tampering(tmp_path: Path, largest_file: int) -> None:
    ledger = ledger_of(tmp_path / NAME, b"{}", largest_file=largest_file)
    checkpoint = (tmp_path / (NAME + CHECKPOINT)).read_bytes()
    ledger.append(DELIVERED, b"before the crash")
    (tmp_path / (NAME + CHECKPOINT)).write_bytes(checkpoint)
    ledger.append(DELIVERED, b"after")
    assert verify(tmp_path / NAME, largest_file=largest_file) == []
    assert {entry.broken for entry in entries(tmp_path / NAME)} == {None}


def test_a_checkpoint_of_just_the_files_before_the_present_one_is_compared_with_its_opening(tmp_path: Path) -> None:
    path, other = tmp_path / NAME, tmp_path / "other.jsonl"
    ledger = ledger_of(path, *numbered(2), largest_file=1)  # a file for each entry
    ledger_of(other, b"another ledger's")
    other.with_name(other.name + CHECKPOINT).replace(path.with_name(NAME + CHECKPOINT))
    ledger.append(DELIVERED, b"after")
    *_, last = entries(path)
    assert last.broken == "the 2 lines of the checkpoint before it were not the same any more"


@pytest.mark.parametrize("damage", [b"", b'{"time"'], ids=["none", "an unfinished line"])
def test_a_note_of_the_caller_is_kept_beside_that_of_a_repair(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / NAME
    ledger = ledger_of(path, b"{}")
    with path.open("ab") as file:
        file.write(damage)
    ledger.append(DELIVERED, b"after", "from elsewhere")
    *_, last = entries(path)
    repair = [f"an unfinished line of {len(damage)} bytes was removed"] if damage else []
    assert last.note == "; ".join(["from elsewhere", *repair])
