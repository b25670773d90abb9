"""When a ping is due, and the agenda of the ping thread: the daily ping, retries and checks of consent as one state.

Everything is computed in UTC, in which every day has 24 hours: a ping at a local time of day would come after 23 or 25
hours when daylight saving changes, and could come twice or not at all in that hour. Days are days of the wall clock,
and the time of the last ping is recomputed at each look (`Moment.by`), so that a clock that jumps causes no second
ping; retries use monotonic time. Nothing here waits or sends: the thread reports what happened.
"""

import hashlib
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ff_observe.system.clock import Clock

FIRST_PING_SECONDS = 30.0  # from the start of the bridge to a platform's first ping
DAY = timedelta(days=1)
MAX_ATTEMPTS = 10  # for one ping; with the delays below the last attempt is at most 8.5 h after the first
BACKOFF_SECONDS = 60.0  # the longest first delay; it doubles with each attempt
MIN_DELAY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on two clocks: the wall clock, and the seconds since the machine started (`boot`), which cannot be
    set."""

    wall: datetime
    boot: str
    since_boot: float

    @classmethod
    def present(cls, clock: Clock, age_seconds: float = 0.0) -> "Moment":
        """The moment `age_seconds` ago."""
        return cls(clock.now() - timedelta(seconds=age_seconds), clock.boot, clock.since_boot() - age_seconds)

    def by(self, clock: Clock) -> datetime:
        """The moment on the wall clock as it is set now: its own reading counts only after a restart of the machine,
        and a moment in the future becomes the present."""
        now = clock.now()
        if self.boot and self.boot == clock.boot:
            return now - timedelta(seconds=max(0.0, clock.since_boot() - self.since_boot))
        return min(self.wall, now)


@dataclass(frozen=True, slots=True)
class DailySchedule:
    """Once a day (UTC), from `time_of_day` on, counted from midnight."""

    time_of_day: timedelta

    @classmethod
    def of_platform(cls, instance_id: str) -> "DailySchedule":
        """At a pseudo-random second of the day, so that the world's platforms do not all call at once, which is the
        same for every bridge of a platform and after each restart."""
        digest = hashlib.sha256(b"time of the daily ping\0" + instance_id.encode()).digest()
        return cls(timedelta(seconds=int.from_bytes(digest[:8], "big") % int(DAY.total_seconds())))

    def on_the_day_of(self, moment: datetime) -> datetime:
        """When the ping of that day is due."""
        return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + self.time_of_day

    def last_before(self, moment: datetime) -> datetime:
        """The last due moment that is not later than `moment`."""
        return self.next_after(moment) - DAY

    def next_after(self, moment: datetime) -> datetime:
        """The first due moment later than `moment`."""
        due = self.on_the_day_of(moment)
        return due if due > moment else due + DAY

    def owes(self, now: datetime, last: datetime) -> bool:
        """Whether the ping of today is due and still to be sent, if `last` (on the same clock) was the last one.
        Several missed days make one ping, not several."""
        return now >= self.on_the_day_of(now) and last.astimezone(UTC).date() < now.astimezone(UTC).date()


def retry_delay(attempts: int, retry_after_seconds: float | None, chance: random.Random) -> float | None:
    """Seconds to wait after `attempts` failed attempts, or None to give up until the next ping is due.

    Exponential backoff with full jitter (any delay up to the limit is equally likely, so that senders that failed
    together do not return together), in addition to the receiver's `Retry-After`.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    jitter = chance.uniform(0, BACKOFF_SECONDS * 2 ** (attempts - 1))
    return max(MIN_DELAY_SECONDS, (retry_after_seconds or 0.0) + jitter)


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
        self.assumed = assumed
        self.others: Moment | None = None
        self._before: Moment | None = None
        self._ping = self._owed_ping()
        self._begun = 0  # attempts to send it
        self._not_before = not_before
        self._ask_at = not_before  # monotonic: when to check whether it may be sent, and to send it

    @property
    def last(self) -> Moment | None:
        own = None if self.assumed and self.others is not None else self.own
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
            self._begun, self._ask_at = 0, max(self._not_before, self._clock.monotonic())
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
        self._before, self.own, self.assumed = self.last, Moment.present(self._clock), False
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

    def review(self) -> None:
        """Check consent soon, as another bridge may be the one to send; what is owed keeps its time."""
        if not self.owed:
            self._ask_at = max(self._not_before, self._clock.monotonic())

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
