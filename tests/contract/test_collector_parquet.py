"""Days of pings as Parquet, from either store, read by two libraries; and which files `forget` names."""

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest

from ff_observe.cli import main
from ff_observe.collector import commands, parquet
from ff_observe.collector.commands import Forgotten
from ff_observe.collector.settings import CollectorSettings, PostgreSQLServer, SQLiteFile
from ff_observe.collector.store import Ping, Store, postgresql_session, sqlite_session
from ff_observe.collector.store.columns import COLUMNS, NAMES
from ff_observe.collector.store.postgresql import PostgreSQLStore
from ff_observe.collector.store.sqlite import SQLiteStore, open_sqlite
from ff_observe.errors import FFObserveError
from tests.contract.conftest import three_days_of_pings
from tests.contract.test_collector_rollups import fold_all
from tests.other_users import unable_to_enter
from tests.unit.collector.blocking_writer import BlockingWriter
from tests.unit.collector.pings import NOON, later, ping

TODAY = NOON.date()
ID = ping("forgotten").instance_id


def day(ago: int) -> date:
    return TODAY - timedelta(days=ago)


def name(ago: int) -> str:
    return f"day={day(ago)}/pings.parquet"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "exported"


@pytest.fixture
def settings(store: Store) -> CollectorSettings:
    if isinstance(store, PostgreSQLStore):
        return CollectorSettings(database=PostgreSQLServer(store.url))
    assert isinstance(store, SQLiteStore)
    return CollectorSettings(database=SQLiteFile(store.path))


def write_days(writer: BlockingWriter, names: dict[int, str]) -> None:
    for ago, platforms in names.items():
        writer.write([ping(platform, later(days=-ago)) for platform in platforms.split()])


def export(settings: CollectorSettings, directory: Path, since: date | None = None) -> dict[str, int | None]:
    """What an export writes, by the file's place in the directory."""
    written = commands.export_days(settings, directory, since, TODAY, sender_hashes=False)
    return {str(each.file.relative_to(directory)): each.pings for each in written}


def files(directory: Path) -> dict[str, int]:
    """Every file there is, and how many pings it holds."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): pyarrow.parquet.read_metadata(path).num_rows for path in found}


def test_other_engines_read_the_pings_that_are_stored(
    settings: CollectorSettings, writer: BlockingWriter, directory: Path
) -> None:
    pings = [
        ping("a", later(days=-2), sender=None, platform__counts__users=2**53 - 1),
        ping("b", later(days=-2, seconds=1, microseconds=1), platform__config__email__enabled=False),
        ping("a", later(days=-1), env__flowforge="2.32.1", platform__license__id=""),
    ]
    writer.write([*pings, ping("a")])
    assert export(settings, directory) == {name(2): 2, name(1): 1}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(NAMES)
        rows = connection.execute(
            f"SELECT CAST(day AS DATE), epoch_us(received_at), {columns} "
            f"FROM read_parquet('{directory}/*/*.parquet', hive_partitioning = true) ORDER BY received_at"
        ).fetchall()
        named = [
            row[0]
            for row in connection.execute(
                f"DESCRIBE FROM read_parquet('{directory / name(2)}', hive_partitioning = false)"
            ).fetchall()
        ]
    assert rows == [(each.received_at.date(), _microseconds(each), *each.values) for each in pings]
    assert named == ["received_at", *NAMES], "no hash of the sender"


def _microseconds(ping: Ping) -> int:
    whole = ping.received_at.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000 + ping.received_at.microsecond


def test_each_column_carries_its_entry_of_the_dictionary(store: Store, writer: BlockingWriter, directory: Path) -> None:
    writer.write([ping("a", later(days=-1), sender=b"\x07" * 32)])
    list(parquet.export_days(store, directory, day(9), day(1), sender_hashes=True))
    table = pyarrow.parquet.read_table(directory / name(1), partitioning=None)
    assert table.column("sender").to_pylist() == [b"\x07" * 32]
    for column in COLUMNS:
        entry = {key.decode(): value.decode() for key, value in table.schema.field(column.name).metadata.items()}
        assert (entry["field"], entry["description"]) == (column.field.dotted, column.field.help)
        assert (entry["sensitivity"], entry["since"]) == (column.field.sensitivity.value, column.field.since)
        assert column.field.review is not None
        assert entry["purpose"] == column.field.review.purpose
    assert all(b"description" in field.metadata and b"sensitivity" in field.metadata for field in table.schema)


def test_an_export_again_writes_only_what_is_missing_or_has_changed(
    settings: CollectorSettings, writer: BlockingWriter, directory: Path
) -> None:
    write_days(writer, {4: "a", 3: "a", 2: "a", 1: "a"})
    assert export(settings, directory, since=day(3)) == {name(3): 1, name(2): 1, name(1): 1}
    assert export(settings, directory, since=day(3)) == {}
    (directory / name(3)).unlink()
    (directory / name(2)).write_bytes(b"PAR1 half of a file")
    writer.write([ping("b", later(days=-1))])
    assert export(settings, directory) == {name(4): 1, name(3): 1, name(2): 1, name(1): 2}
    assert files(directory) == {name(4): 1, name(3): 1, name(2): 1, name(1): 2}


def test_a_day_is_read_and_written_in_portions(
    store: Store, writer: BlockingWriter, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write([ping(f"{number}", later(days=-1, seconds=number)) for number in range(25)])
    monkeypatch.setattr(parquet, "ROWS_IN_A_GROUP", 8)
    for module in (postgresql_session, sqlite_session):
        monkeypatch.setattr(module, "READ_AT_ONCE", 4)
    assert [len(portion[0]) for portion in store.read_day(day(1))] == [4, 4, 4, 4, 4, 4, 1]
    list(parquet.export_days(store, directory, day(1), day(1)))
    metadata = pyarrow.parquet.read_metadata(directory / name(1))
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [8, 8, 8, 1]


class KilledError(BaseException):
    """Stands for kill -9, and for whatever else ends an export."""


@pytest.mark.parametrize("step", ["read_day", "confirm_copy"])
def test_an_export_that_was_ended_leaves_whole_files_and_goes_on(
    settings: CollectorSettings, store: Store, writer: BlockingWriter, directory: Path, step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write_days(writer, {3: "a forgotten", 2: "a forgotten", 1: "a forgotten"})
    assert export(settings, directory, since=day(3)) == {name(3): 2, name(2): 2, name(1): 2}
    store.forget(ID)

    def killed(*_: object) -> Iterator[None]:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(type(store), step, killed)
        with pytest.raises(KilledError):
            export(settings, directory)
    held = 2 if step == "read_day" else 1
    assert files(directory) == {name(3): held, name(2): 2, name(1): 2}
    stale = [directory / name(ago) for ago in (3, 2, 1)]
    assert commands.forget(settings, ID) == Forgotten(0, stale, [], []), "also the file of the moment of the kill"
    assert export(settings, directory) == {name(3): 1, name(2): 1, name(1): 1}
    assert commands.forget(settings, ID) == Forgotten(0, [], [], [])


def test_forgetting_names_the_files_that_hold_the_instance(
    settings: CollectorSettings, writer: BlockingWriter, directory: Path
) -> None:
    write_days(writer, {3: "a", 2: "a forgotten", 1: "forgotten", 0: "forgotten"})
    export(settings, directory)
    other = directory.with_name("other")
    export(settings, other, since=day(1))
    stale = [directory / name(2), directory / name(1), other / name(1)]
    assert commands.forget(settings, ID) == Forgotten(3, stale, [], [])
    (other / name(1)).unlink()
    (other / name(1)).parent.rmdir()
    assert commands.forget(settings, ID) == Forgotten(0, stale[:2], [], []), "until they are gone, or written anew"
    assert export(settings, directory) == {name(2): 1, name(1): None}
    assert files(directory) == {name(3): 1, name(2): 1}
    assert commands.forget(settings, ID) == Forgotten(0, [], [], [])


def test_what_is_forgotten_while_its_day_is_exported_is_not_in_the_file(
    settings: CollectorSettings, store: Store, writer: BlockingWriter, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write([ping(who, later(days=-1)) for who in ("a", "forgotten")])
    write = parquet._write
    rows: list[int] = []

    def forget_behind(*arguments: Any) -> int:
        rows.append(write(*arguments))
        store.forget(ID)
        return rows[-1]

    monkeypatch.setattr(parquet, "_write", forget_behind)
    assert export(settings, directory) == {name(1): 1}
    assert rows == [2, 1]
    assert files(directory) == {name(1): 1}


def test_exported_days_that_are_deleted_by_age_are_searched(
    settings: CollectorSettings, store: Store, writer: BlockingWriter, directory: Path
) -> None:
    write_days(writer, {9: "a", 8: "a forgotten"})
    three_days_of_pings(writer, NOON)
    fold_all(store, NOON)
    export(settings, directory)
    store.prune(NOON, timedelta(days=5))
    assert export(settings, directory) == {}
    assert files(directory) == {name(9): 1, name(8): 2, name(2): 1, name(1): 1}
    assert commands.forget(settings, ID) == Forgotten(0, [], [directory / name(8)], [])
    (directory / name(9)).write_bytes(b"not any more")
    assert commands.forget(settings, ID) == Forgotten(0, [], [directory / name(8)], [directory])


def test_what_a_killed_export_left_unfinished_is_removed_and_what_a_link_leads_to_is_not_written(
    settings: CollectorSettings, writer: BlockingWriter, directory: Path
) -> None:
    """Killed while it wrote hashes of senders into a file that was complete without them, for example."""
    write_days(writer, {3: "a", 2: "a", 1: "a"})
    export(settings, directory)
    left = (directory / name(3)).with_name(".pings.parquet.new")
    left.write_bytes(b"PAR1 half of a file")
    other = directory.with_name("other")
    other.write_bytes(b"of others")
    (directory / name(1)).with_name(left.name).symlink_to(other)
    writer.write([ping("b", later(days=-1))])
    assert export(settings, directory, since=day(2)) == {name(1): 2}
    assert files(directory) == {name(3): 1, name(2): 1, name(1): 2}
    assert other.read_bytes() == b"of others"


def test_a_file_that_cannot_take_its_place_is_removed(
    settings: CollectorSettings, writer: BlockingWriter, directory: Path
) -> None:
    write_days(writer, {1: "a"})
    (directory / name(1) / "of others").mkdir(parents=True)
    with pytest.raises(FFObserveError, match=r"cannot write .*: Is a directory"):
        export(settings, directory)
    assert files(directory) == {}


def test_the_disk_has_a_deletion_before_the_store_drops_its_note_of_the_file(
    settings: CollectorSettings, store: Store, writer: BlockingWriter, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_days(writer, {1: "forgotten"})
    export(settings, directory)
    store.forget(ID)
    synced: list[tuple[list[Path], list[date]]] = []

    def observed(synced_directory: Path) -> None:
        synced.append((list(synced_directory.iterdir()), [copy.day for copy in store.copies()]))

    monkeypatch.setattr(parquet, "_sync", observed)
    assert export(settings, directory) == {name(1): None}
    assert synced[-1] == ([], [day(1)])
    assert store.copies() == []


def test_a_file_that_this_user_may_not_look_for_does_not_count_as_deleted(open_directory: Path) -> None:
    closed = parquet.file_of(open_directory, day(1)).parent
    closed.mkdir()
    (closed / "pings.parquet").touch()
    with unable_to_enter(closed):
        assert not parquet.is_deleted(open_directory, closed / "pings.parquet")
    with unable_to_enter(open_directory):
        assert not parquet.is_deleted(open_directory, closed / "pings.parquet")
    assert not parquet.is_deleted(open_directory / "unmounted", open_directory / "unmounted" / name(1))
    assert parquet.is_deleted(open_directory, open_directory / name(2))


def test_two_exports_into_one_directory_are_refused(store: Store, writer: BlockingWriter, directory: Path) -> None:
    writer.write([ping("a", later(days=-1))])
    first = parquet.export_days(store, directory, day(1), day(1))
    next(first)
    with pytest.raises(FFObserveError, match="another export writes into"):
        list(parquet.export_days(store, directory, day(1), day(1)))
    first.close()


def test_forgetting_names_the_directories_it_cannot_search_also_where_nothing_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_sqlite(tmp_path / "pings" / "pings.sqlite3", timedelta(0), "collector")
    with BlockingWriter(store) as writer:
        write_days(writer, {9: "forgotten"})
        three_days_of_pings(writer, NOON)
    fold_all(store, NOON)
    to = tmp_path / "to"
    list(parquet.export_days(store, to, day(9), day(9)))
    store.prune(NOON, timedelta(days=5))
    (to / name(9)).write_bytes(b"not any more")
    assert main(["collector", "forget", ID, "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[1:] == [f"  {to}"]
    assert "nothing is stored about an instance" in said.err


def test_the_command_line_exports_names_the_files_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, to = tmp_path / "data", tmp_path / "to"
    store = open_sqlite(data / "pings" / "pings.sqlite3", timedelta(0), "collector")
    with BlockingWriter(store) as writer:
        writer.write([ping(who, later(days=-1)) for who in ("a", "forgotten")])

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(argument) for argument in ("collector", *arguments, "--data-dir", data)])
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    file = to / name(1)
    assert run("export", "--format", "parquet", "--to", to, "--since", day(1)) == (0, f"wrote {file} (2 pings)\n", "")
    assert run("export", "--format", "parquet", "--to", to, "--since", day(0)) == (0, "", "")
    status, out, _ = run("forget", ID)
    assert (status, out.splitlines()[::2]) == (0, ["deleted 1 ping", f"  {file}"])
    for wrong in (("--format", "parquet"), ("--format", "parquet", "--to", to, ID), (ID, "--to", to), ()):
        assert run("export", *wrong)[0] == 2
    assert "write it as 2026-03-01" in run("export", "--since", "yesterday")[2]
    status, _, error = run("export", "--format", "parquet", "--to", data / "pings" / "pings.sqlite3")
    assert (status, "cannot write" in error) == (1, True)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, error = run("export", "--format", "parquet", "--to", to)
    assert (status, "pip install 'ff-observe[parquet]'" in error) == (1, True)
