"""The keyed hash of an address, and the life of its key."""

import contextlib
import hashlib
import hmac
import ipaddress
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ff_observe.collector.keys.keeping import FileKeeping
from ff_observe.collector.keys.sender_hash import SenderHash, is_key
from ff_observe.errors import ConfigurationError, FFObserveError
from tests.unit.collector.pings import NOON, later

LIFETIME = timedelta(days=30)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key" / "sender.key"


def closed(key_file: Path) -> SenderHash:
    return SenderHash(FileKeeping(key_file, is_key, "address.key_file", "collector"), LIFETIME)


def opened(key_file: Path) -> SenderHash:
    made = closed(key_file)
    made.replace_if_due(NOON)
    return made


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def test_the_hash_is_hmac_sha256_under_the_key_in_the_file(key_file: Path) -> None:
    found = opened(key_file).of(packed("192.0.2.1"))
    key = bytes.fromhex(json.loads(key_file.read_text())["key"])
    assert found == hmac.new(key, b"4" + packed("192.0.2.1"), hashlib.sha256).digest()


def test_addresses_of_one_ipv6_site_share_a_hash_and_others_do_not(key_file: Path) -> None:
    sender = opened(key_file)
    assert sender.of(packed("2001:db8:1:2::1")) == sender.of(packed("2001:db8:1:2:ffff::9"))
    assert sender.of(packed("2001:db8:1:2::1")) != sender.of(packed("2001:db8:1:3::1"))
    assert sender.of(packed("192.0.2.1")) != sender.of(packed("192.0.2.2"))


def test_no_address_has_no_hash(key_file: Path) -> None:
    assert opened(key_file).of(None) is None


def test_only_the_owner_may_read_the_key_and_its_directory(key_file: Path) -> None:
    opened(key_file)
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.parent.stat().st_mode & 0o777 == 0o700


def test_a_key_that_others_may_read_is_refused(key_file: Path) -> None:
    opened(key_file)
    key_file.chmod(0o640)
    with pytest.raises(ConfigurationError, match=f"chmod 600 {key_file}"):
        opened(key_file)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"created_at":"2026-01-01","key":"00"}', "\xff", '{"created_at":3,"key":""}']
)
def test_a_file_that_is_no_key_of_ours_is_never_overwritten(key_file: Path, content: str) -> None:
    key_file.parent.mkdir()
    key_file.write_text(content)
    key_file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no key of ours"):
        opened(key_file)
    assert key_file.read_text() == content


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FFObserveError, match=r"sender\.key cannot be used: ") as raised:
        closed(tmp_path / "file" / "sender.key").replace_if_due(NOON)
    assert raised.value.exit_status == 1, "the machine can change, and the settings are right"


def test_the_key_stays_for_its_lifetime_and_across_restarts(key_file: Path) -> None:
    sender = opened(key_file)
    before = sender.of(packed("192.0.2.1"))
    assert sender.replace_if_due(later(days=29)) == timedelta(days=1).total_seconds()
    assert sender.of(packed("192.0.2.1")) == before
    assert opened(key_file).of(packed("192.0.2.1")) == before


def test_after_its_lifetime_the_key_is_replaced_and_the_old_one_is_nowhere(key_file: Path) -> None:
    sender = opened(key_file)
    old_hash = sender.of(packed("192.0.2.1"))
    old_key = json.loads(key_file.read_text())["key"]
    with key_file.open("rb") as old_file:  # the old file's own blocks, as an undelete tool would find them
        assert sender.replace_if_due(later(days=30)) == LIFETIME.total_seconds()
        left = old_file.read()
    assert sender.of(packed("192.0.2.1")) != old_hash
    assert sender.created_at == later(days=30)
    assert old_key.encode() not in left
    for path in key_file.parent.iterdir():
        assert old_key not in path.read_text()
    assert key_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(days=29), timedelta(days=300)], ids=str)
def test_a_key_from_the_future_is_replaced(ahead: timedelta, key_file: Path) -> None:
    """After the clock was set back, a key must not live for longer than others do."""
    closed(key_file).replace_if_due(NOON + ahead)
    assert opened(key_file).created_at == NOON


def test_a_collector_whose_clock_is_a_little_behind_uses_the_key_of_another(key_file: Path) -> None:
    closed(key_file).replace_if_due(later(minutes=59))
    assert opened(key_file).created_at == later(minutes=59)


@pytest.mark.parametrize("wrong", [datetime(1972, 3, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
def test_a_clock_that_is_years_off_costs_a_key_and_nothing_else(key_file: Path, wrong: datetime) -> None:
    sender = opened(key_file)
    assert sender.replace_if_due(wrong) == LIFETIME.total_seconds()
    assert sender.created_at == wrong
    assert sender.replace_if_due(NOON) == LIFETIME.total_seconds()
    assert sender.created_at == NOON


def test_half_a_key_that_a_killed_process_left_behind_does_not_stop_the_next_replacement(key_file: Path) -> None:
    sender = opened(key_file)
    key_file.with_name("sender.key.new").write_text("half")
    sender.replace_if_due(later(days=31))
    assert not key_file.with_name("sender.key.new").exists()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", range(6))
def test_a_process_killed_at_any_step_of_a_replacement_leaves_one_good_key(
    key_file: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(key_file)
    old_key = json.loads(key_file.read_text())["key"]
    steps = itertools.count()

    def killed_before(action: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return action(*arguments)

        return instead

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed_before(os.fsync))
        patched.setattr(Path, "replace", killed_before(Path.replace))
        with contextlib.suppress(Killed):
            closed(key_file).replace_if_due(later(days=30))
    assert next(steps) == min(step + 1, 5), "there are five such steps"
    again = closed(key_file)
    again.replace_if_due(later(days=30))
    assert again.created_at == later(days=30)
    assert old_key not in "".join(path.read_text() for path in key_file.parent.iterdir())
    assert [path.name for path in key_file.parent.iterdir() if path.stat().st_size] == ["sender.key"]
    assert key_file.stat().st_mode & 0o777 == 0o600


def _hash_elsewhere(key_file: Path, address: bytes, answers: "multiprocessing.SimpleQueue[bytes | None]") -> None:
    answers.put(opened(key_file).of(address))


def test_processes_that_start_at_once_agree_on_one_key(key_file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[bytes | None] = context.SimpleQueue()
    processes = [
        context.Process(target=_hash_elsewhere, args=(key_file, packed("192.0.2.1"), answers)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    found = {answers.get() for _ in processes}
    for process in processes:
        process.join()
    assert len(found) == 1
