"""Whole days of pings as Parquet files for other engines, a directory for each day as Hive names them.

The store and the files themselves decide what is written: an export that was interrupted, or is repeated, writes what
is missing or has changed.
"""

import contextlib
import fcntl
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ff_observe.collector.store import Store
from ff_observe.collector.store.columns import COLUMNS
from ff_observe.errors import FFObserveError
from ff_observe.version import VERSION

if TYPE_CHECKING:
    import pyarrow

ROWS_IN_A_GROUP: Final = 100_000
"""Readers take a group of rows at a time; so much is held in memory."""
NAME: Final = "pings.parquet"
_UNFINISHED: Final = f".{NAME}.new"  # engines pass over names with a dot


def _library() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise FFObserveError("Parquet needs an extra: pip install 'ff-observe[parquet]'") from None
    return pyarrow


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file, and how many pings it holds; None if it was deleted, because its day has no pings any more."""

    file: Path
    pings: int | None


def export_days(
    store: Store, directory: Path, since: date, until: date, *, sender_hashes: bool = False
) -> Generator[ExportedFile, None, None]:
    """Write the days from `since` to `until`, oldest first. Raises `StoreError`, or `FFObserveError` for files."""
    arrow = _library()
    schema = _schema(arrow, sender_hashes=sender_hashes)
    try:
        with _alone(directory):
            for left in directory.glob(f"day=*/{_UNFINISHED}"):  # by an export that was killed
                left.unlink()
            target = str(directory.resolve())
            pings = store.pings_by_day(since, until)
            copied = {copy.day for copy in store.copies() if copy.target == target and copy.kept}
            for day in sorted(pings.keys() | {day for day in copied if since <= day <= until}):
                written = _export_day(arrow, store, directory, day, pings.get(day, 0), schema)
                if written is not None:
                    yield written
    except OSError as error:
        raise FFObserveError(
            f"cannot write {error.filename or directory}: {error.strerror or error}; what is written stays, and the "
            "same command goes on from there"
        ) from None


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """While no other process exports into the directory, which is created if missing."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FFObserveError(f"another export writes into {directory}; wait for it, or choose another") from None
        yield
    finally:
        os.close(opened)


def file_of(directory: Path, day: date) -> Path:
    return directory / f"day={day.isoformat()}" / NAME


def _export_day(
    arrow: Any, store: Store, directory: Path, day: date, pings: int, schema: "pyarrow.Schema"
) -> ExportedFile | None:
    """What was written; None if the file is complete already."""
    file, target = file_of(directory, day), str(directory.resolve())
    while True:
        changes = store.announce_copy(target, day)
        if not changes and _is_complete(arrow, file, pings, schema):
            return None
        written = _write(arrow, store, day, file, schema)
        if not written:
            _remove(file)
        if store.confirm_copy(target, day, changes):
            break  # nothing has changed meanwhile
    if written:
        return ExportedFile(file, written)
    store.drop_copy(target, day)
    return ExportedFile(file, None)


def _is_complete(arrow: Any, file: Path, pings: int, schema: "pyarrow.Schema") -> bool:
    try:
        with arrow.parquet.ParquetFile(file) as found:
            same = schema.equals(found.schema_arrow, check_metadata=False)
            return bool(same and found.metadata.num_rows == pings)
    except (OSError, ValueError):  # ValueError: it is no Parquet file
        return False


def _write(arrow: Any, store: Store, day: date, file: Path, schema: "pyarrow.Schema") -> int:
    """Replace the file of a day, unless the day is empty; returns how many pings it has."""
    file.parent.mkdir(exist_ok=True)
    unfinished = file.with_name(_UNFINISHED)
    pings = 0
    with unfinished.open("xb") as output:
        try:
            with arrow.parquet.ParquetWriter(output, schema, compression="zstd") as writer:
                for part in _groups(arrow, store, day, schema):
                    writer.write_table(part, row_group_size=ROWS_IN_A_GROUP)
                    pings += part.num_rows
            output.flush()
            os.fsync(output.fileno())
            if pings:
                unfinished.replace(file)
            else:
                unfinished.unlink()
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    _sync(file.parent)
    return pings


def _groups(arrow: Any, store: Store, day: date, schema: "pyarrow.Schema") -> Iterator[Any]:
    """The pings of a day as tables of `ROWS_IN_A_GROUP` rows; the last may have fewer."""
    hashes = "sender" in schema.names
    parts: list[Any] = []
    rows = 0
    with contextlib.closing(store.read_day(day)) as columns:
        for at, sender, _, *values in columns:
            found = [at, sender, *values] if hashes else [at, *values]
            arrays = [arrow.array(each, field.type) for each, field in zip(found, schema, strict=True)]
            parts.append(arrow.Table.from_arrays(arrays, schema=schema))
            rows += parts[-1].num_rows
            if rows >= ROWS_IN_A_GROUP:
                yield arrow.concat_tables(parts)
                parts, rows = [], 0
    if parts:
        yield arrow.concat_tables(parts)


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    _sync(file.parent)  # or a power failure could bring it back, after the store has dropped its note of it
    with contextlib.suppress(OSError):  # something of others is in it
        file.parent.rmdir()


def _sync(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _schema(arrow: Any, *, sender_hashes: bool) -> "pyarrow.Schema":
    """The columns of the store, each with its entry of the data dictionary; null where a sender left a field out."""
    types = {str: arrow.string(), int: arrow.int64(), bool: arrow.bool_()}
    moment = arrow.timestamp("us", tz="UTC")
    received = {"description": "When the collector received the ping.", "sensitivity": "operational"}
    sender = {"description": "Keyed hash of the address that sent the ping.", "sensitivity": "identifier"}
    return arrow.schema(
        [
            arrow.field("received_at", moment, nullable=False, metadata=received),
            *([arrow.field("sender", arrow.binary(), metadata=sender)] if sender_hashes else ()),
            *(arrow.field(column.name, types[column.field.type], metadata=_entry(column)) for column in COLUMNS),
        ],
        metadata={"written_by": f"ff-observe {VERSION}"},
    )


def _entry(column: Any) -> dict[str, str]:
    field = column.field
    purpose = {} if field.review is None else {"purpose": field.review.purpose}
    return {
        "field": field.dotted,
        "description": field.help,
        "origin": field.origin,
        **purpose,
        "sensitivity": field.sensitivity.value,
        "since": field.since,
    }


def is_deleted(directory: Path, file: Path) -> bool:
    """Whether the file of a day was deleted by hand: its own directory is empty or gone, and that of all days there."""
    try:
        return not any(file.parent.iterdir())
    except FileNotFoundError:
        return directory.is_dir()
    except OSError:  # it may be there, where this user may not look
        return False


def holds(file: Path, instance_id: str) -> bool | None:
    """Whether a file holds pings of an instance; None if it cannot be read here."""
    try:
        arrow = _library()
        import pyarrow.compute as compute

        with arrow.parquet.ParquetFile(file) as found:
            return any(
                compute.any(compute.equal(part.column(0), instance_id)).as_py()
                for part in found.iter_batches(columns=["instance_id"])
            )
    except (OSError, ValueError, FFObserveError):  # ValueError: it is no Parquet file
        return None
