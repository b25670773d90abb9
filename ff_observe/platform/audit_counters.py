"""Counts a platform's audit log: once from its beginning, and from then on what is new, by a cursor on its ids.

PostgreSQL commits ids out of order, so the cursor stays below every id that an open transaction may still fill. What is
counted holds for the log it was counted in: once its first entry, or the entry at the cursor, is another one, it is
counted anew. The counters are absent until that is done.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from ff_observe.catalogue.audit import Event, derive
from ff_observe.catalogue.model import Reading
from ff_observe.errors import SourceError
from ff_observe.platform.sources.audit_log import AuditLog, Bounds
from ff_observe.platform.sources.counting import TooSlowError
from ff_observe.platform.sources.sql import StatementError
from ff_observe.system.clock import Clock
from ff_observe.telemetry.log import StateLog

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.2
"""How long new entries may hold up a snapshot; what is left is counted after it."""
CATCH_UP_SECONDS: Final = 2.0
SLICE_SECONDS: Final = 0.1
"""What a stretch of the log should take. SQLite's writers wait meanwhile."""
FIRST_SLICE, SMALLEST_SLICE, LARGEST_SLICE = 10_000, 100, 200_000
"""Entries."""
CHECK_AFTER: Final = timedelta(days=7)
"""How often the whole log is counted a second time: entries that were deleted from its middle show no other way."""
SAVE_AFTER_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 60.0
"""When a log that the database refuses to show is asked for again."""


@dataclass(slots=True)
class Tally:
    """What was counted up to and including the id `cursor`, whose entry is `entry`, in the log that began with `first`.

    It is `complete` once the cursor reached what was the end of the log. `checked` is when the whole log was counted.
    """

    events: Counter[Event] = field(default_factory=Counter)
    cursor: int = 0
    entry: str | None = None
    first: int | None = None
    began: datetime | None = None
    complete: bool = False
    checked: datetime | None = None

    def is_of(self, bounds: Bounds) -> bool:
        """Whether it was counted in the log with these bounds."""
        return self.first in (None, bounds.first) and (self.cursor == 0 or self.entry == bounds.entry is not None)


class Memory(Protocol):
    """Keeps a tally through restarts."""

    def load(self, platform: str) -> Tally | None:
        """The tally kept for a platform; None where there is none that can be trusted."""

    def save(self, platform: str, tally: Tally) -> bool:
        """Keep it; returns whether it is. A failure is only logged."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of the audit log at one moment. `share` is how much of it is counted; None where there is no log
    or it cannot be read, for the reason in `failure`."""

    readings: Mapping[str, Reading] = field(default_factory=dict)
    since: datetime | None = None
    share: float | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class _Pending:
    """Up to `last` everything is there once none of these transactions is open any more."""

    last: int
    writers: frozenset[str]


class AuditCounters:
    """The counters of one platform. `look` and `catch_up` may be called from different threads."""

    def __init__(self, audit_log: AuditLog, clock: Clock, memory: Memory | None = None) -> None:
        self._log = audit_log
        self._clock = clock
        self._memory = memory
        self._lock = threading.Lock()  # held for one statement at a time while catching up
        self._stopping = threading.Event()
        self._state = StateLog(log)
        self._platform: str | None = None
        self._tally = Tally()
        self._check: tuple[Tally, Tally] | None = None  # counted again so far, and what it must come to
        self._pending: _Pending | None = None
        self._settled: int | None = None  # up to which id every entry is there; None before that was found out
        self._last: int | None = None  # id of the log's end; None where there is no log
        self._slice = FIRST_SLICE
        self._saved: tuple[float, tuple[object, ...]] | None = None  # when, and what
        self._refused_until: float | None = None
        self._counted = Counted()

    def look(self, platform: str | None, *, unchanged: bool = False) -> Counted:
        """Count what is new, as far as that takes no time. `unchanged` says that nothing was written to the database
        since the last call."""
        with self._lock:
            if platform is not None and platform != self._platform:
                self._begin(platform)
            if unchanged and self._is_settled and self._counted.share == 1:
                return self._counted
            if self._refused_until is not None and self._clock.monotonic() < self._refused_until:
                return self._counted
            self._guarded(self._look)
            return self._counted

    def catch_up(self, seconds: float = CATCH_UP_SECONDS) -> None:
        """Go on counting for up to `seconds` where something is left to count, in small stretches with pauses: a writer
        gets its turn in between."""
        until = time.monotonic() + seconds
        while not self._stopping.is_set() and time.monotonic() < until:
            began = time.monotonic()
            with self._lock:
                if self._counted.failure is not None or not self._guarded(self._step):
                    return
            self._stopping.wait(min(SLICE_SECONDS, time.monotonic() - began))

    def interrupt(self) -> None:
        """End `catch_up`."""
        self._stopping.set()

    def keep(self) -> None:
        """Keep what was counted, for the next start."""
        with self._lock:
            self._save(at_once=True)

    @property
    def is_complete(self) -> bool:
        """Whether the log is counted, as far as it can be."""
        return self._tally.complete

    @property
    def _is_settled(self) -> bool:
        return self._tally.complete and self._pending is None and self._left == 0

    @property
    def _left(self) -> int:
        """How many ids there are to count."""
        return max(0, (self._settled or 0) - self._tally.cursor)

    def _begin(self, platform: str) -> None:
        self._platform = platform
        self._count_anew()
        kept = self._memory.load(platform) if self._memory is not None else None
        if kept is not None:
            self._tally = kept
            self._settled = kept.cursor if kept.complete else None

    def _count_anew(self) -> None:
        self._tally, self._check, self._pending, self._settled = Tally(), None, None, None

    def _guarded(self, count: Callable[[], bool]) -> bool:
        """Count, and keep what is known then, also if the log cannot be read. Whether there is more to count."""
        try:
            more = count()
            self._counted = self._result()
        except (SourceError, StatementError) as error:
            if isinstance(error, StatementError):
                self._refused_until = self._clock.monotonic() + RETRY_SECONDS
            failure = f"the audit log cannot be read: {error}"
            self._state.failing(failure)
            self._counted = Counted(failure=failure)
            return False
        self._refused_until = None
        self._state.working("the audit log can be read again")
        return more

    def _look(self) -> bool:
        """Look where the log ends, and how far it is settled; count what is new. Starts anew if it is another log."""
        bounds = self._log.bounds(self._tally.cursor)
        if bounds is None:
            self._count_anew()
            self._last = None
            return False
        if not self._tally.is_of(bounds):
            log.warning("the audit log is not the one that was counted (a backup, deleted entries): it is counted anew")
            self._count_anew()
        self._tally.first, self._tally.began = bounds.first, bounds.began
        self._last = bounds.last or 0
        self._settle(self._last, bounds.writers)
        until = time.monotonic() + LOOK_SECONDS
        while self._left and time.monotonic() < until and self._count_slice():
            pass
        return self._left > 0

    def _step(self) -> bool:
        """One more slice, of the log or of its check. Whether there is more to do."""
        if self._left:
            return self._count_slice()
        return self._is_settled and self._check_slice()

    def _settle(self, last: int, writers: frozenset[str]) -> None:
        """Move `_settled` up to the largest id below which no entry can appear any more.

        An entry that is not yet to be seen, with an id below that of one that is, belongs to a transaction that was
        open when the bounds were read. Once all of those have ended, everything up to `last` is there.
        """
        if self._pending is not None and not self._pending.writers & writers:
            self._settled, self._pending = self._pending.last, None
        if not writers:
            self._settled, self._pending = last, None
        elif self._settled is None or last > self._settled:
            self._pending = self._pending or _Pending(last, writers)
            if self._tally.complete:  # where no id is missing, nothing can appear
                unbroken = self._log.unbroken(self._tally.cursor, min(last, self._tally.cursor + FIRST_SLICE))
                self._settled = max(self._settled or 0, unbroken)

    def _count_slice(self) -> bool:
        """Count the next entries; whether there may be more."""
        assert self._settled is not None
        more = self._extend(self._tally, self._settled)
        if not more and self._left:
            self._settled = self._tally.cursor  # the last ones were deleted
        return more

    def _check_slice(self) -> bool:
        """Count the next entries of the log's check, if it is time for one; whether there may be more."""
        now = self._clock.now()
        if self._check is None:
            if self._tally.checked is not None and abs(now - self._tally.checked) < CHECK_AFTER:
                return False
            self._check = Tally(), replace(self._tally, events=Counter(self._tally.events))
        again, expected = self._check
        if again.cursor < expected.cursor and self._extend(again, expected.cursor):
            return True
        if self._check is not None:  # else it was another log in the meantime
            self._check = None
            if again.events != expected.events:
                log.warning("entries were deleted from the audit log: its counters are what is left")
                self._tally.events = again.events + (self._tally.events - expected.events)
            self._tally.checked = now
        return False

    def _extend(self, tally: Tally, last: int) -> bool:
        """Count the next entries up to the id `last`; whether there may be more. Their number follows the time."""
        began, size = time.monotonic(), self._slice
        try:
            stretch = self._log.stretch(tally.cursor, last, size)
        except TooSlowError:
            if size == SMALLEST_SLICE:
                raise
            self._slice = max(SMALLEST_SLICE, size // 4)
            return True
        took = time.monotonic() - began
        if stretch.entries and tally.cursor and stretch.before != tally.entry:
            self._count_anew()  # another log took its place since the bounds were read
            return False
        if stretch.entries:
            tally.events.update(stretch.events)
            tally.cursor, tally.entry = stretch.last, stretch.entry
        if took > 2 * SLICE_SECONDS:
            self._slice = max(SMALLEST_SLICE, size // 2)
        elif took < SLICE_SECONDS / 2 and stretch.entries == size:
            self._slice = min(LARGEST_SLICE, size * 2)
        return stretch.entries == size

    def _result(self) -> Counted:
        tally = self._tally
        if self._last is None:
            return Counted()
        if self._settled is not None and not self._left and not tally.complete:
            tally.complete, tally.checked = True, self._clock.now()
        self._save()
        first = tally.first or 0
        share = max(0, tally.cursor - first + 1) / (self._last - first + 2)  # below 1
        if not tally.complete:
            return Counted(share=share)
        return Counted(derive(tally.events.items()), tally.began, share if tally.cursor < self._last else 1.0)

    def _save(self, *, at_once: bool = False) -> None:
        if self._memory is None or self._platform is None or self._tally.cursor == 0:
            return
        now = self._clock.monotonic()
        state: tuple[object, ...] = (self._tally.cursor, self._tally.complete, self._tally.checked)
        if self._saved is not None:
            (when, saved) = self._saved
            is_due = at_once or now - when >= SAVE_AFTER_SECONDS or saved[1:] != state[1:]
            if saved == state or not is_due:
                return
        kept = self._memory.save(self._platform, self._tally)
        self._saved = now, state if kept else (None, *state[1:])  # tried again, though nothing new is counted
