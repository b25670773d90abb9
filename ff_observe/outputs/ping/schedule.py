"""When a ping is due: pure functions of the present moment, the platform's id and the last ping.

Everything is computed in UTC, in which every day has 24 hours: a ping at a local time of day would come after 23 or 25
hours when daylight saving changes, and could come twice or not at all in that hour.
"""

import hashlib
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ff_observe.clock import Clock

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
