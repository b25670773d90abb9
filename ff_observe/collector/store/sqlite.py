"""Pings in an embedded SQLite file: no setup, one collector."""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ff_observe.collector.store import sightings, sqlite_rollups, statements
from ff_observe.collector.store.batch import moment
from ff_observe.collector.store.columns import COLUMNS, NAMES, Column, restored, restored_row
from ff_observe.collector.store.copies import CopiedStore
from ff_observe.collector.store.folding import FoldingStore
from ff_observe.collector.store.model import (
    DAYS_PRUNED_AT_ONCE,
    READ_AT_ONCE,
    Columns,
    Count,
    Ping,
    Pruned,
    StoreError,
)
from ff_observe.collector.store.present import EARLIEST, Present, present
from ff_observe.collector.store.public import PublicStore
from ff_observe.collector.store.rollups import Pruning
from ff_observe.collector.store.sessions import Run
from ff_observe.collector.store.sqlite_schema import (
    clear_log,
    connect,
    failing_as,
    migrate,
    newest_days,
    transaction,
    why_never_usable,
)
from ff_observe.collector.store.sqlite_writer import SQLiteWriter
from ff_observe.errors import FFObserveError, Problem

log = logging.getLogger(__name__)

CLEARING_ATTEMPTS = 30
"""How many times `forget` tries to empty the write-ahead log, a second each time, while something reads the file."""
STEPS_BETWEEN_LOOKS = 100_000
"""A read checks whether it is interrupted after this many steps of SQLite's virtual machine, one or two milliseconds.
"""
PRUNED_AT_ONCE = 2000  # so that no ping waits long for the daily prune
PORTIONS = 20
"""One prune deletes so many portions: at 100 000 pings a day the rest of a day follows in minutes, not at once."""

_COLUMN_LIST = ", ".join(NAMES)
_FIRST_SEEN = "(SELECT first_seen FROM platform WHERE platform.instance_id = ping.instance_id)"

_MOMENTS = (("ping", "received_at"), ("platform", "first_seen"), ("platform", "last_seen"))
_OLDEST = "SELECT min(received_at) FROM ping WHERE received_at < ? AND received_at > ?"
_EARLIEST = moment(EARLIEST)


class SQLiteStore(PublicStore[sqlite3.Connection], FoldingStore[sqlite3.Connection], CopiedStore[sqlite3.Connection]):
    """A file of pings. Readers and the writer do not wait for each other (WAL)."""

    name = "sqlite"
    rolling_up = sqlite_rollups

    def __init__(self, path: Path, window: timedelta) -> None:
        super().__init__()
        self.path = path
        self._window = window
        self._made = threading.Event()
        self._interrupted = threading.Event()

    def writer(self) -> SQLiteWriter:
        return SQLiteWriter(self.path, self._window)

    @contextlib.contextmanager
    def _session(self, what: str) -> Iterator[sqlite3.Connection]:
        with failing_as(what, self.path), contextlib.closing(connect(self.path)) as connection:
            connection.set_progress_handler(self._interrupted.is_set, STEPS_BETWEEN_LOOKS)
            if not self._made.is_set():
                migrate(connection)
                self._made.set()
            yield connection

    def _run_by(self, connection: sqlite3.Connection) -> Run:
        return sqlite_rollups.run_by(connection)

    def _present(self, connection: sqlite3.Connection, now: datetime) -> Present:
        return present([now], newest_days(connection))

    def count(self, at: datetime, silent_after_days: int) -> Count:
        with self._session("count platforms") as connection:
            return sqlite_rollups.count(connection, at, silent_after_days, self._interrupted)

    def sample(self, at: datetime, days: int, silent_after_days: int) -> Count | None:
        with self._session("sample the fleet") as connection, sqlite_rollups.reading(connection):
            distributions = partial(sqlite_rollups.distributions, connection)
            return sightings.sample(self._run_by(connection), distributions, at, days, silent_after_days)

    def export(self, instance_id: str) -> Iterator[Ping]:
        query = f"SELECT received_at, sender, {_COLUMN_LIST} FROM ping WHERE instance_id = ? ORDER BY received_at"  # noqa: S608 - only names of our own columns
        with self._session("export") as connection:
            for at, sender, *values in connection.execute(query, (instance_id,)):
                hashed = None if sender is None else bytes.fromhex(sender)
                yield Ping.of(datetime.fromisoformat(at), hashed, restored_row(values))

    def pings_by_day(self, since: date, until: date) -> Mapping[date, int]:
        with self._session("count pings") as connection:
            found = sqlite_rollups.pings_by_day(connection, since.isoformat())
        return {day: pings for day, pings in found.items() if day <= until}

    def read_day(self, day: date) -> Generator[Columns, None, None]:
        query = (
            f"SELECT received_at, sender, {_FIRST_SEEN}, {_COLUMN_LIST} FROM ping "  # noqa: S608 - only names of our own columns
            "WHERE received_at >= ? AND received_at < ? "
            "ORDER BY received_at, instance_id"
        )
        with self._session("export") as connection:
            rows = connection.execute(query, (day.isoformat(), (day + timedelta(days=1)).isoformat()))
            while portion := rows.fetchmany(READ_AT_ONCE):
                at, sender, first_seen, *values = zip(*portion, strict=True)
                yield [
                    [datetime.fromisoformat(each) for each in at],
                    [None if each is None else bytes.fromhex(each) for each in sender],
                    [None if each is None else datetime.fromisoformat(each) for each in first_seen],
                    *(_restored(column, each) for column, each in zip(COLUMNS, values, strict=True)),
                ]

    @contextlib.contextmanager
    def copying(self) -> Iterator[bool]:
        yield True  # the file has one collector

    def forget(self, instance_id: str) -> int:
        with self._session("forget") as connection:
            with transaction(connection):
                sqlite_rollups.mark(connection, _days_of(connection, instance_id))
                connection.execute("DELETE FROM fleet_count")
                forgotten = connection.execute("DELETE FROM ping WHERE instance_id = ?", (instance_id,)).rowcount
                connection.execute("DELETE FROM platform WHERE instance_id = ?", (instance_id,))
                connection.execute("DELETE FROM recent WHERE instance_id = ?", (instance_id,))
                connection.execute("DELETE FROM fleet_seen WHERE instance_id = ?", (instance_id,))
            if not clear_log(connection, CLEARING_ATTEMPTS, self._interrupted):
                raise StoreError(
                    f"{forgotten} pings are deleted, but copies are left in {self.path}-wal, because something reads "
                    "the database all the time; end what has it open (a backup, a shell) and do it again until nothing "
                    "is stored; the collector's hourly upkeep removes the copies as well, once it can"
                )
        return forgotten

    def prune(self, now: datetime, retention: timedelta, rollups: timedelta = timedelta(days=36_500)) -> Pruned:
        with self._session("prune") as connection:
            found = self._present(connection, now)
            old = found.old(retention)
            doubtful = found.doubts(now) and _oldest(connection, now - retention) is not None
            if old is None:
                return Pruned(doubtful=doubtful)
            present_at, lost = old + retention, list[date]()
            pruning = Pruning(old, present_at.date())
            sqlite_rollups.mark_changed(connection, found)
            sqlite_rollups.wait(connection, pruning)
            run = self._run_by(connection)
            awaited = statements.awaited(run, pruning)
            end = pruning.end(awaited)
            begun = min(end, datetime.combine(statements.pruned_before(run), time(), UTC))
            if _oldest(connection, begun) is None:
                begun, lost = _begin(connection, pruning)
            pruned = _delete(connection, begun)
            if pruned == PORTIONS * PRUNED_AT_ONCE:
                return Pruned(pruned, more=True, doubtful=doubtful, unfinished=True, lost=tuple(lost))
            _delete_rows(connection, "platform", "last_seen < ? AND last_seen > ?", moment(end), _EARLIEST)
            counts_from = max(end, present_at - timedelta(days=sightings.DAYS + 1)).date()
            _delete_rows(connection, "fleet_seen", "day < ?", counts_from.toordinal())
            connection.execute("DELETE FROM fleet_day WHERE day < ?", ((present_at.date() - rollups).isoformat(),))
            more = _oldest(connection, old) is not None
        return Pruned(pruned, more, doubtful, awaited=awaited if more else None, lost=tuple(lost))

    def tidy(self, now: datetime) -> None:
        with self._session("tidy up") as connection:
            found = self._present(connection, now)
            future, likely = moment(found.future), moment(found.likely)
            past = _EARLIEST if now > EARLIEST else ""
            connection.execute("DELETE FROM recent WHERE until < ? OR received_at > ?", (moment(now), future))
            wrong = [f"FROM {table} WHERE {column} > ? OR {column} <= ?" for table, column in _MOMENTS]
            if any(connection.execute(f"SELECT 1 {each} LIMIT 1", (future, past)).fetchone() for each in wrong):
                with transaction(connection):  # usually none is, and nothing is written
                    _date_anew(connection, future, past, likely)
            if not clear_log(connection, 1, self._interrupted):
                log.info("copies of what was deleted stay in %s-wal until no reader holds it", self.path)

    def interrupt(self) -> None:
        self._interrupted.set()


def _begin(connection: sqlite3.Connection, pruning: Pruning) -> tuple[datetime, list[date]]:
    """Seal the oldest days with old pings that nothing waits for; returns the moment before which they are, and the
    days that are lost with them."""
    with transaction(connection):
        ripe, end = pruning.end(statements.awaited(sqlite_rollups.run_by(connection), pruning)), EARLIEST
        for _ in range(DAYS_PRUNED_AT_ONCE):
            query = "SELECT min(received_at) FROM ping WHERE received_at < ? AND received_at > ? AND received_at >= ?"
            (oldest,) = connection.execute(query, (moment(ripe), _EARLIEST, moment(end))).fetchone()
            if oldest is None:
                break
            end = datetime.combine(datetime.fromisoformat(oldest).date() + timedelta(days=1), time(), UTC)
        begun = min(ripe, end)
        return begun, sqlite_rollups.seal(connection, begun) if end > EARLIEST else []


def _delete(connection: sqlite3.Connection, before: datetime) -> int:
    """Delete pings in portions, so that others are stored in between, and so many portions at most."""
    pruned = 0
    for _ in range(PORTIONS):
        deleted = connection.execute(
            "DELETE FROM ping WHERE rowid IN "
            "(SELECT rowid FROM ping WHERE received_at < ? AND received_at > ? LIMIT ?)",
            (moment(before), _EARLIEST, PRUNED_AT_ONCE),
        ).rowcount
        pruned += deleted
        if deleted < PRUNED_AT_ONCE:
            break
    return pruned


def _delete_rows(connection: sqlite3.Connection, table: str, condition: str, *values: str | int) -> None:
    """Delete rows in portions: a DELETE locks the file against pings while it searches, and no index leads it to
    them."""
    (newest,) = connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()  # noqa: S608 - our own names
    for first in range(1, newest + 1, PRUNED_AT_ONCE):
        connection.execute(
            f"DELETE FROM {table} WHERE rowid BETWEEN ? AND ? AND {condition}",  # noqa: S608 - our own conditions
            (first, first + PRUNED_AT_ONCE - 1, *values),
        )


def _date_anew(connection: sqlite3.Connection, future: str, past: str, likely: str) -> None:
    """Every day on which one of these platforms pinged says something else now: which of its pings came before."""
    wrong = " UNION ".join(
        f"SELECT instance_id FROM {table} WHERE {column} > :future OR {column} <= :past"  # noqa: S608 - our own names
        for table, column in _MOMENTS
    )
    limits = {"future": future, "past": past, "likely": likely}
    days = connection.execute(
        f"SELECT DISTINCT substr(received_at, 1, 10) FROM ping WHERE instance_id IN ({wrong})",  # noqa: S608 - our own names
        limits,
    )
    sqlite_rollups.mark(connection, [*(day for (day,) in days.fetchall()), likely[:10]])
    connection.execute(f"DELETE FROM fleet_seen WHERE instance_id IN ({wrong})", limits)  # noqa: S608 - our own names
    for table, column in _MOMENTS:
        update = f"UPDATE {table} SET {column} = {_RIGHT[column]} WHERE {column} > :future OR {column} <= :past"  # noqa: S608 - our own names
        connection.execute(update, limits)


_RIGHT = {
    "received_at": ":likely",
    "first_seen": "coalesce((SELECT min(received_at) FROM ping WHERE instance_id = platform.instance_id), :likely)",
    "last_seen": ":likely",
}


def _restored(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    return [restored(column, value) for value in values] if column.field.type is bool else values


def _days_of(connection: sqlite3.Connection, instance_id: str) -> list[str]:
    query = "SELECT DISTINCT substr(received_at, 1, 10) FROM ping WHERE instance_id = ?"
    return [day for (day,) in connection.execute(query, (instance_id,)).fetchall()]


def _oldest(connection: sqlite3.Connection, before: datetime) -> datetime | None:
    """When the oldest ping that was received before then was received."""
    (oldest,) = connection.execute(_OLDEST, (moment(before), _EARLIEST)).fetchone()
    return None if oldest is None else datetime.fromisoformat(oldest)


def open_sqlite(path: Path, window: timedelta, named_in: str, key: str = "data_dir") -> SQLiteStore:
    """The store in the file at `path`, created if missing, as the setting `key` says. Raises `FFObserveError` if it
    cannot be used now nor later; a database that is busy, full or read-only is opened."""
    option = f"--{key.replace('_', '-')}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        message = f"cannot make the directory {path.parent} ({error.strerror}); choose another with {option}"
        raise FFObserveError(str(Problem(named_in, 0, 0, key, message))) from None
    if (why := why_never_usable(path)) is not None:
        raise StoreError(f"SQLite database {path}: {why}; check {option}")
    return SQLiteStore(path, window)
