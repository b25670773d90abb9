"""The events that may be sent: one of the same error an hour, and no more than a budget of them a minute and a day."""

import threading
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ff_observe.system.clock import Clock

REPEAT_SECONDS = 3600.0
MINUTE_SECONDS = 60.0
DAY_SECONDS = 86_400.0
_MAX_PLACES = 1000


class Reason(StrEnum):
    """Why an event was suppressed."""

    REPEATED = "repeated"
    MINUTE = "minute_budget"
    DAY = "day_budget"


@dataclass(slots=True)
class Suppressed:
    """Events that were not sent, since the first of them."""

    since: datetime
    by_reason: Counter[Reason] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Admitted:
    """An event that may be sent. `held_back` of the same error were not, since its last event; `suppressed` of all
    errors, since an event that said so arrived."""

    held_back: int
    suppressed: Suppressed | None


class EventBudget:
    """Thread-safe. In no minute are more than `per_minute` events admitted, in no day more than `per_day`."""

    def __init__(self, per_minute: int, per_day: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._per_day = per_day
        self._clock = clock
        self._lock = threading.Lock()
        self._places: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()
        self._admitted: deque[float] = deque()  # when, for a day: no more than `per_day`
        self._untold: Suppressed | None = None
        self._in_event: Counter[Reason] = Counter()  # the part of `_untold` that the last event says

    def admit(self, place: tuple[object, ...]) -> Admitted | Reason:
        """Whether an event of the error at `place` may be sent now, or why not."""
        now = self._clock.monotonic()
        with self._lock:
            reason = self._objection(place, now)
            last, held_back = self._places.get(place, (float("-inf"), 0))
            if reason is not None:
                self._remember(place, last, held_back + 1)
                if self._untold is None:
                    self._untold = Suppressed(self._clock.now())
                self._untold.by_reason[reason] += 1
                return reason
            self._remember(place, now, 0)
            self._admitted.append(now)
            if self._untold is None:
                return Admitted(held_back, None)
            self._in_event = self._untold.by_reason.copy()
            return Admitted(held_back, Suppressed(self._untold.since, self._in_event))

    def arrived(self) -> None:
        """The last admitted event, and with it the number of suppressed ones, has arrived."""
        with self._lock:
            if self._untold is None or not self._in_event:
                return
            rest = self._untold.by_reason - self._in_event
            self._untold = Suppressed(self._clock.now(), rest) if rest else None
            self._in_event = Counter()

    def lost(self) -> None:
        """An admitted event did not arrive: the next says what it said."""
        with self._lock:
            self._in_event = Counter()

    def _objection(self, place: tuple[object, ...], now: float) -> Reason | None:
        while self._admitted and now - self._admitted[0] >= DAY_SECONDS:
            self._admitted.popleft()
        last, _ = self._places.get(place, (float("-inf"), 0))
        if now - last < REPEAT_SECONDS:
            return Reason.REPEATED
        if len(self._admitted) >= self._per_day:
            return Reason.DAY
        if len(self._admitted) >= self._per_minute and now - self._admitted[-self._per_minute] < MINUTE_SECONDS:
            return Reason.MINUTE
        return None

    def _remember(self, place: tuple[object, ...], sent: float, held_back: int) -> None:
        self._places[place] = (sent, held_back)
        self._places.move_to_end(place)
        if len(self._places) > _MAX_PLACES:
            self._places.popitem(last=False)
