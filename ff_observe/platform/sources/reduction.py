"""What is left out of the one statement, for a while, after it took longer than a reading may."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum, auto

from ff_observe.catalogue.model import Count
from ff_observe.catalogue.questions import Rows
from ff_observe.platform.sources import questions

log = logging.getLogger(__name__)

PAUSE = timedelta(minutes=10)
"""Until all is asked for again: a live FlowFuse must not wait for that at each reading."""
REASON = (
    "reading every count at once took longer than a reading may; "
    f"it is asked for again after {PAUSE // timedelta(minutes=1)} minutes"
)


class _Asked(Enum):
    ALL = auto()
    SMALL = auto()  # of large tables only how many rows they have
    ROWS = auto()  # of every table only how many rows it has: several times cheaper


class Reduction:
    """Of what a database is asked, and what its answers say about it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._asked = _Asked.ALL
        self._large: frozenset[str] = frozenset()
        self._small_took_too_long = False
        self._until: datetime | None = None
        self._complained = False

    @property
    def is_on(self) -> bool:
        """Whether anything is left out."""
        return self._asked is not _Asked.ALL

    def of(self, counts: Iterable[Count]) -> frozenset[str]:
        """The names of those that are left out now."""
        if self._asked is _Asked.ALL:
            return frozenset()
        others = (count for count in counts if not isinstance(count.of, Rows))
        return frozenset(count.name for count in others if self._asked is _Asked.ROWS or count.of.table in self._large)

    def begin(self, at: datetime) -> bool:
        """What was asked took too long. Returns whether there is less to ask for."""
        if self._asked is _Asked.ROWS:
            return False
        self._small_took_too_long = self._asked is _Asked.SMALL
        self._asked = _Asked.SMALL if self._asked is _Asked.ALL and self._large else _Asked.ROWS
        self._until = at + PAUSE
        if not self._complained:
            log.warning("%s: %s; until then, only what can be read in time is reported", self._where, REASON)
        self._complained = True
        return True

    def began(self, at: datetime) -> bool:
        """Whether it was in the reading of that moment that all took too long."""
        return self._until == at + PAUSE

    def end(self, at: datetime) -> bool:
        """Ask for all again where the pause is over. Returns whether that changes anything."""
        if self._until is None or at < self._until:
            return False
        self._asked, self._until = _Asked.ALL, None
        return True

    def learn(self, sizes: Mapping[str, int]) -> bool:
        """What was asked was answered in time; tables of which only rows were counted have these `sizes`. Returns
        whether more is asked for from now on.

        A database without a large table was slow for another reason, which may have gone.
        """
        if self._asked is _Asked.ALL and self._complained:
            log.info("%s: every count can be read in time again", self._where)
            self._complained, self._large = False, frozenset()
        if self._asked is not _Asked.ROWS:
            return False
        self._large = frozenset(table for table, size in sizes.items() if size > questions.MOST_GROUPED_ROWS)
        if self._small_took_too_long:
            return False
        self._asked = _Asked.SMALL if self._large else _Asked.ALL
        return True
