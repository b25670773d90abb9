"""A connection to the database of a store: what SQLite and PostgreSQL do differently, behind one interface."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from ff_observe.collector.store.model import Columns, Distribution, Pruned, Rollup
from ff_observe.collector.store.present import Present, present
from ff_observe.collector.store.rollups import Pruning

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """The way through the platforms of a store: in the order of `key`, which a platform keeps, from after `first` on.
    `known` is a condition on one value, `limit`, without which new platforms could keep a count from ending."""

    key: str
    first: object
    known: str
    limit: object


class Session(ABC):
    """A connection until its block ends."""

    last: ClassVar[str]
    """The query of the last ping of each platform from {day} to {next}: its `instance_id`, and what leads to the rest.
    """
    its_values: ClassVar[str] = ""
    """What `last` is joined with where its values are needed."""
    seen_before: ClassVar[str]
    """The query of `Sighting`s: those of the table `last`, with the pings before {day}, and since {since}."""
    unlocked: ClassVar[str] = ""
    """Ends a query for rows to change, of which it leaves out those that others are changing."""

    @abstractmethod
    def run(self, statement: str, *values: object) -> Sequence[Row]:
        """Run a statement that both databases read alike, with `?` for each value, and return its rows. Moments and
        days are texts. It is a transaction of its own unless one is open."""

    @abstractmethod
    def portions(self, statement: str, *values: object) -> Iterator[Sequence[Row]]:
        """The rows of such a statement, `READ_AT_ONCE` at a time."""

    @abstractmethod
    def as_columns(self, rows: Sequence[Row]) -> Columns:
        """The columns of such rows of pings."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[object]:
        """A transaction."""

    @abstractmethod
    def at_one_moment(self) -> AbstractContextManager[object]:
        """A transaction that reads as of one moment."""

    @abstractmethod
    def marking(self) -> AbstractContextManager[bool]:
        """Whether no other collector rolls up until the block ends."""

    @abstractmethod
    def newest_days(self) -> list[date]:
        """The newest days that have pings; a date from a clock far off is no witness."""

    @abstractmethod
    def pings_by_day(self, since: date, until: date) -> Mapping[date, int]:
        """How many pings each day from `since` to `until` has, those without any left out."""

    @abstractmethod
    def distributions(self, source: str) -> Mapping[int, Distribution]:
        """The values of every rolled-up field; `source` follows FROM."""

    @abstractmethod
    def walk(self, at: datetime) -> Walk:
        """The way through the platforms that are there at the present, `at`."""

    @abstractmethod
    def mark(self, day: date, *, erased: bool) -> None:
        """Have a day rolled up again unless it is pruned. `erased` if what it said before must not stay in files."""

    @abstractmethod
    def insert(self, rows: Iterable[Rollup]) -> None:
        """Insert roll-ups."""

    @abstractmethod
    def fold_day(self, day: date, today: date) -> bool:
        """Roll up a day. Whether it was done: not if another collector does so, the day was marked again, or its pings
        are deleted meanwhile."""

    @abstractmethod
    def has_pings_before(self, before: datetime) -> bool:
        """Whether there are pings to prune from before then. Those on the first day of all wait for their dates."""

    @abstractmethod
    def delete_pings(self, pruning: Pruning, end: datetime) -> Pruned:
        """Delete the oldest pings from before `end`, once nothing waits for them; says how many, which days are lost,
        and whether it is unfinished."""

    @abstractmethod
    def delete(self, table: str, condition: str, *values: object) -> None:
        """Delete rows for good, for no longer at once than a ping may wait."""

    @abstractmethod
    def note(self, tables: Iterable[str], days: Iterable[date] = ()) -> None:
        """At the end of a transaction: rows of these tables, and pings of these days, are to go from the files."""

    def clocks(self, now: datetime) -> list[datetime]:
        """The collector's own, which says `now`, and others."""
        return [now]

    def present(self, now: datetime) -> Present:
        """What the witnesses say."""
        return present(self.clocks(now), self.newest_days())

    def has_pings(self, day: date) -> bool:
        """In PostgreSQL it asks `ping`, not a partition that another collector may drop at any time."""
        query = "SELECT 1 FROM ping WHERE received_at >= ? AND received_at < ? LIMIT 1"
        return self.run(query, day.isoformat(), (day + timedelta(days=1)).isoformat()) != []
