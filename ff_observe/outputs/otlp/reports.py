"""What became of the exports of one signal: counted, and told once per change."""

import logging
from collections.abc import Callable

from ff_observe.catalogue.bridge import OTLP_EXPORTS
from ff_observe.log import StateLog
from ff_observe.outputs.otlp.complaints import Complaints
from ff_observe.outputs.otlp.output import NAME
from ff_observe.redaction import Redactor
from ff_observe.self_metrics import SelfMetrics

log = logging.getLogger("ff_observe.outputs.otlp")


class Reports:
    """Call it with whether an export was delivered. `begin` and `end` enclose the time in which there are any."""

    def __init__(self, signal: str, self_metrics: SelfMetrics | None) -> None:
        self._signal = signal
        self._self_metrics = self_metrics
        self._complaints = Complaints()
        self._state = StateLog(log)
        self._redactor = Redactor(personal=False)

    def begin(self) -> None:
        self._complaints.begin()

    def end(self) -> None:
        """Idempotent."""
        self._complaints.end()

    def __call__(self, problem: Callable[[], str | None], *, delivered: bool) -> None:
        if self._self_metrics is not None:
            self._self_metrics.add(OTLP_EXPORTS, "delivered" if delivered else "failed")
        reason = None if delivered else self._redactor.text(problem() or self._complaints.last)
        if self._self_metrics is not None:
            self._self_metrics.delivery(NAME, reason, self._signal)
        if reason is None:
            self._state.working(f"OTLP {self._signal} are delivered again")
        else:
            self._state.failing(f"OTLP {self._signal} are not delivered: {reason}")
