"""The present as several witnesses agree on it, so that a wrong clock neither deletes pings nor keeps them for ever.

The witnesses are the collector's clock, the database server's where there is one, and the days of the newest pings.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from ff_observe.collector.store.model import Ping
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""No ping is older than the first collector. A ping received while the clock was before this gets this date, until
upkeep corrects it."""
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Clock readings beyond this are ignored: later moments would exceed the calendar."""
SKEW = timedelta(hours=1)
"""How far the clocks of collectors may be apart. Anything received later than this was dated by a wrong clock."""
DAYS_AHEAD = 3
"""For how many coming days pings can be stored without asking the witnesses again. PostgreSQL creates their partitions
in advance, so that creating one never delays a ping."""
WITNESSES = 3
"""How many days of pings are needed: a clock that is wrong for less than a day dates pings on two days at most."""


@dataclass(frozen=True, slots=True)
class Present:
    """`earliest` has passed by every witness (None while pings of too few days are stored), `likely` is the date for
    new pings, and `future` is still to come by every witness."""

    earliest: datetime | None
    likely: datetime
    future: datetime

    def old(self, retention: timedelta) -> datetime | None:
        """Pings received before this are older than `retention` by every witness; None if that cannot be decided."""
        return None if self.earliest is None else self.earliest - retention

    def contradicts(self, clock: datetime) -> bool:
        """Whether it is far earlier than a clock says."""
        return self.earliest is not None and clock - self.earliest > timedelta(days=WITNESSES)

    def doubts(self, clock: datetime) -> bool:
        """Whether it is far earlier than a clock says, or may be."""
        return self.earliest is None or self.contradicts(clock)


def vouched_for(days: Sequence[date]) -> datetime | None:
    """The beginning of the day on which the newest days with pings agree, None if they are too few.

    The newest day counts only if it is close to the others: a clock ahead dates pings on a day far from them.
    """
    if len(days) < WITNESSES:
        return None
    newest = sorted(days, reverse=True)[:WITNESSES]
    return _beginning(max(day for day in newest if day - newest[-1] < timedelta(days=WITNESSES)))


def present(clocks: Sequence[datetime], days: Sequence[date]) -> Present:
    """The present by clocks and by the newest days that have pings (at least `WITNESSES` of them, if that many
    exist)."""
    said = [min(clock, LATEST) for clock in clocks]
    vouched = vouched_for(days)
    known = [_beginning(day) for day in days] if vouched is None else [vouched]
    future = max([*said, *(day + timedelta(days=1) for day in known)]) + SKEW
    if vouched is None:
        return Present(None, max(said), future)
    return Present(min([*said, vouched]), max([*said, vouched]), future)


def dated(received_at: datetime, vouched: datetime | None, server: datetime | None = None) -> datetime:
    """The date of a ping that has just arrived: the server's clock has precedence over the collector's, and the stored
    pings over a clock that is behind them."""
    at = received_at if server is None or abs(server - received_at) <= SKEW else server
    if not EARLIEST <= at <= LATEST:
        at = vouched or EARLIEST
    return at if vouched is None or vouched - at <= SKEW else vouched


def days_from(first: date) -> set[date]:
    """A day, and the following ones that are prepared with it."""
    return {first + timedelta(days=days) for days in range(DAYS_AHEAD + 1)}


def _beginning(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


class PingDater:
    """Dates the pings that a writer is about to store, and logs once when it has to correct the collector's clock.

    The witnesses are asked when a ping arrives on a day that they have not been asked about.
    """

    def __init__(self) -> None:
        self._state = StateLog(log)
        self._days: frozenset[date] = frozenset()

    def knows(self, pings: Iterable[Ping]) -> bool:
        """Whether the pings are of days for which the witnesses have been asked."""
        return all(ping.received_at.date() in self._days for ping in pings)

    def forget(self) -> None:
        """The store may have been replaced: ask again."""
        self._days = frozenset()

    def date(self, pings: Sequence[Ping], vouched: datetime | None, server: datetime | None = None) -> Sequence[Ping]:
        """The pings with the dates on which the witnesses agree."""
        right = [ping._replace(received_at=dated(ping.received_at, vouched, server)) for ping in pings]
        wrong = [ping for ping, other in zip(pings, right, strict=True) if ping.received_at != other.received_at]
        days = {ping.received_at.date() for ping in pings}
        self._days = frozenset() if wrong else frozenset(days | days_from(max(days)))
        if wrong:
            self._state.failing(
                f"the clock says {wrong[0].received_at:%Y-%m-%d %H:%M}, which "
                f"{'the stored pings' if server is None else 'PostgreSQL, or what it has stored,'} contradict; pings "
                "are not dated by it; set the clock"
            )
        else:
            self._state.working("the clock is right again")
        return right
