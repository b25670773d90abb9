"""The lines of a ledger by themselves: what each says of its body, the key, and pings that were withheld."""

import json
import stat
from pathlib import Path

import pytest

from ff_observe.outputs.ping.ledger import entries
from ff_observe.outputs.ping.ledger_proof import verify
from tests.unit.ping.test_ledger import DELIVERED, ledger_of, lines_of, numbered


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
