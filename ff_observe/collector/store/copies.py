"""Which copies of whole days are outside of the store, as Parquet files, and what was deleted from it since.

A copy is announced, replaces the one before, and is confirmed. Whatever is deleted from its day meanwhile, or later,
stays counted against it until a newer one is confirmed: also if the process ends in between.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any

Run = Callable[..., Sequence[tuple[Any, ...]]]
"""Runs a statement, with `?` for each value, and returns its rows. Both databases read these statements alike."""

TABLE = """CREATE TABLE {} day_copy (target TEXT NOT NULL, day TEXT NOT NULL, erased INTEGER NOT NULL,
PRIMARY KEY (target, day))"""


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of a day in a directory (`target`). `erased` if something was deleted from the day since; `kept` if the
    store still has the day, and can make the copy anew."""

    target: str
    day: date
    erased: bool
    kept: bool


def erase(run: Run, days: Iterable[str]) -> None:
    """Pings of these days are deleted; for the transaction that does so. In order, so that two of them wait for each
    other, and never deadlock."""
    for day in sorted(set(days)):
        run("UPDATE day_copy SET erased = erased + 1 WHERE day = ?", day)


class CopiedStore(ABC):
    """See `Store` for the methods."""

    @abstractmethod
    def _running(self, what: str) -> AbstractContextManager[Run]:
        """What runs statements until the block ends, each in a transaction of its own; `what` names the work in
        errors."""

    def copies(self) -> Sequence[Copy]:
        with self._running("read the list of exports") as run:
            state = run("SELECT CAST(pruned_before AS TEXT) FROM fleet_state")
            first = state[0][0] if state else ""
            rows = run("SELECT target, day, erased FROM day_copy ORDER BY target, day")
        return [Copy(target, date.fromisoformat(day), erased > 0, day >= first) for target, day, erased in rows]

    def announce_copy(self, target: str, day: date) -> int:
        with self._running("note an export") as run:
            key = (target, day.isoformat())
            run("INSERT INTO day_copy (target, day, erased) VALUES (?, ?, 0) ON CONFLICT DO NOTHING", *key)
            ((erased,),) = run("SELECT erased FROM day_copy WHERE target = ? AND day = ?", *key)
        return int(erased)

    def confirm_copy(self, target: str, day: date, erased: int) -> bool:
        with self._running("note an export") as run:
            where = "WHERE target = ? AND day = ?"
            left = run(
                f"UPDATE day_copy SET erased = erased - ? {where} RETURNING erased",  # noqa: S608 - no value in it
                *(erased, target, day.isoformat()),
            )
        return left == [(0,)]

    def drop_copy(self, target: str, day: date) -> None:
        with self._running("note an export") as run:
            run("DELETE FROM day_copy WHERE target = ? AND day = ?", target, day.isoformat())
