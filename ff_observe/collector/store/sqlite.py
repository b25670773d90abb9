"""Pings in an embedded SQLite file: no setup, one collector."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

from ff_observe.collector.store.model import StoreError
from ff_observe.collector.store.sqlite_schema import clear_log, connect, failing_as, migrate, why_never_usable
from ff_observe.collector.store.sqlite_session import SQLiteSession
from ff_observe.collector.store.sqlite_writer import SQLiteWriter
from ff_observe.collector.store.store import Store
from ff_observe.errors import FFObserveError, Problem

log = logging.getLogger(__name__)

CLEARING_ATTEMPTS = 30
"""How many times `forget` tries to empty the write-ahead log, a second each time, while something reads the file."""
STEPS_BETWEEN_LOOKS = 100_000
"""A read checks whether it is interrupted after this many steps of SQLite's virtual machine, one or two milliseconds.
"""


class SQLiteStore(Store):
    """A file of pings. Readers and the writer do not wait for each other (WAL)."""

    name = "sqlite"

    def __init__(self, path: Path, window: timedelta) -> None:
        super().__init__()
        self.path = path
        self._window = window
        self._made = threading.Event()

    def writer(self) -> SQLiteWriter:
        return SQLiteWriter(self.path, self._window)

    @contextlib.contextmanager
    def _session(self, what: str) -> Iterator[SQLiteSession]:
        with failing_as(what, self.path), contextlib.closing(connect(self.path)) as connection:
            connection.set_progress_handler(self._interrupted.is_set, STEPS_BETWEEN_LOOKS)
            if not self._made.is_set():
                migrate(connection)
                self._made.set()
            yield SQLiteSession(connection)

    def _alone(self, what: str, lock: int) -> AbstractContextManager[bool]:
        return contextlib.nullcontext(True)

    def _clear(self) -> str:
        with self._session("forget") as session:
            if clear_log(session.connection, CLEARING_ATTEMPTS, self._interrupted):
                return ""
        return (
            f"{self.path}-wal, because something reads the database all the time; end what has it open (a backup, a "
            "shell) and do it again until nothing is stored; the collector's hourly upkeep removes the copies as well, "
            "once it can"
        )

    def tidy(self, now: datetime) -> None:
        with self._session("tidy up") as session:
            self._correct(session, session.present(now), now)
            if not clear_log(session.connection, 1, self._interrupted):
                log.info("copies of what was deleted stay in %s-wal until no reader holds it", self.path)

    def interrupt(self) -> None:
        self._interrupted.set()


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
