"""What a ledger proves, and what of a tampering is found: by its owner alone, and by the holder of receipts."""

import base64
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ff_observe.cli import main
from ff_observe.outputs.ping.ledger import read_ledger
from ff_observe.outputs.ping.ledger_files import CHECKPOINT, KEY, OLDER, RECEIPTS
from ff_observe.outputs.ping.ledger_proof import examine, prove
from ff_observe.transparency.checkpoints import Proof
from ff_observe.transparency.merkle import Tree, leaf_hash, root_by_inclusion
from ff_observe.transparency.notes import Note, NoteError
from tests.pace import in_full
from tests.real_parts import aics_tlog
from tests.unit.ping import tampering
from tests.unit.ping.tampering import COLLECTOR, LARGEST_FILE, NAME, Forger

Ledgers = list[dict[str, bytes]]
DROPPED = (
    "it continues another file, which is missing",
    "it was put aside before it was full: lines before it are missing",
)


@pytest.fixture(scope="module")
def oracle() -> Any:
    return aics_tlog.module()


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Ledgers:
    """Ledgers of one file, of two, and of two after others."""
    made = []
    for entries in (4, 9, 14, 27):
        directory: Path = tmp_path_factory.mktemp("ledger")
        made.append(tampering.make(directory, random.Random(entries), entries))
        assert examine(directory / NAME, COLLECTOR.verifier, largest_file=LARGEST_FILE).findings == []
    assert [NAME + OLDER in files for files in made] == [False, False, True, True]
    assert json.loads(made[-1][NAME + OLDER].partition(b"\n")[0])["index"] > 0
    return made


def test_every_tampering_before_the_last_receipt_is_found_and_named(ledgers: Ledgers, tmp_path: Path) -> None:
    """By an attacker with every file and key of the machine. What came after the last receipt may be changed unnoticed,
    and without receipts everything, except that a file cannot be dropped before its time."""
    found: Counter[tuple[str, bool]] = Counter()
    for seed in range(in_full(1000, 100)):
        chance = random.Random(seed)
        files = chance.choice(ledgers)
        kinds = tampering.KINDS if NAME + OLDER in files else tampering.KINDS[:-2]
        kind = kinds[seed % len(kinds)]
        forgery = Forger(files, chance).forge(kind)
        path = tampering.write(_directory(tmp_path / str(seed)), forgery.files)
        findings = examine(path, COLLECTOR.verifier, largest_file=LARGEST_FILE).findings
        alone = examine(path, largest_file=LARGEST_FILE).findings
        is_covered = forgery.touched < max(tampering.receipted(files))
        found[kind, is_covered] += 1
        where = f"seed {seed}: {kind} at {forgery.touched}"
        if kind in tampering.KINDS[-2:]:
            assert alone, where
            continue
        # Where the oldest lines had been dropped, a file that is not full is missed without receipts as well.
        assert all(finding.what in DROPPED for finding in alone), where
        named = [finding for finding in findings if Path(finding.file).name == NAME + RECEIPTS]
        assert bool(named) is is_covered, where
        if is_covered:
            entries = re.search(r"entr(?:y|ies) (\d+)(?: to (\d+))?", named[0].what)
            assert entries is not None, where
            assert int(entries[1]) <= forgery.touched <= int(entries[2] or entries[1]), where
    assert {kind for kind, _ in found} == set(tampering.KINDS)
    assert {is_covered for _, is_covered in found} == {True, False}


def _directory(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


@pytest.mark.parametrize("change", ["key of another", "signature", "time", "cut"])
def test_a_receipt_that_the_collector_did_not_sign_is_none(ledgers: Ledgers, tmp_path: Path, change: str) -> None:
    path = tampering.write(tmp_path, ledgers[0])
    file = tmp_path / (NAME + RECEIPTS)
    *others, last = file.read_text().splitlines()
    note = json.loads(last)["receipt"]
    head, _, encoded = note.rstrip("\n").rpartition(" ")
    content = bytearray(base64.b64decode(encoded))
    content[{"key of another": 0, "signature": -1, "time": 8, "cut": 0}[change]] ^= 1
    note = f"{head} {base64.b64encode(content).decode()}\n" if change != "cut" else note[:-20] + "\n"
    file.write_text("\n".join([*others, json.dumps({"receipt": note}), ""]))
    [finding] = examine(path, COLLECTOR.verifier).findings
    assert (Path(finding.file).name, finding.line) == (NAME + RECEIPTS, len(others) + 1)
    assert finding.what.startswith("it is no ")


def test_another_implementation_agrees_on_trees_and_paths(oracle: Any) -> None:
    leaves = [b"line %d" % number for number in range(40)]
    theirs = oracle.MerkleTree(leaves)
    for first in (0, 1, 6, 7, 8, 21):
        before = Tree()
        for leaf in leaves[:first]:
            before.add(leaf)
        ours = Tree(first, before.peaks)
        for leaf in leaves[first:]:
            ours.add(leaf)
        for size in range(max(first, 1), 41):
            root = theirs.root(size)
            assert ours.root(size) == root
            for index in range(first, size):
                path = ours.inclusion(index, size)
                assert oracle.verify_leaf_inclusion(leaves[index], index, size, path, root)
                assert root_by_inclusion(index, size, leaf_hash(leaves[index]), path) == root
                assert root_by_inclusion(index, size, leaf_hash(leaves[index]), [*path, root]) != root
                assert root_by_inclusion(index, size + size, leaf_hash(leaves[index]), path) != root


def test_another_implementation_believes_every_proof(ledgers: Ledgers, tmp_path: Path, oracle: Any) -> None:
    witness = oracle.parse_vkey(str(COLLECTOR.verifier))
    for number, files in enumerate(ledgers):
        path = tampering.write(_directory(tmp_path / str(number)), files)
        lines, covered = read_ledger(path), max(tampering.receipted(files))
        log_key = oracle.parse_vkey(str(lines.key))
        for line in lines.lines:
            assert line.index is not None
            proof = _proved(path, line.index)
            assert proof.extra == line.content
            note = oracle.parse_note(str(proof.note))
            checked = oracle.verify_checkpoint(note, log_key, [witness])
            assert checked.ok, checked.error
            assert checked.cosignature_count == (1 if line.index < covered else 0)
            assert oracle.verify_leaf_inclusion(line.content, line.index, checked.size, proof.path, checked.root)


def _proved(path: Path, index: int) -> Proof:
    text = str(prove(path, index, COLLECTOR.verifier, largest_file=LARGEST_FILE))
    proof = Proof.parse(text.encode())
    assert str(proof) == text
    assert proof.holds
    return proof


def test_what_another_implementation_signs_is_believed(ledgers: Ledgers, tmp_path: Path, oracle: Any) -> None:
    """The other way round: its checkpoint and its cosignature, of our ledger."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = tampering.write(tmp_path, ledgers[1])
    seed = base64.b64decode(ledgers[1][NAME + KEY].decode().split("+", 4)[4])[1:]
    tree = read_ledger(path).tree
    origin = ledgers[1][NAME + CHECKPOINT].decode().partition("\n")[0]
    checkpoint = oracle.Checkpoint(origin, tree.size, tree.root())
    note = oracle.sign_checkpoint(checkpoint, Ed25519PrivateKey.from_private_bytes(seed), origin)
    assert note.to_bytes() == ledgers[1][NAME + CHECKPOINT]
    line = COLLECTOR.cosign(str(note.text), 1_700_000_000)
    assert oracle.verify_checkpoint(
        oracle.parse_note(note.to_bytes().decode() + line),
        oracle.parse_vkey(str(read_ledger(path).key)),
        [oracle.parse_vkey(str(COLLECTOR.verifier))],
        1,
    ).ok


def ping_log(path: Path, *arguments: str) -> int:
    return main(["--home", "/nowhere", "ping", "log", "--file", str(path), *arguments])


def test_a_checkpoint_kept_elsewhere_convicts_a_ledger_that_was_rolled_back(
    ledgers: Ledgers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every file of the machine, receipts included, from an earlier day."""
    path = tampering.write(tmp_path, ledgers[0])
    key = ("--collector-key", str(COLLECTOR.verifier))
    assert ping_log(path, "--checkpoint", *key) == 0
    kept = tmp_path / "kept"
    kept.write_text(capsys.readouterr().out)
    assert ping_log(path, "--verify", "--against", str(kept), *key) == 0
    size = int(kept.read_text().split("\n")[1])
    assert f"covered by the receipt of 2026-11-26T12:00:00Z for {size} lines" in capsys.readouterr().out
    lines = ledgers[0][NAME].splitlines(keepends=True)
    other = tampering.make(_directory(tmp_path / "other"), random.Random(1), 2)
    del other[NAME + RECEIPTS]
    tampering.write(tmp_path, other)
    (tmp_path / (NAME + RECEIPTS)).unlink()
    assert len(lines) > 3
    assert ping_log(path, "--verify", *key) == 0
    capsys.readouterr()
    assert ping_log(path, "--verify", "--against", str(kept), *key) == 1
    assert f"{kept}: the receipt of 2026-11-26T12:00:00Z for {size} lines is contradicted" in capsys.readouterr().err


def test_prove_prints_a_proof_and_only_of_what_is_there(
    ledgers: Ledgers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tampering.write(tmp_path, ledgers[0])
    assert ping_log(path, "--prove", "2") == 0
    proof = Proof.parse(capsys.readouterr().out.encode())
    assert (proof.index, proof.holds) == (2, True)
    assert json.loads(proof.extra)["body"] == '{"ping":1}'
    assert ping_log(path, "--prove", "77") == 1
    assert "has no entry 77" in capsys.readouterr().err
    path.write_bytes(ledgers[0][NAME].replace(b'\\"ping\\":1', b'\\"ping\\":2'))
    assert ping_log(path, "--prove", "2") == 1
    assert "proves nothing" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["nonsense", "collector.example/x+00000000+" + "A" * 44, "a b+1+x"])
def test_a_key_of_a_collector_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ping_log(Path("pings.jsonl"), "--verify", "--collector-key", text) == 2
    assert "--collector-key: it is no public key" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["witness.example", "zéro", "\U0001f98a.example"])
def test_a_note_may_have_a_signature_of_another_whose_name_has_any_letters(name: str) -> None:
    """C2SP signed-note forbids control characters alone in a note, spaces and plus signs in a name."""
    note = Note.parse(f"a text\n\n\u2014 {name} AAAAAAAA\n".encode())
    assert note.lines == (f"\u2014 {name} AAAAAAAA",)
    with pytest.raises(NoteError, match="no signed note"):
        Note.parse(f"a\x1btext\n\n\u2014 {name} AAAAAAAA\n".encode())
