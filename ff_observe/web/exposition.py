"""Answers the bridge's `/metrics`: rendered again only if the snapshot or the bridge's own metrics have changed."""

import time
from functools import partial

from ff_observe.exposition.rendered import Rendered
from ff_observe.http.messages import Answer
from ff_observe.outputs.prometheus import Renderer
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry.self_metrics import SelfMetrics


class SnapshotExposition:
    """For one thread (that of the event loop)."""

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics
        self._snapshot: Snapshot | None = None
        self._version = 0
        self._renderer = Renderer()
        self._rendered: Rendered | None = None
        self.answered = 0
        """How many requests, to see whether there are any."""
        self._asked_at: float | None = None

    @property
    def seconds_since_asked(self) -> float | None:
        """How long ago it was last asked for; None where it never was."""
        return None if self._asked_at is None else time.monotonic() - self._asked_at

    def answer(self, snapshot: Snapshot, accept: bytes, accept_encoding: bytes) -> Answer:
        """The exposition of `snapshot` that the two headers ask for (empty where a request has none)."""
        self.answered += 1
        if self._rendered is None or snapshot is not self._snapshot or self._self_metrics.version != self._version:
            self._version = self._self_metrics.version  # read before the values: newer ones are rendered again
            self._rendered = Rendered(partial(self._renderer.render, snapshot, self._self_metrics.readings()))
            self._snapshot = snapshot
        self._asked_at = time.monotonic()
        return self._rendered.answer(accept, accept_encoding)
