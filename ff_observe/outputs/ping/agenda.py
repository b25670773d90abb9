"""What the ping thread has to do and when: the daily schedule, retries and questions about consent as one state.

Daily moments are wall time (the schedule must survive suspends and clock adjustments); retries are monotonic time.
It neither waits nor sends: it is told the time and what happened.
"""

import random
from datetime import datetime, timedelta

from ff_observe.outputs.ping.schedule import DailySchedule, retry_delay

LOOK_SECONDS = 900.0  # at most this long after a suspend or a clock adjustment the schedule is looked at again
NOT_READY_SECONDS = 60.0  # until a platform without a database or without completed set-up is asked again
REVIEW_SECONDS = 3600.0  # until consent is asked for again: while it is refused, and while no ping is due
MIN_WAIT_SECONDS = 0.001


class Agenda:
    """Begins with one ping owed, the first. A ping stays owed until it is settled or the next takes its place."""

    def __init__(self, now: datetime, chance: random.Random) -> None:
        self._chance = chance
        self.schedule = DailySchedule.draw(chance)
        self.due = self.schedule.next_after(now)
        self.owed = True
        self._begun = 0  # attempts to send the owed ping
        self._ask_at = float("-inf")  # monotonic: when to ask whether the owed ping may be sent, and to send it

    def look(self, now: datetime, monotonic: float) -> bool:
        """Whether it is time to ask the platform: for an owed ping, or for a review of consent."""
        self.due = self.schedule.corrected(self.due, now)
        if now >= self.due:
            self.due = self.schedule.next_after(now)
            self.owed, self._begun = True, 0
            self._ask_at = monotonic
        return monotonic >= self._ask_at

    def refused(self, monotonic: float, *, ready: bool) -> None:
        """It may not be sent now. `ready`: the platform could say so itself, and it will not often change its mind."""
        self._begun = 0
        self._ask_at = monotonic + (REVIEW_SECONDS if ready else NOT_READY_SECONDS)

    def begin(self, now: datetime, monotonic: float) -> None:
        """An attempt begins. It counts as failed until `settled` says otherwise, so that nothing that breaks on the
        way can lead to one attempt after the other."""
        self._begun += 1
        self.retry(now, monotonic, None)

    def retry(self, now: datetime, monotonic: float, retry_after_seconds: float | None) -> None:
        """The attempt failed: try again later, or not at all if that would be after the next ping is due."""
        delay = retry_delay(self._begun, retry_after_seconds, self._chance)
        if delay is None or now + timedelta(seconds=delay) >= self.due:
            self.settled(monotonic)
        else:
            self._ask_at = monotonic + delay

    def settled(self, monotonic: float) -> None:
        """Nothing is owed until the next ping is due: this one was delivered, refused for good, or reviewed only."""
        self.owed = False
        self._ask_at = monotonic + REVIEW_SECONDS

    def wait(self, now: datetime, monotonic: float) -> float:
        """Seconds until the next look; never long, since a waiting thread does not notice a clock that jumps."""
        until_due = (self.due - now).total_seconds()
        return max(MIN_WAIT_SECONDS, min(LOOK_SECONDS, until_due, self._ask_at - monotonic))

    def next_ping(self, now: datetime, monotonic: float) -> datetime:
        """When the next attempt is made, consent provided."""
        return now + timedelta(seconds=max(0.0, self._ask_at - monotonic)) if self.owed else self.due
