"""The present snapshot for requests on an event loop: immediately if one is available, else without blocking the
loop."""

import asyncio
import logging
import time
from concurrent.futures import Future
from typing import Protocol

from ff_observe.http.exchange import settle, settle_from_thread
from ff_observe.platform.snapshot import Snapshot

log = logging.getLogger(__name__)


class SnapshotProvider(Protocol):
    """The part of `Snapshots` that the HTTP edge uses. None of these waits for the database."""

    def fresh(self) -> Snapshot | None:
        """The latest snapshot while it is fresh."""

    def request(self) -> "Future[Snapshot]":
        """Take a snapshot in a thread, or join the one in progress."""

    def unanswered(self, after_seconds: float) -> Snapshot:
        """A snapshot for a request that cannot wait any longer."""


class SharedSnapshot:
    """However many requests wait, the database is asked once. For one event loop at a time."""

    def __init__(self, snapshots: SnapshotProvider) -> None:
        self._snapshots = snapshots
        self.fresh = snapshots.fresh
        self._asked: asyncio.Future[Snapshot | None] | None = None

    async def current(self, timeout_seconds: float) -> Snapshot:
        """A fresh snapshot, or after `timeout_seconds` one that says that the platform is not up."""
        began = time.monotonic()
        asked = self._asked
        if asked is None or asked.done() or asked.get_loop() is not asyncio.get_running_loop():
            asked = self._asked = self._ask()
        await asyncio.wait((asked,), timeout=timeout_seconds)
        answered = asked.result() if asked.done() else None
        return answered or self._snapshots.unanswered(time.monotonic() - began)

    def stop_waiting(self) -> None:
        """Answer waiting requests with what is known: the server is stopping. Call it on the event loop."""
        if self._asked is not None:
            settle(self._asked, None)

    def _ask(self) -> "asyncio.Future[Snapshot | None]":
        """One future of this loop for all waiting requests. Its result is None if no snapshot is available."""
        asked: asyncio.Future[Snapshot | None] = asyncio.get_running_loop().create_future()
        self._snapshots.request().add_done_callback(lambda taken: settle_from_thread(asked, _outcome(taken)))
        return asked


def _outcome(taken: "Future[Snapshot]") -> Snapshot | None:
    """The snapshot; None, with the error in the log, if taking it failed unexpectedly."""
    error = taken.exception()
    if error is None:
        return taken.result()
    log.error("taking a snapshot failed", exc_info=error)
    return None
