"""When a ping is due: pure functions of the present moment and of what was drawn at the start.

All of it is reckoned in UTC, in which every day has 24 hours: a ping at a local time of day would come after 23 or 25
hours when daylight saving changes, and could come twice or not at all in the hour that does.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FIRST_AFTER_SECONDS = 30.0
DAY = timedelta(days=1)
MAX_ATTEMPTS = 10  # for one ping; with the delays below the last is made up to 8.5 h after the first
BACKOFF_SECONDS = 60.0  # the longest first delay; it doubles with each attempt
MIN_DELAY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DailySchedule:
    """Every day at `time_of_day`, counted from midnight UTC."""

    time_of_day: timedelta

    @classmethod
    def draw(cls, chance: random.Random) -> "DailySchedule":
        """At a random second of the day, so that the platforms of the world do not all call at once."""
        return cls(timedelta(seconds=int(chance.random() * DAY.total_seconds())))

    def next_after(self, moment: datetime) -> datetime:
        """The first due moment later than `moment`. However many days went by, they make one ping, not several."""
        utc = moment.astimezone(UTC)
        today = utc.replace(hour=0, minute=0, second=0, microsecond=0) + self.time_of_day
        return today if today > utc else today + DAY

    def corrected(self, due: datetime, now: datetime) -> datetime:
        """`due`, unless the wall clock has been put back so far that it lies in a wrong future.

        Put back by less than a day, the clock passes the moment of the last ping again, and `due` stands: no second
        ping on the same day. A `due` two days off or more can only come from a clock that was wrong by more than that
        (a machine without a battery that started in another year): then the present decides.
        """
        return due if due - now <= 2 * DAY else self.next_after(now)


def retry_delay(attempts: int, retry_after_seconds: float | None, chance: random.Random) -> float | None:
    """Seconds to wait after `attempts` failed ones, or None to give up until the next ping is due.

    Exponential backoff with full jitter (any delay up to the limit is as likely, so that senders that failed together
    do not return together), on top of what the receiver asked for in `Retry-After`.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    jitter = chance.uniform(0, BACKOFF_SECONDS * 2 ** (attempts - 1))
    return max(MIN_DELAY_SECONDS, (retry_after_seconds or 0.0) + jitter)
