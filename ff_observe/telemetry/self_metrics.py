"""The live values behind `catalogue.BRIDGE`: the bridge's own metrics."""

import platform
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ff_observe.catalogue import BRIDGE
from ff_observe.catalogue.bridge import BUILD_INFO, OUTPUT_DELIVERED
from ff_observe.catalogue.model import Kind, Metric, Reading
from ff_observe.config.secret import Secret
from ff_observe.system.clock import Clock, SystemClock
from ff_observe.telemetry.process_metrics import process_readings
from ff_observe.version import VERSION


@dataclass(frozen=True, slots=True)
class Delivery:
    """The last delivery of an output, or of a part of it: `failure` is None if it arrived. `to` is where it went, of
    outputs whose deliveries are forgotten once they go elsewhere."""

    at: datetime
    failure: str | None
    to: Secret | None = None


class SelfMetrics:
    """A small thread-safe store. Readings have the shape of the platform's, so that outputs render both alike.

    `version` grows with every visible change: an output may reuse its rendering while it stays the same. The process's
    resource usage, which always changes, is measured when the readings are requested and does not count as a change.
    """

    def __init__(self, metrics: tuple[Metric, ...] = BRIDGE, clock: Clock | None = None) -> None:
        self.metrics = metrics
        self._clock = clock or SystemClock()
        self.version = 0
        self._lock = threading.RLock()
        self._values: dict[str, dict[tuple[str, ...], float]] = {
            metric.name: metric.from_the_start if metric.kind is Kind.COUNTER else {} for metric in metrics
        }
        self._deliveries: dict[tuple[str, str], Delivery] = {}

    def add(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        with self._lock:
            values = self._values[metric.name]
            values[labels] = values.get(labels, 0.0) + amount
            self.version += 1

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        with self._lock:
            values = self._values[metric.name]
            if values.get(labels) != value:
                values[labels] = value
                self.version += 1

    def replace(self, metric: Metric, reading: Reading) -> None:
        """Set all samples of a gauge; label values not in `reading` disappear."""
        with self._lock:
            if self._values[metric.name] != reading:
                self._values[metric.name] = dict(reading)
                self.version += 1

    def delivery(self, output: str, failure: str | None, part: str = "", *, to: Secret | None = None) -> Delivery:
        """Record how the last delivery of an output ended: None if it arrived, else the reason, without secrets.

        An output with several parts (signals of OTLP) delivers while all of them do.
        """
        with self._lock:
            last = self._deliveries[output, part] = Delivery(self._clock.now(), failure, to)
            self._show_deliveries()
            return last

    def failures(self) -> Mapping[str, str]:
        """Why the last delivery failed, by name of the output; outputs that deliver are absent."""
        with self._lock:
            return {output: last.failure for (output, _), last in self._deliveries.items() if last.failure is not None}

    def deliveries(self) -> Mapping[tuple[str, str], Delivery]:
        """The last delivery by output and part of it; parts that have not delivered yet are absent."""
        with self._lock:
            return dict(self._deliveries)

    def forget_delivery(self, made: Delivery | None) -> None:
        """Forget a delivery, unless another one followed."""
        with self._lock:
            self._deliveries = {key: last for key, last in self._deliveries.items() if last is not made}
            self._show_deliveries()

    def _show_deliveries(self) -> None:
        failing = self.failures()
        self.replace(OUTPUT_DELIVERED, {(output,): float(output not in failing) for output, _ in self._deliveries})

    def readings(self) -> Mapping[str, Reading]:
        """All samples at this moment, by name of the metric; metrics without samples are absent."""
        return {**self.own_readings(), **process_readings()}

    def own_readings(self) -> Mapping[str, Reading]:
        """Those that are kept here: without what the process uses, which the kernel has to be asked for."""
        with self._lock:
            return {name: dict(values) for name, values in self._values.items() if values}

    def process_started(self) -> None:
        """Publish which versions run here. Called once, by the wiring."""
        self.set(BUILD_INFO, 1.0, VERSION, platform.python_version())
