"""A ledger that an attacker wrote, with a chain of his own that holds, controls no terminal and forges no line."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ff_observe.cli import main
from ff_observe.cli.terminal import legible
from ff_observe.outputs.ping.ledger_lines import body_members, opening, written
from ff_observe.outputs.ping.ledger_proof import examine
from ff_observe.transparency.checkpoints import Checkpoint
from ff_observe.transparency.merkle import Tree
from ff_observe.transparency.notes import SIGNATURE, SigningKey
from tests.real_parts.many_platforms import sqlite_home

KEY = SigningKey("attacker", SIGNATURE, b"k" * 32)
HOSTILE = "lost\x1b[2K\x1b]0;owned\x07\r1 entry, intact\n2 entries, intact\x9b8m\u202e\u2028ff-observe: fine\x85\ud800"
ESCAPED = r"lost\x1b[2K\x1b]0;owned\x07\r1 entry, intact\n2 entries, intact\x9b8m\u202e\u2028ff-observe: fine\x85\ud800"
ENTRY = {"time": "2026-01-01T00:00:00.000Z", "outcome": "delivered", "receiver": "x:443", "status": 200}


def made(directory: Path, *entries: dict[str, Any], body: bytes = b"{}", signer: str = "attacker") -> Path:
    """A ledger with these members of its entries, which is intact."""
    directory.mkdir(exist_ok=True, parents=True)
    tree, lines = Tree(), []
    for entry in (None, *entries):
        line = (
            opening(tree, str(ENTRY["time"]), str(KEY.verifier))
            if entry is None
            else written(tree, {**ENTRY, **body_members(body), **entry})
        )
        tree.add(line)
        lines.append(line + b"\n")
    path = directory / "pings.jsonl"
    path.write_bytes(b"".join(lines))
    note = KEY.sign(str(Checkpoint("attacker", tree.size, tree.root())))
    path.with_name("pings.jsonl.checkpoint").write_text(note + note.splitlines()[-1].replace("attacker", signer) + "\n")
    return path


def said(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> tuple[str, str]:
    """What `ping log` prints of the ledger."""
    main(["--home", "/nowhere", "ping", "log", "--file", str(path), *arguments])
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_notes_and_times_of_an_intact_ledger_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(capsys, made(tmp_path, {"note": HOSTILE}, {"time": HOSTILE, "note": "fine"}), "--verify")
    first, *notes = out.splitlines()
    assert first.startswith("2 entries, intact; the root")
    assert notes == [f"{ENTRY['time']}: {ESCAPED}", f"{ESCAPED}: fine"]
    assert err == ""


def test_the_list_shows_what_an_entry_says_as_it_is_but_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = said(capsys, made(tmp_path, {"receiver": f"ä{HOSTILE}"}))
    assert len(out.splitlines()) == 2
    assert f"  ä{ESCAPED}  " in out


@pytest.mark.parametrize("arguments", [("--verify",), ("--prove", "1"), ("--checkpoint",)])
def test_findings_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    path = made(tmp_path, {"broken": HOSTILE})
    out, err = said(capsys, path, *arguments)
    assert out == ""
    [line] = err.splitlines()
    assert f"pings.jsonl, line 2: when it was written, {ESCAPED}" in line


def test_a_signed_text_is_escaped_on_a_terminal_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, {}, signer="\x9b8m\u202e")
    signed = path.with_name("pings.jsonl.checkpoint").read_text()
    for arguments, end in ((("--checkpoint",), signed), (("--prove", "1"), f"\n\n{signed}")):
        assert said(capsys, path, *arguments)[0].endswith(end)
        with monkeypatch.context() as on_a_terminal:
            on_a_terminal.setattr(sys.stdout, "isatty", lambda: True)
            shown, _ = said(capsys, path, *arguments)
        assert shown.endswith(end.replace("\x9b", r"\x9b").replace("\u202e", r"\u202e"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example(HOSTILE[:-1])
def test_a_harmless_text_is_the_same_on_a_terminal(text: str) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    shown = legible(text, Terminal())  # type: ignore[arg-type]  # nothing else of a stream is used
    assert shown.count("\n") == text.count("\n")
    assert shown == text or not text.replace("\n", "").isprintable()


def test_what_changed_since_the_last_ping_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = sqlite_home(tmp_path)
    ledger = home / "var" / "ff-observe"
    shown = []
    for body in (json.dumps({HOSTILE: HOSTILE}).encode(), b"[]"):
        made(ledger, {"time": HOSTILE}, body=body)
        main(["--home", str(home), "ping", "show", "--diff"])
        shown.append(capsys.readouterr())
    assert shown[0].out.startswith(f"Since the ping of {ESCAPED}: ")
    assert f"  {ESCAPED}: {json.dumps(HOSTILE)} (no longer sent)" in shown[0].out.splitlines()
    assert [line for line in shown[1].err.splitlines() if "holds no ping" in line] == [
        f"ff-observe: {ledger / 'pings.jsonl'}: the entry of {ESCAPED} holds no ping: see ff-observe ping log --verify"
    ]


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_finding_is_one_line(tmp_path_factory: pytest.TempPathFactory, broken: str, note: str) -> None:
    verified = examine(made(tmp_path_factory.mktemp("ledger"), {"broken": f"a{broken}", "note": note}))
    assert [len(str(finding).splitlines()) for finding in verified.findings] == [1]
