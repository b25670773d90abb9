"""The methods of a store for roll-ups and counts: which days are rolled up next, over the statements of its database.

Each day has a session of its own: what fails there, for whatever reason, keeps no other day from being rolled up.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Protocol, TypeVar

from ff_observe.collector.store import counting, statements
from ff_observe.collector.store.model import Count, Folded, Rollup, StoreError
from ff_observe.collector.store.present import Present
from ff_observe.collector.store.sessions import Connection, Sessions
from ff_observe.ping_contract import Value

Used = TypeVar("Used", contravariant=True)


class Statements(Protocol[Used]):
    """A module of one database's statements: `postgresql_rollups` or `sqlite_rollups`."""

    def mark_changed(self, connection: Used, found: Present, /) -> None: ...
    def fold_day(self, connection: Used, day: date, today: date, /) -> bool: ...
    def crosstab(
        self, connection: Used, day: date, first: int, second: int, /
    ) -> Sequence[tuple[Value | None, Value | None, int]]: ...


class FoldingStore(Sessions[Connection]):
    """See `Store` for the methods."""

    rolling_up: Statements[Connection]

    def __init__(self) -> None:
        self._failed: dict[date, str] = {}
        """Why days could not be rolled up, the one that was tried longest ago first."""

    def fold(self, at: datetime, most: int) -> Folded:
        with self._session("roll up") as connection:
            found = self._present(connection, at)
            self.rolling_up.mark_changed(connection, found)
            due = statements.due(self._run_by(connection))
        days = [self._fold_day(day, found.likely.date()) for day in at_once(due, most, self._failed)]
        with self._running("roll up") as run:
            due = statements.due(run)
        self._failed = {day: why for day, why in self._failed.items() if day in due}
        return Folded(sum(days), due, dict(self._failed))

    def _fold_day(self, day: date, today: date) -> bool:
        self._failed.pop(day, None)
        try:
            with self._session(f"roll up {day}") as connection:
                return self.rolling_up.fold_day(connection, day, today)
        except StoreError as error:
            self._failed[day] = str(error)
            return False

    def rollups(self, since: date, until: date, fields: Sequence[str]) -> Sequence[Rollup]:
        with self._running("read roll-ups") as run:
            return statements.select(run, since, until, fields)

    def last_count(self) -> Count | None:
        with self._running("read the last count") as run:
            return counting.last(run)

    def crosstab(self, day: date, first: int, second: int) -> Sequence[tuple[Value | None, Value | None, int]]:
        with self._session("read a day") as connection:
            return self.rolling_up.crosstab(connection, day, first, second)


def at_once(due: Sequence[date], most: int, failed: Iterable[date]) -> Sequence[date]:
    """The days to roll up next, of those that are due in ascending order: the newest, because it is asked for most, and
    the oldest. Until the first day that differs is rolled up, all days after it are marked again. Of days that failed,
    the first is tried again, after the others."""
    again = [day for day in failed if day in due][:1]
    others = [day for day in due if day not in set(failed)]
    places = max(1, most - len(again))
    if len(others) > places:
        others = [*others[: max(1, places - 1)], *others[-1:]][:places]
    return [*others, *again]
