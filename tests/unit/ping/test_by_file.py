"""Pings of a machine without a network: exported, delivered by another machine, and receipted by file."""

import base64
import hashlib
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.demo.platform import DemoPlatform
from ff_observe.outputs.ping.by_file import Receipt, take_receipt
from ff_observe.outputs.ping.ledger import Ledger, entries
from ff_observe.outputs.ping.ledger_proof import examine
from ff_observe.outputs.ping.outcome import Outcome
from ff_observe.system.clock import SystemClock
from ff_observe.transparency.notes import VerifierKey
from tests.real_parts.collector import collecting
from tests.real_parts.processes import wait_until
from tests.unit.ping.receivers import answer, receiver


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("FF_TELEMETRY_DISABLED", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A platform whose own network leads nowhere."""
    platform = DemoPlatform(
        tmp_path / "home", SystemClock(), random.Random(1), ping_url="http://127.0.0.1:1/", metrics_port=10464
    )
    platform.create()
    return platform.home


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with collecting(CollectorSettings(port=0, data_dir=tmp_path / "collector")) as running:
        yield running


def ping(home: Path, *arguments: object) -> int:
    return main(["--home", str(home), "ping", *map(str, arguments)])


def ledger(home: Path) -> Path:
    return home / "var" / "ff-observe" / "pings.jsonl"


def outcomes(home: Path) -> list[tuple[str, str]]:
    return [(entry.outcome, entry.receiver) for entry in entries(ledger(home))]


def add(home: Path, line: str) -> None:
    file = home / "etc" / "flowforge.yml"
    file.write_text(file.read_text().replace("telemetry:\n", f"telemetry:\n{line}\n"))


def elsewhere(tmp_path: Path, port: int) -> Path:
    """Another machine, which knows only where pings go."""
    directory = tmp_path / "elsewhere"
    (directory / "etc").mkdir(parents=True)
    (directory / "etc" / "flowforge.yml").write_text(f"telemetry:\n  url: http://127.0.0.1:{port}/ping\n")
    return directory


def test_nothing_is_sent_if_its_receipt_could_not_be_written(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be sent again at each try."""
    exported, receipt = tmp_path / "ping.json", tmp_path / "missing" / "receipt.json"
    assert ping(home, "export", exported) == 0
    with receiver(answer(200)) as server:
        other = elsewhere(tmp_path, server.port)
        assert ping(other, "send", "--from", exported, "--receipt", receipt) == 1
        assert server.requests == []
        assert f"{receipt} cannot be written: No such file or directory" in capsys.readouterr().err
        receipt.parent.mkdir()
        assert ping(other, "send", "--from", exported, "--receipt", receipt) == 0
        assert len(server.requests) == 1
    assert list(receipt.parent.iterdir()) == [receipt]


def test_no_receipt_is_left_of_a_ping_that_was_not_delivered(home: Path, tmp_path: Path) -> None:
    exported = tmp_path / "ping.json"
    assert ping(home, "export", exported) == 0
    with receiver(answer(500)) as server:
        assert ping(elsewhere(tmp_path, server.port), "send", "--from", exported) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["ping.json"]


def test_a_ping_travels_by_file_and_its_receipt_comes_back(
    home: Path, tmp_path: Path, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collector", "key", "--data-dir", str(tmp_path / "collector")]) == 0
    key = capsys.readouterr().out.strip()
    add(home, f"  ping: {{receipts: {key}}}")
    exported, other = tmp_path / "ping.json", elsewhere(tmp_path, collector.port)
    assert ping(home, "export", exported) == 0
    named = capsys.readouterr().out.rpartition(" ")[2].strip()
    assert outcomes(home) == [("exported", "")]
    assert ping(other, "send", "--from", exported, "--ledger-key", named) == 0
    taken = tmp_path / "ping.json.receipt"
    assert ping(home, "receipt", taken) == 0
    place = f"127.0.0.1:{collector.port}"
    assert outcomes(home) == [("exported", ""), ("delivered", place)]
    sent, delivered = entries(ledger(home))
    assert (sent.body, sent.sha256) == (delivered.body, delivered.sha256)
    instance_id = json.loads(sent.body)["instanceId"]
    assert len(list(collector.store.export(instance_id))) == 1
    verified = examine(ledger(home), VerifierKey.parse(key))
    assert verified.findings == []
    assert verified.last_receipt is not None
    assert verified.last_receipt.checkpoint.size == 2
    assert list((other / "etc").parent.rglob("pings.jsonl*")) == []  # no ledger where it only passes


def test_delivering_and_taking_in_twice_is_the_same_as_once(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = tmp_path / "ping.json"
    assert ping(home, "export", exported) == 0
    with receiver(answer(200)) as server:
        other = elsewhere(tmp_path, server.port)
        assert [ping(other, "send", "--from", exported) for _ in range(2)] == [0, 0]
        assert "not sent again" in capsys.readouterr().out
        assert [request.body for request in server.requests] == [next(entries(ledger(home))).body.encode()]
        assert "FF-Observe-Checkpoint" not in server.requests[0].headers  # no receipts were wanted
    taken = tmp_path / "ping.json.receipt"
    assert [ping(home, "receipt", taken) for _ in range(2)] == [0, 0]
    assert [outcome for outcome, _ in outcomes(home)] == ["exported", "delivered"]
    assert ping(home, "export", exported) == 2
    assert "is there already" in capsys.readouterr().err


def test_the_same_body_exported_another_day_is_another_ping(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a platform where nothing changed, and a machine between where the receipt of the day before still is."""
    exported = tmp_path / "ping.json"
    assert ping(home, "export", exported) == 0
    with receiver(answer(200)) as server:
        other = elsewhere(tmp_path, server.port)
        assert ping(other, "send", "--from", exported) == 0
        exported.unlink()
        assert ping(home, "export", exported) == 0
        assert ping(other, "send", "--from", exported) == 2
        assert "is the receipt of another ping" in capsys.readouterr().err
        assert ping(other, "send", "--from", exported, "--receipt", tmp_path / "second") == 0
        first, second = server.requests
    assert first.body == second.body


def test_of_two_that_take_in_one_receipt_at_once_one_records_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported, taken = tmp_path / "ping.json", tmp_path / "ping.json.receipt"
    assert ping(home, "export", exported) == 0
    with receiver(answer(200)) as server:
        assert ping(elsewhere(tmp_path, server.port), "send", "--from", exported) == 0
    receipt = Receipt.parse(taken.read_bytes())
    are_new: list[bool] = []
    waits = threading.Event()
    append, wait = Ledger.append, SystemClock.wait

    def take() -> None:
        are_new.append(take_receipt(receipt, Ledger(ledger(home), SystemClock()), None))

    other = threading.Thread(target=take)

    def overtaken(self: Ledger, outcome: Outcome, body: bytes, note: str | None = None) -> None:
        if other.ident is None:
            other.start()
            wait_until(lambda: waits.is_set() or not other.is_alive(), "the other to end, or to wait for this one")
        append(self, outcome, body, note)

    def waiting(self: SystemClock, event: threading.Event, seconds: float) -> bool:
        waits.set()
        return wait(self, event, seconds)

    monkeypatch.setattr(Ledger, "append", overtaken)
    monkeypatch.setattr(SystemClock, "wait", waiting)
    take()
    other.join()
    assert sorted(are_new) == [False, True]
    assert [outcome for outcome, _ in outcomes(home)] == ["exported", "delivered"]


@pytest.mark.parametrize("change", ["a count", "the index", "a hash", "the signature", "the key", "cut", "no export"])
def test_a_file_that_was_changed_is_refused_and_nothing_sent(
    home: Path, tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = tmp_path / "ping.json"
    assert ping(home, "send") == 1  # so that there is a path to prove
    assert ping(home, "export", exported) == 0
    document = json.loads(exported.read_text())
    lines = document["proof"].split("\n")
    if change == "a count":
        line = base64.b64decode(lines[1].removeprefix("extra "))
        assert b'\\"users\\":' in line
        lines[1] = "extra " + base64.b64encode(line.replace(b'\\"users\\":', b'\\"users\\":1')).decode()
    elif change == "the index":
        lines[2] = "index 1"
    elif change == "a hash":
        lines[3] = base64.b64encode(b"0" * 32).decode()
    elif change == "the signature":
        lines[-2] = lines[-2][:-4] + ("AAA=" if lines[-2][-4:] != "AAA=" else "AAE=")
    document["proof"] = "\n".join(lines)
    if change == "the key":
        document["key"] = "another+dd011b87+BIMgpRl32MOMqKSSfGcN9YIeRJdhlF4V6e+yahUJ0jDq"
    text = json.dumps(document)
    exported.write_text({"cut": text[:-30], "no export": '{"format":"x"}'}.get(change, text))
    with receiver(answer(200)) as server:
        assert ping(elsewhere(tmp_path, server.port), "send", "--from", exported) == 1
        assert server.requests == []
    assert str(exported) in capsys.readouterr().err


def test_a_file_of_another_ledger_is_refused_where_the_key_is_known(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = tmp_path / "ping.json"
    assert ping(home, "export", exported) == 0
    other = elsewhere(tmp_path, 1)
    key = "collector.example.com/receipts+5180649f+AYMgpRl32MOMqKSSfGcN9YIeRJdhlF4V6e+yahUJ0jDq"
    assert ping(other, "send", "--from", exported, "--ledger-key", key) == 1
    assert "it is of another ledger" in capsys.readouterr().err


def test_the_rules_of_the_ping_hold_for_the_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = tmp_path / "ping.json"
    assert ping(home, "export", exported) == 0
    monkeypatch.setenv("FF_TELEMETRY_DISABLED", "1")
    assert ping(home, "export", tmp_path / "second.json") == 1
    assert "not exported: FF_TELEMETRY_DISABLED" in capsys.readouterr().err
    assert not (tmp_path / "second.json").exists()
    assert [entry.rule for entry in entries(ledger(home))] == [None, "ff_telemetry_disabled"]
    with receiver(answer(200)) as server:
        assert ping(elsewhere(tmp_path, server.port), "send", "--from", exported) == 1
        assert server.requests == []


def test_a_receipt_of_another_ping_or_none_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ping(home, "export", tmp_path / "ping.json") == 0
    file = tmp_path / "receipt"
    document = {"format": "ff-observe ping receipt 1", "line": "0" * 64, "time": "2026-11-23T12:00:00Z"}
    file.write_text(json.dumps({**document, "receiver": "host:1", "status": 200, "note": None}))
    assert ping(home, "receipt", file) == 1
    assert "knows no exported ping" in capsys.readouterr().err
    for forged in ({"receiver": "\x1b[2J"}, {"line": "0\nff-observe: delivered"}, {"time": "\x9b8m"}):
        file.write_text(json.dumps({**document, "receiver": "host:1", "status": 200, "note": None, **forged}))
        assert ping(home, "receipt", file) == 1
        assert capsys.readouterr().err == f"ff-observe: {file}: it is no receipt of ours, or was damaged on its way\n"
    line = hashlib.sha256(ledger(home).read_bytes().split(b"\n")[1]).hexdigest()
    unsigned = {**document, "line": line, "receiver": "host:1", "status": 200, "note": None}
    file.write_text(json.dumps(unsigned))
    add(
        home, "  ping: {receipts: collector.example.com/receipts+dd011b87+BIMgpRl32MOMqKSSfGcN9YIeRJdhlF4V6e+yahUJ0jDq}"
    )
    assert ping(home, "receipt", file) == 1
    assert "did not sign this receipt" in capsys.readouterr().err
    assert [outcome for outcome, _ in outcomes(home)] == ["exported"]


def test_a_ping_that_was_not_delivered_leaves_no_receipt(home: Path, tmp_path: Path) -> None:
    exported = tmp_path / "ping.json"
    assert ping(home, "export", exported) == 0
    with receiver(answer(503)) as server:
        assert ping(elsewhere(tmp_path, server.port), "send", "--from", exported) == 1
    assert not (tmp_path / "ping.json.receipt").exists()


@pytest.mark.parametrize("option", ["--receipt", "--ledger-key"])
def test_options_for_a_file_without_one_send_nothing(
    option: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ping(home, "send", option, "x") == 2
    assert capsys.readouterr().err == f"ff-observe: {option} belongs to --from\n"
    assert outcomes(home) == []
