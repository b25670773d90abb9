"""The lines of a ledger by themselves: those of older versions, its key, and pings that were withheld."""

import base64
import hashlib
import json
import stat
from pathlib import Path

import pytest

from ff_observe.outputs.ping.ledger import entries
from ff_observe.outputs.ping.ledger_proof import verify
from tests.unit.ping.test_ledger import DELIVERED, ledger_of, lines_of, numbered, root_of


def with_members(line: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(line), **changes}, separators=(",", ":")).encode()


@pytest.mark.parametrize("changes", [{"body": '{"ping":9}'}, {"bytes": 11}, {"sha256": "0" * 64}])
def test_a_body_that_is_not_the_one_its_line_describes_is_found(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "pings.jsonl"
    ledger_of(path, *numbered(2))
    *lines, last = lines_of(path)
    assert with_members(last) == last
    path.write_bytes(b"\n".join([*lines, with_members(last, **changes), b""]))
    first, *_ = verify(path)
    assert str(first) == f"{path}, line 3: its body has another size or SHA-256 than it says"


def old_sealed(document: dict[str, object]) -> bytes:
    """A line as older versions wrote it."""
    text = json.dumps(document, separators=(",", ":")).encode()
    return text[:-1] + b',"hash":"%b"}' % hashlib.sha256(text).hexdigest().encode()


def old_lines(*bodies: bytes, previous: str = "0" * 64) -> list[bytes]:
    """A file of a ledger as older versions wrote it."""
    lines = [old_sealed({"ledger": "ff-observe pings 1", "time": "2026-11-23T12:00:00.000Z", "previous": previous})]
    for body in bodies:
        document: dict[str, object] = {
            "time": "2026-11-23T12:00:00.000Z",
            "outcome": "delivered",
            "receiver": "ping.example.com:443",
            "status": 200,
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "body": body.decode(),
            "previous": hashlib.sha256(lines[-1]).hexdigest(),
        }
        lines.append(old_sealed(document))
    return lines


def test_a_ledger_of_an_older_version_is_verified_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    older = old_lines(*numbered(2))
    present = old_lines(*numbered(4)[2:], previous=hashlib.sha256(older[-1]).hexdigest())
    (tmp_path / "pings.jsonl.1").write_bytes(b"\n".join([*older, b""]))
    path.write_bytes(b"\n".join([*present, b""]))
    assert verify(path) == []
    ledger_of(path, b"new")
    assert verify(path) == []
    assert [entry.index for entry in entries(path)] == [None, None, 1, 2, 3]
    assert base64.b64decode(json.loads(lines_of(path)[-1])["root"]) == root_of(present)
    ledger_of(path, b"newer", largest_file=1)  # rotates
    assert verify(path) == []
    assert [(entry.index, entry.body) for entry in entries(path)][-2:] == [(3, "new"), (5, "newer")]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_tampering_with_the_lines_of_an_older_version_is_found(tmp_path: Path, at: int) -> None:
    path = tmp_path / "pings.jsonl"
    lines = old_lines(*numbered(2))
    lines[at] = lines[at].replace(b"2026", b"2025", 1)
    path.write_bytes(b"\n".join([*lines, b""]))
    assert (verify(path)[0].line, "its hash is of something else" in verify(path)[0].what) == (at + 1, True)
    lines = old_lines(*numbered(3))
    path.write_bytes(b"\n".join([*lines[:2], *lines[3:], b""]))
    assert "does not follow the line before" in str(verify(path)[0])


def test_the_key_is_made_once_and_no_one_else_may_read_it(tmp_path: Path) -> None:
    path, key = tmp_path / "pings.jsonl", tmp_path / "pings.jsonl.key"
    ledger = ledger_of(path, *numbered(2))
    made = key.read_bytes()
    ledger.append(DELIVERED, b"{}")
    assert key.read_bytes() == made
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o640)
    with pytest.raises(PermissionError, match=r"may be read by others.*pings\.jsonl\.key"):
        ledger.append(DELIVERED, b"{}")


def test_a_lost_key_is_replaced_and_the_ledger_names_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = ledger_of(path, *numbered(2))
    before = (tmp_path / "pings.jsonl.checkpoint").read_text().splitlines()
    (tmp_path / "pings.jsonl.key").unlink()
    ledger.append(DELIVERED, b"{}")
    assert verify(path) == []
    after = (tmp_path / "pings.jsonl.checkpoint").read_text().splitlines()
    assert after[0] != before[0]
    (tmp_path / "pings.jsonl.checkpoint").write_text("\n".join([*after[:4], before[4], ""]))
    [finding] = verify(path)
    assert str(finding) == f"{path}.checkpoint: it is not signed with the key that the ledger names"


def test_a_withheld_ping_is_an_entry_once_for_each_change(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    ledger = ledger_of(path, b"{}")
    for rule in ("file", "file", "do_not_track", "file", "file"):
        ledger.withhold(rule)
    ledger_of(path, b"{}").withhold("file")
    assert [entry.rule or entry.outcome for entry in entries(path)] == [
        *("delivered", "file", "do_not_track", "file"),
        *("delivered", "file"),
    ]
    assert verify(path) == []
