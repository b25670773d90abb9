"""What is recorded of the pings that leave, and that a ledger which fails holds up none of them."""

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ff_observe.config.settings import Settings
from ff_observe.errors import LedgerError
from ff_observe.outputs.ping.component import CorePing
from ff_observe.outputs.ping.delivery import Delivery
from ff_observe.outputs.ping.ledger import Ledger, entries
from ff_observe.outputs.ping.ledger_proof import verify
from ff_observe.outputs.ping.outcome import Result
from ff_observe.outputs.ping.sending import INTERRUPTED, ledger_of, sender_for
from tests.fakes import FakeClock, FakeRandom
from tests.real_parts.processes import free_port
from tests.unit.outputs.examples import context
from tests.unit.ping.bridge import Platform
from tests.unit.ping.receivers import answer, receiver, silent, tcp_server
from tests.unit.ping.samples import settings, snapshot

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def with_ledger(path: Path, url: str) -> Settings:
    made = settings(url)
    return replace(made, ping=replace(made.ping, ledger=path, state_directory=path.parent))


def run_for(seconds: float, made: Settings) -> None:
    clock = FakeClock(START)
    ping = CorePing(context(made, Platform(snapshot()), clock, chance=FakeRandom([0.75])))
    ping.start()
    clock.await_waiters(1)
    clock.advance(seconds)
    ping.stop(clock.monotonic() + 5)


def test_the_thread_records_exactly_what_the_receiver_got(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    with receiver(answer(200)) as server:
        run_for(3 * 86_400, with_ledger(path, server.url()))
        got = [request.body for request in server.requests]
    held = list(entries(path))
    assert len(got) == 3
    assert [entry.body.encode() for entry in held] == got
    assert {(entry.outcome, entry.status, entry.receiver) for entry in held} == {
        ("delivered", 200, f"127.0.0.1:{server.port}")
    }
    assert held[0].time == "2026-11-23T12:00:30.000Z"
    assert verify(path) == []


def test_what_was_delivered_counts_as_delivered_whatever_becomes_of_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Or it would be sent again and again."""

    def broken(*_: object) -> None:
        raise UnicodeEncodeError("utf-8", "planted", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(Ledger, "append", broken)
    with receiver(answer(200)) as server:
        outcome = sender_for(with_ledger(tmp_path / "pings.jsonl", server.url()), FakeClock(START)).send(b"{}")
    assert outcome.result is Result.DELIVERED
    assert "what became of the ping could not be recorded" in caplog.text


def test_half_a_surrogate_pair_in_a_ledger_is_a_finding_and_stops_nothing(tmp_path: Path) -> None:
    """JSON can write it (RFC 8259, 8.2), and no body of bytes can have given it."""
    path = tmp_path / "pings.jsonl"
    with receiver(answer(200)) as server:
        sender = sender_for(with_ledger(path, server.url()), FakeClock(START))
        sender.send(b'{"a":1}')
        path.write_bytes(path.read_bytes().replace(b'"body":"{', b'"body":"\\ud800{'))
        assert sender.send(b'{"a":2}').result is Result.DELIVERED
    assert "its body has another size or SHA-256 than it says" in " ".join(map(str, verify(path)))
    assert [entry.outcome for entry in entries(path)] == ["delivered", "delivered"]


@pytest.mark.parametrize(("status", "outcome"), [(404, "rejected"), (301, "rejected"), (503, "failed")])
def test_an_attempt_that_was_not_accepted_is_recorded_too(tmp_path: Path, status: int, outcome: str) -> None:
    with receiver(answer(status)) as server:
        made = with_ledger(tmp_path / "pings.jsonl", server.url())
        sender_for(made, FakeClock(START)).send(b"{}")
    (entry,) = entries(tmp_path / "pings.jsonl")
    assert (entry.outcome, entry.status, entry.body) == (outcome, status, "{}")


def test_an_attempt_that_reached_nobody_is_recorded(tmp_path: Path) -> None:
    port = free_port()
    sender_for(with_ledger(tmp_path / "pings.jsonl", f"http://127.0.0.1:{port}/"), FakeClock(START)).send(b"{}")
    (entry,) = entries(tmp_path / "pings.jsonl")
    assert (entry.outcome, entry.status, entry.receiver) == ("failed", None, f"127.0.0.1:{port}")


def test_a_ping_that_the_stop_of_the_bridge_interrupts_may_have_arrived(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    with tcp_server(silent) as (port, connected):
        clock = FakeClock(START)
        made = with_ledger(path, f"http://127.0.0.1:{port}/")
        ping = CorePing(context(made, Platform(snapshot()), clock, chance=FakeRandom([0.75])))
        ping.start()
        clock.await_waiters(1)
        advancing = threading.Thread(target=clock.advance, args=(30,))
        advancing.start()
        assert connected.wait(60)
        ping.stop(clock.monotonic() + 60)
        advancing.join(60)
    (entry,) = entries(path)
    assert (entry.outcome, entry.status, entry.note) == ("failed", None, INTERRUPTED)


def test_where_nothing_could_be_tried_nothing_is_recorded(tmp_path: Path) -> None:
    outcome = sender_for(with_ledger(tmp_path / "pings.jsonl", "nonsense"), FakeClock(START)).send(b"{}")
    assert outcome.result is Result.REJECTED
    assert list(tmp_path.iterdir()) == []


def test_credentials_of_the_url_are_not_in_the_ledger(tmp_path: Path) -> None:
    with receiver(answer(200)) as server:
        url = server.url("/ping?key=hush2", user="hush1:hush3@")
        sender_for(with_ledger(tmp_path / "pings.jsonl", url), FakeClock(START)).send(b"{}")
    assert "hush" not in (tmp_path / "pings.jsonl").read_text()


def test_without_a_ledger_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with receiver(answer(200)) as server:
        sender_for(settings(server.url()), FakeClock(START)).send(b"{}")
        assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/ff-observe/pings.jsonl", "/proc/pings.jsonl"])
def test_the_thread_goes_on_where_the_ledger_cannot_be_written_and_says_so_once(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In these directories of the kernel's not even root can make a file."""
    with receiver(answer(200)) as server, caplog.at_level(logging.INFO):
        run_for(3 * 86_400, with_ledger(Path(place), server.url()))
        assert len(server.requests) == 3  # without a disk none at the start
    told = [record for record in caplog.records if "ledger" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert place in told[0].getMessage()
    assert "telemetry.ledger" in told[0].getMessage()


def test_with_a_required_ledger_nothing_is_sent_that_was_not_written_down_before(tmp_path: Path) -> None:
    path = tmp_path / "pings.jsonl"
    with receiver(answer(200)) as server:
        made = with_ledger(path, server.url())
        made = replace(made, ping=replace(made.ping, ledger_required=True))
        sender = sender_for(made, FakeClock(START))
        assert sender.send(b"{}").result is Result.DELIVERED
        written = [(entry.outcome, entry.receiver, entry.body) for entry in entries(path)]
        place = f"127.0.0.1:{server.port}"
        assert written == [("begun", place, "{}"), ("delivered", place, "{}")]
        tmp_path.chmod(0o777)  # where others can write, no ledger is written
        outcome = sender.send(b"{}")
        assert (outcome.result, outcome.receiver) == (Result.FAILED, None)
        assert outcome.explanation == (
            f"held back, as telemetry.ledger_required says: the ledger {path} cannot be written; the log says why"
        )
        assert len(server.requests) == 1
        tmp_path.chmod(0o700)
        assert sender.send(b"{}").result is Result.DELIVERED


def test_the_thread_records_once_that_a_ping_is_withheld(tmp_path: Path) -> None:
    made = with_ledger(tmp_path / "pings.jsonl", "http://127.0.0.1:1/")
    made = replace(made, ping=replace(made.ping, enabled=False))
    run_for(3 * 86_400, made)
    run_for(60, made)
    assert [entry.rule for entry in entries(tmp_path / "pings.jsonl")] == ["file"]


def test_it_is_told_when_the_ledger_works_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "var" / "pings.jsonl"
    path.parent.write_text("a file where the directory should be")
    with receiver(answer(200)) as server, caplog.at_level(logging.INFO):
        sender = sender_for(with_ledger(path, server.url()), FakeClock(START))
        assert sender.send(b"{}").result is Result.DELIVERED
        path.parent.unlink()
        assert sender.send(b"{}").result is Result.DELIVERED
    told = [record.levelno for record in caplog.records if "ledger" in record.getMessage()]
    assert told == [logging.WARNING, logging.INFO]
    assert len(list(entries(path))) == 1


def test_the_ledger_is_handed_out_only_where_it_can_be_written(tmp_path: Path) -> None:
    path, clock = tmp_path / "pings.jsonl", FakeClock(START)
    made = with_ledger(path, "http://127.0.0.1:1/")
    assert ledger_of(made, clock).path == path
    with pytest.raises(LedgerError, match=r"^no ledger is kept: telemetry\.ledger is off$"):
        ledger_of(settings(), clock)
    tmp_path.chmod(0o777)  # where others can write, no ledger is written
    with pytest.raises(LedgerError) as refused:
        ledger_of(made, clock)
    assert str(refused.value).startswith(f"the ledger of pings {path} cannot be written: {tmp_path}: ")
    assert str(refused.value).endswith(
        ". Run this as the user of the platform (`sudo -u USER …`), or let telemetry.ledger name a file in a directory "
        "that only this user can write to (`off` for none)"
    )


def test_ctrl_c_while_the_receiver_may_have_the_ping_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Delivery, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sender_for(with_ledger(tmp_path / "pings.jsonl", "http://127.0.0.1:1/"), FakeClock(START)).send(b"{}")
    (entry,) = entries(tmp_path / "pings.jsonl")
    assert (entry.outcome, entry.receiver, entry.body) == ("failed", "127.0.0.1:1", "{}")
    assert entry.note == INTERRUPTED
