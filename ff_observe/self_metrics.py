"""The live values behind `catalogue.BRIDGE`: how the bridge itself is doing."""

import threading
from collections.abc import Mapping

from ff_observe.catalogue import BRIDGE
from ff_observe.catalogue.model import Kind, Metric
from ff_observe.sources.model import Reading


class SelfMetrics:
    """A small thread-safe store. Readings have the shape of the platform's, so that outputs render both alike.

    `version` grows with every change that shows: an output may keep what it rendered while it stands still.
    """

    def __init__(self, metrics: tuple[Metric, ...] = BRIDGE) -> None:
        self.metrics = metrics
        self.version = 0
        self._lock = threading.Lock()
        self._values: dict[str, dict[tuple[str, ...], float]] = {
            metric.name: self._from_the_start(metric) for metric in metrics
        }

    @staticmethod
    def _from_the_start(metric: Metric) -> dict[tuple[str, ...], float]:
        """Counters exist at 0 from the start, so that a first increase is seen as one."""
        if metric.kind is not Kind.COUNTER:
            return {}
        if not metric.labels:
            return {(): 0.0}
        return {(value,): 0.0 for value in metric.label_values}

    def add(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        """Increase a counter."""
        with self._lock:
            values = self._values[metric.name]
            values[labels] = values.get(labels, 0.0) + amount
            self.version += 1

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set one sample of a gauge."""
        with self._lock:
            values = self._values[metric.name]
            if values.get(labels) != value:
                values[labels] = value
                self.version += 1

    def replace(self, metric: Metric, reading: Reading) -> None:
        """Set all samples of a gauge; label values not in `reading` vanish."""
        with self._lock:
            if self._values[metric.name] != reading:
                self._values[metric.name] = dict(reading)
                self.version += 1

    def readings(self) -> Mapping[str, Reading]:
        """All samples at this moment, by name of the metric; metrics without samples are absent."""
        with self._lock:
            return {name: dict(values) for name, values in self._values.items() if values}
