"""A store of pings: what it does in either database, through the sessions that each of them has of its own."""

import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from ff_observe.catalogue.ping_contract import Value
from ff_observe.collector.store import counting, folding, sightings
from ff_observe.collector.store.batch import moment
from ff_observe.collector.store.columns import NAMES
from ff_observe.collector.store.model import (
    Columns,
    Copy,
    Count,
    Folded,
    Ping,
    Pruned,
    Released,
    Rollup,
    StoreError,
    Writer,
)
from ff_observe.collector.store.present import EARLIEST, Present
from ff_observe.collector.store.rollups import Pruning
from ff_observe.collector.store.session import Session

ROUNDING_KEY_BYTES = 32
COPY_LOCK = 0x66665F636F7079  # "ff_copy": one collector at a time copies days
COUNT_LOCK = 0x66665F636E74  # "ff_cnt": one collector at a time counts

_PINGS = (
    "SELECT received_at, sender, "  # noqa: S608 - only names of our own columns
    f"(SELECT first_seen FROM platform WHERE platform.instance_id = ping.instance_id), {', '.join(NAMES)} FROM ping"
)
_DAY = "substr(CAST(received_at AS text), 1, 10)"
_MOMENTS = {
    ("ping", "received_at"): "?",
    ("platform", "first_seen"): "coalesce("
    "(SELECT min(received_at) FROM ping WHERE ping.instance_id = platform.instance_id), ?)",
    ("platform", "last_seen"): "?",
}
"""Columns, and what is right in the place of a moment that a wrong clock gave."""
_WRONG = " UNION ".join(
    f"SELECT instance_id FROM {table} WHERE {column} > ? OR {column} <= ?"  # noqa: S608 - our own names
    for table, column in _MOMENTS
)


class Store(ABC):
    """A store of pings. Every method opens what it needs and may be called from any thread."""

    name: str

    def __init__(self) -> None:
        self._interrupted = threading.Event()
        self._failed: dict[date, str] = {}
        """Why days could not be rolled up, the one that was tried longest ago first."""

    @abstractmethod
    def _session(self, what: str) -> AbstractContextManager[Session]:
        """A session until the block ends; `what` names the work in errors."""

    @abstractmethod
    def _alone(self, what: str, lock: int) -> AbstractContextManager[bool]:
        """Whether no other collector holds the lock, until the block ends."""

    @abstractmethod
    def writer(self) -> Writer:
        """A writer; it connects, and creates or migrates the schema, on its first `write`."""

    def count(self, at: datetime, silent_after_days: int) -> Count | None:
        """Count every platform, and keep the result for all collectors; None while another collector counts. `at` is
        the present."""
        what = "count platforms"
        with self._alone(what, COUNT_LOCK) as is_alone, self._session(what) as session:
            return counting.take(session, at, silent_after_days, self._interrupted) if is_alone else None

    def last_count(self) -> Count | None:
        """The last count that any collector kept; None if there is none, or a platform was forgotten since."""
        with self._session("read the last count") as session:
            return counting.last(session)

    def fold(self, at: datetime, most: int) -> Folded:
        """Roll up the days that have changed since they were last rolled up, `most` of them: the newest and the oldest.

        A day is a transaction that replaces its roll-ups by what its pings say: however often it is done, interrupted
        or repeated, they are the same. One that fails is due again, and holds up no other: of those that failed, each
        call tries one, along with another if there is one. `at` is the present.
        """
        with self._session("roll up") as session:
            found = session.present(at)
            folding.mark_changed(session, found)
            due = folding.due(session)
        days = [self._fold_day(day, found.likely.date()) for day in folding.at_once(due, most, self._failed)]
        with self._session("roll up") as session:
            due = folding.due(session)
        self._failed = {day: why for day, why in self._failed.items() if day in due}
        return Folded(sum(days), due, dict(self._failed))

    def _fold_day(self, day: date, today: date) -> bool:
        """In a session of its own: what fails there, for whatever reason, keeps no other day from being rolled up."""
        self._failed.pop(day, None)
        try:
            with self._session(f"roll up {day}") as session:
                return session.fold_day(day, today)
        except StoreError as error:
            self._failed[day] = str(error)
            return False

    def rollups(self, since: date, until: date, fields: Sequence[str]) -> Sequence[Rollup]:
        """The roll-ups of these fields, from the day `since` to the day `until`, in order."""
        with self._session("read roll-ups") as session:
            return folding.select(session, since, until, fields)

    def crosstab(self, day: date, first: int, second: int) -> Sequence[tuple[Value | None, Value | None, int]]:
        """How many platforms had each pair of values of two fields (by index) on a day, read from its pings."""
        with self._session("read a day") as session:
            return folding.crosstab(session, day, first, second)

    def sample(self, at: datetime, days: int, silent_after_days: int) -> Count | None:
        """The platforms that count in public, and their latest values: one for each sender, which pinged on at least
        `days` different days of the 30 before `at`, which is the beginning of a day (UTC). None while one of those days
        is still to be rolled up."""
        with self._session("sample the fleet") as session, session.at_one_moment():
            return sightings.sample(session, at, days, silent_after_days)

    def contradicts(self, at: datetime) -> bool:
        """Whether the days of the stored pings, or the server's clock, say that `at` is still days ahead."""
        with self._session("read its days") as session:
            return session.present(at).contradicts(at)

    def rounding_key(self) -> bytes:
        """The secret from which the rounding offsets of public figures are derived; drawn once for the life of the
        store."""
        drawn = secrets.token_bytes(ROUNDING_KEY_BYTES)
        with self._session("read the fleet's key") as session:
            session.run("INSERT INTO fleet_rounding (id, key) VALUES (1, ?) ON CONFLICT DO NOTHING", drawn)
            ((key,),) = session.run("SELECT key FROM fleet_rounding")
        return bytes(key)

    def releases(self, first: int) -> Sequence[Released]:
        """The public releases from the number `first` on, in order."""
        query = "SELECT number, CAST(day AS TEXT), document, proof FROM fleet_log WHERE number >= ? ORDER BY number"
        with self._session("read releases") as session:
            rows = session.run(query, first)
        return [Released(number, date.fromisoformat(day), document, proof) for number, day, document, proof in rows]

    def release(self, released: Released) -> bool:
        """Add a release; False if it does not follow the last one, as when another collector has added it: in one
        statement, so that of two collectors one succeeds."""
        number, day, document, proof = released
        with self._session("release") as session:
            added = session.run(
                "INSERT INTO fleet_log SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM fleet_log) = ? "
                "ON CONFLICT DO NOTHING RETURNING number",
                *(number, day.isoformat(), document, proof, number),
            )
        return added != []

    def export(self, instance_id: str) -> Iterator[Ping]:
        """Everything stored of an instance, oldest first."""
        with self._session("export") as session:
            for rows in session.portions(f"{_PINGS} WHERE instance_id = ? ORDER BY received_at", instance_id):
                for at, sender, _, *values in zip(*session.as_columns(rows), strict=True):
                    yield Ping.of(at.astimezone(UTC), sender, tuple(values))

    def pings_by_day(self, since: date, until: date) -> Mapping[date, int]:
        """How many pings each day (UTC) has, from `since` to `until`; days without any are left out."""
        with self._session("count pings") as session:
            return session.pings_by_day(since, until)

    def read_day(self, day: date) -> Generator[Columns, None, None]:
        """The pings of a day, in the order in which they were received, as of one moment."""
        query = f"{_PINGS} WHERE received_at >= ? AND received_at < ? ORDER BY received_at, instance_id"
        with self._session("export") as session:
            for rows in session.portions(query, day.isoformat(), (day + timedelta(days=1)).isoformat()):
                yield session.as_columns(rows)

    # Copies of whole days are Parquet files, and rows in ClickHouse. One is announced, replaces the one before, and is
    # confirmed. Whatever changes its day meanwhile, or later, stays counted against it until a newer one is confirmed:
    # also if the process ends in between.

    def kept_since(self) -> date:
        """The first day that has not been deleted by age."""
        with self._session("read its state") as session:
            return folding.pruned_before(session)

    def copying(self) -> AbstractContextManager[bool]:
        """Whether no other collector copies days until the block ends."""
        return self._alone("copy days", COPY_LOCK)

    def copies(self) -> Sequence[Copy]:
        """Every copy of a day outside of the store."""
        first = self.kept_since()
        with self._session("read the list of copies") as session:
            rows = session.run("SELECT target, day, changes FROM day_copy ORDER BY target, day")
        days = [(target, date.fromisoformat(day), changes) for target, day, changes in rows]
        return [Copy(target, day, changes > 0, day >= first) for target, day, changes in days]

    def announce_copy(self, target: str, day: date) -> int:
        """Must be called before a day is read to be copied. Returns how often the day has changed since the last copy,
        at least 1 if there is none."""
        with self._session("note a copy") as session:
            key = (target, day.isoformat())
            session.run("INSERT INTO day_copy (target, day, changes) VALUES (?, ?, 1) ON CONFLICT DO NOTHING", *key)
            ((changes,),) = session.run("SELECT changes FROM day_copy WHERE target = ? AND day = ?", *key)
        return int(changes)

    def confirm_copy(self, target: str, day: date, changes: int) -> bool:
        """The copy is complete, and the one before is gone. False if the day has changed since it was announced, with
        this result: then it has to be made again."""
        with self._session("note a copy") as session:
            left = session.run(
                "UPDATE day_copy SET changes = changes - ? WHERE target = ? AND day = ? RETURNING changes",
                *(changes, target, day.isoformat()),
            )
        return left == [(0,)]

    def drop_copy(self, target: str, day: date) -> None:
        """The copy does not exist any more."""
        with self._session("note a copy") as session:
            session.run("DELETE FROM day_copy WHERE target = ? AND day = ?", target, day.isoformat())

    def forget(self, instance_id: str) -> int:
        """Delete everything stored of an instance, also from the raw files. Returns how many pings that were.

        Raises `StoreError` if the database cannot clear its files now: the pings are deleted even so, and upkeep or
        another `forget` clears the files later.
        """
        with self._session("forget") as session, session.writing():
            # In the order in which pings are stored: the two wait for each other, and never deadlock.
            session.run("DELETE FROM recent WHERE instance_id = ?", instance_id)
            pings = session.run(f"DELETE FROM ping WHERE instance_id = ? RETURNING {_DAY}", instance_id)  # noqa: S608 - our own words
            known = session.run("DELETE FROM platform WHERE instance_id = ? RETURNING 1", instance_id)
            days = {date.fromisoformat(day) for (day,) in pings}
            folding.mark(session, days, erased=True)
            seen = session.run("DELETE FROM fleet_seen WHERE instance_id = ? RETURNING 1", instance_id)
            if pings or known or seen:
                session.run("DELETE FROM fleet_count")
                session.note(["fleet_count", "fleet_seen", "platform", "recent"], days)
        if left := self._clear():
            raise StoreError(f"{len(pings)} pings are deleted, but copies are left in {left}")
        return len(pings)

    @abstractmethod
    def _clear(self) -> str:
        """Clear the files of what was deleted. Returns where copies of it are left, and why; nothing if none are."""

    def prune(self, now: datetime, retention: timedelta, rollups: timedelta = timedelta(days=36_500)) -> Pruned:
        """Delete the oldest days of what is older than `retention`, both by the clock (`now`) and by every other
        witness of the present; and the roll-ups of days older than `rollups`. What is `unfinished` is to be continued
        soon.

        Without its pings a day can never be rolled up again: what few platforms had on it is merged. So pings wait for
        the days that are counted from them to be rolled up, but for two days at most."""
        with self._session("prune") as session:
            present = session.present(now)
            old = present.old(retention)
            doubtful = present.doubts(now) and session.has_pings_before(now - retention)
            if old is None:
                return Pruned(doubtful=doubtful)
            present_at = old + retention
            pruning = Pruning(old, present_at.date())
            folding.mark_changed(session, present)
            folding.wait(session, pruning)
            awaited = folding.awaited(session, pruning)
            end = pruning.end(awaited)
            found = session.delete_pings(pruning, end)
            if found.unfinished:
                return replace(found, more=True, doubtful=doubtful)
            session.delete("platform", "last_seen < ? AND last_seen > ?", moment(end), moment(EARLIEST))
            counts_from = max(end, present_at - timedelta(days=sightings.DAYS + 1))
            session.delete("fleet_seen", "day < ?", counts_from.toordinal())
            session.delete("fleet_day", "day < ?", (present_at.date() - rollups).isoformat())
            more = session.has_pings_before(old)
        return replace(found, more=more, doubtful=doubtful, awaited=awaited if more else None)

    @abstractmethod
    def tidy(self, now: datetime) -> None:
        """Hourly upkeep: forget digests past the duplicate window, prepare for the coming days, correct the dates of
        pings that a wrong clock dated in the future or before the first collector, and clear deleted rows from the raw
        files."""

    def _correct(self, session: Session, found: Present, now: datetime) -> None:
        """Forget old digests, and date anew what a wrong clock dated."""
        future, likely = moment(found.future), moment(found.likely)
        session.delete("recent", "until < ? OR received_at > ?", moment(now), future)
        limits = (future, moment(EARLIEST if now > EARLIEST else datetime.min.replace(tzinfo=UTC)))
        looks = (f"SELECT 1 FROM {table} WHERE {column} > ? OR {column} <= ? LIMIT 1" for table, column in _MOMENTS)  # noqa: S608 - our own names
        if not any(session.run(look, *limits) for look in looks):
            return  # as usual: nothing is written, and SQLite reads no more of its index than what is wrong
        with session.writing():
            # Every day on which one of these platforms pinged says something else now: which of its pings came before.
            query = f"SELECT DISTINCT {_DAY}, received_at > ? OR received_at <= ? FROM ping"  # noqa: S608 - our own names
            days = session.run(f"{query} WHERE instance_id IN ({_WRONG})", *limits * 4)
            if days:
                folding.mark(session, [*(date.fromisoformat(day) for day, _ in days), found.likely.date()])
                session.run(f"DELETE FROM fleet_seen WHERE instance_id IN ({_WRONG})", *limits * 3)  # noqa: S608 - our own names
            for (table, column), right in _MOMENTS.items():
                change = f"UPDATE {table} SET {column} = {right} WHERE {column} > ? OR {column} <= ?"  # noqa: S608 - our own names
                session.run(change, likely, *limits)
            left = [date.fromisoformat(day) for day, is_wrong in days if is_wrong]
            session.note([], left)  # where `forget` will find no rows

    @abstractmethod
    def interrupt(self) -> None:
        """Make running and future calls in other threads fail soon with `StoreError`: the process is about to end. The
        writer is not affected."""
