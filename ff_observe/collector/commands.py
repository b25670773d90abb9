"""The work of `ff-observe collector`, called by the command line: nothing here prints or exits."""

import gc
import json
import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol

from ff_observe.catalogue.ping_contract import Value
from ff_observe.collector import parquet, release_log
from ff_observe.collector.fleet.daily import Rollups
from ff_observe.collector.keys import shared
from ff_observe.collector.keys.receipts import Receipts
from ff_observe.collector.parquet import ExportedFile
from ff_observe.collector.settings import PREVIOUS_WRAPPING_COMMAND, PREVIOUS_WRAPPING_KEY_FILE, CollectorSettings
from ff_observe.collector.settings_kinds import ClickHouse
from ff_observe.collector.store import Store, StoreError
from ff_observe.collector.store.opening import open_store
from ff_observe.errors import ConfigurationError, Problem, UsageError
from ff_observe.transparency.notes import NoteError, VerifierKey


def prepare_process() -> None:
    """Set up a process that runs only a collector: no core dumps, which would hold addresses; files readable by their
    owner alone; as many connections as the system allows; and a less frequent garbage collection (requests leave no
    cycles)."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def public_key(settings: CollectorSettings, *, make: bool, of_releases: bool = False) -> str:
    """The public key of the receipts, or of the releases. A missing key is an error unless it is to be made: with a
    mistyped path, a new one would be printed, which signs nothing. Raises `ConfigurationError`."""
    receipts = Receipts.of(settings)
    receipts.open(make=make)
    return str(receipts.releases_key.verifier) if of_releases else receipts.public_key


def rewrap(settings: CollectorSettings) -> Iterator[shared.Rewrapped]:
    """Wrap the keys in the database by the wrapping that the settings name instead of the previous one, which they name
    too. Raises `ConfigurationError` or `StoreError`; repeated, it does what is left."""
    if settings.previous_wrapping_key_file is None and not settings.previous_wrapping_command:
        message = f"name here what wraps the keys until now, or in {PREVIOUS_WRAPPING_COMMAND.path}"
        raise ConfigurationError((Problem(settings.named_in, 0, 0, PREVIOUS_WRAPPING_KEY_FILE.path, message),))
    is_empty = True
    for key in shared.rewrap(*shared.keys_in_database(settings)):
        is_empty = False
        yield key
    if is_empty:
        raise StoreError("this database keeps no keys, so none is wrapped anew; is it the collectors' database?")


def verify(keys: Sequence[str], files: Sequence[Path]) -> list[str]:
    """See `release_log.verify`. Raises `UsageError` for a key that is none."""
    try:
        known = [VerifierKey.parse(key) for key in keys]
    except NoteError as error:
        raise UsageError(f"--key: {error}") from None
    return release_log.verify(files, known)


def export_days(
    settings: CollectorSettings, directory: Path, since: date | None, today: date, *, sender_hashes: bool
) -> Iterator[ExportedFile]:
    """Export the days that are over as Parquet, from `since` on. Raises `StoreError`, or `FFObserveError` for files."""
    yesterday = today - timedelta(days=1)
    yield from parquet.export_days(
        existing_store(settings), directory, since or date.min, yesterday, sender_hashes=sender_hashes
    )


def export(settings: CollectorSettings, instance_id: str) -> Iterator[str]:
    """Everything stored of an instance, oldest first, each ping as a line of JSON: when it was received, the hash of
    the sender's address (hexadecimal or null), and its content. Raises `StoreError`."""
    for ping in existing_store(settings).export(instance_id):
        received_at = ping.received_at.isoformat(timespec="microseconds")
        sender = None if ping.sender is None else ping.sender.hex()
        exported = {"received_at": received_at, "sender": sender, "ping": ping.document()}
        yield json.dumps(exported, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many pings were deleted; which exported files may hold pings that are deleted, of days that can be exported
    again (`stale`) and of days whose pings are deleted by age (`old`); and the directories whose files of old days
    cannot be read here."""

    pings: int
    stale: Sequence[Path]
    old: Sequence[Path]
    unread: Sequence[Path]


def forget(settings: CollectorSettings, instance_id: str) -> Forgotten:
    """Delete everything stored of an instance, in ClickHouse too, and find what was exported of it. Raises
    `StoreError`."""
    store = existing_store(settings)
    pings = store.forget(instance_id)
    if settings.fleet_analytics is not None:
        pings = max(pings, _forget_in_clickhouse(settings.fleet_analytics, settings.retention, instance_id, pings))
    stale: list[Path] = []
    old: list[Path] = []
    unread: set[Path] = set()
    for copy in store.copies():
        directory = Path(copy.target)
        if not directory.is_absolute():
            continue  # it is a database
        file = parquet.file_of(directory, copy.day)
        if parquet.is_deleted(directory, file):
            store.drop_copy(copy.target, copy.day)
        elif copy.kept:
            stale += [file] if copy.stale else []
        elif (holds := parquet.holds(file, instance_id)) is None:
            unread.add(directory)
        elif holds:
            old.append(file)
    return Forgotten(pings, stale, old, sorted(unread))


def _forget_in_clickhouse(database: ClickHouse, retention: timedelta, instance_id: str, pings: int) -> int:
    from ff_observe.collector.clickhouse.sink import Sink

    try:
        return Sink(database, retention).forget(instance_id)
    except StoreError as error:
        raise StoreError(f"{pings} pings are deleted, but not in ClickHouse: {error}; do it again") from None


class FleetStore(Rollups, Protocol):
    """What answers the questions of `ff-observe fleet`; see `Store`."""

    def crosstab(self, day: date, first: int, second: int) -> Sequence[tuple[Value | None, Value | None, int]]: ...


def store_of_fleet(settings: CollectorSettings) -> FleetStore:
    """What `ff-observe fleet` reads: ClickHouse or a replica, if the settings name one."""
    if settings.fleet_analytics is not None:
        from ff_observe.collector.clickhouse.engine import ClickHouseEngine

        return ClickHouseEngine(settings.fleet_analytics)
    return store_of_rollups(settings)


def store_of_rollups(settings: CollectorSettings) -> Store:
    """Where the collector's own roll-ups are read: they alone know of senders."""
    if settings.fleet_database is None:
        return existing_store(settings)
    return open_store(replace(settings, database=settings.fleet_database))


def existing_store(settings: CollectorSettings) -> Store:
    """A missing file is an error: with a mistyped path, "nothing is stored" would be a false answer."""
    if (file := settings.database_file) is not None:
        try:
            file.stat()
        except (FileNotFoundError, NotADirectoryError):
            where = "say where the pings are with --settings, --database or --data-dir"
            raise StoreError(f"there is no {file}; {where}") from None
        except OSError:  # this user may not look: opening it says so
            pass
    return open_store(settings)
