"""What the collector's `/metrics` answers: rendered beside the event loop, which belongs to the pings."""

import asyncio

from ff_observe.collector.metrics import CollectorMetrics
from ff_observe.exposition.rendered import Rendered
from ff_observe.http.messages import Answer


class CollectorExposition:
    """One rendering at a time; the scrapes that come during one share the next. For one event loop."""

    def __init__(self, metrics: CollectorMetrics) -> None:
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._next: Rendered | None = None

    async def answer(self, accept: bytes, accept_encoding: bytes) -> Answer:
        """The metrics of a moment after the call, as the two headers ask for them (empty where there are none)."""
        if self._next is None:
            self._next = Rendered(self._metrics.exposition)
        shared = self._next
        async with self._turn:
            if self._next is shared:
                self._next = None  # who comes from now on wants newer values
            return await asyncio.to_thread(shared.answer, accept, accept_encoding)
