"""Receipts, between a real sender with its ledger and a real collector."""

import base64
import logging
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ff_observe.cli import main
from ff_observe.collector.keys.receipts import Receipts
from ff_observe.collector.openapi import document
from ff_observe.collector.settings import CollectorSettings
from ff_observe.config.settings import Settings
from ff_observe.errors import ConfigurationError, FFObserveError
from ff_observe.outputs.ping.ledger_proof import examine
from ff_observe.outputs.ping.outcome import Result
from ff_observe.outputs.ping.sending import sender_for
from ff_observe.transparency.checkpoints import Checkpoint
from ff_observe.transparency.notes import VerifierKey
from tests.fakes import FakeClock
from tests.real_parts import aics_tlog
from tests.real_parts.collector import ask, collecting, send
from tests.unit.collector.pings import body
from tests.unit.ping.receivers import answer, receiver
from tests.unit.ping.samples import settings

TEXT = str(Checkpoint("ledger.example", 7, b"r" * 32))
SHOWN = base64.b64encode(TEXT.encode()).decode()


def collector_of(tmp_path: Path, **changes: Any) -> CollectorSettings:
    return CollectorSettings(port=0, data_dir=tmp_path / "collector", **changes)


def sending(tmp_path: Path, port: int, key: str | None) -> Settings:
    made = settings(f"http://127.0.0.1:{port}/ping")
    ledger = tmp_path / "ledger" / "pings.jsonl"
    receipts = None if key is None else VerifierKey.parse(key)
    return replace(made, ping=replace(made.ping, ledger=ledger, state_directory=ledger.parent, receipts=receipts))


def public_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["collector", "key", "--make", "--data-dir", str(tmp_path / "collector")]) == 0
    return capsys.readouterr().out.strip()


def test_each_ping_after_the_first_brings_a_receipt_for_the_entries_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = public_key(tmp_path, capsys)
    with collecting(collector_of(tmp_path)) as collector:
        made = sending(tmp_path, collector.port, key)
        sender = sender_for(made, FakeClock())
        assert [sender.send(body(str(number))).result for number in range(3)] == [Result.DELIVERED] * 3
    assert made.ping.ledger is not None
    verified = examine(made.ping.ledger, VerifierKey.parse(key))
    assert verified.findings == []
    assert [each.checkpoint.size for each in verified.witnesses if each.cosigned_at is not None] == [2, 3]


def test_the_receipt_is_a_cosignature_to_another_implementation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    oracle, key, clock = aics_tlog.module(), public_key(tmp_path, capsys), FakeClock()
    with collecting(collector_of(tmp_path), clock) as collector:
        answered = send(collector.port, body("1"), {"FF-Observe-Checkpoint": SHOWN})
    name, encoded = answered.headers["ff-observe-cosignature"].split(" ")
    verifier = oracle.parse_vkey(key)
    content = base64.b64decode(encoded)
    assert (name, content[:4]) == (verifier.name, verifier.key_id)
    assert int.from_bytes(content[4:12]) == int(clock.now().timestamp())
    assert oracle.verify_cosignature(content[4:], name, verifier.public_key, "ledger.example", 7, b"r" * 32)


@pytest.mark.parametrize(
    "shown",
    [
        "nonsense",
        base64.b64encode(b"ledger.example\n7\nshort\n").decode(),
        base64.b64encode(TEXT.encode() + b"extension\n").decode(),
        base64.b64encode(TEXT.replace("\n7\n", "\n07\n").encode()).decode(),
        base64.b64encode(b"x" * 400 + TEXT.encode()).decode(),
    ],
    ids=["no base64", "no root", "extension", "zero before the size", "too long"],
)
def test_what_is_no_checkpoint_is_not_signed_and_the_ping_is_taken_all_the_same(tmp_path: Path, shown: str) -> None:
    with collecting(collector_of(tmp_path)) as collector:
        answered = send(collector.port, body("1"), {"FF-Observe-Checkpoint": shown})
    assert (answered.status, answered.json) == (200, {"status": "success"})
    assert "ff-observe-cosignature" not in answered.headers


def test_without_being_asked_neither_end_says_anything_of_receipts(tmp_path: Path) -> None:
    """FlowFuse's own collector gets the same request as ever."""
    with receiver(answer(200)) as server:
        sender_for(settings(server.url()), FakeClock()).send(b"{}")
        sender = sender_for(sending(tmp_path, server.port, None), FakeClock())
        sender.send(b"{}")
        sender.send(b"{}")
        assert server.requests[1] == server.requests[2] == server.requests[0]
    with collecting(collector_of(tmp_path)) as collector:
        assert "ff-observe-cosignature" not in send(collector.port, body("1")).headers


def test_a_receiver_without_receipts_is_named_once_and_the_ping_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with receiver(answer(200, FF_Observe_Cosignature="someone AAAA")) as server, caplog.at_level(logging.WARNING):
        made = sending(tmp_path, server.port, public_key(tmp_path, capsys))
        sender = sender_for(made, FakeClock())
        assert [sender.send(b"{}").result for _ in range(3)] == [Result.DELIVERED] * 3
    said = [record.getMessage() for record in caplog.records if "receipt" in record.getMessage()]
    assert len(said) == 1
    assert "telemetry.ping.receipts" in said[0]
    assert not (tmp_path / "ledger" / "pings.jsonl.receipts").exists()


def test_nothing_of_a_checkpoint_is_stored(tmp_path: Path) -> None:
    with collecting(collector_of(tmp_path)) as collector:
        send(collector.port, body("1"), {"FF-Observe-Checkpoint": SHOWN})
    files = [path for path in (tmp_path / "collector").rglob("*") if path.is_file()]
    assert files
    for file in files:
        content = file.read_bytes()
        assert not any(part in content for part in (b"ledger.example", b"r" * 32, SHOWN.encode())), file


def test_the_key_of_the_receipts_is_made_once_private_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = public_key(tmp_path, capsys)
    file = tmp_path / "collector" / "key" / "receipts.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with collecting(collector_of(tmp_path, public=True, k=1, public_k=1)) as collector:
        collector.count_fleet()
        page = ask(collector.port, "GET", "/").body.decode()
    assert f"<code>{key}</code>" in page
    assert public_key(tmp_path, capsys) == key
    assert [path.name for path in file.parent.iterdir() if path.name.startswith("receipts")] == ["receipts.key"]


def test_a_mistyped_directory_is_named_and_no_key_is_made_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = public_key(tmp_path, capsys)
    assert main(["collector", "key", "--data-dir", str(tmp_path / "collector")]) == 0
    assert capsys.readouterr().out.strip() == key
    assert main(["collector", "key", "--data-dir", str(tmp_path / "colector")]) == 78
    written = capsys.readouterr()
    assert written.out == ""
    assert f"{tmp_path}/colector/key/receipts.key does not exist" in written.err
    assert "--make" in written.err
    assert [path.name for path in tmp_path.iterdir()] == ["collector"]


@pytest.mark.parametrize(
    ("content", "mode", "wrong"), [(None, 0o640, "chmod 600"), ("no key", 0o600, "no key of ours")]
)
def test_a_key_that_others_can_read_or_that_is_none_is_not_used(
    tmp_path: Path, content: str | None, mode: int, wrong: str
) -> None:
    file = tmp_path / "receipts.key"
    receipts = Receipts.of(collector_of(tmp_path, receipts_key_file=file))
    receipts.open()
    if content is not None:
        file.write_text(content)
    os.chmod(file, mode)  # noqa: PTH101 - of a file
    with pytest.raises(ConfigurationError, match=wrong):
        receipts.open()


def test_a_place_that_cannot_be_written_is_no_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    receipts = Receipts.of(collector_of(tmp_path, receipts_key_file=tmp_path / "file" / "receipts.key"))
    with pytest.raises(FFObserveError, match=r"receipts\.key_file: .*receipts\.key cannot be used: ") as raised:
        receipts.open()
    assert raised.value.exit_status == 1


def test_the_document_of_the_interface_names_both_headers() -> None:
    ping = document()["paths"]["/ping"]["post"]
    assert [each["name"] for each in ping["parameters"]] == ["FF-Observe-Checkpoint"]
    assert "FF-Observe-Cosignature" in ping["responses"]["200"]["headers"]
