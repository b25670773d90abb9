"""Which copies of whole days are outside of the store, as Parquet files and in ClickHouse, and which are out of date.

A copy is announced, replaces the one before, and is confirmed. Whatever changes its day meanwhile, or later, stays
counted against it until a newer one is confirmed: also if the process ends in between.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any

Run = Callable[..., Sequence[tuple[Any, ...]]]
"""Runs a statement, with `?` for each value, and returns its rows. Both databases read these statements alike."""

TABLE = """CREATE TABLE {} day_copy (target TEXT NOT NULL, day TEXT NOT NULL, changes INTEGER NOT NULL,
PRIMARY KEY (target, day))"""


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of a day in a directory or a database (`target`). `stale` if the day has changed since, or the copy was
    never confirmed; `kept` if the store still has the day, and can make the copy anew."""

    target: str
    day: date
    stale: bool
    kept: bool


def mark(run: Run, day: str) -> None:
    """Pings of a day are changed, or deleted; for the transaction that does so."""
    run("UPDATE day_copy SET changes = changes + 1 WHERE day = ?", day)


class CopiedStore(ABC):
    """See `Store` for the methods."""

    @abstractmethod
    def _running(self, what: str) -> AbstractContextManager[Run]:
        """What runs statements until the block ends, each in a transaction of its own; `what` names the work in
        errors."""

    @abstractmethod
    def copying(self) -> AbstractContextManager[bool]:
        """See `Store`."""

    def kept_since(self) -> date:
        with self._running("read its state") as run:
            rows = run("SELECT CAST(pruned_before AS TEXT) FROM fleet_state")
        return date.fromisoformat(rows[0][0]) if rows and rows[0][0] else date.min

    def copies(self) -> Sequence[Copy]:
        first = self.kept_since()
        with self._running("read the list of copies") as run:
            rows = run("SELECT target, day, changes FROM day_copy ORDER BY target, day")
        days = [(target, date.fromisoformat(day), changes) for target, day, changes in rows]
        return [Copy(target, day, changes > 0, day >= first) for target, day, changes in days]

    def announce_copy(self, target: str, day: date) -> int:
        with self._running("note a copy") as run:
            key = (target, day.isoformat())
            run("INSERT INTO day_copy (target, day, changes) VALUES (?, ?, 1) ON CONFLICT DO NOTHING", *key)
            ((changes,),) = run("SELECT changes FROM day_copy WHERE target = ? AND day = ?", *key)
        return int(changes)

    def confirm_copy(self, target: str, day: date, changes: int) -> bool:
        with self._running("note a copy") as run:
            where = "WHERE target = ? AND day = ?"
            left = run(
                f"UPDATE day_copy SET changes = changes - ? {where} RETURNING changes",  # noqa: S608 - no value in it
                *(changes, target, day.isoformat()),
            )
        return left == [(0,)]

    def drop_copy(self, target: str, day: date) -> None:
        with self._running("note a copy") as run:
            run("DELETE FROM day_copy WHERE target = ? AND day = ?", target, day.isoformat())
