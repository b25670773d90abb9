"""The present snapshot for requests on an event loop: at once where one is at hand, else without blocking it."""

import asyncio
import contextlib
import logging
import time
from concurrent.futures import Future
from typing import Protocol

from ff_observe.platform.snapshot import Snapshot

log = logging.getLogger(__name__)


class SnapshotProvider(Protocol):
    """What the HTTP edge needs of `Snapshots`. None of these waits for the database."""

    def fresh(self) -> Snapshot | None:
        """The snapshot at hand if it is fresh enough to be shown."""

    def request(self) -> "Future[Snapshot]":
        """Have a snapshot taken in a thread, or join the one under way."""

    def unanswered(self, after_seconds: float) -> Snapshot:
        """What to show who cannot wait any longer."""


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
        if asked is None or asked.get_loop() is not asyncio.get_running_loop():
            asked = self._asked = self._ask()
        await asyncio.wait((asked,), timeout=timeout_seconds)
        answered = asked.result() if asked.done() else None
        return answered or self._snapshots.unanswered(time.monotonic() - began)

    def stop_waiting(self) -> None:
        """Answer those who wait with what is known: the server stops. To be called on the event loop."""
        if self._asked is not None:
            _settle(self._asked, None)

    def _ask(self) -> "asyncio.Future[Snapshot | None]":
        """One future of this loop for all who wait. Its result is None where no snapshot is to be had."""
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[Snapshot | None] = loop.create_future()
        asked.add_done_callback(self._forget)

        def taken(snapshot: "Future[Snapshot]") -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server stopped, nobody waits
                loop.call_soon_threadsafe(_settle, asked, _outcome(snapshot))

        self._snapshots.request().add_done_callback(taken)
        return asked

    def _forget(self, asked: "asyncio.Future[Snapshot | None]") -> None:
        if self._asked is asked:
            self._asked = None


def _outcome(taken: "Future[Snapshot]") -> Snapshot | None:
    """The snapshot; None, with the error in the log, where taking it failed in a way nobody foresaw."""
    error = taken.exception()
    if error is None:
        return taken.result()
    log.error("taking a snapshot failed", exc_info=error)
    return None


def _settle(asked: "asyncio.Future[Snapshot | None]", snapshot: Snapshot | None) -> None:
    if not asked.done():
        asked.set_result(snapshot)
