"""The ping thread's work and its timing: the daily ping, retries and checks of consent as one state.

Days are days of the wall clock, and the time of the last ping is recomputed at each look (`Moment.by`), so that a clock
that jumps causes no second ping; retries use monotonic time. Nothing here waits or sends: the thread reports what
happened.
"""

import random
from datetime import date, datetime, timedelta

from ff_observe.clock import Clock
from ff_observe.outputs.ping.schedule import DAY, DailySchedule, Moment, retry_delay

LOOK_SECONDS = 900.0  # the longest time after a suspend or a clock adjustment until the schedule is checked again
NOT_READY_SECONDS = 60.0  # until a platform without a database or without completed setup is asked again
REVIEW_SECONDS = 3600.0  # between checks of consent: while it is refused, and while no ping is due
MIN_WAIT_SECONDS = 0.001
FIRST = "first"  # a platform's first ping


class Agenda:
    """One ping is owed each day, from the platform's time of day on.

    `own` is this bridge's last ping that needs no other: delivered, refused for good, or in progress when its sender
    died; `others` the last one of the platform's other bridges. If both are None there never was one, and it is owed
    now. If `own` is only `assumed`, the others' knowledge counts.
    """

    def __init__(
        self,
        schedule: DailySchedule,
        own: Moment | None,
        clock: Clock,
        chance: random.Random,
        *,
        assumed: bool = False,
        not_before: float = float("-inf"),
    ) -> None:
        self._schedule = schedule
        self._clock = clock
        self._chance = chance
        self.own = own
        self._assumed = assumed
        self.others: Moment | None = None
        self._before: Moment | None = None
        self._ping = self._owed_ping()
        self._begun = 0  # attempts to send it
        self._not_before = not_before
        self._ask_at = not_before  # monotonic: when to check whether it may be sent, and to send it

    @property
    def last(self) -> Moment | None:
        """The last ping of the platform."""
        own = None if self._assumed and self.others is not None else self.own
        known = [moment for moment in (own, self.others) if moment is not None]
        return max(known, key=lambda moment: moment.by(self._clock), default=None)

    @property
    def owed(self) -> bool:
        """Whether a ping is due and still to be sent."""
        last = self.last
        return last is None or self._schedule.owes(self._clock.now(), last.by(self._clock))

    def look(self) -> bool:
        """Whether it is time to ask the platform: for an owed ping, or to check consent."""
        ping = self._owed_ping()
        if ping is not None and ping != self._ping:
            self._begun, self._ask_at = 0, max(self._not_before, min(self._ask_at, self._clock.monotonic()))
        self._ping = ping
        return self._clock.monotonic() >= self._ask_at

    def refused(self, *, ready: bool) -> None:
        """It may not be sent now. With `ready` the platform itself said so, and will not often change its mind."""
        self._begun = 0
        self._ask_at = self._clock.monotonic() + (REVIEW_SECONDS if ready else NOT_READY_SECONDS)

    def begin(self) -> None:
        """Begin an attempt. Until `retry` it counts as the ping of today: if this process ends before it knows the
        outcome, no other may send a second one."""
        self._begun += 1
        self._before, self.own, self._assumed = self.last, Moment.present(self._clock), False
        self._ask_at = self._clock.monotonic() + REVIEW_SECONDS

    def retry(self, retry_after_seconds: float | None) -> bool:
        """The attempt failed: try again later, or not at all if that would be after the next ping is due, or after
        the day that it is owed for. Returns whether it will be tried again."""
        delay = retry_delay(self._begun, retry_after_seconds, self._chance)
        if delay is None:
            return False
        again = self._clock.now() + timedelta(seconds=delay)
        if again >= self._next_due() or (isinstance(self._ping, date) and again.date() > self._ping):
            return False
        self.own = self._before
        self._ask_at = self._clock.monotonic() + delay
        return True

    def ask_after(self, seconds: float = REVIEW_SECONDS) -> None:
        """Ask again then: another bridge has to agree first, or nothing is owed and consent was checked."""
        self._ask_at = self._clock.monotonic() + seconds

    def wait(self) -> float:
        """Seconds until the next look; never long, since a waiting thread does not notice a clock that jumps."""
        until_due = (self._next_due() - self._clock.now()).total_seconds()
        return max(MIN_WAIT_SECONDS, min(LOOK_SECONDS, until_due, self._ask_at - self._clock.monotonic()))

    def next_ping(self) -> datetime:
        """When the next attempt is made, if consent is given."""
        if not self.owed:
            return self._next_due()
        return self._clock.now() + timedelta(seconds=max(0.0, self._ask_at - self._clock.monotonic()))

    def _owed_ping(self) -> date | str | None:
        """The ping that is owed: that of a day, or the platform's first."""
        if not self.owed:
            return None
        # The first ping of a platform belongs to no day: its retries continue past midnight.
        return FIRST if self.last is None else self._clock.now().date()

    def _next_due(self) -> datetime:
        """When the ping after the owed one, or after the last, is due."""
        now = self._clock.now()
        today = self._schedule.on_the_day_of(now)
        is_done = (last := self.last) is not None and last.by(self._clock).date() >= now.date()
        return today + DAY if is_done or now >= today else today
