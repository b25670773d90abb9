"""The ledger of pings on a real disk: what it holds, that tampering is found, and that no failure leaves it broken."""

import base64
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_observe.outputs.ping.ledger import Ledger, entries
from ff_observe.outputs.ping.ledger_files import LOCK_SECONDS
from ff_observe.outputs.ping.ledger_proof import verify
from ff_observe.outputs.ping.outcome import Outcome, Result
from ff_observe.system.clock import SystemClock
from tests.fakes import FakeClock, full_disk

DELIVERED = Outcome(Result.DELIVERED, "fine", 200, "ping.example.com:443")
FAILED = Outcome(Result.FAILED, "no", None, "ping.example.com:443")


def ledger_of(path: Path, *bodies: bytes, largest_file: int = 1_000_000) -> Ledger:
    """A ledger with one delivered ping for each body."""
    ledger = Ledger(path, FakeClock(), largest_file)
    for body in bodies:
        ledger.append(DELIVERED, body)
    return ledger


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def numbered(count: int) -> list[bytes]:
    return [b'{"ping":%d}' % number for number in range(count)]


def test_an_entry_holds_what_was_sent_and_what_became_of_it(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    body = '{"name":"Grüße"}'.encode()
    ledger = ledger_of(path, body)
    ledger.append(FAILED, b"{}")
    first, second = entries(path)
    assert (first.time, first.outcome, first.receiver) == (
        "2026-11-23T12:00:00.000Z",
        "delivered",
        "ping.example.com:443",
    )
    assert (first.status, first.bytes, first.body) == (200, len(body), body.decode())
    assert first.sha256 == hashlib.sha256(body).hexdigest()
    assert (second.outcome, second.status) == ("failed", None)
    assert verify(path) == []


def root_of(leaves: list[bytes]) -> bytes:
    """As section 2.1 of RFC 6962 defines it."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    return hashlib.sha256(b"\1" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


def test_every_line_holds_the_root_of_the_lines_before_it(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger_of(path, *numbered(6))
    lines = lines_of(path)
    assert (json.loads(lines[0])["index"], json.loads(lines[0])["peaks"]) == (0, [])
    for index, line in enumerate(lines[1:], 1):
        assert base64.b64decode(json.loads(line)["root"]) == root_of(lines[:index])
    _origin, size, root = (tmp_path / "pings.jsonl.checkpoint").read_text().split("\n")[:3]
    assert (int(size), base64.b64decode(root)) == (len(lines), root_of(lines))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
@settings(max_examples=25)
def test_any_body_is_kept_byte_for_byte(bodies: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pings.jsonl"
        ledger_of(path, *bodies)
        assert [entry.body.encode("utf-8", "surrogateescape") for entry in entries(path)] == bodies
        assert verify(path) == []


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a ledger of two files."""
    directory: Path = tmp_path_factory.mktemp("ledger")
    ledger_of(directory / "pings.jsonl", *numbered(7), largest_file=1600)
    assert (directory / "pings.jsonl.1").exists()
    assert verify(directory / "pings.jsonl") == []
    return directory


@given(data=st.data())
@settings(max_examples=150)
def test_any_tampering_is_found(untouched: Path, data: st.DataObject) -> None:
    contents = {name: (untouched / name).read_bytes() for name in ("pings.jsonl.1", "pings.jsonl")}
    name = data.draw(st.sampled_from(sorted(contents)))
    content = contents[name]
    lines = content.split(b"\n")[:-1]
    kind = data.draw(st.sampled_from(["flip", "delete", "swap", "cut", "insert", "repeat", "remove file"]))
    if kind == "flip":
        at = data.draw(st.integers(0, len(content) - 1))
        flipped = content[at] ^ (1 << data.draw(st.integers(0, 7)))
        changed = content[:at] + bytes([flipped]) + content[at + 1 :]
    elif kind == "cut":
        end = data.draw(st.integers(0, len(content) - 1))
        changed = content[:end]
    elif kind == "insert":
        at = data.draw(st.integers(0, len(content)))
        changed = content[:at] + data.draw(st.binary(min_size=1, max_size=5)) + content[at:]
    else:
        at = data.draw(st.integers(0, len(lines) - 1))
        if kind == "delete":
            del lines[at]
        elif kind == "repeat":
            lines.insert(at, lines[at])
        elif at + 1 < len(lines):
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        else:
            del lines[at]
        changed = b"\n".join([*lines, b""])
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(untouched / "pings.jsonl.checkpoint", directory)
        for each, text in contents.items():
            if each != name:
                (Path(directory) / each).write_bytes(text)
            elif kind != "remove file":
                (Path(directory) / each).write_bytes(changed)
        assert verify(Path(directory) / "pings.jsonl") != []
        list(entries(Path(directory) / "pings.jsonl"))


def test_a_finding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger_of(path, *numbered(3))
    path.write_bytes(path.read_bytes().replace(b'{\\"ping\\":1}', b'{\\"ping\\":9}'))
    assert [(found.file, found.line) for found in verify(path)] == [
        (str(path), 3),
        (str(path), 4),
        (f"{path}.checkpoint", 0),
    ]


def test_what_follows_damage_does_not_hide_it(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = ledger_of(path, *numbered(2))
    path.write_bytes(path.read_bytes().replace(b"delivered", b"rejected!"))
    assert [(found.file, found.line) for found in verify(path)] == [(str(path), 3), (f"{path}.checkpoint", 0)]
    ledger.append(DELIVERED, b"{}")
    ledger.append(DELIVERED, b"{}")
    assert [found.line for found in verify(path)] == [3, 4]
    assert "not the same any more" in str(verify(path)[1])


def test_entries_that_were_removed_at_the_end_are_missed_for_good(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = ledger_of(path, *numbered(5))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    [finding] = verify(path)
    assert str(finding) == (
        f"{path}.checkpoint: the checkpoint of 6 lines is contradicted: of the entries 0 to 5, some were changed, "
        "removed, added or moved"
    )
    ledger.append(DELIVERED, b"{}")
    [finding] = verify(path)
    assert (finding.line, "there had been 6, and 4 were left" in finding.what) == (5, True)


def test_a_full_file_is_put_aside_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger_of(path, *numbered(40), largest_file=1600)
    kept = {f"pings.jsonl{each}" for each in ("", ".1", ".checkpoint", ".key", ".lock")}
    assert {file.name for file in tmp_path.iterdir()} == kept
    held = [json.loads(entry.body)["ping"] for entry in entries(path)]
    assert held == list(range(held[0], 40))
    assert 0 < held[0] < 38
    assert verify(path, largest_file=1600) == []
    assert "before it was full" in str(verify(path, largest_file=2100))
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 2100


@pytest.mark.parametrize("lost", range(1, 260, 15))
def test_an_unfinished_last_line_is_removed_by_the_next_entry_which_says_so(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = ledger_of(path, *numbered(2))
    checkpoint = (tmp_path / "pings.jsonl.checkpoint").read_bytes()
    ledger.append(DELIVERED, numbered(3)[2])
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    if lost > 1:  # a crash, after which the line is in no checkpoint yet
        (tmp_path / "pings.jsonl.checkpoint").write_bytes(checkpoint)
    assert "cut off" in str(verify(path)[-1])
    ledger.append(DELIVERED, b"after")
    assert verify(path) == []
    *before, last = entries(path)
    assert last.body == "after"
    if lost == 1:  # the line was whole but for its end: what was sent is still known
        assert ([entry.body for entry in before][-1], last.note) == ('{"ping":2}', None)
    else:
        assert "was removed" in (last.note or "")


@pytest.mark.parametrize("left", [b"", b'{"time":"' + b"2" * 900], ids=["a line without its end", "an unfinished line"])
def test_what_a_crash_left_is_not_put_aside_with_a_full_file(tmp_path: Path, left: bytes) -> None:
    path, largest_file = tmp_path / "pings.jsonl", 1000
    ledger = ledger_of(path, *numbered(3), largest_file=largest_file)
    path.write_bytes(path.read_bytes() + left if left else path.read_bytes()[:-1])
    ledger.append(DELIVERED, b"x" * largest_file)
    assert verify(path, largest_file=largest_file) == []
    held = list(entries(path))
    assert [entry.body for entry in held[:-1]] == [body.decode() for body in numbered(3)]
    assert held[-1].note == (f"an unfinished line of {len(left)} bytes was removed" if left else None)


def test_a_missing_file_is_noted_and_the_chain_goes_on_from_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = ledger_of(path, *numbered(7), largest_file=1600)
    path.unlink()
    assert "missing" in str(verify(path)[0])
    ledger.append(DELIVERED, b"after")
    assert "missing" in (list(entries(path))[-1].note or "")
    [finding] = verify(path)
    assert "lines were missing" in finding.what


def test_a_crash_between_putting_aside_and_replacing_loses_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = ledger_of(path, *numbered(7), largest_file=1600)
    held = len(list(entries(path)))
    path.rename(tmp_path / "pings.jsonl.new")
    ledger.append(DELIVERED, b"after")
    assert len(list(entries(path))) == held + 1
    assert verify(path) == []


def test_only_the_owner_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger_of(tmp_path / "var" / "ff-observe" / "pings.jsonl", *numbered(7), largest_file=1600)
    finally:
        os.umask(before)
    directory = tmp_path / "var" / "ff-observe"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


@pytest.mark.parametrize("limit", [1, 200, 700, 1100])
def test_a_full_disk_leaves_no_part_of_an_entry(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = Ledger(path, FakeClock())
    written = 0
    error: OSError | None = None
    with full_disk(limit):
        while error is None and written < 9:
            try:
                ledger.append(DELIVERED, b"{}")
                written += 1
            except OSError as caught:
                error = caught
    assert error is not None
    assert error.errno == errno.EFBIG
    assert len(list(entries(path))) == written
    ledger.append(DELIVERED, b"after")
    assert (verify(path), len(list(entries(path)))) == ([], written + 1)


def test_a_lock_that_is_not_given_back_is_an_error_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger_of(path, b"{}")

    class Impatient(SystemClock):
        asked = 0.0

        def monotonic(self) -> float:
            Impatient.asked += LOCK_SECONDS
            return Impatient.asked

    with (tmp_path / "pings.jsonl.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="another process"):
            Ledger(path, Impatient()).append(DELIVERED, b"{}")


def test_what_is_no_file_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        Ledger(path, FakeClock()).append(DELIVERED, b"{}")


@pytest.mark.parametrize("largest_file", [1_000_000, 700], ids=["one file", "two files"])
def test_a_new_file_left_over_does_not_take_the_place_of_an_intact_ledger(tmp_path: Path, largest_file: int) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = ledger_of(path, *numbered(3), largest_file=largest_file)
    assert path.with_name("pings.jsonl.1").exists() is (largest_file == 700)
    before = [entry.body for entry in entries(path)]
    left_over = tmp_path / "other.jsonl"
    ledger_of(left_over, b"another ledger's")
    left_over.rename(path.with_name("pings.jsonl.new"))
    ledger.append(DELIVERED, b"next")
    assert [entry.body for entry in entries(path)][-2:] == [before[-1], "next"]
    assert verify(path) == []
