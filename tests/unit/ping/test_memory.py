"""What a bridge remembers of the last ping, over restarts, faults of the disk and wrong clocks."""

import json
import logging
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.outputs.ping.memory import NAME, PingMemory, UnknownPastError
from ff_observe.outputs.ping.schedule import Moment
from tests.fakes import FakeClock, full_disk
from tests.other_users import unable_to_write

ID = "a platform"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_moment_outlives_the_process_and_a_platform_that_never_sent_one_is_known_as_such(
    tmp_path: Path, clock: FakeClock
) -> None:
    directory = tmp_path / "made" / "for it"
    assert PingMemory(directory, ID, clock).load() is None
    moment = Moment.present(clock, 60)
    assert PingMemory(directory, ID, clock).save(moment)
    assert PingMemory(directory, ID, clock).load() == moment
    assert [path.name for path in directory.iterdir()] == [NAME]
    assert (directory / NAME).stat().st_mode & 0o777 == 0o600


def test_another_bridges_change_is_seen(tmp_path: Path, clock: FakeClock) -> None:
    reader, writer = PingMemory(tmp_path, ID, clock), PingMemory(tmp_path, ID, clock)
    for age in (300, 200, 100):
        writer.save(moment := Moment.present(clock, age))
        assert reader.load() == moment
        assert reader.load() == moment
    (tmp_path / NAME).unlink()
    assert reader.load() is None


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path, clock: FakeClock) -> None:
    memory = PingMemory(tmp_path, ID, clock)
    memory.save(moment := Moment.present(clock, 60))
    assert memory.load() == moment
    file = tmp_path / NAME
    before = file.stat()
    file.write_bytes(b" " * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert memory.load() == moment
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(UnknownPastError):
        memory.load()


FIRST_RELEASE: dict[str, Any] = {
    "format": "ff-observe ping state 1",
    "platform": "02f837781a4579de",
    "last": {"wall": "2026-11-23T11:59:00+00:00", "boot": "a boot", "since_boot": 940.0},
}


def test_a_file_of_the_first_release_is_understood(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / NAME).write_text(json.dumps(FIRST_RELEASE))
    last = PingMemory(tmp_path, ID, clock).load()
    assert last == Moment(clock.now() - timedelta(seconds=60), "a boot", 940)


@pytest.mark.parametrize(
    "wrong",
    [{"wall": "2026-11-23T11:59:00"}, {"boot": 5}, {"since_boot": "inf"}, {"since_boot": "nan"}, {"boot": None}],
    ids=str,
)
def test_a_moment_with_one_wrong_part_is_an_unknown_past(
    tmp_path: Path, clock: FakeClock, wrong: dict[str, object]
) -> None:
    (tmp_path / NAME).write_text(json.dumps({**FIRST_RELEASE, "last": {**FIRST_RELEASE["last"], **wrong}}))
    with pytest.raises(UnknownPastError):
        PingMemory(tmp_path, ID, clock).load()


def test_a_file_of_another_platform_says_nothing_of_this_one(tmp_path: Path, clock: FakeClock) -> None:
    PingMemory(tmp_path, "another platform", clock).save(Moment.present(clock, 60))
    assert PingMemory(tmp_path, ID, clock).load() is None
    assert ID not in (tmp_path / NAME).read_text()


@given(cut=st.floats(0, 0.99))
def test_a_file_that_was_cut_short_is_an_unknown_past(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    directory, clock = tmp_path_factory.mktemp("cut"), FakeClock()
    PingMemory(directory, ID, clock).save(Moment.present(clock, 60))
    content = (directory / NAME).read_bytes().rstrip()
    (directory / NAME).write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(UnknownPastError):
        PingMemory(directory, ID, clock).load()


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(last=st.fixed_dictionaries({"wall": json_values, "boot": json_values, "since_boot": json_values}) | json_values)
def test_what_it_never_wrote_is_an_unknown_past(tmp_path_factory: pytest.TempPathFactory, last: object) -> None:
    directory, clock = tmp_path_factory.mktemp("foreign"), FakeClock()
    PingMemory(directory, ID, clock).save(None)
    document = json.loads((directory / NAME).read_text())
    (directory / NAME).write_text(json.dumps({**document, "last": last}))
    if last is None:
        assert PingMemory(directory, ID, clock).load() is None
    else:
        with pytest.raises(UnknownPastError):
            PingMemory(directory, ID, clock).load()


@pytest.mark.parametrize("content", [b"[]", b"null", b'"x"', b'{"format": "ff-observe ping state 2"}', b"[" * 100_000])
def test_another_document_is_an_unknown_past(tmp_path: Path, clock: FakeClock, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(UnknownPastError):
        PingMemory(tmp_path, ID, clock).load()


def test_without_a_disk_the_past_is_unknown(clock: FakeClock) -> None:
    memory = PingMemory(None, ID, clock)
    assert not memory.save(Moment.present(clock))
    with pytest.raises(UnknownPastError):
        memory.load()
    with pytest.raises(FileNotFoundError) as refused:
        memory.open_lock()
    assert str(refused.value) == "[Errno 2] there is no directory for it"


@pytest.mark.parametrize("place", ["/proc/ff-observe", "/proc"])
def test_where_nothing_can_be_written_the_past_is_unknown_and_that_is_said_once(
    place: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    memory = PingMemory(Path(place), ID, clock)
    for _ in range(3):
        with pytest.raises(UnknownPastError):
            memory.load()
    assert [record.levelno for record in caplog.records if record.levelno >= logging.WARNING] == [logging.WARNING]
    (message,) = {record.getMessage() for record in caplog.records}
    assert message.startswith(f"{place}/{NAME} cannot be used: /proc")
    assert message.endswith(
        ". It keeps when the last ping left: without it, after a restart, the next ping is sent at the platform's next "
        "time of day"
    )


def test_neither_file_is_reached_through_a_link_nor_in_a_directory_of_everybody(
    tmp_path: Path, clock: FakeClock
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    linked, open_to_all = tmp_path / "linked", tmp_path / "open"
    linked.mkdir()
    for name in (NAME, "ping-sender.lock"):
        (linked / name).symlink_to(victim)
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for directory in (linked, open_to_all):
        with pytest.raises(UnknownPastError):
            PingMemory(directory, ID, clock).load()
        with pytest.raises(OSError, match=r"symbolic link|every user"):
            PingMemory(directory, ID, clock).open_lock()
    assert not PingMemory(open_to_all, ID, clock).save(None)
    assert PingMemory(linked, ID, clock).save(None)  # takes the place of the link
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("before", [None, 86_400.0], ids=["no ping before", "a ping before"])
def test_on_a_full_disk_an_older_ping_is_not_taken_for_the_last(
    tmp_path: Path, clock: FakeClock, before: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Else every restart would send today's ping once more."""
    caplog.set_level(logging.INFO)
    memory = PingMemory(tmp_path, ID, clock)
    assert memory.save(None if before is None else Moment.present(clock, before))
    with full_disk():
        assert not memory.save(Moment.present(clock))
    with pytest.raises(UnknownPastError):
        PingMemory(tmp_path, ID, clock).load()
    assert memory.save(moment := Moment.present(clock))
    assert PingMemory(tmp_path, ID, clock).load() == moment
    assert caplog.messages[-1] == f"{tmp_path / NAME} is written again"


def test_a_file_that_can_only_be_read_is_an_unknown_past(
    open_directory: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    PingMemory(open_directory, ID, clock).save(Moment.present(clock, 86_400))
    (open_directory / NAME).chmod(0o444)
    with unable_to_write(open_directory), pytest.raises(UnknownPastError):
        PingMemory(open_directory, ID, clock).load()
    assert f"{open_directory / NAME} cannot be used: Permission denied" in caplog.text


def test_a_file_that_was_read_is_an_unknown_past_once_it_cannot_be_written(
    open_directory: Path, clock: FakeClock
) -> None:
    memory = PingMemory(open_directory, ID, clock)
    memory.save(moment := Moment.present(clock, 86_400))
    assert memory.load() == moment
    (open_directory / NAME).chmod(0o444)
    with unable_to_write(open_directory), pytest.raises(UnknownPastError):
        memory.load()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must not write where another user's file says")
def test_root_writes_only_where_a_file_says_that_root_alone_can_change(tmp_path: Path, clock: FakeClock) -> None:
    named_in = tmp_path / "flowforge.yml"
    named_in.write_text("")
    memory = PingMemory(tmp_path / "state", ID, clock, named_in)
    assert memory.save(None)
    os.chown(named_in, 65534, 65534)
    assert not memory.save(None)
    with pytest.raises(OSError, match="belongs to"):
        memory.open_lock()
    with pytest.raises(UnknownPastError):
        PingMemory(tmp_path / "never made", ID, clock, named_in).load()
    assert not (tmp_path / "never made").exists()


def test_a_moment_of_a_wrong_clock_is_the_present_one_and_ages_from_then_on(tmp_path: Path, clock: FakeClock) -> None:
    future = replace(Moment.present(clock), wall=clock.now() + timedelta(days=3650), boot="one before")
    PingMemory(tmp_path, ID, clock).save(future)
    last = PingMemory(tmp_path, ID, clock).load()
    assert last is not None
    clock.advance(86_400)
    assert clock.now() - last.by(clock) == timedelta(days=1)
