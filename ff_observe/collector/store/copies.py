"""Which copies of whole days are outside of the store, as Parquet files and in ClickHouse, and which are out of date.

A copy is announced, replaces the one before, and is confirmed. Whatever changes its day meanwhile, or later, stays
counted against it until a newer one is confirmed: also if the process ends in between.
"""

from collections.abc import Sequence
from datetime import date

from ff_observe.collector.store.model import Copy
from ff_observe.collector.store.sessions import Connection, Sessions
from ff_observe.collector.store.statements import pruned_before


class CopiedStore(Sessions[Connection]):
    """See `Store` for the methods."""

    def kept_since(self) -> date:
        with self._running("read its state") as run:
            return pruned_before(run)

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
