"""The file that keeps what was counted: what `save` wrote whole comes back, and nothing else is believed."""

import json
import logging
import os
import stat
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.catalogue.audit import Event
from ff_observe.platform.audit_counters import Tally
from ff_observe.running import audit_state
from ff_observe.running.audit_state import AuditState
from ff_observe.system.clock import SystemClock

AT = datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=UTC)
TALLY = Tally(
    Counter({Event("crashed"): 3, Event("account.login", "api", failed=True): 2, Event("other", device=True): 9}),
    *(71, "1700000000123 crashed", 4, AT, True, AT),
)


@pytest.fixture
def state(tmp_path: Path) -> AuditState:
    return AuditState(tmp_path / "state", SystemClock())


def file_of(state: AuditState) -> Path:
    state.save("a platform", TALLY)
    (file,) = vars(state)["_directory"].glob("*.json")
    assert isinstance(file, Path)
    return file


def test_what_was_counted_comes_back(state: AuditState) -> None:
    state.save("a platform", TALLY)
    assert state.load("a platform") == TALLY
    unfinished = replace(TALLY, complete=False, checked=None)
    state.save("a platform", unfinished)
    assert state.load("a platform") == unfinished


def test_each_platform_has_its_own_file_that_names_none(state: AuditState) -> None:
    state.save("a platform", TALLY)
    other = replace(TALLY, cursor=9)
    state.save("another", other)
    assert (state.load("a platform"), state.load("another"), state.load("a third")) == (TALLY, other, None)
    for file in vars(state)["_directory"].iterdir():
        assert "platform" not in file.name
        assert b"another" not in file.read_bytes()


def test_only_its_owner_can_read_it(state: AuditState) -> None:
    assert stat.S_IMODE(file_of(state).stat().st_mode) == 0o600


def test_a_file_that_was_cut_off_or_changed_is_not_believed(state: AuditState, tmp_path: Path) -> None:
    file = file_of(state)
    whole = file.read_bytes()
    for length in range(len(whole) - 1):  # without its last byte, the end of the line, it is still whole
        file.write_bytes(whole[:length])
        assert state.load("a platform") is None, length
    for place in range(0, len(whole) - 1, 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert state.load("a platform") is None, place
    file.write_bytes(whole)
    assert state.load("a platform") == TALLY


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


@given(content=st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(as_json))
def test_anything_else_in_its_place_is_not_believed(content: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        audit_state._tally(audit_state._digest(content).encode() + b" " + content, "a platform")


def test_what_was_counted_by_other_rules_is_counted_anew(state: AuditState, monkeypatch: pytest.MonkeyPatch) -> None:
    state.save("a platform", TALLY)
    monkeypatch.setattr(audit_state, "_RULES", "as another version has them")
    assert state.load("a platform") is None


def test_a_disk_that_takes_nothing_is_named_once(
    state: AuditState, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(os, "write", full)
        state.save("a platform", TALLY)
        state.save("a platform", TALLY)
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert "each start counts the whole log again" in caplog.text
    state.save("a platform", TALLY)
    assert state.load("a platform") == TALLY
