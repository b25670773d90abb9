"""Answers the collector's `/metrics`, rendering off the event loop, which must stay free for pings."""

import asyncio

from ff_observe.collector.metrics import CollectorMetrics
from ff_observe.exposition.rendered import Rendered
from ff_observe.http.messages import Answer


class CollectorExposition:
    """Renders one exposition at a time; scrapes that arrive meanwhile share the next. For one event loop."""

    def __init__(self, metrics: CollectorMetrics) -> None:
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._next: Rendered | None = None

    async def answer(self, accept: bytes, accept_encoding: bytes) -> Answer:
        """The metrics at some moment after the call, as the two headers ask for them (empty where absent)."""
        if self._next is None:
            self._next = Rendered(self._metrics.exposition)
        shared = self._next
        async with self._turn:
            if self._next is shared:
                self._next = None  # later requests want newer values
            return await asyncio.to_thread(shared.answer, accept, accept_encoding)
