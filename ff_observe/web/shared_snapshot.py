"""The present snapshot for requests on an event loop: at once where a fresh one is at hand, else from one thread."""

import asyncio
import contextlib
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Protocol

from ff_observe.catalogue.facts import UP
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import Installation

log = logging.getLogger(__name__)


class SnapshotProvider(Protocol):
    """What the HTTP edge needs of `Snapshots`. Both are safe from any thread."""

    def fresh(self) -> Snapshot | None:
        """The snapshot at hand if it is fresh enough to be shown. Never waits."""

    def current(self, timeout_seconds: float | None = None) -> Snapshot:
        """A fresh snapshot, taken now if need be; one that is not `up` where the database does not answer."""


class SharedSnapshot:
    """However many requests wait, one thread asks the database. For one event loop at a time."""

    def __init__(self, snapshots: SnapshotProvider) -> None:
        self._snapshots = snapshots
        self.fresh = snapshots.fresh
        self._asked: asyncio.Future[Snapshot] | None = None

    async def current(self, timeout_seconds: float) -> Snapshot:
        """A fresh snapshot, or after `timeout_seconds` one that says that the platform is not up."""
        began = time.monotonic()
        asked = self._asked
        if asked is None or asked.get_loop() is not asyncio.get_running_loop():
            asked = self._asked = self._ask()
        await asyncio.wait((asked,), timeout=timeout_seconds)
        return asked.result() if asked.done() else _no_answer(time.monotonic() - began)

    def stop_waiting(self) -> None:
        """Answer those who wait with what is known: the server stops. To be called on the event loop."""
        if self._asked is not None:
            _settle(self._asked, _no_answer(0.0))

    def _ask(self) -> "asyncio.Future[Snapshot]":
        """Ask in a daemon thread: one of asyncio's own pool would keep the process from ending while it hangs."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Snapshot] = loop.create_future()
        answered.add_done_callback(self._forget)
        threading.Thread(target=self._read, args=(loop, answered), name="web snapshot", daemon=True).start()
        return answered

    def _forget(self, answered: "asyncio.Future[Snapshot]") -> None:
        if self._asked is answered:
            self._asked = None

    def _read(self, loop: asyncio.AbstractEventLoop, answered: "asyncio.Future[Snapshot]") -> None:
        began = time.monotonic()
        try:
            snapshot = self._snapshots.current()
        except Exception:
            log.exception("taking a snapshot failed")
            snapshot = _no_answer(time.monotonic() - began)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server stopped meanwhile, nobody waits
            loop.call_soon_threadsafe(_settle, answered, snapshot)


def _no_answer(waited_seconds: float) -> Snapshot:
    """All that can be told without the database and in time."""
    return Snapshot(datetime.now(UTC), waited_seconds, False, Installation(), {UP.name: {(): 0.0}})


def _settle(answered: "asyncio.Future[Snapshot]", snapshot: Snapshot) -> None:
    if not answered.done():
        answered.set_result(snapshot)
